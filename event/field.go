// SPDX-License-Identifier: Apache-2.0

package event

import "strings"

// Fields is a set of fields of an exec.
type Fields uint16

// The fields, as in `enum exec_field` of bpf/exec.h.
const (
	PID Fields = 1 << iota
	TID
	PPID
	UID
	GID
	Comm
	Filename
	Args
	Ret
	CgroupID

	// All holds every field.
	All Fields = 1<<iota - 1
)

// names are those of the JSON, in the order of the bits.
var names = [...]string{"pid", "tid", "ppid", "uid", "gid", "comm", "filename", "args", "ret", "cgroup_id"}

// ParseField returns the field that the JSON calls by this name.
func ParseField(name string) (Fields, bool) {
	for i, n := range names {
		if n == name {
			return 1 << i, true
		}
	}
	return 0, false
}

// Has reports whether all of want are in the set.
func (f Fields) Has(want Fields) bool { return f&want == want }

// Names returns the JSON names of the fields in the set.
func (f Fields) Names() []string {
	out := make([]string, 0, len(names))
	for i, n := range names {
		if f.Has(1 << i) {
			out = append(out, n)
		}
	}
	return out
}

// String joins the names with commas.
func (f Fields) String() string { return strings.Join(f.Names(), ",") }
