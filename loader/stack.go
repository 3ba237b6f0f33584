// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"encoding/binary"

	"github.com/everyexec/everyexec/loader/internal/testexec"
)

// atExecfn is the key in the auxiliary vector of the address of the filename (AT_EXECFN).
const atExecfn = 31

// parseStack finds out where a new program has its arguments, from the begin of its stack: argc,
// argv, a NULL, envp, a NULL, and pairs of the auxiliary vector. What it does not find is 0.
//
// The kernel lays the strings out one behind the other: arguments, environment, filename.
func parseStack(stack []byte) layout {
	var l layout
	argc, _ := le64(stack, 0)
	if argc == 0 || argc > testexec.StackLen/8 {
		return l
	}
	l.argStart, _ = le64(stack, 8)
	at := uint32(8 + 8*argc + 8)
	l.argEnd, _ = le64(stack, at)
	for {
		env, ok := le64(stack, at)
		at += 8
		if !ok || env == 0 {
			break
		}
	}
	for {
		key, ok := le64(stack, at)
		if !ok || key == 0 {
			return l
		}
		if key == atExecfn {
			l.envEnd, _ = le64(stack, at+8)
			return l
		}
		at += 16
	}
}

// ownStack is what parseStack finds out about this process from what /proc says.
func ownStack() []byte {
	var l layout
	if stat, err := readProcStat("self"); err == nil {
		l = stat.layout
	}
	stack := make([]byte, 0, testexec.StackLen)
	for _, word := range []uint64{1, l.argStart, 0, l.argEnd, 0, atExecfn, l.envEnd, 0} {
		stack = binary.LittleEndian.AppendUint64(stack, word)
	}
	return stack[:testexec.StackLen]
}
