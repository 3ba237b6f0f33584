// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"
)

const (
	// EL8's kernels declare task_struct 476 times.
	maxCandidates = 1 << 13
	// How many members and enumerators are looked at before a BTF counts as hostile; EL8's needs
	// 358,308.
	maxSteps = 1 << 22
	// Members without a name may wrap others this deep, as in cilium/ebpf.
	maxWrappings = 32
)

// minimise returns BTF that holds only what needs name, in the wire format.
//
// A relocation against the result gives what a relocation against the whole gives: every type of
// a needed name is a candidate in both. The result is the same for the same input. The error
// names what is missing.
func minimise(whole *raw, needs *Needs) ([]byte, error) {
	m := minimiser{raw: whole, leaves: make(map[string]btf.Type)}
	kept, err := btf.NewBuilder(nil, nil)
	if err != nil {
		return nil, err
	}
	byType, names := needs.byType()
	candidates, err := m.candidates(byType)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		types, err := m.keep(candidates[name], byType[name])
		if err != nil {
			return nil, err
		}
		for _, t := range types {
			if _, err := kept.Add(t); err != nil {
				return nil, fmt.Errorf("write %s: %w", name, err)
			}
		}
	}
	return kept.Marshal(nil, &btf.MarshalOptions{Order: whole.order})
}

// byType groups needs by the name of their type, and lists those names in order.
func (n *Needs) byType() (map[string][]need, []string) {
	groups := make(map[string][]need)
	var names []string
	for _, one := range n.list {
		if groups[one.typ] == nil {
			names = append(names, one.typ)
		}
		groups[one.typ] = append(groups[one.typ], one)
	}
	return groups, names
}

type minimiser struct {
	*raw
	steps  int
	leaves map[string]btf.Type // types that have nothing below, shared
}

func (m *minimiser) step(n int) error {
	if m.steps += n; m.steps > maxSteps {
		return errors.New("BTF is too intricate to be that of a kernel")
	}
	return nil
}

// candidates finds the types that carry the names.
func (m *minimiser) candidates(names map[string][]need) (map[string][]uint32, error) {
	found := make(map[string][]uint32)
	for id := uint32(1); id <= m.len(); id++ {
		t, _ := m.typ(id)
		switch t.kind {
		case kindStruct, kindUnion, kindEnum, kindEnum64, kindTypedef:
		default:
			continue
		}
		text := m.text(t.name)
		if i := bytes.LastIndex(text, []byte("___")); i > 0 {
			text = text[:i]
		}
		if names[string(text)] == nil {
			continue
		}
		name := string(text)
		if found[name] = append(found[name], id); len(found[name]) > maxCandidates {
			return nil, fmt.Errorf("BTF holds %s more than %d times", name, maxCandidates)
		}
	}
	return found, nil
}

// keep minimises the candidates for one name and drops those that are the same then. At least
// one has to hold all that is required.
func (m *minimiser) keep(ids []uint32, needs []need) ([]btf.Type, error) {
	var types []btf.Type
	seen := make(map[string]bool)
	var lacking []string
	complete := false
	for _, id := range ids {
		n := &node{id: id}
		missing, found, err := m.mark(n, needs)
		if err != nil {
			return nil, err
		}
		if len(missing) == 0 {
			complete = true
		} else if lacking == nil || len(missing) < len(lacking) {
			lacking = missing
		}
		if !found {
			continue
		}
		t, err := m.emit(n)
		if err != nil {
			return nil, err
		}
		key, err := encode(t)
		if err != nil {
			return nil, err
		}
		if !seen[key] {
			seen[key] = true
			types = append(types, t)
		}
	}
	if complete {
		return types, nil
	}
	if lacking == nil {
		lacking = requiredNames(needs)
	}
	if len(lacking) > 0 {
		return nil, fmt.Errorf("BTF lacks %s", strings.Join(lacking, ", "))
	}
	return types, nil
}

func requiredNames(needs []need) []string {
	var names []string
	for _, n := range needs {
		if n.required {
			names = append(names, n.name())
		}
	}
	return names
}

