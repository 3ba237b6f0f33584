// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// rawBTF puts BTF together from types that no compiler would write.
func rawBTF(strings string, types ...uint32) []byte {
	le := binary.LittleEndian
	b := []byte{0x9f, 0xeb, 1, 0}
	size := uint32(4 * len(types))
	for _, v := range []uint32{24, 0, size, size, uint32(len(strings))} {
		b = le.AppendUint32(b, v)
	}
	for _, v := range types {
		b = le.AppendUint32(b, v)
	}
	return append(b, strings...)
}

func info(kind, vlen uint32) uint32 { return kind<<24 | vlen }

func TestParseRawRefuses(t *testing.T) {
	good := rawBTF("\x00int\x00", 1, info(kindInt, 0), 4, 32)
	if _, err := parseRaw(good); err != nil {
		t.Fatal(err)
	}
	change := func(at int, to ...byte) []byte {
		b := append([]byte(nil), good...)
		copy(b[at:], to)
		return b
	}
	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"nothing":               {nil, "shorter than its header"},
		"short":                 {good[:20], "shorter than its header"},
		"magic":                 {change(0, 'M', 'Z'), "no BTF"},
		"version":               {change(2, 9), "version 9"},
		"header length":         {change(4, 3), "3 bytes long"},
		"header beyond the end": {change(4, 0xff, 0xff, 0xff, 0xff), "cut off"},
		"types beyond the end":  {change(12, 0xff, 0xff, 0xff, 0xff), "cut off"},
		"strings cut off":       {good[:len(good)-1], "cut off"},
		"strings without a NUL": {change(len(good)-1, 'x'), "NUL"},
		"half a type":           {rawBTF("\x00", 0, info(kindInt, 0)), "type 1 is cut off"},
		"half a type's data":    {rawBTF("\x00", 0, info(kindInt, 0), 4), "type 1 is cut off"},
		"too many members":      {rawBTF("\x00", 0, info(kindStruct, 0xffff), 4), "type 1 is cut off"},
		"kind 0":                {rawBTF("\x00", 0, 0, 0), "kind 0"},
		"a kind of the future":  {rawBTF("\x00", 0, info(31, 0), 0), "kind 31"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parseRaw(c.b); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestTextIsBounded(t *testing.T) {
	r, err := parseRaw(rawBTF("\x00int\x00"+strings.Repeat("x", 10000)+"\x00", 1, info(kindInt, 0), 4, 32))
	if err != nil {
		t.Fatal(err)
	}
	for offset, want := range map[uint32]string{0: "", 1: "int", 2: "nt", 5: "", 9000: strings.Repeat("x", 10005-9000)[:0], 10006: "", 1 << 31: ""} {
		if got := string(r.text(offset)); got != want {
			t.Errorf("text(%d) = %q, want %q", offset, got, want)
		}
	}
}

// A chain of half a million pointers overflows the stack of a decoder that recurses.
func TestEndlessChains(t *testing.T) {
	const n = 600_000
	types := []uint32{
		1, info(kindStruct, 3), 64, 13, 5, 64, 18, 5, 128, 30, 5, 192, // task_struct
		33, info(kindStruct, 2), 64, 43, 4, 0, 53, 4, 64, // mm_struct
		61, info(kindStruct, 1), 64, 74, 5, 0, // linux_binprm
		0, info(kindInt, 0), 8, 64,
	}
	for id := uint32(5); id < 5+n; id++ {
		types = append(types, 0, info(kindPointer, 0), id+1)
	}
	types = append(types, 0, info(kindPointer, 0), 1)
	names := "\x00task_struct\x00tgid\x00real_parent\x00mm\x00mm_struct\x00arg_start\x00arg_end\x00linux_binprm\x00filename\x00"
	r, err := parseRaw(rawBTF(names, types...))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := minimise(r, coreNeeds(t)); err != nil {
		t.Fatal(err)
	}
}

func TestTypedefsInACircle(t *testing.T) {
	r, err := parseRaw(rawBTF("\x00a\x00", 1, info(kindTypedef, 0), 2, 1, info(kindConst, 0), 1))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, ok := r.bare(1); ok {
		t.Error("a typedef of itself has a type")
	}
}

// Many candidates that all lead to one large type cost more than a file's size suggests.
func TestIntricateBTF(t *testing.T) {
	wide := []uint32{0, info(kindStruct, 60000), 8}
	for range 60000 {
		wide = append(wide, 13, 0, 0)
	}
	types := wide
	for range maxCandidates {
		types = append(types, 1, info(kindStruct, 1), 8, 0, 1, 0)
	}
	r, err := parseRaw(rawBTF("\x00task_struct\x00x\x00", types...))
	if err != nil {
		t.Fatal(err)
	}
	needs := &Needs{[]need{{typ: "task_struct", path: []string{"tgid"}, required: true}}}
	_, err = minimise(r, needs)
	if err == nil || !strings.Contains(err.Error(), "too intricate") {
		t.Errorf("got %v", err)
	}

	types = append(types, 1, info(kindStruct, 1), 8, 0, 1, 0)
	if r, err = parseRaw(rawBTF("\x00task_struct\x00x\x00", types...)); err != nil {
		t.Fatal(err)
	}
	_, err = minimise(r, needs)
	if want := fmt.Sprintf("more than %d times", maxCandidates); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v", err)
	}
}
