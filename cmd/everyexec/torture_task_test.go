// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// taskCases are about who executes.
var taskCases = []torturing{
	{"one process, three programs", execChain},
	{"vfork and exec", forkAndExec(unix.CLONE_VFORK | unix.CLONE_VM | int(unix.SIGCHLD))},
	{"fork and exec", forkAndExec(int(unix.SIGCHLD))},
	{"exec from a non-leader thread", threadExec},
	{"child of a non-leader thread", threadChild},
	{"parent died", reparented},
	{"parent died below a subreaper", reparentedToSubreaper},
	{"parent is not the tracer of ptrace", ptraced},
	{"another uid and gid", otherUser},
	{"setuid bit", setuidBit},
	{"new pid namespace", inNamespaces(unix.CLONE_NEWPID)},
	{"new user namespace", inUserNamespace(0)},
	{"new mount namespace", inNamespaces(unix.CLONE_NEWNS)},
	{"new pid, user and mount namespaces", inUserNamespace(unix.CLONE_NEWPID | unix.CLONE_NEWNS)},
	{"child inside a new pid namespace", childInNamespace},
	{"another cgroup", otherCgroup},
	{"32-bit program", compat},
}

const threadFlags = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD

func itoa(n int) string { return strconv.Itoa(n) }

// execChain has one pid execute again and again; each is an event of its own.
func execChain(s *stage) {
	target := s.target()
	second := newProgram(native())
	second.exec(target, []string{"third"})
	middle := s.file("middle", second)
	first := newProgram(native())
	first.exec(middle, []string{"second", "x"})
	p := s.launch(first, spawnOptions{})
	s.want(s.started(p, middle, []string{"second", "x"}))
	s.want(s.started(p, target, []string{"third"}))
	s.check(p)
}

// childOf describes the exec of a launcher's child, which has told who it is.
func (s *stage) childOf(p *proc, path string, argv []string) wanted {
	child := s.identity(p)
	w := s.started(p, path, argv)
	w.pid, w.tid, w.ppid = child.pid, child.tid, child.ppid
	return w
}

func forkAndExec(flags int) func(*stage) {
	return func(s *stage) {
		target := s.target()
		argv := []string{target, "child"}
		p := newProgram(native())
		p.fork(flags, func() { p.exec(target, argv) })
		p.wait()
		p.exitErrno() // minus the child's status, which is 0
		l := s.launch(p, spawnOptions{})
		w := s.childOf(l, target, argv)
		if w.ppid != l.pid {
			s.fail(fmt.Sprintf("the child has parent %d, not %d", w.ppid, l.pid))
		}
		s.want(w)
		s.finish(l)
	}
}

// threadExec: the process keeps its pid, while the thread that called had another tid.
func threadExec(s *stage) {
	target := s.target()
	argv := []string{target, "from a thread"}
	p := newProgram(native())
	p.fork(threadFlags, func() {
		p.report("gettid")
		p.exec(target, argv)
	})
	p.await(gateFD)
	p.exit(1) // the exec in the thread ends this one
	l := s.launch(p, spawnOptions{})
	thread := s.next(l)
	if thread == l.pid {
		s.fail("the thread is the leader")
	}
	w := s.started(l, target, argv)
	w.tid = thread
	s.want(w)
	s.check(l)
}

// threadChild: the parent of a thread's child is the whole process.
func threadChild(s *stage) {
	target := s.target()
	argv := []string{target, "child of a thread"}
	p := newProgram(native())
	p.fork(threadFlags, func() {
		p.report("gettid")
		p.fork(int(unix.SIGCHLD), func() { p.exec(target, argv) })
		p.wait()
		p.exitErrno()
	})
	p.await(gateFD)
	p.exit(0)
	l := s.launch(p, spawnOptions{})
	if s.next(l) == l.pid {
		s.fail("the thread is the leader")
	}
	w := s.childOf(l, target, argv)
	if w.ppid != l.pid {
		s.fail(fmt.Sprintf("the child has parent %d, not %d", w.ppid, l.pid))
	}
	s.want(w)
	s.finish(l)
}

