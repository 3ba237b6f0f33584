// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Needs are the kernel types, members and enumerators that a CO-RE object relocates against.
type Needs struct {
	list []need // sorted by name, each name once
}

// need is one thing that a kernel's BTF is asked for.
type need struct {
	typ        string   // without flavour
	path       []string // members, an array's element as "[]"
	enumerator string
	required   bool // false if the program first asks whether it exists
}

// name is how people and bundles read a need: task_struct.real_parent, bpf_func_id:BPF_FUNC_bind.
func (n need) name() string {
	if n.enumerator != "" {
		return n.typ + ":" + n.enumerator
	}
	return strings.Join(append([]string{n.typ}, n.path...), ".")
}

// Names lists what is needed, sorted: "mm_struct.arg_start", "task_struct.tgid".
func (n *Needs) Names() []string {
	names := make([]string, len(n.list))
	for i, one := range n.list {
		names[i] = one.name()
	}
	return names
}

// Kinds of CO-RE relocations, see enum bpf_core_relo_kind of the kernel.
const (
	reloByteOffset = 0
	reloByteSize   = 1
	reloExists     = 2
	reloSigned     = 3
	reloShiftLeft  = 4
	reloShiftRight = 5
	reloTypeLocal  = 6
	reloTypeExists = 8
	reloTypeSize   = 9
	reloEnumExists = 10
	reloEnumValue  = 11
)

// ReadNeeds reads from an object that clang made what its programs relocate against.
//
// A relocation that a minimised BTF cannot answer (the ID of a kernel type, whether a whole type
// matches) is an error.
func ReadNeeds(object []byte) (*Needs, error) {
	local, ext, err := objectBTF(object)
	if err != nil {
		return nil, fmt.Errorf("read the CO-RE object: %w", err)
	}
	records, err := relocations(local, ext)
	if err != nil {
		return nil, fmt.Errorf("read the CO-RE object: %w", err)
	}

	needs := make(map[string]need)
	guarded := make(map[string]bool)
	for _, rec := range records {
		if rec.kind == reloTypeLocal {
			continue // answered by the object itself
		}
		n, err := readNeed(local, rec)
		if err != nil {
			return nil, fmt.Errorf("read the CO-RE object: relocation against %q: %w", local.text(rec.access), err)
		}
		needs[n.name()] = n
		switch rec.kind {
		case reloExists, reloTypeExists, reloEnumExists:
			guarded[n.name()] = true
		}
	}
	if len(needs) == 0 {
		return nil, errors.New("read the CO-RE object: it relocates against nothing")
	}
	for name, n := range needs {
		n.required = !n.guardedBy(guarded)
		needs[name] = n
	}
	return &Needs{slices.SortedFunc(maps.Values(needs), func(a, b need) int {
		return strings.Compare(a.name(), b.name())
	})}, nil
}

// guardedBy says whether the program asks for the existence of n, or of what contains it.
func (n need) guardedBy(asked map[string]bool) bool {
	if asked[n.name()] || asked[n.typ] {
		return true
	}
	for i := range n.path {
		if asked[need{typ: n.typ, path: n.path[:i+1]}.name()] {
			return true
		}
	}
	return false
}

func objectBTF(object []byte) (local *raw, ext []byte, err error) {
	file, err := elf.NewFile(bytes.NewReader(object))
	if err != nil {
		return nil, nil, err
	}
	var parts [2][]byte
	for i, name := range []string{".BTF", ".BTF.ext"} {
		sec := file.Section(name)
		if sec == nil {
			return nil, nil, fmt.Errorf("no section %s: build it with clang -g", name)
		}
		if parts[i], err = sec.Data(); err != nil {
			return nil, nil, fmt.Errorf("section %s: %w", name, err)
		}
	}
	local, err = parseRaw(parts[0])
	return local, parts[1], err
}

// relocation is struct bpf_core_relo of the kernel, without the instruction.
type relocation struct {
	typ    uint32
	access uint32 // offset of a string such as "0:3:1"
	kind   uint32
}