// encode makes types comparable by what they say.
func encode(t btf.Type) (string, error) {
	b, err := btf.NewBuilder([]btf.Type{t}, nil)
	if err != nil {
		return "", err
	}
	wire, err := b.Marshal(nil, nil)
	return string(wire), err
}

// node is a type of which a part is kept.
type node struct {
	id      uint32
	members map[int]*node // of a struct or union, by index
	element *node         // of an array
	values  []int         // of an enum
}

// mark notes in n what of needs is there. It returns the names of the required needs that are
// not, and whether there was anything.
func (m *minimiser) mark(n *node, needs []need) (missing []string, found bool, err error) {
	for _, want := range needs {
		ok := true
		if want.enumerator != "" {
			ok, err = m.markValue(n, want.enumerator)
		} else {
			ok, err = m.markPath(n, want.path)
		}
		if err != nil {
			return nil, false, err
		}
		found = found || ok
		if !ok && want.required {
			missing = append(missing, want.name())
		}
	}
	return missing, found, nil
}

func (m *minimiser) markValue(n *node, name string) (bool, error) {
	_, t, ok := m.bare(n.id)
	if !ok || (t.kind != kindEnum && t.kind != kindEnum64) {
		return false, nil
	}
	if err := m.step(t.vlen); err != nil {
		return false, err
	}
	for i := range t.vlen {
		if withoutFlavour(string(m.text(m.order.Uint32(t.data[enumStride(t)*i:])))) == name {
			n.values = append(n.values, i)
			return true, nil
		}
	}
	return false, nil
}

// markPath notes a path of members below n. An empty path is the type itself.
func (m *minimiser) markPath(n *node, path []string) (bool, error) {
	indices, ok, err := m.resolve(n.id, path)
	if !ok {
		return false, err
	}
	id := n.id
	for _, i := range indices {
		_, t, _ := m.bare(id)
		if t.kind == kindArray {
			id, _ = m.element(t)
			if n.element == nil {
				n.element = &node{id: id}
			}
			n = n.element
			continue
		}
		id = m.member(t, i).typ
		if n.members == nil {
			n.members = make(map[int]*node)
		}
		if n.members[i] == nil {
			n.members[i] = &node{id: id}
		}
		n = n.members[i]
	}
	return true, nil
}

// resolve turns names into the indices of members, those of nameless wrappings included. An
// array's element has index 0.
func (m *minimiser) resolve(id uint32, path []string) (indices []int, ok bool, err error) {
	if _, t, ok := m.bare(id); len(path) == 0 && !ok || t.kind == kindForward {
		return nil, false, nil
	}
	for _, name := range path {
		_, t, ok := m.bare(id)
		switch {
		case ok && t.kind == kindArray && name == "[]":
			id, _ = m.element(t)
			indices = append(indices, 0)
		case ok && t.composite() && name != "[]":
			way, typ, err := m.findMember(t, name)
			if way == nil {
				return nil, false, err
			}
			indices = append(indices, way...)
			id = typ
		default:
			return nil, false, nil
		}
	}
	return indices, true, nil
}

// findMember looks for a member, in nameless members too, level by level as cilium/ebpf does. It
// returns the indices that lead to it and its type, or nil.
func (m *minimiser) findMember(in rawType, name string) (way []int, typ uint32, err error) {
	type level struct {
		rawType
		way []int
	}
	queue := []level{{in, nil}}
	for at := 0; at < len(queue) && at < maxWrappings; at++ {
		l := queue[at]
		if err := m.step(l.vlen); err != nil {
			return nil, 0, err
		}
		for i := range l.vlen {
			mem := m.member(l.rawType, i)
			here := m.text(mem.name)
			if string(here) == name {
				return append(slices.Clip(l.way), i), mem.typ, nil
			}
			if len(here) > 0 || len(queue) == maxWrappings {
				continue
			}
			if _, t, ok := m.bare(mem.typ); ok && t.composite() {
				queue = append(queue, level{t, append(slices.Clip(l.way), i)})
			}
		}
	}
	return nil, 0, nil
}

