// SPDX-License-Identifier: Apache-2.0

package loader

import "slices"

// memory is the running kernel's memory.
type memory interface {
	// read returns the bytes from an address on: n, or fewer where unreadable memory follows.
	read(address uint64, n int) ([]byte, error)
}

// How much of a struct is looked at, in bytes. task_struct has 4 to 10 KiB; what is looked for
// lies in its first 3, or anywhere in the members that RANDSTRUCT shuffles. mm_struct has about 1.
const (
	taskLen = 12 << 10
	mmLen   = 2 << 10
)

// subject is a process whose values are known, as the helpers and /proc tell them.
type subject struct {
	sighting
	image  []byte // of its task_struct
	parent uint64 // the address of its real parent's task_struct, 0 if it is not known
	layout layout
}

// layout is where the user memory of a process holds its arguments and its environment.
type layout struct{ argStart, argEnd, envEnd uint64 }

func (l layout) known() bool { return l.argStart != 0 && l.argEnd != 0 && l.envEnd != 0 }

// findTGID returns the offsets at which all subjects hold their tgid. One of the subjects is a
// thread, which has another pid.
func findTGID(subjects []*subject) []Offset {
	return search(taskLen, 4, func(at uint32) bool {
		return all(subjects, func(s *subject) bool {
			v, ok := le32(s.image, at)
			return ok && v == s.tgid
		})
	})
}

// findParent returns the offsets at which the subjects whose parent is known hold its address.
// Nothing but the address of that very task_struct counts, so no list head can pass for it.
func findParent(subjects []*subject) []Offset {
	known := slices.DeleteFunc(slices.Clone(subjects), func(s *subject) bool { return s.parent == 0 })
	if len(known) == 0 {
		return nil
	}
	return search(taskLen, 8, func(at uint32) bool {
		return all(known, func(s *subject) bool {
			v, ok := le64(s.image, at)
			return ok && v == s.parent
		})
	})
}

// mmCandidate is a pointer of task_struct, and where that which it leads to holds the layout.
type mmCandidate struct {
	mm                       Offset
	argStart, argEnd, envEnd []Offset
}

// findMM returns the pointers that lead to the layout at the same offsets in all subjects whose
// layout is known. A pointer to something that lies beside one process's mm_struct does not lie
// so in the others.
func findMM(m memory, subjects []*subject) ([]mmCandidate, error) {
	known := slices.DeleteFunc(slices.Clone(subjects), func(s *subject) bool { return !s.layout.known() })
	if len(known) < 2 {
		return nil, nil
	}
	var candidates []mmCandidate
	seen := make(map[uint64][]byte) // of the first subject: many pointers are equal
	for at := uint32(0); at+8 <= uint32(len(known[0].image)); at += 8 {
		c := mmCandidate{mm: Offset(at)}
		for i, s := range known {
			address, ok := le64(s.image, at)
			if !ok || !kernelPointer(address) {
				c.argStart = nil
				break
			}
			target, old := seen[address]
			if !old {
				var err error
				if target, err = m.read(address, mmLen); err != nil {
					return nil, err
				}
				seen[address] = target
			}
			c.narrow(target, s.layout, i == 0)
			if len(c.argStart) == 0 {
				break
			}
		}
		if len(c.argStart) > 0 && len(c.argEnd) > 0 {
			candidates = append(candidates, c)
		}
	}
	return candidates, nil
}

// narrow keeps the offsets at which a target holds the layout.
func (c *mmCandidate) narrow(target []byte, l layout, first bool) {
	for _, part := range []struct {
		offsets *[]Offset
		want    uint64
	}{{&c.argStart, l.argStart}, {&c.argEnd, l.argEnd}, {&c.envEnd, l.envEnd}} {
		holds := func(at uint32) bool {
			v, ok := le64(target, at)
			return ok && v == part.want && !isExecfn(target, at)
		}
		if first {
			*part.offsets = search(mmLen, 8, holds)
			continue
		}
		*part.offsets = slices.DeleteFunc(*part.offsets, func(o Offset) bool { return !holds(uint32(o)) })
	}
}

// isExecfn recognises the filename's entry in the copy of the auxiliary vector that mm_struct has:
// it lies elsewhere for 32-bit programs.
func isExecfn(target []byte, at uint32) bool {
	key, ok := le64(target, at-8)
	return at >= 8 && ok && key == atExecfn
}

// smallNegatives is where, seen as addresses, negative numbers lie. No kernel has the memory that
// is looked for there, and some have device registers.
const smallNegatives = ^uint64(0) - 4<<30

// kernelPointer tells what may be an address in the kernel's half of the address space, which is
// the upper one with page tables of any depth, from what cannot.
func kernelPointer(v uint64) bool {
	return v>>63 == 1 && v%8 == 0 && v < smallNegatives
}

// search returns the offsets below limit, multiples of step, that match.
func search(limit, step uint32, match func(at uint32) bool) []Offset {
	var found []Offset
	for at := uint32(0); at < limit; at += step {
		if match(at) {
			found = append(found, Offset(at))
		}
	}
	return found
}

func all(subjects []*subject, match func(*subject) bool) bool {
	return len(subjects) > 0 && !slices.ContainsFunc(subjects, func(s *subject) bool { return !match(s) })
}

// only returns the one candidate there is.
func only(candidates []Offset) *Offset {
	if len(candidates) != 1 {
		return nil
	}
	return &candidates[0]
}

// behind returns the candidate that follows a member of 8 bytes, or else the first: a choice
// between members that hold the same value in every new process.
func behind(member Offset, candidates []Offset) *Offset {
	if len(candidates) == 0 {
		return nil
	}
	if i := slices.Index(candidates, member+8); i >= 0 {
		return &candidates[i]
	}
	return &candidates[0]
}
