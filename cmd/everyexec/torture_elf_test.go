// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"testing"
)

// The suite runs where no other program may exist, so it writes the executables that it
// starts: static ELF files of a few instructions, each a sequence of system calls.

const (
	textBase   = 0x400000
	dataBase   = 0x10000000
	dataOffset = 0x1000  // in the file; the text lies before it
	dataGap    = 0x20000 // apart far enough that no fault-around reaches the next
	pageAlign  = 0x10000 // the largest page of arm64
	pageStep   = 0x1000  // the smallest page
	maxText    = dataOffset - 0x100
)

// branch says when a branch is taken.
type branch int

const (
	always     branch = iota
	ifZero            // the last result is 0
	ifNegative        // the last result is an errno
	untilZero         // counts down, taken while the counter is not 0
)

// machine encodes the few instructions that programs are made of.
type machine struct {
	class   byte   // of the ELF file
	id      uint16 // e_machine
	calls   map[string]uint64
	number  func(v uint64) []byte           // the system call's number
	arg     func(n int, v uint64) []byte    // argument n
	argKept func(n int) []byte              // argument n from the kept result
	trap    []byte                          // the system call
	keep    []byte                          // keeps the last result
	negate  []byte                          // negates the kept result
	store   func(addr uint64) []byte        // the last result to memory
	load    func(addr uint64) []byte        // memory to the last result
	touch   func(addr uint64) []byte        // reads a byte and writes it back
	counter func(v uint64) []byte           // sets the counter
	branch  func(when branch, d int) []byte // d is counted from the branch's first byte
}

