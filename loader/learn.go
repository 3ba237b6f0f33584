// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// learnTimeout is for a machine under the heaviest load; learning takes some tens of milliseconds.
const learnTimeout = 10 * time.Second

// learn finds out where the running kernel keeps what the stub reads.
//
// It looks at the task_struct of processes whose values it knows, because it made them: its own
// thread, and children and grandchildren that wait while they are looked at. An offset counts only
// if the values of all of them agree. Each offset stands alone; one that is not found is nil.
func learn(ctx context.Context, fs *tracefs, o Options) (*Offsets, error) {
	ctx, cancel := context.WithTimeout(ctx, learnTimeout)
	defer cancel()
	begin := time.Now()
	version, err := kernelVersion()
	if err != nil {
		return nil, err
	}
	found := &Offsets{Version: version, Arch: uname().Arch}
	err = onOwnThread(func() error {
		l, err := newLesson(fs)
		if err != nil {
			return err
		}
		return errors.Join(l.take(ctx, o.SelfTest, found), l.close())
	})
	if err != nil {
		return nil, fmt.Errorf("learn offsets: %w", err)
	}
	found.Took = time.Since(begin)
	if !found.PPID() && !found.Args() {
		return nil, fmt.Errorf("learn offsets: %w", errNothingLearned)
	}
	return found, nil
}

func kernelVersion() (string, error) {
	text, err := os.ReadFile("/proc/version")
	return string(text), err
}

// lesson is one attempt to learn.
type lesson struct {
	probe    *learnProbe
	self     *subject
	families []*family
}

// family is a test exec whose child and grandchild live until it is released.
type family struct {
	run               *testRun
	cmd               *exec.Cmd
	hold              *os.File // their stdin: the grandchild waits until it ends
	child, grandchild *subject
}

// families is how many test execs are looked at.
const families = 2

func newLesson(fs *tracefs) (*lesson, error) {
	fields, err := readFormat(fs, schedProcessExec)
	if err != nil {
		return nil, err
	}
	filename, err := payload(fields, schedProcessExec, "filename")
	if err != nil {
		return nil, err
	}
	probe, err := openLearnProbe()
	if err != nil {
		return nil, err
	}
	probe.order.ExecFilename = filename
	for _, h := range []struct {
		tp   tracepoint
		name string
	}{{taskRename, progShowMemory}, {schedProcessExec, progNoteExec}} {
		if err := probe.hook(fs, h.tp, h.name); err != nil {
			return nil, errors.Join(err, probe.close())
		}
	}
	return &lesson{probe: probe}, nil
}

func (l *lesson) close() error {
	var errs []error
	for _, f := range l.families {
		errs = append(errs, f.close())
	}
	return errors.Join(append(errs, l.probe.close())...)
}

// take fills in what it learns.
func (l *lesson) take(ctx context.Context, selfTest bool, found *Offsets) error {
	subjects, err := l.gather(ctx, selfTest)
	if err != nil {
		return err
	}
	found.Processes = len(subjects)
	found.TGID = only(findTGID(subjects))

	parents := findParent(subjects)
	if found.RealParent, err = l.realParent(parents, found.TGID); err != nil {
		return err
	}
	candidates, err := findMM(l.probe, subjects)
	if err != nil || len(candidates) == 0 {
		return err
	}
	c, err := l.ownMM(candidates)
	if err != nil {
		return err
	}
	found.MM = &c.mm
	found.ArgStart = only(c.argStart)
	if found.ArgStart != nil {
		// env_start holds the same value.
		found.ArgEnd = behind(*found.ArgStart, c.argEnd)
	}
	found.EnvEnd = only(c.envEnd)
	return nil
}

// gather returns the subjects: this thread, and families that live on.
func (l *lesson) gather(ctx context.Context, selfTest bool) ([]*subject, error) {
	self, err := l.probe.self()
	if err != nil {
		return nil, err
	}
	if l.self, err = l.study(self, 0, os.Getpid()); err != nil {
		return nil, err
	}
	subjects := []*subject{l.self}
	for range families {
		f, err := l.startFamily(ctx, false)
		if err != nil && selfTest {
			f, err = l.startFamily(ctx, true)
		}
		if err != nil {
			return nil, err
		}
		subjects = append(subjects, f.child, f.grandchild)
	}
	return subjects, nil
}

// study takes the image of a process. Its pid, as this process sees it, is 0 if it is not known.
func (l *lesson) study(s sighting, parent uint64, pid int) (*subject, error) {
	image, err := l.probe.read(s.task, taskLen)
	if err != nil {
		return nil, err
	}
	studied := &subject{sighting: s, image: image, parent: parent}
	if pid == 0 {
		return studied, nil
	}
	stat, err := readProcStat(pid)
	if err != nil {
		return nil, err
	}
	studied.layout = stat.layout
	return studied, nil
}

