// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"github.com/cilium/ebpf/btf"

	ourbtf "github.com/everyexec/everyexec/btf"
)

func TestMain(m *testing.M) {
	if IsTestExec() {
		os.Exit(RunTestExec())
	}
	os.Exit(m.Run())
}

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

// learnHere learns on the running kernel, with or without raw tracepoints.
func learnHere(t *testing.T, raw bool) *Offsets {
	t.Helper()
	needsRoot(t)
	dir, err := openTracefs()
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	o, err := learn(t.Context(), dir, raw, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestLearnedOffsetsAreRight holds what is learned against the kernel's own BTF.
func TestLearnedOffsetsAreRight(t *testing.T) {
	types, err := btf.LoadSpec(ourbtf.KernelPath)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("this kernel has no BTF to hold the offsets against")
	}
	if err != nil {
		t.Fatal(err)
	}
	var task, mm *btf.Struct
	if err := errors.Join(types.TypeByName("task_struct", &task), types.TypeByName("mm_struct", &mm)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		raw  bool
	}{{"raw tracepoint", true}, {"tracepoint", false}} {
		t.Run(c.name, func(t *testing.T) {
			if c.raw && probeRawTracepoints().Result != Yes {
				t.Skip("this kernel has no raw tracepoints")
			}
			o := learnHere(t, c.raw)
			for _, m := range []struct {
				in   *btf.Struct
				name string
				got  *Offset
			}{
				{task, "tgid", o.TGID}, {task, "real_parent", o.RealParent}, {task, "mm", o.MM},
				{mm, "arg_start", o.ArgStart}, {mm, "arg_end", o.ArgEnd}, {mm, "env_end", o.EnvEnd},
			} {
				want, ok := memberOffset(m.in, m.name)
				if !ok {
					t.Fatalf("BTF has no %s.%s", m.in.Name, m.name)
				}
				if m.got == nil || *m.got != want {
					t.Errorf("%s.%s was learned as %v, BTF says %d", m.in.Name, m.name, m.got, want)
				}
			}
		})
	}
}

// memberOffset looks for a member in a struct and in the nameless ones inside it.
func memberOffset(s *btf.Struct, name string) (Offset, bool) {
	for _, m := range s.Members {
		if m.Name == name {
			return Offset(m.Offset.Bytes()), true
		}
		inner, ok := btf.As[*btf.Struct](m.Type)
		if m.Name != "" || !ok {
			continue
		}
		if at, ok := memberOffset(inner, name); ok {
			return Offset(m.Offset.Bytes()) + at, true
		}
	}
	return 0, false
}

// TestOwnBinaryAsSubject looks at a child that is this very program.
func TestOwnBinaryAsSubject(t *testing.T) {
	needsRoot(t)
	dir, err := openTracefs()
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	offsets := learnHere(t, true)
	err = onOwnThread(func() error {
		l, err := newLesson(dir, true)
		if err != nil {
			return err
		}
		self, err := l.probe.self()
		if err != nil {
			return errors.Join(err, l.close())
		}
		here := func(f func() error) error { return f() }
		w, err := l.startChild(t.Context(), here, self.task, true)
		if err != nil {
			return errors.Join(err, l.close())
		}
		if v, _ := le64(w.image, uint32(*offsets.RealParent)); v != self.task {
			t.Errorf("the child's parent is at %#x, not at %#x", v, self.task)
		}
		if !w.layout.known() {
			t.Errorf("the child does not tell where its arguments are: %+v", w.layout)
		}
		return l.close()
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestFirstOfPair shows when real_parent is known where a policy forbids to trace.
func TestFirstOfPair(t *testing.T) {
	const tid = 1001
	image := make([]byte, 256)
	put32(image, 100, tid) // pid
	put32(image, 104, 1000)
	l := &lesson{self: &subject{sighting: sighting{tgid: 1000, tid: tid}, image: image}}
	tgid := Offset(104)
	for _, c := range []struct {
		name       string
		candidates []Offset
		tgid       Offset
		want       string
	}{
		{"pair behind tgid", []Offset{112, 120}, tgid, "112"},
		{"not side by side", []Offset{112, 128}, tgid, "-"},
		{"before tgid", []Offset{88, 96}, tgid, "-"},
		{"three in a row", []Offset{112, 120, 128}, tgid, "-"},
		{"pair and another", []Offset{32, 112, 120, 200}, tgid, "112"},
		{"tgid not behind pid", []Offset{112, 120}, 108, "-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := l.firstOfPair(c.candidates, &c.tgid)
			if s := offsetText(got); s != c.want {
				t.Errorf("got %s, want %s", s, c.want)
			}
		})
	}
}
