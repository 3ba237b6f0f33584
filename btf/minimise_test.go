// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"

	"github.com/everyexec/everyexec/bpf"
)

// relocated returns an object's instructions as they are after relocation against some BTF.
func relocated(t testing.TB, object, kernel []byte) []string {
	t.Helper()
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		t.Fatal(err)
	}
	types, err := btf.LoadSpecFromReader(bytes.NewReader(kernel))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range spec.Programs {
		names = append(names, name)
	}
	slices.Sort(names)
	var text []string
	for _, name := range names {
		var relos []*btf.CORERelocation
		var insns []*asm.Instruction
		prog := spec.Programs[name]
		for i := range prog.Instructions {
			if r := btf.CORERelocationMetadata(&prog.Instructions[i]); r != nil {
				relos = append(relos, r)
				insns = append(insns, &prog.Instructions[i])
			}
		}
		fixups, err := btf.CORERelocate(relos, []*btf.Spec{types}, spec.ByteOrder, func(btf.Type) (btf.TypeID, error) { return 1, nil })
		if err != nil {
			t.Fatalf("program %s: %v", name, err)
		}
		for i, fixup := range fixups {
			if err := fixup.Apply(insns[i]); err != nil {
				t.Fatalf("program %s: %s: %v", name, relos[i], err)
			}
			text = append(text, fmt.Sprintf("%s: %v: %v", name, relos[i], insns[i]))
		}
	}
	return text
}

// sameRelocations holds the minimised BTF against the whole one, with cilium/ebpf as the judge.
func sameRelocations(t testing.TB, object, whole []byte) []byte {
	t.Helper()
	needs, err := ReadNeeds(object)
	if err != nil {
		t.Fatal(err)
	}
	r, err := parseRaw(whole)
	if err != nil {
		t.Fatal(err)
	}
	small, err := minimise(r, needs)
	if err != nil {
		t.Fatal(err)
	}
	want := relocated(t, object, whole)
	if len(want) == 0 {
		t.Fatal("nothing was relocated")
	}
	if diff := cmp.Diff(want, relocated(t, object, small)); diff != "" {
		t.Errorf("relocations differ (-whole +minimised):\n%s", diff)
	}
	again, err := minimise(r, needs)
	if err != nil || !bytes.Equal(small, again) {
		t.Errorf("a second time it comes out differently (%v)", err)
	}
	return small
}

func TestMinimiseTiny(t *testing.T) {
	sameRelocations(t, bpf.CoreObject(), tinyKernel(t, "x86_64", 1268))
}

// testKinds has every kind of relocation, see testdata/needs.bpf.c.
func testKinds(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/needs.o")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func kindsKernel() []btf.Type {
	i32 := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	u32 := &btf.Int{Name: "unsigned int", Size: 4}
	inner := &btf.Struct{Name: "inner", Size: 12, Members: []btf.Member{
		{Name: "first", Type: i32, Offset: 32},
		{Name: "second", Type: i32, Offset: 64},
	}}
	colour := &btf.Enum{Name: "colour", Size: 4, Values: []btf.EnumValue{{Name: "COLOUR_BLUE", Value: 7}, {Name: "COLOUR_GREEN", Value: 8}}}
	wrapped := &btf.Struct{Name: "wrapped", Size: 128, Members: []btf.Member{
		{Name: "new", Type: i32},
		{Name: "hidden", Type: i32, Offset: 32}, // no longer wrapped
		{Type: &btf.Union{Size: 64, Members: []btf.Member{
			{Name: "list", Type: &btf.Array{Index: u32, Type: &btf.Typedef{Name: "inner_t", Type: inner}, Nelems: 4}},
		}}, Offset: 64},
		{Name: "bits", Type: u32, Offset: 581, BitfieldSize: 5},
		{Name: "pointer", Type: &btf.Pointer{Target: inner}, Offset: 640},
		{Name: "nested", Type: &btf.Const{Type: inner}, Offset: 704},
		{Name: "colour", Type: colour, Offset: 832},
	}}
	return []btf.Type{
		wrapped, inner, colour,
		&btf.Fwd{Name: "wrapped"},
		&btf.Typedef{Name: "counter_t", Type: &btf.Struct{Size: 16, Members: []btf.Member{{Name: "value", Type: i32, Offset: 96}}}},
		&btf.Struct{Name: "sized", Size: 77},
		&btf.Enum{Name: "big", Size: 8, Values: []btf.EnumValue{{Name: "BIG_ZERO"}, {Name: "BIG_ONE", Value: 1<<40 + 5}}},
	}
}

