// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// clockSlack is how far an event's time may lie outside its case.
const clockSlack = 2 * time.Second

// torturing is one case: it starts processes and says which execs that makes.
type torturing struct {
	name string
	run  func(*stage)
}

// stage is where a case plays, with a directory that no other case has. It plays while a
// tracer runs that all cases share, and is judged when all events are there.
type stage struct {
	dir          string
	began, ended time.Time
	wants        []wanted
	procs        []*proc
	closers      []io.Closer // to be closed when the case is over
	failure      string
	skipped      string
}

// play runs a case to its end; the case may leave early through fail or skip.
func play(c torturing, dir string) *stage {
	s := &stage{dir: dir, began: time.Now()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer s.clear()
		if err := os.Mkdir(dir, 0o755); err != nil {
			s.fail(err)
		}
		c.run(s)
	}()
	<-done
	s.ended = time.Now()
	return s
}

func (s *stage) clear() {
	for _, p := range s.procs {
		p.kill()
	}
	for _, c := range s.closers {
		c.Close()
	}
}

func (s *stage) fail(what ...any) {
	s.failure = fmt.Sprint(what...)
	runtime.Goexit()
}

func (s *stage) skip(format string, args ...any) {
	s.skipped = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (s *stage) must(err error) {
	if err != nil {
		s.fail(err)
	}
}

// file writes an executable into the case's directory.
func (s *stage) file(name string, p *program) string {
	return s.write(name, p.file(), 0o755)
}

func (s *stage) write(name string, content []byte, mode os.FileMode) string {
	path := filepath.Join(s.dir, name)
	s.must(writeExecutable(path, content, mode))
	return path
}

// target writes the executable that most cases execute.
func (s *stage) target() string { return s.file("target", reporting(native())) }

// spawn starts a program; the case must say what is to be seen of it.
func (s *stage) spawn(path string, argv []string, o spawnOptions) *proc {
	p, err := spawn(path, argv, o)
	if err != nil {
		s.fail(err)
	}
	s.procs = append(s.procs, p)
	return p
}

// start starts a program as a child of the suite, which is to be seen.
func (s *stage) start(path string, argv []string, o spawnOptions) *proc {
	p := s.spawn(path, argv, o)
	s.want(s.started(p, path, argv))
	return p
}

// launch writes and starts a program that goes on to execute others.
func (s *stage) launch(p *program, o spawnOptions) *proc {
	path := s.file("launcher", p)
	return s.start(path, []string{path}, o)
}

// want adds an exec that is to be seen.
func (s *stage) want(w wanted) { s.wants = append(s.wants, w) }

// started describes the exec of a child of the suite.
func (s *stage) started(p *proc, path string, argv []string) wanted {
	return wanted{
		pid: p.pid, tid: p.pid, ppid: os.Getpid(), uid: os.Getuid(), gid: os.Getgid(),
		comm: filepath.Base(path), filename: path, passed: argv, cgroup: ownCgroup(),
	}
}

// identity is who a program says it is.
type identity struct{ pid, tid, ppid int }

// identity waits until a reporting program runs, so that its exec is over.
func (s *stage) identity(p *proc) identity {
	return identity{s.next(p), s.next(p), s.next(p)}
}

func (s *stage) next(p *proc) int {
	value, err := p.next()
	if err != nil {
		s.fail(err)
	}
	return value
}

// finish lets a program end, which must be a success.
func (s *stage) finish(p *proc) { s.finishWith(p, 0) }

func (s *stage) finishWith(p *proc, code int) {
	status, err := p.finish()
	s.must(err)
	if status.ExitStatus() != code {
		s.fail(fmt.Sprintf("process %d ended with exit status %d, signal %d; not %d", p.pid, status.ExitStatus(), status.Signal(), code))
	}
}

// run starts a reporting program as a child of the suite, to be seen and to end well.
func (s *stage) run(path string, argv []string, o spawnOptions) {
	p := s.start(path, argv, o)
	s.check(p)
}

// check holds what a reporting child says against what the suite knows of it.
func (s *stage) check(p *proc) {
	if got := s.identity(p); got != (identity{p.pid, p.pid, os.Getpid()}) {
		s.fail(fmt.Sprintf("process %d of %d reports %+v", p.pid, os.Getpid(), got))
	}
	s.finish(p)
}

// owns tells whether an event comes from this case. A process id is proof only while the
// case plays, for others use it later.
func (s *stage) owns(e traced) bool {
	if s.marked(e) {
		return true
	}
	if e.Time.Before(s.began.Add(-clockSlack)) || e.Time.After(s.ended.Add(clockSlack)) {
		return false
	}
	return slices.ContainsFunc(s.wants, func(w wanted) bool {
		return e.PID != nil && *e.PID == w.pid || e.PPID != nil && *e.PPID == w.pid
	})
}

// marked tells whether an event names the case's directory.
func (s *stage) marked(e traced) bool {
	strs := []string{}
	if e.Filename != nil {
		strs = append(strs, *e.Filename)
	}
	if e.Args != nil {
		strs = append(strs, *e.Args...)
	}
	return slices.ContainsFunc(strs, func(str string) bool { return strings.Contains(str, s.dir+"/") })
}

// judge demands exactly the wanted events.
func (s *stage) judge(t *testing.T, v variant, events []traced) {
	t.Helper()
	if s.skipped != "" {
		t.Skip(s.skipped)
	}
	if s.failure != "" {
		t.Fatal(s.failure)
	}
	byPID := map[int][]traced{}
	for _, e := range events {
		if e.Time.Before(s.began.Add(-clockSlack)) || e.Time.After(s.ended.Add(clockSlack)) {
			t.Errorf("time is not between %s and %s: %s", s.began, s.ended, e.line)
		}
		if e.PID == nil {
			t.Errorf("no pid: %s", e.line)
			continue
		}
		byPID[*e.PID] = append(byPID[*e.PID], e)
	}
	for _, of := range byPID {
		slices.SortStableFunc(of, func(a, b traced) int { return a.Time.Compare(b.Time) })
	}
	for _, w := range s.wants {
		of := byPID[w.pid]
		if len(of) == 0 {
			t.Errorf("missing: %s", w)
			continue
		}
		if wrong := differences(w, v, of[0]); wrong != nil {
			t.Errorf("%s\n  %s\n  in %.2000s", w, strings.Join(wrong, "\n  "), of[0].line)
		}
		byPID[w.pid] = of[1:]
	}
	for _, of := range byPID {
		for _, e := range of {
			t.Errorf("unexpected: %.2000s", e.line)
		}
	}
}

// ownCgroup is the id of the suite's cgroup, 0 where that cannot be known.
var ownCgroup = sync.OnceValue(func() uint64 {
	root := cgroupRoot()
	raw, err := os.ReadFile("/proc/self/cgroup")
	if err != nil || root == "" {
		return 0
	}
	for line := range bytes.Lines(raw) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "0::"); ok {
			return cgroupID(filepath.Join(root, path))
		}
	}
	return 0
})

// cgroupRoot is where cgroup v2 is mounted, if it is.
func cgroupRoot() string {
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	for line := range bytes.Lines(raw) {
		fields := strings.Fields(string(line))
		if sep := slices.Index(fields, "-"); sep > 4 && sep+1 < len(fields) && fields[sep+1] == "cgroup2" {
			return fields[4]
		}
	}
	return ""
}

// cgroupID is the id of a cgroup: its file handle, of which the inode's number is a part
// before 5.5 and the whole since.
func cgroupID(dir string) uint64 {
	handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, dir, 0)
	if err != nil || len(handle.Bytes()) != 8 {
		return 0
	}
	return binary.NativeEndian.Uint64(handle.Bytes())
}
