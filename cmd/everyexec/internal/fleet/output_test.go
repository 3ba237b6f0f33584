// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/everyexec/everyexec/cmd/everyexec/internal/reporttest"
	"github.com/everyexec/everyexec/cmd/everyexec/internal/terminal"
)

var update = flag.Bool("update", false, "write the golden files anew")

// sample is a fleet with all that a summary can say.
func sample(t testing.TB) *Summary {
	t.Helper()
	var in strings.Builder
	for r := range reporttest.Fleet(1, 3000) {
		in.WriteString(encode(t, r) + "\n")
	}
	unverified := reporttest.Report(withBTF, true)
	unverified.Host = "unverified"
	unverified.Variants[0].Verified = false
	in.WriteString(encode(t, unverified) + "\n")
	in.WriteString(reportOf(t, "twin", withBTF, 0) + reportOf(t, "twin", withBTF, 1) + reportOf(t, "twin", withBTF, 2))
	in.WriteString("{\n{\"schema\":7}\n")
	return read(in.String())
}

func writeText(s *Summary, w io.Writer) error { return s.WriteText(w, terminal.Pen{}) }

func TestGolden(t *testing.T) {
	s := sample(t)
	for name, write := range map[string]func(io.Writer) error{
		"fleet.txt":         func(w io.Writer) error { return writeText(s, w) },
		"missing-btf.json":  s.WriteMissingBTF,
		"fleet-one.txt":     func(w io.Writer) error { return writeText(read(reportOf(t, "a", withBTF, 0)), w) },
		"fleet-one.json":    read(reportOf(t, "a", withoutBTF, 0)).WriteJSON,
		"missing-none.json": read(reportOf(t, "a", withBTF, 0)).WriteMissingBTF,
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if b.String() != string(want) {
			t.Errorf("%s differs (go test -update writes it anew):\n%s", path, b.String())
		}
	}
}

// evil is markup, a terminal escape and a command, in every string that may hold any.
func evil(t testing.TB) string {
	const markup = `</script><script>document.title='pwned'</script><img src=http://evil.example/x onerror=alert(1)>"'` + "\x1b[2J\u202e"
	r := reporttest.Report(withoutBTF, false)
	r.Host = `"><img/src=http://evil.example/h>`
	r.Kernel.Release = "<b>5.4.0&<i>"
	r.Kernel.Arch = "<u>"
	r.Distro.ID = "<script>"
	r.Distro.VersionID = "{{.}}"
	for i := range r.Variants {
		r.Variants[i].Reason, r.Variants[i].Remedy = markup, markup+"\n"+markup
	}
	return encode(t, r) + "\n"
}

func TestTextFitsAndIsClean(t *testing.T) {
	for name, s := range map[string]*Summary{"sample": sample(t), "evil": read(evil(t) + "\x1b[2J\n")} {
		var b strings.Builder
		if err := writeText(s, &b); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			line = strings.TrimSuffix(line, "\n")
			if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) && r != utf8.RuneError }) {
				t.Errorf("%s: not clean: %q", name, line)
			}
			if n := utf8.RuneCountInString(line); n > terminal.Width && !strings.ContainsAny(line, `"'`) {
				t.Errorf("%s: %d columns: %s", name, n, line)
			}
		}
		for _, d := range s.Damaged.First {
			if strings.Contains(d.String(), "\x1b") {
				t.Errorf("%s: damage not clean: %q", name, d)
			}
		}
	}
}

func TestJSONIsWhatItWas(t *testing.T) {
	s := sample(t)
	var b bytes.Buffer
	if err := s.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(&b)
	d.DisallowUnknownFields()
	var again Summary
	if err := d.Decode(&again); err != nil {
		t.Fatal(err)
	}
	if again.Hosts != s.Hosts || len(again.Rows) != len(s.Rows) || again.Shipped.Full != s.Shipped.Full {
		t.Errorf("read again: %d hosts, %d rows", again.Hosts, len(again.Rows))
	}
}

func FuzzRead(f *testing.F) {
	short := reporttest.Report(withoutBTF, true)
	short.Probes = short.Probes[:3]
	good := encode(f, short) + "\n"
	f.Add([]byte(good))
	f.Add([]byte(good[:500] + "\n" + good + "trailer"))
	f.Add([]byte(evil(f)))
	f.Add([]byte(strings.Repeat("[", 100)))
	f.Add([]byte("{}\n\n{\"schema\":1}\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		s := Read(bytes.NewReader(in), "-")
		if s.Reports != s.Hosts+s.OlderReports {
			t.Errorf("%d reports, %d hosts, %d older", s.Reports, s.Hosts, s.OlderReports)
		}
		if s.Reports == 0 && s.Damaged.Count == 0 {
			t.Error("neither a report nor damage")
		}
		if lines := bytes.Count(in, []byte("\n")) + 1; s.Damaged.Count > lines+1 {
			t.Errorf("%d damaged in %d lines", s.Damaged.Count, lines)
		}
		var b strings.Builder
		if err := writeText(s, &b); err != nil {
			t.Error(err)
		}
		for _, d := range s.Damaged.First {
			b.WriteString(d.String())
		}
		if strings.ContainsFunc(b.String(), func(r rune) bool { return r != '\n' && r != utf8.RuneError && !unicode.IsPrint(r) }) {
			t.Errorf("not clean: %q", b.String())
		}
		for _, write := range []func(io.Writer) error{s.WriteJSON, s.WriteMissingBTF, s.WriteHTML} {
			if err := write(io.Discard); err != nil {
				t.Error(err)
			}
		}
	})
}