// relocations reads the CO-RE part of .BTF.ext.
func relocations(local *raw, ext []byte) ([]relocation, error) {
	const (
		headerSize = 32 // the first header with a CO-RE part
		recordSize = 16
	)
	if len(ext) < headerSize || local.order.Uint32(ext[4:]) < headerSize {
		return nil, errors.New("no CO-RE relocations")
	}
	b, err := section(ext, uint64(local.order.Uint32(ext[4:])), local.order, 24)
	if err != nil {
		return nil, fmt.Errorf("CO-RE relocations: %w", err)
	}
	if len(b) < 4 {
		return nil, errors.New("no CO-RE relocations")
	}
	if size := local.order.Uint32(b); size != recordSize {
		return nil, fmt.Errorf("CO-RE relocations of %d bytes, only %d are known", size, recordSize)
	}

	var all []relocation
	for b = b[4:]; len(b) >= 8; {
		n := int(local.order.Uint32(b[4:]))
		b = b[8:]
		if len(b)/recordSize < n {
			return nil, errors.New("CO-RE relocations are cut off")
		}
		for range n {
			all = append(all, relocation{
				typ:    local.order.Uint32(b[4:]),
				access: local.order.Uint32(b[8:]),
				kind:   local.order.Uint32(b[12:]),
			})
			b = b[recordSize:]
		}
	}
	return all, nil
}

func readNeed(local *raw, rec relocation) (need, error) {
	named, ok := local.typ(rec.typ)
	if !ok {
		return need{}, fmt.Errorf("no type %d", rec.typ)
	}
	n := need{typ: withoutFlavour(string(local.text(named.name)))}
	if n.typ == "" {
		return need{}, errors.New("the type has no name")
	}

	var access []int
	for field := range strings.SplitSeq(string(local.text(rec.access)), ":") {
		i, err := strconv.ParseUint(field, 10, 16)
		if err != nil {
			return need{}, fmt.Errorf("access string: %w", err)
		}
		access = append(access, int(i))
	}

	var err error
	switch rec.kind {
	case reloTypeExists, reloTypeSize:
	case reloEnumExists, reloEnumValue:
		n.enumerator, err = enumeratorName(local, rec.typ, access[0])
	case reloByteOffset, reloByteSize, reloExists, reloSigned, reloShiftLeft, reloShiftRight:
		// The first number counts whole structs, as in an array of them.
		n.path, err = pathNames(local, rec.typ, access[1:])
	default:
		err = fmt.Errorf("a relocation of kind %d cannot be served from a minimised BTF", rec.kind)
	}
	return n, err
}

func enumeratorName(local *raw, id uint32, i int) (string, error) {
	_, t, ok := local.bare(id)
	if !ok || (t.kind != kindEnum && t.kind != kindEnum64) || i >= t.vlen {
		return "", fmt.Errorf("no enumerator %d", i)
	}
	return withoutFlavour(string(local.text(local.order.Uint32(t.data[enumStride(t)*i:])))), nil
}

// enumStride is the size of one enumerator in the wire format.
func enumStride(t rawType) int {
	if t.kind == kindEnum64 {
		return 12
	}
	return 8
}

func pathNames(local *raw, id uint32, access []int) ([]string, error) {
	var path []string
	for _, i := range access {
		_, t, ok := local.bare(id)
		switch {
		case ok && t.kind == kindArray:
			id, _ = local.element(t)
			path = append(path, "[]")
		case ok && t.composite() && i < t.vlen:
			m := local.member(t, i)
			id = m.typ
			// A member without a name is only a wrapping; the kernel's may differ.
			if name := string(local.text(m.name)); name != "" {
				path = append(path, name)
			}
		default:
			return nil, fmt.Errorf("no member %d", i)
		}
	}
	return path, nil
}

// withoutFlavour strips what follows the last "___", by which a program tells apart its own
// declarations of one kernel type.
func withoutFlavour(name string) string {
	if i := strings.LastIndex(name, "___"); i > 0 {
		return name[:i]
	}
	return name
}
