// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// failureCases are execs that fail: seen with --fails, and not seen without.
var failureCases = []torturing{
	{"ENOENT", failing(syscall.ENOENT, func(s *stage) string { return s.dir + "/missing" })},
	{"ENOENT of an interpreter", failing(syscall.ENOENT, func(s *stage) string {
		return s.write("script", []byte("#!"+s.dir+"/missing\n"), 0o755)
	})},
	{"EACCES of a file that is not executable", failing(syscall.EACCES, func(s *stage) string {
		return s.write("plain", []byte("text"), 0o644)
	})},
	{"EACCES of a directory", failing(syscall.EACCES, func(s *stage) string { return s.dir + "/." })},
	{"ENOEXEC of garbage", failing(syscall.ENOEXEC, func(s *stage) string {
		return s.write("garbage", []byte("garbage\n"), 0o755)
	})},
	{"ENOEXEC of an empty file", failing(syscall.ENOEXEC, func(s *stage) string { return s.write("empty", nil, 0o755) })},
	{"ENOTDIR", failing(syscall.ENOTDIR, func(s *stage) string { return s.target() + "/below" })},
	{"ELOOP", failing(syscall.ELOOP, func(s *stage) string {
		loop := filepath.Join(s.dir, "loop")
		s.must(os.Symlink(loop, loop))
		return loop
	})},
	{"ETXTBSY", failing(syscall.ETXTBSY, func(s *stage) string {
		path := s.target()
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		s.must(err)
		s.closers = append(s.closers, f)
		return path
	})},
	{"E2BIG", argumentTooBig},
	{"EFAULT of the filename", badFilename},
	{"EFAULT of argv", badArgv},
	{"EFAULT of an argument", badArgument},
	{"failure of execveat", failingAt},
	{"failure from a non-leader thread", threadFails},
	{"failure after vfork", vforkFails},
	{"failures, then success", searchPath},
	{"failure with strings never touched", coldFailure},
}

// failed describes an exec that fails in a launcher.
func (s *stage) failed(l *proc, path string, argv []string, errno syscall.Errno) wanted {
	w := s.started(l, path, argv)
	w.comm = "launcher"
	w.failed, w.ret, w.errno = true, -int(errno), unix.ErrnoName(errno)
	return w
}

// fails starts a launcher that ends with the errno that it got.
func (s *stage) fails(p *program, path string, argv []string, errno syscall.Errno) {
	l := s.launch(p, spawnOptions{})
	s.want(s.failed(l, path, argv, errno))
	s.finishWith(l, int(errno))
}

func failing(errno syscall.Errno, prepare func(*stage) string) func(*stage) {
	return func(s *stage) {
		path := prepare(s)
		argv := []string{path, "", "in vain\n", "\xff"}
		p := newProgram(native())
		p.exec(path, argv)
		s.fails(p, path, argv, errno)
	}
}

func argumentTooBig(s *stage) {
	path := s.target()
	argv := []string{path, "x", strings.Repeat("b", 131072)}
	p := newProgram(native())
	p.exec(path, argv)
	s.fails(p, path, argv, syscall.E2BIG)
}

const badPointer = 8

func badFilename(s *stage) {
	argv := []string{s.dir + "/argv0", "x"}
	p := newProgram(native())
	p.execRaw(badPointer, p.vector(argv))
	l := s.launch(p, spawnOptions{})
	w := s.failed(l, "", argv, syscall.EFAULT)
	w.badFilename = true
	s.want(w)
	s.finishWith(l, int(syscall.EFAULT))
}

func badArgv(s *stage) {
	path := s.target()
	p := newProgram(native())
	p.execRaw(p.str(path), badPointer)
	l := s.launch(p, spawnOptions{})
	w := s.failed(l, path, nil, syscall.EFAULT)
	w.badArgs = true
	s.want(w)
	s.finishWith(l, int(syscall.EFAULT))
}

func badArgument(s *stage) {
	path := s.target()
	p := newProgram(native())
	p.execRaw(p.str(path), p.pointers(p.str(path), p.str("x"), badPointer, 0))
	l := s.launch(p, spawnOptions{})
	w := s.failed(l, path, nil, syscall.EFAULT)
	w.badArgs = true
	s.want(w)
	s.finishWith(l, int(syscall.EFAULT))
}

func failingAt(s *stage) {
	path := s.dir + "/missing"
	argv := []string{path, "x"}
	p := newProgram(native())
	p.call("execveat", -1, p.str(path), p.vector(argv), p.vector(nil), 0)
	p.exitErrno()
	s.fails(p, path, argv, syscall.ENOENT)
}

func threadFails(s *stage) {
	path := s.dir + "/missing"
	argv := []string{path, "x"}
	p := newProgram(native())
	p.fork(threadFlags, func() {
		p.report("gettid")
		p.exec(path, argv)
	})
	p.await(gateFD)
	p.exit(1) // the thread ends the process before
	l := s.launch(p, spawnOptions{})
	w := s.failed(l, path, argv, syscall.ENOENT)
	w.tid = s.next(l)
	s.want(w)
	status, err := l.wait()
	s.must(err)
	if status.ExitStatus() != int(syscall.ENOENT) {
		s.fail("the thread's exec ended with ", status.ExitStatus())
	}
}

// vforkFails: the child runs on its parent's memory, and the parent goes on after it.
func vforkFails(s *stage) {
	path := s.dir + "/missing"
	argv := []string{path, "child"}
	target := s.target()
	p := newProgram(native())
	p.fork(unix.CLONE_VFORK|unix.CLONE_VM|int(unix.SIGCHLD), func() {
		p.report("getpid")
		p.exec(path, argv)
	})
	p.exec(target, []string{"parent"})
	l := s.launch(p, spawnOptions{})
	child := s.next(l)
	w := s.failed(l, path, argv, syscall.ENOENT)
	w.pid, w.tid, w.ppid = child, child, l.pid
	s.want(w)
	s.want(s.started(l, target, []string{"parent"}))
	s.check(l)
}

// searchPath does what a shell does with PATH.
func searchPath(s *stage) {
	target := s.target()
	p := newProgram(native())
	argv := []string{"target", "x"}
	vector := p.vector(argv)
	for i := range 3 {
		p.call("execve", p.str(fmt.Sprintf("%s/%d/target", s.dir, i)), vector, p.vector(nil))
	}
	p.exec(target, argv)
	l := s.launch(p, spawnOptions{})
	for i := range 3 {
		s.want(s.failed(l, fmt.Sprintf("%s/%d/target", s.dir, i), argv, syscall.ENOENT))
	}
	s.want(s.started(l, target, argv))
	s.check(l)
}

// coldFailure: the kernel has read the filename when the call ends, though not always the
// arguments.
func coldFailure(s *stage) {
	path := s.dir + "/missing"
	argv := []string{path, "cold"}
	p, name, vector := coldStrings(path, argv)
	p.execRaw(name, vector)
	l := s.launch(p, spawnOptions{})
	w := s.failed(l, path, argv, syscall.ENOENT)
	w.untouched = true
	s.want(w)
	s.finishWith(l, int(syscall.ENOENT))
}
