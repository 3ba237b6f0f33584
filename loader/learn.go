// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everyexec/everyexec/loader/internal/testexec"
)

// learnTimeout is for a machine under the heaviest load; learning takes some tens of milliseconds.
const learnTimeout = 10 * time.Second

// learn finds out where the running kernel keeps what the stub reads.
//
// It looks at the task_struct of processes whose values it knows, because it made them: threads of
// its own, and children that wait while they are looked at. An offset counts only if the values of
// all of them agree. Each offset stands alone; one that is not found is nil.
func learn(ctx context.Context, fs *tracefs, raw bool, o Options) (*Offsets, error) {
	ctx, cancel := context.WithTimeout(ctx, learnTimeout)
	defer cancel()
	begin := time.Now()
	version, err := kernelVersion()
	if err != nil {
		return nil, err
	}
	found := &Offsets{Version: version, Arch: uname().Arch}
	err = onOwnThread(func() error {
		l, err := newLesson(fs, raw)
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

// lesson is one attempt to learn. It is taken on the thread that opened the probe.
type lesson struct {
	probe    *learnProbe
	self     *subject
	other    *thread // makes the second child, and traces the first one
	children []*waiting
}

// waiting is a child that lives, and is looked at, until it is released.
type waiting struct {
	*subject
	run  *testRun
	cmd  *exec.Cmd
	hold *os.File // its stdin: it waits until that ends
}

func newLesson(fs *tracefs, raw bool) (*lesson, error) {
	probe, err := openMemory(fs, raw)
	if err != nil {
		return nil, err
	}
	return &lesson{probe: probe, other: newThread()}, nil
}

func (l *lesson) close() error {
	var errs []error
	for _, w := range l.children {
		errs = append(errs, w.close())
	}
	l.other.end()
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
	if found.RealParent, err = l.realParent(findParent(subjects), found.TGID); err != nil {
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

// gather returns the subjects: this thread, a child of it, and a child of another thread.
func (l *lesson) gather(ctx context.Context, selfTest bool) ([]*subject, error) {
	self, err := l.probe.self()
	if err != nil {
		return nil, err
	}
	var own layout
	if stat, err := readProcStat("self"); err == nil {
		own = stat.layout
	}
	if l.self, err = l.study(self, 0, own); err != nil {
		return nil, err
	}
	// The first time gives it the name, the second time the probe sees a thread of that name.
	for range 2 {
		if err := l.other.do(l.probe.rename); err != nil {
			return nil, err
		}
	}
	other, err := l.probe.noted()
	if err != nil {
		return nil, err
	}
	here := func(f func() error) error { return f() }
	subjects := []*subject{l.self}
	for _, parent := range []struct {
		task uint64
		do   func(func() error) error
	}{{self.task, here}, {other.task, l.other.do}} {
		w, err := l.startChild(ctx, parent.do, parent.task, false)
		if err != nil && selfTest {
			w, err = l.startChild(ctx, parent.do, parent.task, true)
		}
		if err != nil {
			return nil, err
		}
		subjects = append(subjects, w.subject)
	}
	return subjects, nil
}

// study takes the image of a process.
func (l *lesson) study(s sighting, parent uint64, own layout) (*subject, error) {
	image, err := l.probe.read(s.task, taskLen)
	if err != nil {
		return nil, err
	}
	return &subject{sighting: s, image: image, parent: parent, layout: own}, nil
}

// startChild runs the test program, as a child of the thread that do runs functions on.
func (l *lesson) startChild(ctx context.Context, do func(func() error) error, parent uint64, self bool) (*waiting, error) {
	run, err := newTestRun(self)
	if err != nil {
		return nil, err
	}
	w := &waiting{run: run}
	var own layout
	err = do(func() error {
		own, err = w.start(ctx)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	seen, err := l.probe.noted()
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	if w.subject, err = l.study(seen, parent, own); err != nil {
		return nil, errors.Join(err, w.close())
	}
	l.children = append(l.children, w)
	return w, nil
}

// start runs the test program, and waits until it tells where it has its arguments.
func (w *waiting) start(ctx context.Context) (layout, error) {
	stdin, hold, err := os.Pipe()
	if err != nil {
		return layout{}, err
	}
	w.hold = hold
	defer stdin.Close()
	ready, stdout, err := os.Pipe()
	if err != nil {
		return layout{}, err
	}
	defer ready.Close()
	cmd := w.run.command(ctx, w.run.nonce)
	cmd.Stdin, cmd.Stdout = stdin, stdout
	err = cmd.Start()
	stdout.Close()
	if err != nil {
		return layout{}, err
	}
	w.cmd = cmd
	if deadline, ok := ctx.Deadline(); ok {
		// Pipes take deadlines.
		_ = ready.SetReadDeadline(deadline)
	}
	stack := make([]byte, testexec.StackLen)
	if _, err := io.ReadFull(ready, stack); err != nil {
		return layout{}, fmt.Errorf("the test program did not run: %w", err)
	}
	return parseStack(stack), nil
}

// release lets the child end, and waits until it has, without reaping it.
func (w *waiting) release() error {
	err := w.hold.Close()
	w.hold = nil
	if err != nil {
		return err
	}
	for {
		err := unix.Waitid(unix.P_PID, w.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return err
		}
	}
}

func (w *waiting) close() error {
	var errs []error
	if w.hold != nil {
		errs = append(errs, w.hold.Close())
	}
	if w.cmd != nil {
		errs = append(errs, w.cmd.Wait())
	}
	return errors.Join(append(errs, w.run.close())...)
}

// realParent tells real_parent from parent, which differ while a process is traced: one thread
// made the child, and another one traces it.
func (l *lesson) realParent(candidates []Offset, tgid *Offset) (*Offset, error) {
	if len(candidates) < 2 {
		return only(candidates), nil
	}
	child := l.children[0]
	var image []byte
	err := l.other.do(func() error { return unix.PtraceSeize(child.cmd.Process.Pid) })
	if err != nil {
		return l.firstOfPair(candidates, tgid), nil
	}
	image, readErr := l.probe.read(child.task, taskLen)
	err = l.other.do(func() error { return stopTracing(child.cmd.Process.Pid) })
	if err := errors.Join(readErr, err); err != nil {
		return nil, err
	}
	return only(slices.DeleteFunc(slices.Clone(candidates), func(at Offset) bool {
		v, ok := le64(image, uint32(at))
		return !ok || v != child.parent
	})), nil
}

// stopTracing detaches the current thread from a process that it traces.
func stopTracing(pid int) error {
	if err := unix.PtraceInterrupt(pid); err != nil {
		return fmt.Errorf("stop the test program: %w", err)
	}
	for {
		_, err := unix.Wait4(pid, nil, unix.WALL, nil)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return fmt.Errorf("wait for the test program to stop: %w", err)
		}
	}
	return unix.PtraceDetach(pid)
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

// ownMM tells mm from active_mm, which are the same to a program and differ in a zombie. Where
// that does not tell, either is right.
func (l *lesson) ownMM(candidates []mmCandidate) (mmCandidate, error) {
	if len(candidates) == 1 {
		return candidates[0], nil
	}
	child := l.children[0]
	if err := child.release(); err != nil {
		return mmCandidate{}, fmt.Errorf("wait for the test program to end: %w", err)
	}
	image, err := l.probe.read(child.task, taskLen)
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
