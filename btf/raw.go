// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Kinds of the BTF wire format, see Documentation/bpf/btf.rst of the kernel.
const (
	kindInt       = 1
	kindPointer   = 2
	kindArray     = 3
	kindStruct    = 4
	kindUnion     = 5
	kindEnum      = 6
	kindForward   = 7
	kindTypedef   = 8
	kindVolatile  = 9
	kindConst     = 10
	kindRestrict  = 11
	kindFunc      = 12
	kindFuncProto = 13
	kindVar       = 14
	kindDatasec   = 15
	kindFloat     = 16
	kindDeclTag   = 17
	kindTypeTag   = 18
	kindEnum64    = 19
)

const (
	rawHeaderSize = 24
	rawTypeSize   = 12 // name, info, size or type

	// How many typedefs and qualifiers may lie between a member and its type: cilium/ebpf
	// follows no more either.
	maxIndirections = 32
	maxName         = 512 // KSYM_NAME_LEN of the kernel
)

// raw is BTF in its wire format, with an index of where each type lies.
//
// It exists beside cilium/ebpf's decoder because that one inflates a type by recursion through
// everything the type leads to: half a million pointers in a row, 6 MB of hostile BTF, overflow
// the stack, which no Go program survives. Nothing here recurses along references.
type raw struct {
	order   binary.ByteOrder
	types   []byte
	strings []byte
	offsets []uint32 // of type ID i+1 in types
}

// rawType is one type. Its meaning depends on kind.
type rawType struct {
	name uint32 // offset in the strings
	kind uint32
	flag bool   // bit fields in a struct, signed in an enum
	vlen int    // number of entries in data
	size uint32 // size in bytes, or the ID of another type
	data []byte // what follows the fixed part
}

// rawMember is one member of a struct or union.
type rawMember struct {
	name     uint32
	typ      uint32
	offset   uint32 // bits
	bitfield uint32 // bits; 0: not a bit field
}

// parseRaw checks the frame of b and indexes its types. It keeps b.
func parseRaw(b []byte) (*raw, error) {
	if len(b) < rawHeaderSize {
		return nil, fmt.Errorf("BTF of %d bytes is shorter than its header", len(b))
	}
	r := &raw{}
	switch {
	case b[0] == 0x9f && b[1] == 0xeb:
		r.order = binary.LittleEndian
	case b[0] == 0xeb && b[1] == 0x9f:
		r.order = binary.BigEndian
	default:
		return nil, fmt.Errorf("no BTF: it begins with %#x", b[:2])
	}
	if b[2] != 1 {
		return nil, fmt.Errorf("BTF of version %d, only 1 is known", b[2])
	}

	var err error
	body := uint64(r.order.Uint32(b[4:]))
	if body < rawHeaderSize {
		return nil, fmt.Errorf("BTF header says it is %d bytes long", body)
	}
	if r.types, err = section(b, body, r.order, 8); err != nil {
		return nil, fmt.Errorf("BTF types: %w", err)
	}
	if r.strings, err = section(b, body, r.order, 16); err != nil {
		return nil, fmt.Errorf("BTF strings: %w", err)
	}
	if len(r.strings) == 0 || r.strings[0] != 0 || r.strings[len(r.strings)-1] != 0 {
		return nil, errors.New("BTF strings do not begin and end with a NUL")
	}
	return r, r.index()
}

// section returns the part of b whose offset and length stand at b[field:].
func section(b []byte, body uint64, order binary.ByteOrder, field int) ([]byte, error) {
	start := body + uint64(order.Uint32(b[field:]))
	end := start + uint64(order.Uint32(b[field+4:]))
	if end > uint64(len(b)) {
		return nil, fmt.Errorf("cut off: they end at byte %d of %d", end, len(b))
	}
	return b[start:end], nil
}

