// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"golang.org/x/sys/unix"
)

// syscallContext is where programs at the tracepoints of system calls find what they read.
type syscallContext struct {
	enterArgs uint32 // the first argument; the others follow
	exitRet   uint32
}

// usualContext is what most kernels have. Not even the format files tell for certain: those of
// RHEL 9.3 say 16 where a program finds the arguments at 24.
var usualContext = syscallContext{enterArgs: 16, exitRet: 16}

// measureContext finds out the offsets by an execve that fails harmlessly: its arguments are
// addresses that no process has and that nothing else holds.
//
// The probe that is returned is still attached if programs may share a tracepoint: detaching the
// last one of a tracepoint waits long, detaching it when others are there does not.
func measureContext(fs *tracefs, shared bool) (c syscallContext, attached *learnProbe, err error) {
	err = onOwnThread(func() error {
		attached, err = openLearnProbe(progShowContext)
		if err != nil {
			return err
		}
		if c.enterArgs, err = attached.measureEnter(fs); err != nil {
			return err
		}
		if !shared {
			if err := attached.detach(); err != nil {
				return err
			}
		}
		c.exitRet, err = attached.measureExit(fs)
		return err
	})
	if attached != nil && (err != nil || !shared) {
		err = errors.Join(err, attached.close())
		attached = nil
	}
	if err != nil {
		return syscallContext{}, nil, fmt.Errorf("measure the context of syscall tracepoints: %w", err)
	}
	return c, attached, nil
}

// contextOf returns the offsets for a plan: the usual ones if they cannot be measured. What it holds
// is to be released when the plan's programs are attached.
func contextOf(p *plan, f *Facts, fs *tracefs, o Options) (c syscallContext, release func()) {
	if !p.syscalls {
		return syscallContext{}, func() {}
	}
	// Several programs on one tracepoint came with 4.15, raw tracepoints with 4.17.
	c, attached, err := measureContext(fs, f.RawTracepoints.Result == Yes)
	if err != nil {
		o.Logger.Warn("taking the usual offsets for granted", "reason", err)
		return usualContext, func() {}
	}
	return c, func() {
		if attached == nil {
			return
		}
		if err := attached.close(); err != nil {
			o.Logger.Warn("detach the probe", "error", err)
		}
	}
}

// contextLen is CONTEXT_LEN of bpf_noncore/learn.bpf.c.
const contextLen = 128

func (p *learnProbe) measureEnter(fs *tracefs) (uint32, error) {
	markers := drawMarkers()
	context, err := p.failingExec(fs, enterExecve, markers)
	if err != nil {
		return 0, err
	}
	return findWords(context, markers[:]...)
}

func (p *learnProbe) measureExit(fs *tracefs) (uint32, error) {
	context, err := p.failingExec(fs, exitExecve, drawMarkers())
	if err != nil {
		return 0, err
	}
	efault := unix.EFAULT
	return findWords(context, -uint64(efault))
}

// failingExec returns the context that a program at a tracepoint of execve gets.
func (p *learnProbe) failingExec(fs *tracefs, tp tracepoint, args [3]uint64) ([]byte, error) {
	if err := p.hook(fs, tp, progShowContext); err != nil {
		return nil, err
	}
	if err := p.give(); err != nil {
		return nil, err
	}
	_, _, errno := unix.RawSyscall(unix.SYS_EXECVE, uintptr(args[0]), uintptr(args[1]), uintptr(args[2]))
	if errno != unix.EFAULT {
		return nil, fmt.Errorf("an execve with a bad address came back with %w, not EFAULT", errno)
	}
	a, err := p.answer()
	if err != nil {
		return nil, err
	}
	if a.Faulted != 0 {
		return nil, errors.New("the context could not be read")
	}
	return a.Bytes[:contextLen], nil
}

// drawMarkers returns three addresses in the kernel's half, which no call takes from a process.
func drawMarkers() [3]uint64 {
	random := rand.Uint64() >> 20 << 4
	return [3]uint64{0xffff<<48 | random | 1, 0xffff<<48 | random | 3, 0xffff<<48 | random | 5}
}

var errNoMarker = errors.New("the markers are not in the context")

// findWords returns the offset of words that follow one another. The first 8 bytes are never what
// is looked for: they are the kernel's own.
func findWords(context []byte, words ...uint64) (uint32, error) {
	for at := uint32(8); at < uint32(len(context)); at += 8 {
		var there []uint64
		for i := range words {
			v, ok := le64(context, at+uint32(i)*8)
			if !ok {
				return 0, errNoMarker
			}
			there = append(there, v)
		}
		if slices.Equal(there, words) {
			return at, nil
		}
	}
	return 0, errNoMarker
}

func le64(b []byte, offset uint32) (uint64, bool) {
	if uint64(offset)+8 > uint64(len(b)) {
		return 0, false
	}
	return binary.LittleEndian.Uint64(b[offset:]), true
}

func le32(b []byte, offset uint32) (uint32, bool) {
	if uint64(offset)+4 > uint64(len(b)) {
		return 0, false
	}
	return binary.LittleEndian.Uint32(b[offset:]), true
}
