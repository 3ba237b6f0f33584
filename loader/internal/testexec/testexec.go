// SPDX-License-Identifier: Apache-2.0

// Package testexec holds a tiny static program that the loader executes to prove that a tracer
// sees what really happens.
//
// Called with two arguments besides its name, `PATH PATH NONCE`, it forks a child that executes
// PATH with the arguments `PATH NONCE`, waits for it and exits with 0 if all went well, else with
// 1. Called with one, it writes the first StackLen bytes of its stack to its stdout, which tell that it
// runs and where its arguments lie, waits until its stdin has a byte or ends, and exits with 0. It uses no memory but its stack and needs no library, so
// that it can live in a memfd and whoever embeds the loader does not find its own main executed.
package testexec

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"fmt"
	"runtime"
)

// StackLen is how many bytes of its stack the program shows: argc, argv, envp and the auxiliary
// vector take some 420. The strings behind them make the stack longer than this.
const StackLen = 512

//go:generate clang -target x86_64-linux-gnu -x assembler -c amd64.asm -o amd64.o
//go:generate llvm-objcopy -O binary --only-section=.text amd64.o amd64.bin
//go:generate clang -target aarch64-linux-gnu -x assembler -c arm64.asm -o arm64.o
//go:generate llvm-objcopy -O binary --only-section=.text arm64.o arm64.bin
//go:generate rm amd64.o arm64.o

//go:embed amd64.bin
var amd64 []byte

//go:embed arm64.bin
var arm64 []byte

// The ELF machine numbers (elf.h).
const (
	machineX86_64  = 62
	machineAArch64 = 183
)

// ELF returns the program as an executable for this machine's architecture.
func ELF() ([]byte, error) {
	switch runtime.GOARCH {
	case "amd64":
		return link(amd64, machineX86_64), nil
	case "arm64":
		return link(arm64, machineAArch64), nil
	}
	return nil, fmt.Errorf("no test program for %s", runtime.GOARCH)
}

// link puts code behind the smallest ELF header: one segment that is read and executed.
func link(code []byte, machine uint16) []byte {
	const (
		base      = 0x400000
		headerLen = 64
		programs  = headerLen + 56
	)
	size := uint64(programs + len(code))
	var b bytes.Buffer
	b.Write([]byte{0x7f, 'E', 'L', 'F', 2 /* 64 bit */, 1 /* little-endian */, 1, 0})
	b.Write(make([]byte, 8))
	for _, field := range []any{
		uint16(2) /* ET_EXEC */, machine, uint32(1),
		uint64(base + programs) /* entry */, uint64(headerLen) /* program headers */, uint64(0),
		uint32(0), uint16(headerLen), uint16(56), uint16(1), uint16(0), uint16(0), uint16(0),
		// The one program header.
		uint32(1) /* PT_LOAD */, uint32(4 | 1) /* read, execute */, uint64(0),
		uint64(base), uint64(base), size, size, uint64(0x1000),
	} {
		// A bytes.Buffer takes whatever it is given.
		_ = binary.Write(&b, binary.LittleEndian, field)
	}
	b.Write(code)
	return b.Bytes()
}