func (r *raw) index() error {
	if len(r.types) > math.MaxUint32 {
		return errors.New("BTF types are larger than 4 GiB")
	}
	// In the kernels seen a type takes 30 bytes on average.
	r.offsets = make([]uint32, 0, len(r.types)/30)
	for at := 0; at < len(r.types); {
		if len(r.types)-at < rawTypeSize {
			return fmt.Errorf("BTF type %d is cut off", len(r.offsets)+1)
		}
		size, err := r.dataSize(at)
		if err != nil {
			return fmt.Errorf("BTF type %d: %w", len(r.offsets)+1, err)
		}
		if len(r.types)-at-rawTypeSize < size {
			return fmt.Errorf("BTF type %d is cut off", len(r.offsets)+1)
		}
		r.offsets = append(r.offsets, uint32(at))
		at += rawTypeSize + size
	}
	return nil
}

// dataSize is how many bytes follow the fixed part of the type at that offset.
func (r *raw) dataSize(at int) (int, error) {
	info := r.order.Uint32(r.types[at+4:])
	vlen := int(info & 0xffff)
	switch kind := info >> 24 & 0x1f; kind {
	case kindPointer, kindForward, kindTypedef, kindVolatile, kindConst, kindRestrict, kindFunc, kindFloat, kindTypeTag:
		return 0, nil
	case kindInt, kindVar, kindDeclTag:
		return 4, nil
	case kindEnum, kindFuncProto:
		return 8 * vlen, nil
	case kindArray:
		return 12, nil
	case kindStruct, kindUnion, kindDatasec, kindEnum64:
		return 12 * vlen, nil
	default:
		return 0, fmt.Errorf("kind %d is not known", kind)
	}
}

// len is the number of types. Their IDs are 1 to len; 0 is void.
func (r *raw) len() uint32 {
	return uint32(len(r.offsets))
}

// typ returns a type, or false if there is none of that ID.
func (r *raw) typ(id uint32) (rawType, bool) {
	if id == 0 || id > r.len() {
		return rawType{}, false
	}
	b := r.types[r.offsets[id-1]:]
	if id < r.len() {
		b = r.types[r.offsets[id-1]:r.offsets[id]]
	}
	info := r.order.Uint32(b[4:])
	return rawType{
		name: r.order.Uint32(b),
		kind: info >> 24 & 0x1f,
		flag: info>>31 == 1,
		vlen: int(info & 0xffff),
		size: r.order.Uint32(b[8:]),
		data: b[rawTypeSize:],
	}, true
}

// bare returns a type without its typedefs and qualifiers, and the ID of that.
func (r *raw) bare(id uint32) (uint32, rawType, bool) {
	for range maxIndirections {
		t, ok := r.typ(id)
		if !ok {
			return 0, t, false
		}
		switch t.kind {
		case kindTypedef, kindVolatile, kindConst, kindRestrict, kindTypeTag:
			id = t.size
		default:
			return id, t, true
		}
	}
	return 0, rawType{}, false
}

// text returns a string of the string section, or nil if the offset is wrong or the string
// longer than any of a kernel.
func (r *raw) text(offset uint32) []byte {
	if uint64(offset) >= uint64(len(r.strings)) {
		return nil
	}
	s := r.strings[offset:]
	s = s[:min(len(s), maxName+1)]
	return s[:max(0, bytes.IndexByte(s, 0))]
}

func (t rawType) composite() bool {
	return t.kind == kindStruct || t.kind == kindUnion
}

// member returns member i of a struct or union, 0 <= i < t.vlen.
func (r *raw) member(t rawType, i int) rawMember {
	b := t.data[12*i:]
	m := rawMember{
		name:   r.order.Uint32(b),
		typ:    r.order.Uint32(b[4:]),
		offset: r.order.Uint32(b[8:]),
	}
	if t.flag {
		m.bitfield = m.offset >> 24
		m.offset &= 0xffffff
		return m
	}
	// Before kind_flag, a bit field was told by the int type of the member.
	if it, ok := r.typ(m.typ); ok && it.kind == kindInt {
		enc := r.order.Uint32(it.data)
		if shift, bits := enc>>16&0xff, enc&0xff; shift > 0 || bits != 8*it.size {
			m.offset += shift
			m.bitfield = bits
		}
	}
	return m
}

// element returns the type and number of an array's elements.
func (r *raw) element(t rawType) (id, n uint32) {
	return r.order.Uint32(t.data), r.order.Uint32(t.data[8:])
}
