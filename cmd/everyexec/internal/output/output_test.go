// SPDX-License-Identifier: Apache-2.0

package output

import (
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/everyexec/everyexec/event"
)

// sample is an exec of which everything is known.
func sample(change func(x *Exec)) *Exec {
	x := &Exec{
		Event: &event.Event{
			Kind: event.Exec, Program: event.ProgramCore, Known: event.All,
			PID: 4242, TID: 4243, PPID: 4200, UID: 1000, GID: 100, CgroupID: 1234,
			Comm: []byte("ls"), Filename: []byte("/usr/bin/ls"), RawArgs: []byte("ls\x00-l\x00"),
			PPIDSource: event.SourceTask, ArgsSource: event.SourceMM,
		},
		Time:    time.Date(2026, 11, 22, 10, 37, 0, 123456789, time.UTC),
		Variant: "core",
		Missing: func(event.Fields) string { return "variant" },
	}
	if change != nil {
		change(x)
	}
	return x
}

func TestJSON(t *testing.T) {
	for _, c := range []struct {
		name string
		x    *Exec
		max  int
		want string
	}{
		{"everything known", sample(nil), 0,
			`{"time":"2026-11-22T10:37:00.123456789Z","type":"exec","pid":4242,"tid":4243,"ppid":4200,"uid":1000,"gid":100,` +
				`"comm":"ls","filename":"/usr/bin/ls","args":["ls","-l"],"args_truncated":false,"ret":0,` +
				`"cgroup_id":1234,"container_id":"","variant":"core","sources":{"ppid":"task","args":"mm"},"missing":{}}`},
		{"nothing known", sample(func(x *Exec) { x.Known = 0; x.ContainerMissing = "kernel" }), 0,
			`{"time":"2026-11-22T10:37:00.123456789Z","type":"exec","pid":null,"tid":null,"ppid":null,"uid":null,"gid":null,` +
				`"comm":null,"filename":null,"args":null,"args_truncated":false,"ret":null,` +
				`"cgroup_id":null,"container_id":null,"variant":"core","sources":{},"missing":{"pid":"variant","tid":"variant",` +
				`"ppid":"variant","uid":"variant","gid":"variant","comm":"variant","filename":"variant","args":"variant",` +
				`"ret":"variant","cgroup_id":"variant","container_id":"kernel"}}`},
		{"failed, no argv, in a container",
			sample(func(x *Exec) { x.Kind, x.Ret, x.RawArgs, x.ContainerID = event.ExecFailed, -2, nil, "c0ffee" }), 0,
			`{"time":"2026-11-22T10:37:00.123456789Z","type":"exec_failed","pid":4242,"tid":4243,"ppid":4200,"uid":1000,"gid":100,` +
				`"comm":"ls","filename":"/usr/bin/ls","args":[],"args_truncated":false,"ret":-2,"errno":"ENOENT",` +
				`"cgroup_id":1234,"container_id":"c0ffee","variant":"core","sources":{"ppid":"task","args":"mm"},"missing":{}}`},
		{"at most one argument", sample(nil), 1,
			`{"time":"2026-11-22T10:37:00.123456789Z","type":"exec","pid":4242,"tid":4243,"ppid":4200,"uid":1000,"gid":100,` +
				`"comm":"ls","filename":"/usr/bin/ls","args":["ls"],"args_truncated":true,"ret":0,` +
				`"cgroup_id":1234,"container_id":"","variant":"core","sources":{"ppid":"task","args":"mm"},"missing":{}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := string(JSON{MaxArgs: c.max}.Append(nil, c.x))
			if diff := cmp.Diff(c.want+"\n", got); diff != "" {
				t.Error(diff)
			}
			if !json.Valid([]byte(got)) {
				t.Error("not valid JSON")
			}
		})
	}
}

// unescape undoes what the help of trace documents.
func unescape(t *testing.T, s string) []byte {
	t.Helper()
	var out []byte
	for {
		before, after, found := strings.Cut(s, `\x`)
		out = append(out, before...)
		if !found {
			return out
		}
		b, err := strconv.ParseUint(after[:2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		out, s = append(out, byte(b)), after[2:]
	}
}

func FuzzJSONString(f *testing.F) {
	for _, s := range []string{"", "plain", "\x00\x1f\x7f\"\\\n\t\r", "\xff\xfe", `\x41`, `\\x41`, "a\\", "é\u2028\U0001f600", "\xed\xa0\x80"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		quoted := appendJSONString(nil, raw)
		var s string
		if err := json.Unmarshal(quoted, &s); err != nil {
			t.Fatalf("%s: %v", quoted, err)
		}
		if got := unescape(t, s); !bytes.Equal(got, raw) {
			t.Errorf("%q came back as %q by %s", raw, got, quoted)
		}
	})
}

func FuzzPrintable(f *testing.F) {
	f.Add([]byte("\x1b[31mred\x9b\u202e\u00a0\xff"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, out := range [][]byte{appendPrintable(nil, raw), appendShellQuoted(nil, raw)} {
			if !utf8.Valid(out) {
				t.Errorf("%q: invalid UTF-8", out)
			}
			for _, r := range string(out) {
				if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x202e {
					t.Errorf("%q: %U reaches the terminal", out, r)
				}
			}
		}
	})
}

func TestTable(t *testing.T) {
	since := time.Date(2026, 11, 22, 10, 36, 58, 0, time.UTC)
	for _, c := range []struct {
		name  string
		table Table
		x     *Exec
		want  string
	}{
		{"plain", Table{}, sample(nil), "ls               4242    4200    0    ls -l\n"},
		{"uid and seconds", Table{UID: true, Since: since}, sample(nil),
			"2.123    1000    ls               4242    4200    0    ls -l\n"},
		{"unknown", Table{UID: true}, sample(func(x *Exec) { x.Known = 0 }), "-       -                -       -       -    -\n"},
		{"failed", Table{}, sample(func(x *Exec) { x.Ret = -13 }), "ls               4242    4200    -13  ls -l\n"},
		{"escapes", Table{}, sample(func(x *Exec) { x.Comm = []byte("a\x1bb"); x.RawArgs = []byte("\x1b[31m\x00\xff\n\x00") }),
			"a\\x1bb           4242    4200    0    \\x1b[31m \\xff\\n\n"},
		{"few arguments", Table{MaxArgs: 1}, sample(nil), "ls               4242    4200    0    ls ...\n"},
		{"cut", Table{}, sample(func(x *Exec) { x.Truncated = event.Args }), "ls               4242    4200    0    ls -l...\n"},
		{"quoted", Table{Quote: true}, sample(func(x *Exec) { x.RawArgs = []byte("a b\x00\x00it's\x00") }),
			"ls               4242    4200    0    'a b' '' 'it'\\''s'\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, string(c.table.Append(nil, c.x))); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got, want := string(Table{Clock: true, UID: true, Since: since}.Header()),
		"TIME     TIME(s)  UID     PCOMM            PID     PPID    RET  ARGS\n"; got != want {
		t.Errorf("header %q, want %q", got, want)
	}
}

// TestShellQuoted lets a shell read the words back.
func TestShellQuoted(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash to read the words back")
	}
	words := []string{"", "plain", "a b", "it's", `back\slash`, "$HOME `id`", "new\nline", "\x1b[31m'", "\xff\\", "é\u202e", "*", "~", "-n", "a=b", "!", "\x01x41"}
	var line []byte
	for _, w := range words {
		line = append(append(line, ' '), appendShellQuoted(nil, []byte(w))...)
	}
	out, err := exec.Command(bash, "-c", `printf '%s\0' `+string(line)).Output()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Join(words, "\x00")+"\x00", string(out)); diff != "" {
		t.Errorf("%s: %s", line, diff)
	}
}

func benchmarkWriter(b *testing.B, w Writer) {
	x := sample(nil)
	var line []byte
	b.ReportAllocs()
	for b.Loop() {
		line = w.Append(line[:0], x)
		if _, err := io.Discard.Write(line); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkJSON(b *testing.B)  { benchmarkWriter(b, JSON{}) }
func BenchmarkTable(b *testing.B) { benchmarkWriter(b, Table{Clock: true, UID: true, MaxArgs: 20}) }
