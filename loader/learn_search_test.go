// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func put32(b []byte, at int, v uint32) { binary.LittleEndian.PutUint32(b[at:], v) }
func put64(b []byte, at int, v uint64) { binary.LittleEndian.PutUint64(b[at:], v) }

func offsetText(o *Offset) string {
	if o == nil {
		return "-"
	}
	return fmt.Sprint(*o)
}

// ram is a memory of some regions.
type ram map[uint64][]byte

func (r ram) read(address uint64, n int) ([]byte, error) {
	for base, region := range r {
		if address >= base && address < base+uint64(len(region)) {
			rest := region[address-base:]
			return rest[:min(n, len(rest))], nil
		}
	}
	return nil, nil
}

// structs is where a made-up kernel has its members.
type structs struct {
	pid, tgid, realParent, parent, mm, activeMM  int
	argStart, argEnd, envStart, envEnd, savedAux int
}

var (
	usual    = structs{400, 404, 416, 424, 312, 320, 96, 104, 112, 120, 128}
	shuffled = structs{812, 16, 1000, 40, 3000, 8, 0, 1400, 48, 800, 200}
)

// process writes the task_struct and the mm_struct of a process into a memory of noise.
func process(r ram, k structs, rng *rand.Rand, n int) *subject {
	base := uint64(0xffff888000000000) + uint64(n)<<20
	task, mm := make([]byte, taskLen), make([]byte, mmLen)
	for i := 0; i < len(task); i += 8 {
		put64(task, i, rng.Uint64()>>rng.IntN(64))
	}
	s := &subject{
		sighting: sighting{tgid: uint32(5000 + 10*n), tid: uint32(5000 + 10*n), task: base},
		image:    task,
		parent:   0xffff888100000000 + uint64(n)<<14,
		layout:   layout{uint64(0x7ffc00000100 + n<<16), uint64(0x7ffc00000200 + n<<16), uint64(0x7ffc00000300 + n<<16)},
	}
	if n == 0 {
		s.tid++ // a thread
	}
	put32(task, k.pid, s.tid)
	put32(task, k.tgid, s.tgid)
	put64(task, k.realParent, s.parent)
	put64(task, k.parent, s.parent)
	put64(task, k.mm, base+0x10000)
	put64(task, k.activeMM, base+0x10000)
	put64(mm, k.argStart, s.layout.argStart)
	put64(mm, k.argEnd, s.layout.argEnd)
	put64(mm, k.envStart, s.layout.argEnd)
	put64(mm, k.envEnd, s.layout.envEnd)
	put64(mm, k.savedAux, atExecfn)
	put64(mm, k.savedAux+8, s.layout.envEnd)
	r[base], r[base+0x10000] = task, mm
	return s
}

func scene(k structs, seed uint64) (ram, []*subject) {
	r, rng := ram{}, rand.New(rand.NewPCG(seed, 0))
	return r, []*subject{process(r, k, rng, 0), process(r, k, rng, 1), process(r, k, rng, 2)}
}

func TestSearch(t *testing.T) {
	for _, c := range []struct {
		name    string
		k       structs
		change  func(r ram, s []*subject)
		tgid    []Offset
		parents []Offset
		mm      []Offset
	}{
		{"usual", usual, nil, []Offset{404}, []Offset{416, 424}, []Offset{312, 320}},
		{"shuffled", shuffled, nil, []Offset{16}, []Offset{40, 1000}, []Offset{8, 3000}},
		{
			// What lies beside the mm_struct of one process does not lie so in the others.
			"neighbour of one mm", usual, func(r ram, s []*subject) {
				near := slices.Clone(r[s[0].task+0x10000])
				for i, subject := range s {
					put64(subject.image, 640, s[i].task+0x8000)
					r[s[i].task+0x8000] = make([]byte, mmLen)
				}
				r[s[0].task+0x8000] = append(make([]byte, 256), near[:mmLen-256]...)
			}, []Offset{404}, []Offset{416, 424}, []Offset{312, 320},
		},
		{
			// A list head that is empty holds two equal pointers, to itself.
			"list head", usual, func(r ram, s []*subject) {
				for _, subject := range s {
					put64(subject.image, 640, subject.task+640)
					put64(subject.image, 648, subject.task+640)
				}
			}, []Offset{404}, []Offset{416, 424}, []Offset{312, 320},
		},
		{
			"own pid all over", usual, func(r ram, s []*subject) {
				for at := 5000; at < taskLen; at += 4 {
					put32(s[1].image, at, s[1].tgid)
				}
			}, []Offset{404}, []Offset{416, 424}, []Offset{312, 320},
		},
		{
			"pid of one is not tgid", usual, func(r ram, s []*subject) { put32(s[0].image, 404, s[0].tid) },
			nil, []Offset{416, 424}, []Offset{312, 320},
		},
		{
			"image cut before tgid", usual, func(r ram, s []*subject) { s[2].image = s[2].image[:402] },
			nil, nil, []Offset{312, 320},
		},
		{
			"parent unknown", usual, func(r ram, s []*subject) { s[0].parent, s[1].parent, s[2].parent = 0, 0, 0 },
			[]Offset{404}, nil, []Offset{312, 320},
		},
		{
			"layout known of one", usual, func(r ram, s []*subject) { s[0].layout, s[1].layout = layout{}, layout{} },
			[]Offset{404}, []Offset{416, 424}, nil,
		},
		{
			"mm cannot be read", usual, func(r ram, s []*subject) { delete(r, s[1].task+0x10000) },
			[]Offset{404}, []Offset{416, 424}, nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, subjects := scene(c.k, 1)
			if c.change != nil {
				c.change(r, subjects)
			}
			if got := findTGID(subjects); !slices.Equal(got, c.tgid) {
				t.Errorf("tgid %v, want %v", got, c.tgid)
			}
			if got := findParent(subjects); !slices.Equal(got, c.parents) {
				t.Errorf("parents %v, want %v", got, c.parents)
			}
			found, err := findMM(r, subjects)
			if err != nil {
				t.Fatal(err)
			}
			var mm []Offset
			for _, f := range found {
				mm = append(mm, f.mm)
				if want := []Offset{Offset(c.k.argStart)}; !slices.Equal(f.argStart, want) {
					t.Errorf("arg_start %v, want %v", f.argStart, want)
				}
				ends := []Offset{Offset(c.k.argEnd), Offset(c.k.envStart)}
				slices.Sort(ends)
				if !slices.Equal(f.argEnd, ends) {
					t.Errorf("arg_end %v, want %v", f.argEnd, ends)
				}
				if want := []Offset{Offset(c.k.envEnd)}; !slices.Equal(f.envEnd, want) {
					t.Errorf("env_end %v, want %v", f.envEnd, want)
				}
			}
			if !slices.Equal(mm, c.mm) {
				t.Errorf("mm %v, want %v", mm, c.mm)
			}
		})
	}
}

