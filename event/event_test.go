// SPDX-License-Identifier: Apache-2.0

package event

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// record builds a record byte by byte, by docs/event-layout.md and not by the decoder's constants.
func record(change func(b []byte), filename, args string) []byte {
	b := make([]byte, 80)
	b[0] = 1                                          // version
	b[1] = 1                                          // kind
	b[2] = 3                                          // program
	b[3] = 2                                          // ppid source
	b[4] = 5                                          // args source
	binary.LittleEndian.PutUint16(b[6:], 0x3ff)       // known
	binary.LittleEndian.PutUint16(b[8:], 0x80)        // truncated
	binary.LittleEndian.PutUint16(b[10:], 0x04)       // faulted
	binary.LittleEndian.PutUint32(b[12:], 0xfffffffe) // ret
	binary.LittleEndian.PutUint64(b[16:], 0x0102030405060708)
	binary.LittleEndian.PutUint64(b[24:], 77)
	for i, v := range []uint32{10, 11, 12, 13, 14, uint32(len(filename)), uint32(len(args)), 9999} {
		binary.LittleEndian.PutUint32(b[32+4*i:], v)
	}
	copy(b[64:], "comm")
	if change != nil {
		change(b)
	}
	return append(append(b, filename...), args...)
}

func TestDecode(t *testing.T) {
	want := Event{
		Kind: Exec, Program: ProgramStub, Known: All, Truncated: Args, Faulted: PPID,
		KtimeNs: 0x0102030405060708, CgroupID: 77, PID: 10, TID: 11, PPID: 12, UID: 13, GID: 14, Ret: -2,
		Comm: []byte("comm"), Filename: []byte("/bin/ls"), RawArgs: []byte("ls\x00-l\x00"), ArgsFullLen: 9999,
		PPIDSource: SourceLearned, ArgsSource: SourceArgv,
	}
	raw := record(nil, "/bin/ls\x00", "ls\x00-l\x00")
	for _, padding := range []int{0, 7} {
		var got Event
		if err := Decode(append(raw, make([]byte, padding)...), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("padding %d: %s", padding, diff)
		}
	}
}

func TestDecodeRejects(t *testing.T) {
	put32 := func(at int, v uint32) func([]byte) {
		return func(b []byte) { binary.LittleEndian.PutUint32(b[at:], v) }
	}
	for _, c := range []struct {
		name string
		raw  []byte
		want error
	}{
		{"nothing", nil, ErrShort},
		{"one byte short of a header", record(nil, "", "")[:79], ErrShort},
		{"another version", record(func(b []byte) { b[0] = 2 }, "", ""), ErrVersion},
		{"kind 0", record(func(b []byte) { b[1] = 0 }, "", ""), ErrKind},
		{"kind 3", record(func(b []byte) { b[1] = 3 }, "", ""), ErrKind},
		{"filename beyond the end", record(put32(52, 2), "\x00", ""), ErrLength},
		{"args beyond the end", record(put32(56, 3), "\x00", "a\x00"), ErrLength},
		{"lengths that overflow", record(func(b []byte) { put32(52, 1<<32-1)(b); put32(56, 2)(b) }, "\x00", ""), ErrLength},
		{"filename over its limit", record(nil, string(make([]byte, FilenameMax+1)), ""), ErrLength},
		{"args over their limit", record(nil, "", string(make([]byte, ArgsMax+1))), ErrLength},
		{"filename without an end", record(nil, "/bin/ls", ""), ErrFilename},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := Decode(c.raw, new(Event)); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestArgs(t *testing.T) {
	for _, c := range []struct {
		name, raw string
		want      []string
	}{
		{"none", "", nil},
		{"one", "a\x00", []string{"a"}},
		{"an empty one", "\x00", []string{""}},
		{"empty ones between", "a\x00\x00\x00b\x00", []string{"a", "", "", "b"}},
		{"the last one cut", "a\x00bc", []string{"a", "bc"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := Event{RawArgs: []byte(c.raw)}
			var got []string
			for arg := range e.Args() {
				got = append(got, string(arg))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	t.Run("stops when told", func(t *testing.T) {
		e := Event{RawArgs: []byte("a\x00b\x00")}
		n := 0
		for range e.Args() {
			n++
			break
		}
		if n != 1 {
			t.Errorf("went on to %d", n)
		}
	})
}

func TestFullComm(t *testing.T) {
	raw := record(func(b []byte) { copy(b[64:], "0123456789abcdef") }, "", "")
	var e Event
	if err := Decode(raw, &e); err != nil || string(e.Comm) != "0123456789abcdef" {
		t.Errorf("got %q, %v", e.Comm, err)
	}
}

func TestFields(t *testing.T) {
	for f := PID; f <= CgroupID; f <<= 1 {
		got, ok := ParseField(f.String())
		if !ok || got != f {
			t.Errorf("%s came back as %s, %v", f, got, ok)
		}
	}
	if _, ok := ParseField("nonsense"); ok {
		t.Error("nonsense is a field")
	}
	if got := (PPID | Args).String(); got != "ppid,args" {
		t.Errorf("got %q", got)
	}
}

func TestDecodeAllocatesNothing(t *testing.T) {
	raw := record(nil, "/usr/bin/ls\x00", "ls\x00-l\x00/tmp\x00")
	var e Event
	n := testing.AllocsPerRun(1000, func() {
		if Decode(raw, &e) != nil {
			t.Fatal("rejected")
		}
		for range e.Args() {
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(record(nil, "/bin/ls\x00", "ls\x00-l\x00"))
	f.Add(record(nil, "", ""))
	f.Add([]byte{1, 1})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var e Event
		if err := Decode(raw, &e); err != nil {
			return
		}
		if len(e.Filename) >= FilenameMax || len(e.RawArgs) > ArgsMax || len(e.Comm) > CommMax {
			t.Errorf("over the limits: %d %d %d", len(e.Filename), len(e.RawArgs), len(e.Comm))
		}
		total := 0
		for arg := range e.Args() {
			total += len(arg) + 1
		}
		if total < len(e.RawArgs) || total > len(e.RawArgs)+1 {
			t.Errorf("arguments of %d bytes out of %d", total, len(e.RawArgs))
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	raw := record(nil, "/usr/bin/ls\x00", "ls\x00-l\x00/tmp\x00")
	var e Event
	b.ReportAllocs()
	for b.Loop() {
		if err := Decode(raw, &e); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