func le32(v uint64) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(v)) }
func le64(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

var amd64 = machine{
	class: 2, id: 62,
	calls: map[string]uint64{
		"read": 0, "write": 1, "getpid": 39, "clone": 56, "execve": 59, "wait4": 61, "geteuid": 107,
		"getppid": 110, "prctl": 157, "gettid": 186, "exit_group": 231, "execveat": 322,
	},
	number: func(v uint64) []byte { return join([]byte{0x48, 0xb8}, le64(v)) },
	arg: func(n int, v uint64) []byte {
		return join([][]byte{{0x48, 0xbf}, {0x48, 0xbe}, {0x48, 0xba}, {0x49, 0xba}, {0x49, 0xb8}}[n], le64(v))
	},
	argKept: func(n int) []byte {
		return [][]byte{{0x48, 0x89, 0xdf}, {0x48, 0x89, 0xde}, {0x48, 0x89, 0xda}}[n]
	},
	trap:    []byte{0x0f, 0x05},
	keep:    []byte{0x48, 0x89, 0xc3},
	negate:  []byte{0x48, 0xf7, 0xdb},
	store:   func(addr uint64) []byte { return join([]byte{0x48, 0xa3}, le64(addr)) },
	load:    func(addr uint64) []byte { return join([]byte{0x48, 0xa1}, le64(addr)) },
	touch:   func(addr uint64) []byte { return join([]byte{0xa0}, le64(addr), []byte{0xa2}, le64(addr)) },
	counter: func(v uint64) []byte { return join([]byte{0x49, 0xbc}, le64(v)) },
	branch: func(when branch, d int) []byte {
		if when == always {
			return join([]byte{0xe9}, le32(uint64(d-5)))
		}
		test := map[branch][]byte{
			ifZero:     {0x48, 0x85, 0xc0, 0x0f, 0x84},
			ifNegative: {0x48, 0x85, 0xc0, 0x0f, 0x88},
			untilZero:  {0x49, 0xff, 0xcc, 0x0f, 0x85},
		}[when]
		return join(test, le32(uint64(d-9)))
	},
}

// i386 has what a 32-bit program needs that executes another.
var i386 = machine{
	class: 1, id: 3,
	calls: map[string]uint64{
		"read": 3, "write": 4, "execve": 11, "getpid": 20, "getppid": 64, "gettid": 224, "exit_group": 252,
	},
	number: func(v uint64) []byte { return join([]byte{0xb8}, le32(v)) },
	arg: func(n int, v uint64) []byte {
		return join([]byte{0xb8 + []byte{3, 1, 2, 6, 7}[n]}, le32(v))
	},
	argKept: func(n int) []byte { return []byte{0x89, 0xe8 + []byte{3, 1, 2}[n]} },
	trap:    []byte{0xcd, 0x80},
	keep:    []byte{0x89, 0xc5},
	negate:  []byte{0xf7, 0xdd},
	store:   func(addr uint64) []byte { return join([]byte{0xa3}, le32(addr)) },
	touch:   func(addr uint64) []byte { return join([]byte{0xa0}, le32(addr), []byte{0xa2}, le32(addr)) },
}

var arm64 = machine{
	class: 2, id: 183,
	calls: map[string]uint64{
		"read": 63, "write": 64, "exit_group": 94, "prctl": 167, "getpid": 172, "getppid": 173, "geteuid": 175,
		"gettid": 178, "clone": 220, "execve": 221, "wait4": 260, "execveat": 281,
	},
	number:  func(v uint64) []byte { return armMove(8, v) },
	arg:     armMove,
	argKept: func(n int) []byte { return le32(0xaa1303e0 | uint64(n)) }, // mov xN, x19
	trap:    le32(0xd4000001),
	keep:    le32(0xaa0003f3), // mov x19, x0
	negate:  le32(0xcb1303f3), // neg x19, x19
	store:   func(addr uint64) []byte { return join(armMove(9, addr), le32(0xf9000120)) },
	load:    func(addr uint64) []byte { return join(armMove(9, addr), le32(0xf9400120)) },
	touch: func(addr uint64) []byte {
		return join(armMove(9, addr), le32(0x3940012a), le32(0x3900012a))
	},
	counter: func(v uint64) []byte { return armMove(20, v) },
	branch: func(when branch, d int) []byte {
		words := uint64(int64(d / 4))
		switch when {
		case ifZero:
			return le32(0xb4000000 | words&0x7ffff<<5)
		case ifNegative:
			return le32(0xb7f80000 | words&0x3fff<<5)
		case untilZero:
			return join(le32(0xd1000694), le32(0xb5000014|(words-1)&0x7ffff<<5))
		}
		return le32(0x14000000 | words&0x3ffffff)
	},
}

// armMove sets a register: movz, then movk for each further 16 bits.
func armMove(reg int, v uint64) []byte {
	code := le32(0xd2800000 | v&0xffff<<5 | uint64(reg))
	for part := uint64(1); part < 4; part++ {
		if bits := v >> (16 * part) & 0xffff; bits != 0 {
			code = append(code, le32(0xf2800000|part<<21|bits<<5|uint64(reg))...)
		}
	}
	return code
}

// native is the machine that the suite runs on.
func native() *machine {
	if runtime.GOARCH == "arm64" {
		return &arm64
	}
	return &amd64
}

type kept struct{} // stands for the kept result in an argument list

type jump struct {
	at   int
	when branch
	to   string
}

// program is a static executable in the making.
type program struct {
	m         *machine
	text      []byte
	data      []byte
	jumps     []jump
	labels    map[string]int
	untouched bool // leaves its data on pages that it never touches
}

func newProgram(m *machine) *program {
	return &program{m: m, labels: map[string]int{}}
}

func (p *program) bytes(b []byte) uint64 {
	for len(p.data)%8 != 0 {
		p.data = append(p.data, 0)
	}
	at := len(p.data)
	p.data = append(p.data, b...)
	return dataBase + dataOffset + uint64(at)
}

func (p *program) str(s string) uint64 { return p.bytes(append([]byte(s), 0)) }

// vector lays down a NULL-terminated array of strings, as execve wants it.
func (p *program) vector(strings []string) uint64 {
	var pointers []uint64
	for _, s := range strings {
		pointers = append(pointers, p.str(s))
	}
	return p.pointers(append(pointers, 0)...)
}

func (p *program) pointers(addrs ...uint64) uint64 {
	var array []byte
	for _, a := range addrs {
		if p.m.class == 1 {
			array = append(array, le32(a)...)
			continue
		}
		array = append(array, le64(a)...)
	}
	return p.bytes(array)
}

// gap puts what follows on pages of their own.
func (p *program) gap() {
	end := (len(p.data)/dataGap + 1) * dataGap
	p.data = append(p.data, make([]byte, end-len(p.data))...)
}

func (p *program) emit(code []byte) { p.text = append(p.text, code...) }

// call makes a system call; arguments are integers, addresses or kept{}.
func (p *program) call(name string, args ...any) {
	for n, arg := range args {
		switch v := arg.(type) {
		case kept:
			p.emit(p.m.argKept(n))
		case int:
			p.emit(p.m.arg(n, uint64(v)))
		case uint64:
			p.emit(p.m.arg(n, v))
		default:
			panic(fmt.Sprintf("argument %d of %s is a %T", n, name, arg))
		}
	}
	nr, ok := p.m.calls[name]
	if !ok {
		panic("no number for " + name)
	}
	p.emit(p.m.number(nr))
	p.emit(p.m.trap)
}

// report writes a call's result to the report pipe.
func (p *program) report(name string, args ...any) {
	p.call(name, args...)
	slot := p.bytes(make([]byte, 8))
	p.emit(p.m.store(slot))
	p.call("write", reportFD, slot, 8)
}

// await reads from fd until its other end is closed.
func (p *program) await(fd int) { p.call("read", fd, p.bytes(make([]byte, 8)), 8) }

func (p *program) exit(code any) { p.call("exit_group", code) }

// exitErrno ends the program with the errno of the last call.
func (p *program) exitErrno() {
	p.emit(p.m.keep)
	p.emit(p.m.negate)
	p.exit(kept{})
}

// exec becomes another program, or ends with the errno.
func (p *program) exec(path string, argv []string) {
	p.execRaw(p.str(path), p.vector(argv))
}

func (p *program) execRaw(path, argv uint64) {
	p.call("execve", path, argv, p.vector(nil))
	p.exitErrno()
}

func (p *program) jump(when branch, to string) {
	p.jumps = append(p.jumps, jump{len(p.text), when, to})
	p.emit(p.m.branch(when, 0))
}

func (p *program) label(name string) { p.labels[name] = len(p.text) }

// fork runs child in a new process that shares what flags say.
func (p *program) fork(flags int, child func()) {
	after := fmt.Sprintf("after%d", len(p.text))
	inChild := fmt.Sprintf("child%d", len(p.text))
	failed := fmt.Sprintf("failed%d", len(p.text))
	p.call("clone", flags, 0, 0, 0, 0)
	p.jump(ifZero, inChild)
	p.jump(ifNegative, failed)
	p.jump(always, after)
	p.label(inChild)
	child()
	p.exit(1)
	p.label(failed)
	p.exitErrno()
	p.label(after)
}

// wait waits for a child and leaves its status as the result.
func (p *program) wait() {
	status := p.bytes(make([]byte, 8))
	p.call("wait4", -1, status, 0, 0)
	p.emit(p.m.load(status))
}

// file is the finished executable.
func (p *program) file() []byte {
	for _, j := range p.jumps {
		copy(p.text[j.at:], p.m.branch(j.when, p.labels[j.to]-j.at))
	}
	text := p.text
	if !p.untouched {
		text = join(p.prologue(), p.text)
	}
	if len(text) > maxText {
		panic(fmt.Sprintf("%d bytes of text", len(text)))
	}

	const read, write, execute = 4, 2, 1
	var headers []byte
	headerSize := 64 + 2*56
	if p.m.class == 1 {
		headerSize = 52 + 2*32
		headers = join(p.ident(), le32(uint64(textBase+headerSize)), le32(52), le32(0), le32(0),
			le16(52, 32, 2, 0, 0, 0),
			segment32(0, textBase, headerSize+len(text), read|execute),
			segment32(dataOffset, dataBase+dataOffset, len(p.data), read|write))
	} else {
		headers = join(p.ident(), le64(uint64(textBase+headerSize)), le64(64), le64(0), le32(0),
			le16(64, 56, 2, 0, 0, 0),
			segment64(0, textBase, headerSize+len(text), read|execute),
			segment64(dataOffset, dataBase+dataOffset, len(p.data), read|write))
	}
	file := make([]byte, dataOffset, dataOffset+len(p.data))
	copy(file, join(headers, text))
	return append(file, p.data...)
}

// prologue makes every page of the data resident, and copied: a page that was only read
// is not there any more in a forked child.
func (p *program) prologue() []byte {
	var code []byte
	for at := 0; at < len(p.data); at += pageStep {
		code = append(code, p.m.touch(dataBase+dataOffset+uint64(at))...)
	}
	return code
}

func (p *program) ident() []byte {
	ident := make([]byte, 16)
	copy(ident, "\x7fELF")
	ident[4], ident[5], ident[6] = p.m.class, 1, 1
	return join(ident, le16(2, p.m.id), le32(1))
}

func le16(values ...uint16) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	return b
}