func TestKernelPointer(t *testing.T) {
	for v, want := range map[uint64]bool{
		0xffff888012345678: true,  // x86, 4 levels
		0xff11000012345678: true,  // x86, 5 levels
		0xffff000012345678: true,  // arm64, 48 bits
		0xfff0000012345678: true,  // arm64, 52 bits
		0xf0ff888012345678: true,  // arm64, tagged
		0xffff888012345679: false, // not aligned
		0x00007ffc12345678: false, // a process's
		0xfffffffffffffff0: false, // -16
		0xffffffffff5fd000: false, // device registers of x86
		0:                  false,
	} {
		if got := kernelPointer(v); got != want {
			t.Errorf("%#x: %t, want %t", v, got, want)
		}
	}
}

func TestBehind(t *testing.T) {
	for _, c := range []struct {
		member     Offset
		candidates []Offset
		want       string
	}{
		{96, []Offset{104, 112}, "104"},
		{104, []Offset{96, 112}, "112"},
		{0, []Offset{48, 1400}, "48"},
		{0, nil, "-"},
	} {
		if got := offsetText(behind(c.member, c.candidates)); got != c.want {
			t.Errorf("behind %d of %v: %s, want %s", c.member, c.candidates, got, c.want)
		}
	}
}

// FuzzSearch shows that the search takes any memory, and finds nothing but what holds the values.
func FuzzSearch(f *testing.F) {
	f.Add([]byte("task"), []byte("mm"), uint64(1))
	f.Add(make([]byte, 4096), make([]byte, 2048), uint64(0))
	f.Fuzz(func(t *testing.T, image, target []byte, seed uint64) {
		r, subjects := scene(usual, seed)
		for _, s := range subjects {
			copy(s.image[min(500, len(s.image)):], image)
			r[s.task+0x10000] = target
		}
		subjects[0].image = image
		for _, at := range findTGID(subjects) {
			for _, s := range subjects {
				if v, ok := le32(s.image, uint32(at)); !ok || v != s.tgid {
					t.Errorf("tgid found at %d, where it is not", at)
				}
			}
		}
		for _, at := range findParent(subjects) {
			for _, s := range subjects {
				if v, ok := le64(s.image, uint32(at)); !ok || v != s.parent {
					t.Errorf("parent found at %d, where it is not", at)
				}
			}
		}
		if _, err := findMM(r, subjects); err != nil {
			t.Error(err)
		}
	})
}

func TestParseStack(t *testing.T) {
	words := func(w ...uint64) []byte {
		var b []byte
		for _, v := range w {
			b = binary.LittleEndian.AppendUint64(b, v)
		}
		return b
	}
	for _, c := range []struct {
		name  string
		stack []byte
		want  layout
	}{
		{"two arguments", words(2, 100, 110, 0, 120, 130, 0, 6, 4096, atExecfn, 140, 0, 0), layout{100, 120, 140}},
		{"no environment", words(1, 100, 0, 0, atExecfn, 140, 0, 0), layout{100, 0, 140}},
		{"no filename", words(1, 100, 0, 120, 0, 6, 4096, 0, 0), layout{100, 120, 0}},
		{"cut", words(1, 100, 0, 120, 0, 6), layout{100, 120, 0}},
		{"endless", words(1, 100, 0, 120, 130, 140), layout{100, 120, 0}},
		{"too many arguments", words(1<<63, 100), layout{}},
		{"none", nil, layout{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := parseStack(c.stack); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func FuzzParseStack(f *testing.F) {
	f.Add(make([]byte, 512))
	f.Fuzz(func(t *testing.T, stack []byte) { parseStack(stack) })
}