func TestMinimiseEveryKind(t *testing.T) {
	small := sameRelocations(t, testKinds(t), wire(t, kindsKernel()...))
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	colours, err := spec.AnyTypesByName("colour")
	if err != nil {
		t.Fatal(err)
	}
	var values []btf.EnumValue
	for _, colour := range colours {
		values = append(values, colour.(*btf.Enum).Values...)
	}
	if want := []btf.EnumValue{{Name: "COLOUR_GREEN", Value: 8}}; !slices.Equal(values, want) {
		t.Errorf("kept enumerators %v, want %v", values, want)
	}
	if bytes.Contains(small, []byte("new")) {
		t.Error("a member that nobody needs was kept")
	}
}

// Before struct types had a flag for it, a bit field was an int with an offset.
func TestMinimiseOldBitfield(t *testing.T) {
	whole := rawBTF("\x00wrapped\x00first\x00bits\x00",
		1, info(kindStruct, 2), 8, 9, 2, 0, 15, 3, 32,
		0, info(kindInt, 0), 4, 32,
		0, info(kindInt, 0), 4, 3<<16|5)
	r, err := parseRaw(whole)
	if err != nil {
		t.Fatal(err)
	}
	small, err := minimise(r, &Needs{[]need{{typ: "wrapped", path: []string{"bits"}, required: true}}})
	if err != nil {
		t.Fatal(err)
	}
	bits := func(b []byte) string {
		spec, err := btf.LoadSpecFromReader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		var s *btf.Struct
		if err := spec.TypeByName("wrapped", &s); err != nil {
			t.Fatal(err)
		}
		m := s.Members[len(s.Members)-1]
		return fmt.Sprint(m.Name, " at ", m.Offset, " of ", m.BitfieldSize)
	}
	if bits(whole) != "bits at 35 of 5" || bits(small) != bits(whole) {
		t.Errorf("whole: %s, minimised: %s", bits(whole), bits(small))
	}
}

func TestMinimiseKeepsCandidatesThatDiffer(t *testing.T) {
	types := tinyTypes("x86_64", 1268)
	other := &btf.Struct{Name: "task_struct", Size: 8, Members: []btf.Member{
		{Name: "mm", Type: &btf.Pointer{Target: (*btf.Void)(nil)}},
	}}
	types = append(types, other)
	for range 300 { // as in EL8
		types = append(types, tinyTypes("x86_64", 1268)[0])
	}
	small := sameRelocations(t, bpf.CoreObject(), wire(t, types...))
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := spec.AnyTypesByName("task_struct")
	if err != nil {
		t.Fatal(err)
	}
	if len(tasks) != 2 {
		t.Errorf("kept %d task_structs, want the 2 that differ", len(tasks))
	}
}

func TestMinimiseNamesWhatIsMissing(t *testing.T) {
	without := func(typ, member string) []byte {
		types := tinyTypes("x86_64", 1268)
		for _, ty := range types {
			if s := ty.(*btf.Struct); s.Name == typ {
				s.Members = slices.DeleteFunc(s.Members, func(m btf.Member) bool { return m.Name == member })
			}
		}
		return wire(t, types...)
	}
	for _, c := range []struct {
		b    []byte
		want string
	}{
		{without("task_struct", "tgid"), "lacks task_struct.tgid"},
		{without("task_struct", "real_parent"), "lacks task_struct.real_parent"},
		{without("linux_binprm", "filename"), "lacks linux_binprm.filename"},
		{without("mm_struct", ""), "lacks mm_struct.arg_end, mm_struct.arg_start"},
		{wire(t, &btf.Int{Name: "int", Size: 4}), "lacks"},
		{wire(t, &btf.Fwd{Name: "task_struct"}), "lacks"},
	} {
		r, err := parseRaw(c.b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := minimise(r, coreNeeds(t)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want an error with %q", err, c.want)
		}
	}
}

func TestMinimiseIsSmall(t *testing.T) {
	r, err := parseRaw(tinyKernel(t, "x86_64", 1268))
	if err != nil {
		t.Fatal(err)
	}
	small, err := minimise(r, coreNeeds(t))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(small, []byte("pt_regs")) || bytes.Contains(small, []byte("unused")) {
		t.Error("it holds what nobody needs")
	}
}