// emit turns what is kept of a type into a type to be written.
func (m *minimiser) emit(n *node) (btf.Type, error) {
	named, _ := m.typ(n.id)
	t, err := m.emitBare(n, 0)
	if err != nil {
		return nil, fmt.Errorf("BTF type %q: %w", m.text(named.name), err)
	}
	if named.kind == kindTypedef {
		return &btf.Typedef{Name: string(m.text(named.name)), Type: t}, nil
	}
	return t, nil
}

func (m *minimiser) emitBare(n *node, depth int) (btf.Type, error) {
	_, t, ok := m.bare(n.id)
	if !ok {
		return nil, fmt.Errorf("no type %d", n.id)
	}
	if depth > maxIndirections {
		return nil, errors.New("nested too deep")
	}
	switch t.kind {
	case kindStruct, kindUnion:
		return m.emitComposite(n, t, depth)
	case kindArray:
		return m.emitArray(n, t, depth)
	default:
		return m.emitLeaf(n, t)
	}
}

func (m *minimiser) emitComposite(n *node, t rawType, depth int) (btf.Type, error) {
	var members []btf.Member
	for i := range t.vlen {
		kept := n.members[i]
		if kept == nil {
			continue
		}
		typ, err := m.emitBare(kept, depth+1)
		if err != nil {
			return nil, err
		}
		mem := m.member(t, i)
		members = append(members, btf.Member{
			Name:         string(m.text(mem.name)),
			Type:         typ,
			Offset:       btf.Bits(mem.offset),
			BitfieldSize: btf.Bits(mem.bitfield),
		})
	}
	name := string(m.text(t.name))
	if t.kind == kindUnion {
		return &btf.Union{Name: name, Size: t.size, Members: members}, nil
	}
	return &btf.Struct{Name: name, Size: t.size, Members: members}, nil
}

func (m *minimiser) emitArray(n *node, t rawType, depth int) (btf.Type, error) {
	id, length := m.element(t)
	element := n.element
	if element == nil {
		element = &node{id: id}
	}
	typ, err := m.emitBare(element, depth+1)
	if err != nil {
		return nil, err
	}
	index := m.leaf("index", &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed})
	return &btf.Array{Index: index, Type: typ, Nelems: length}, nil
}

// emitLeaf writes a type with nothing below it. What a pointer points to plays no part in a
// relocation.
func (m *minimiser) emitLeaf(n *node, t rawType) (btf.Type, error) {
	name := string(m.text(t.name))
	key := fmt.Sprint(t.kind, t.size, t.flag, name)
	switch t.kind {
	case kindPointer:
		return m.leaf("pointer", &btf.Pointer{Target: (*btf.Void)(nil)}), nil
	case kindInt:
		encoding := btf.IntEncoding(m.order.Uint32(t.data) >> 24 & 0xf)
		return m.leaf(fmt.Sprint(key, encoding), &btf.Int{Name: name, Size: t.size, Encoding: encoding}), nil
	case kindFloat:
		return m.leaf(key, &btf.Float{Name: name, Size: t.size}), nil
	case kindForward:
		fwd := &btf.Fwd{Name: name}
		if t.flag {
			fwd.Kind = btf.FwdUnion
		}
		return m.leaf(key, fwd), nil
	case kindEnum, kindEnum64:
		return m.emitEnum(n, t), nil
	default:
		return nil, fmt.Errorf("kind %d cannot be that of a member", t.kind)
	}
}

func (m *minimiser) emitEnum(n *node, t rawType) *btf.Enum {
	enum := &btf.Enum{Name: string(m.text(t.name)), Size: t.size, Signed: t.flag}
	slices.Sort(n.values)
	for _, i := range slices.Compact(n.values) {
		b := t.data[enumStride(t)*i:]
		value := uint64(m.order.Uint32(b[4:]))
		switch {
		case t.kind == kindEnum64:
			value |= uint64(m.order.Uint32(b[8:])) << 32
		case t.flag:
			value = uint64(int32(value))
		}
		enum.Values = append(enum.Values, btf.EnumValue{Name: string(m.text(m.order.Uint32(b))), Value: value})
	}
	return enum
}

// leaf returns t, or the same type from before.
func (m *minimiser) leaf(key string, t btf.Type) btf.Type {
	if old, ok := m.leaves[key]; ok {
		return old
	}
	m.leaves[key] = t
	return t
}