// reparented executes after the parent has died; the kernel tells the child its new one.
func reparented(s *stage) {
	target := s.target()
	argv := []string{target, "orphan"}
	p := newProgram(native())
	p.fork(int(unix.SIGCHLD), func() {
		p.await(gateFD)
		p.exec(target, argv)
	})
	p.exit(0)
	l := s.launch(p, spawnOptions{})
	_, err := l.wait()
	s.must(err)
	l.gate.Close()
	w := s.childOf(l, target, argv)
	if w.ppid == l.pid || w.ppid == 0 {
		s.fail("the orphan has parent ", w.ppid)
	}
	w.orphan = true
	s.want(w)
}

const prSetChildSubreaper = 36

func reparentedToSubreaper(s *stage) {
	target := s.target()
	argv := []string{target, "adopted"}
	p := newProgram(native())
	p.call("prctl", prSetChildSubreaper, 1, 0, 0, 0)
	p.fork(int(unix.SIGCHLD), func() {
		p.fork(int(unix.SIGCHLD), func() {
			p.await(gateFD)
			p.exec(target, argv)
		})
		p.exit(0)
	})
	p.wait() // for the one between
	p.report("getpid")
	p.wait() // for the adopted
	p.exitErrno()
	l := s.launch(p, spawnOptions{})
	s.next(l)
	l.gate.Close()
	w := s.childOf(l, target, argv)
	if w.ppid != l.pid {
		s.fail(fmt.Sprintf("the orphan has parent %d, not the subreaper %d", w.ppid, l.pid))
	}
	w.orphan = true
	s.want(w)
	s.finish(l)
}

// ptraced: a debugger becomes `parent`, but never `real_parent`.
func ptraced(s *stage) {
	target := s.target()
	argv := []string{target, "debugged"}
	p := newProgram(native())
	p.fork(int(unix.SIGCHLD), func() {
		p.report("getpid")
		p.await(gateFD)
		p.exec(target, argv)
	})
	p.wait()
	p.exitErrno()
	l := s.launch(p, spawnOptions{})
	child := s.next(l)

	seized, release := make(chan error), make(chan struct{})
	defer close(release)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this, and so does its debugging
		seized <- ptraceSeize(child)
		<-release
	}()
	if err := <-seized; err != nil {
		s.skip("ptrace: %v", err)
	}
	l.gate.Close()
	w := s.childOf(l, target, argv)
	if w.pid != child || w.ppid != l.pid {
		s.fail(fmt.Sprintf("child %d of %d reports %+v", child, l.pid, w))
	}
	s.want(w)
}

func ptraceSeize(pid int) error {
	if _, _, errno := syscall.Syscall6(syscall.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(pid), 0, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

func otherUser(s *stage) {
	path := s.target()
	argv := []string{path, "x"}
	p := s.spawn(path, argv, spawnOptions{sys: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4321, Gid: 4322}}})
	w := s.started(p, path, argv)
	w.uid, w.gid = 4321, 4322
	s.want(w)
	s.check(p)
}

// setuidBit: the uid and gid of an event are the real ones, which the bit leaves alone.
func setuidBit(s *stage) {
	p := newProgram(native())
	p.report("geteuid")
	p.await(holdFD)
	p.exit(0)
	path := s.file("setuid", p)
	s.must(os.Chown(path, 1234, 1235))
	s.must(os.Chmod(path, 0o755|os.ModeSetuid|os.ModeSetgid))
	argv := []string{path, "x"}
	l := s.spawn(path, argv, spawnOptions{sys: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4321, Gid: 4322}}})
	w := s.started(l, path, argv)
	w.uid, w.gid = 4321, 4322
	s.want(w)
	if effective := s.next(l); effective != 1234 {
		s.skip("the file system ignores the setuid bit: effective uid is %d", effective)
	}
	s.finish(l)
}

// spawnInNamespaces skips where this kernel or this machine's settings forbid them.
func (s *stage) spawnInNamespaces(path string, argv []string, sys *syscall.SysProcAttr) *proc {
	p, err := spawn(path, argv, spawnOptions{sys: sys})
	for _, forbidden := range []error{syscall.EPERM, syscall.EINVAL, syscall.ENOSPC, syscall.ENOSYS} {
		if errors.Is(err, forbidden) {
			s.skip("no such namespace here: %v", err)
		}
	}
	s.must(err)
	s.procs = append(s.procs, p)
	return p
}

