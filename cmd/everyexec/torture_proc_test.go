// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The descriptors that every started program finds.
const (
	holdFD   = 0 // read until its end closes: may end
	reportFD = 3 // written: what the program knows about itself
	gateFD   = 4 // read until its end closes: may go on
	extraFD  = 5
)

// patience bounds every wait; emulated machines are slow.
const patience = 5 * time.Minute

// spawnOptions are what a started program gets besides its arguments.
type spawnOptions struct {
	dir   string
	extra *os.File // becomes extraFD
	sys   *syscall.SysProcAttr
}

// proc is a started program. The kernel told its pid when it was forked.
type proc struct {
	pid    int
	hold   *os.File
	gate   *os.File
	report *os.File
	reaped bool
}

// pipe gives one end that this process waits on and one for a child, which blocks.
func pipe(childReads bool) (ours, child *os.File, err error) {
	var fds [2]int
	if err := syscall.Pipe2(fds[:], syscall.O_CLOEXEC); err != nil {
		return nil, nil, err
	}
	own, other := 0, 1
	if childReads {
		own, other = 1, 0
	}
	if err := syscall.SetNonblock(fds[own], true); err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[own]), "pipe"), os.NewFile(uintptr(fds[other]), "pipe"), nil
}

// spawn forks and executes; when it returns, the exec has happened.
func spawn(path string, argv []string, o spawnOptions) (*proc, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	hold, childHold, err := pipe(true)
	if err != nil {
		return nil, err
	}
	defer childHold.Close()
	report, childReport, err := pipe(false)
	if err != nil {
		return nil, err
	}
	defer childReport.Close()
	gate, childGate, err := pipe(true)
	if err != nil {
		return nil, err
	}
	defer childGate.Close()

	files := []uintptr{childHold.Fd(), null.Fd(), null.Fd(), childReport.Fd(), childGate.Fd()}
	if o.extra != nil {
		files = append(files, o.extra.Fd())
	}
	pid, err := syscall.ForkExec(path, argv, &syscall.ProcAttr{Dir: o.dir, Env: []string{}, Files: files, Sys: o.sys})
	if err != nil {
		hold.Close()
		report.Close()
		gate.Close()
		return nil, fmt.Errorf("start %.100q: %w", path, err)
	}
	return &proc{pid: pid, hold: hold, gate: gate, report: report}, nil
}

// next reads one value that the program reported.
func (p *proc) next() (int, error) {
	if err := p.report.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	var value [8]byte
	for n := 0; n < len(value); {
		got, err := p.report.Read(value[n:])
		if err != nil {
			return 0, fmt.Errorf("report of process %d: %w", p.pid, err)
		}
		n += got
	}
	return int(int32(binary.LittleEndian.Uint32(value[:]))), nil
}

// wait waits for the program's end.
func (p *proc) wait() (syscall.WaitStatus, error) {
	if p.reaped {
		return 0, fmt.Errorf("process %d has been waited for already", p.pid)
	}
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(p.pid, &status, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		p.reaped = err == nil
		return status, err
	}
}

// finish lets the program end and waits for it.
func (p *proc) finish() (syscall.WaitStatus, error) {
	p.gate.Close()
	p.hold.Close()
	return p.wait()
}

// kill ends the program, whatever it does, and frees what it held.
func (p *proc) kill() {
	if !p.reaped {
		syscall.Kill(p.pid, syscall.SIGKILL)
		p.wait()
	}
	p.gate.Close()
	p.hold.Close()
	p.report.Close()
}

// cmdline is what the kernel says the process's arguments are.
func cmdline(pid int) ([]string, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || len(raw) == 0 {
		return []string{}, err
	}
	return strings.Split(strings.TrimSuffix(string(raw), "\x00"), "\x00"), nil
}

// command is what the kernel says the process's name is.
func command(pid int) (string, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSuffix(string(raw), "\n"), err
}

// onlyChild finds the child of a process that has one.
func onlyChild(parent int) (int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	for _, path := range stats {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// pid (comm) state ppid: comm may hold anything.
		fields := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
		if len(fields) > 1 && string(fields[1]) == strconv.Itoa(parent) {
			return strconv.Atoi(filepath.Base(filepath.Dir(path)))
		}
	}
	return 0, fmt.Errorf("process %d has no child", parent)
}