func segment64(offset, addr, size, flags int) []byte {
	return join(le32(1), le32(uint64(flags)), le64(uint64(offset)), le64(uint64(addr)), le64(uint64(addr)),
		le64(uint64(size)), le64(uint64(size)), le64(pageAlign))
}

func segment32(offset, addr, size, flags int) []byte {
	return join(le32(1), le32(uint64(offset)), le32(uint64(addr)), le32(uint64(addr)),
		le32(uint64(size)), le32(uint64(size)), le32(uint64(flags)), le32(pageAlign))
}

// reporting tells who it is, waits until it may end, and ends.
func reporting(m *machine) *program {
	p := newProgram(m)
	p.report("getpid")
	p.report("gettid")
	p.report("getppid")
	p.await(holdFD)
	p.exit(0)
	return p
}

// quitting ends at once.
func quitting() *program {
	p := newProgram(native())
	p.exit(0)
	return p
}

// writeExecutable holds off forks: a child that inherits the file while it is open for
// writing makes its exec fail with ETXTBSY.
func writeExecutable(path string, content []byte, mode os.FileMode) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

// The encoders are held against what the machine does with them.
func TestTinyPrograms(t *testing.T) {
	dir := t.TempDir()
	counting := newProgram(native())
	counting.emit(counting.m.counter(5))
	counting.label("again")
	counting.report("getpid")
	counting.jump(untilZero, "again")
	counting.call("read", 1000, 0, 0)
	counting.jump(ifNegative, "failed")
	counting.exit(1)
	counting.label("failed")
	counting.exitErrno()

	path := dir + "/counting"
	if err := writeExecutable(path, counting.file(), 0o755); err != nil {
		t.Fatal(err)
	}
	p, err := spawn(path, []string{path}, spawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	for range 5 {
		got, err := p.next()
		if err != nil || got != p.pid {
			t.Fatalf("reported %d, %v, not the pid %d", got, err, p.pid)
		}
	}
	if status, err := p.finish(); err != nil || status.ExitStatus() != int(syscall.EBADF) {
		t.Errorf("ended with %d, %v, not EBADF", status.ExitStatus(), err)
	}
	if got, err := p.next(); err == nil {
		t.Errorf("reported %d after it had counted to the end", got)
	}
}