// inNamespaces: pid and ppid are those of the initial pid namespace.
func inNamespaces(flags uintptr) func(*stage) {
	return func(s *stage) {
		path := s.target()
		argv := []string{path, "x"}
		p := s.spawnInNamespaces(path, argv, &syscall.SysProcAttr{Cloneflags: flags})
		s.want(s.started(p, path, argv))
		inside := s.identity(p)
		if flags&unix.CLONE_NEWPID != 0 && inside != (identity{1, 1, 0}) {
			s.fail(fmt.Sprintf("not in a new pid namespace: %+v", inside))
		}
		s.finish(p)
	}
}

// inUserNamespace: uid and gid are those of the initial user namespace.
func inUserNamespace(more uintptr) func(*stage) {
	return func(s *stage) {
		path := s.target()
		argv := []string{path, "x"}
		p := s.spawnInNamespaces(path, argv, &syscall.SysProcAttr{
			Cloneflags:                 unix.CLONE_NEWUSER | more,
			UidMappings:                []syscall.SysProcIDMap{{ContainerID: 0, HostID: 7001, Size: 1}},
			GidMappings:                []syscall.SysProcIDMap{{ContainerID: 0, HostID: 7002, Size: 1}},
			GidMappingsEnableSetgroups: true,
			Credential:                 &syscall.Credential{Uid: 0, Gid: 0},
		})
		w := s.started(p, path, argv)
		w.uid, w.gid = 7001, 7002
		s.want(w)
		s.identity(p)
		s.finish(p)
	}
}

func childInNamespace(s *stage) {
	target := s.target()
	argv := []string{target, "x"}
	p := newProgram(native())
	p.fork(int(unix.SIGCHLD), func() { p.exec(target, argv) })
	p.wait()
	p.exitErrno()
	path := s.file("launcher", p)
	l := s.spawnInNamespaces(path, []string{path}, &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID})
	s.want(s.started(l, path, []string{path}))
	if inside := s.identity(l); inside != (identity{2, 2, 1}) {
		s.fail(fmt.Sprintf("not the second process of a namespace: %+v", inside))
	}
	child, err := onlyChild(l.pid)
	s.must(err)
	w := s.started(l, target, argv)
	w.pid, w.tid, w.ppid = child, child, l.pid
	s.want(w)
	s.finish(l)
}

func otherCgroup(s *stage) {
	root := cgroupRoot()
	if root == "" {
		s.skip("cgroup v2 is not mounted")
	}
	dir := filepath.Join(root, fmt.Sprintf("everyexec-test-%d", os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		s.skip("no new cgroup: %v", err)
	}
	target := s.target()
	p := newProgram(native())
	p.report("getpid")
	p.await(gateFD)
	p.exec(target, []string{target})
	l := s.launch(p, spawnOptions{})
	s.next(l) // its own exec is over: what comes now must not be taken for it
	// A cgroup can be removed when nobody is in it any more.
	defer func() {
		l.kill()
		awaiting("the cgroup to be empty", func() bool { return os.Remove(dir) == nil })
	}()
	s.must(os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(itoa(l.pid)), 0o644))
	l.gate.Close()
	w := s.started(l, target, []string{target})
	w.cgroup = cgroupID(dir)
	s.want(w)
	s.check(l)
}

// compat: a 32-bit program executes another, which no syscall tracepoint sees.
func compat(s *stage) {
	if runtime.GOARCH != "amd64" {
		s.skip("int 0x80 is x86's")
	}
	target := s.file("target32", reporting(&i386))
	argv := []string{target, "thirty-two"}
	p := newProgram(&i386)
	p.exec(target, argv)
	launcher := s.file("launcher32", p)
	l, err := spawn(launcher, []string{launcher}, spawnOptions{})
	if errors.Is(err, syscall.ENOEXEC) {
		s.skip("this kernel runs no 32-bit programs")
	}
	s.must(err)
	s.procs = append(s.procs, l)
	s.want(s.started(l, launcher, []string{launcher}))
	w := s.started(l, target, argv)
	w.compat = true
	s.want(w)
	s.check(l)
}
