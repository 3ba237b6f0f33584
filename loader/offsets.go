// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
)

// Offset is where a struct of the kernel holds a member, in bytes.
type Offset uint32

// Offsets says where the running kernel keeps what the stub reads. A nil offset was not learned.
type Offsets struct {
	Version string `json:"version"` // /proc/version
	Arch    string `json:"arch"`    // the machine of uname(2)

	// Of task_struct.
	TGID       *Offset `json:"tgid"`
	RealParent *Offset `json:"real_parent"`
	MM         *Offset `json:"mm"`
	// Of mm_struct. A new program's filename lies where its environment ends.
	ArgStart *Offset `json:"arg_start"`
	ArgEnd   *Offset `json:"arg_end"`
	EnvEnd   *Offset `json:"env_end"`

	// Processes is how many processes, each with other values, agree.
	Processes int `json:"processes"`
	// Cached tells that the offsets come from an earlier run; a test exec proved them anew.
	Cached bool `json:"-"`
	// Took is how long learning took.
	Took time.Duration `json:"-"`
}

// PPID reports whether the parent can be read.
func (o *Offsets) PPID() bool { return o != nil && o.TGID != nil && o.RealParent != nil }

// Args reports whether the arguments can be read.
func (o *Offsets) Args() bool {
	return o != nil && o.MM != nil && o.ArgStart != nil && o.ArgEnd != nil
}

// Filename reports whether the filename can be read.
func (o *Offsets) Filename() bool { return o != nil && o.MM != nil && o.EnvEnd != nil }

// Members yields the offsets by the names of the members; nil is one that was not learned.
func (o *Offsets) Members() iter.Seq2[string, *Offset] {
	return func(yield func(string, *Offset) bool) {
		for _, m := range []struct {
			name   string
			offset *Offset
		}{
			{"task_struct.tgid", o.TGID},
			{"task_struct.real_parent", o.RealParent},
			{"task_struct.mm", o.MM},
			{"mm_struct.arg_start", o.ArgStart},
			{"mm_struct.arg_end", o.ArgEnd},
			{"mm_struct.env_end", o.EnvEnd},
		} {
			if !yield(m.name, m.offset) {
				return
			}
		}
	}
}

// String lists the members and their offsets; an unknown one is "-".
func (o *Offsets) String() string {
	var parts []string
	for name, offset := range o.Members() {
		if offset == nil {
			parts = append(parts, name+" -")
			continue
		}
		parts = append(parts, fmt.Sprintf("%s %d", name, *offset))
	}
	return strings.Join(parts, ", ")
}

// Proof says how the offsets were found, and in what time.
func (o *Offsets) Proof() string {
	if o.Cached {
		return "from the cache"
	}
	return fmt.Sprintf("the values of %d processes agree, in %s", o.Processes, o.Took.Round(100*time.Microsecond))
}

// LearnOffsets learns the offsets of the running kernel anew, as Open does for the stub. It needs
// the same privileges.
func LearnOffsets(ctx context.Context, o Options) (*Offsets, error) {
	o = o.withDefaults()
	fs, err := openTracefs()
	if err != nil {
		return nil, err
	}
	defer fs.Close()
	return learn(ctx, fs, probeRawTracepoints().Result == Yes, o)
}

// errNothingLearned tells that no offset at all was found.
var errNothingLearned = errors.New("no signature was found in the kernel's memory")

// forProgram returns the offsets as the stub wants them.
func (o *Offsets) forProgram() *learnedOffsets {
	l := new(learnedOffsets)
	for _, f := range []struct {
		dst *Offset
		src *Offset
	}{
		{&l.TGID, o.TGID}, {&l.RealParent, o.RealParent}, {&l.MM, o.MM},
		{&l.ArgStart, o.ArgStart}, {&l.ArgEnd, o.ArgEnd}, {&l.EnvEnd, o.EnvEnd},
	} {
		if f.src != nil {
			*f.dst = *f.src
		}
	}
	if o.PPID() {
		l.Known |= learnedPPID
	}
	if o.Args() {
		l.Known |= learnedArgs
	}
	if o.Filename() {
		l.Known |= learnedFilename
	}
	return l
}