// startFamily runs a test exec up to the point at which the grandchild waits.
func (l *lesson) startFamily(ctx context.Context, self bool) (*family, error) {
	run, err := newTestRun(self)
	if err != nil {
		return nil, err
	}
	f := &family{run: run}
	if err := l.probe.watch(run.path); err != nil {
		return nil, errors.Join(err, f.close())
	}
	if err := f.start(ctx); err != nil {
		return nil, errors.Join(err, f.close())
	}
	seen, err := l.probe.sightings()
	if err == nil && len(seen) != 2 {
		err = fmt.Errorf("%w: %d execs instead of 2", errNotSeen, len(seen))
	}
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	if f.child, err = l.study(seen[0], l.self.task, f.cmd.Process.Pid); err != nil {
		return nil, errors.Join(err, f.close())
	}
	if f.grandchild, err = l.study(seen[1], f.child.task, 0); err != nil {
		return nil, errors.Join(err, f.close())
	}
	l.families = append(l.families, f)
	return f, nil
}

// start runs the test exec and waits until the grandchild says that it runs.
func (f *family) start(ctx context.Context) error {
	stdin, hold, err := os.Pipe()
	if err != nil {
		return err
	}
	f.hold = hold
	defer stdin.Close()
	ready, stdout, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	cmd := f.run.command(ctx)
	cmd.Stdin, cmd.Stdout = stdin, stdout
	err = cmd.Start()
	stdout.Close()
	if err != nil {
		return err
	}
	f.cmd = cmd
	if deadline, ok := ctx.Deadline(); ok {
		// Pipes take deadlines.
		_ = ready.SetReadDeadline(deadline)
	}
	if _, err := io.ReadFull(ready, make([]byte, 1)); err != nil {
		return fmt.Errorf("the test exec did not run: %w", err)
	}
	return nil
}

// release lets the processes end, and waits until the child has, without reaping it.
func (f *family) release() error {
	if err := f.hold.Close(); err != nil {
		return err
	}
	f.hold = nil
	for {
		err := unix.Waitid(unix.P_PID, f.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return err
		}
	}
}

func (f *family) close() error {
	var errs []error
	if f.hold != nil {
		errs = append(errs, f.hold.Close())
	}
	if f.cmd != nil {
		errs = append(errs, f.cmd.Wait())
	}
	return errors.Join(append(errs, f.run.close())...)
}

// realParent tells real_parent from parent, which differ while a process is traced: one thread of
// this process made the child, and another one traces it.
func (l *lesson) realParent(candidates []Offset, tgid *Offset) (*Offset, error) {
	if len(candidates) < 2 {
		return only(candidates), nil
	}
	child := l.families[0].child
	release, err := traceFromElsewhere(l.families[0].cmd.Process.Pid)
	if err != nil {
		return l.firstOfPair(candidates, tgid), nil
	}
	defer release()
	image, err := l.probe.read(child.task, taskLen)
	if err != nil {
		return nil, err
	}
	traced := &subject{sighting: child.sighting, image: image, parent: child.parent}
	var kept []Offset
	for _, at := range findParent([]*subject{traced}) {
		for _, c := range candidates {
			if at == c {
				kept = append(kept, at)
			}
		}
	}
	return only(kept), nil
}

// firstOfPair chooses where a policy forbids tracing: real_parent lies before parent, and both
// behind pid and tgid, unless the members are shuffled. If they are, it is not known.
func (l *lesson) firstOfPair(candidates []Offset, tgid *Offset) *Offset {
	if tgid == nil || *tgid < 4 || len(candidates) != 2 || candidates[1] != candidates[0]+8 {
		return nil
	}
	pid, ok := le32(l.self.image, uint32(*tgid)-4)
	if !ok || pid != l.self.tid || candidates[0] < *tgid {
		return nil
	}
	return &candidates[0]
}

// traceFromElsewhere traces a process from a thread of its own, until release is called.
func traceFromElsewhere(pid int) (release func(), err error) {
	done := make(chan struct{})
	traced := make(chan error)
	go func() {
		// Never unlocked: the tracing ends with the thread.
		runtime.LockOSThread()
		traced <- unix.PtraceSeize(pid)
		<-done
	}()
	if err := <-traced; err != nil {
		close(done)
		return nil, err
	}
	return func() { close(done) }, nil
}

// ownMM tells mm from active_mm, which are the same to a program and differ in a zombie. Where
// that does not tell, either is right.
func (l *lesson) ownMM(candidates []mmCandidate) (mmCandidate, error) {
	if len(candidates) == 1 {
		return candidates[0], nil
	}
	f := l.families[0]
	if err := f.release(); err != nil {
		return mmCandidate{}, fmt.Errorf("wait for a test exec: %w", err)
	}
	image, err := l.probe.read(f.child.task, taskLen)
	if err != nil {
		return mmCandidate{}, err
	}
	for _, c := range candidates {
		if v, ok := le64(image, uint32(c.mm)); ok && v == 0 {
			return c, nil
		}
	}
	return candidates[0], nil
}
