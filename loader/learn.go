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
	l.endOther()
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
	if found.RealParent, err = l.realParent(ctx, findParent(subjects), found.TGID); err != nil {
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

// realParent tells real_parent from what else leads to the parent: `parent`, which is the tracer
// while a process is traced; and at times last_wakee, which stays as it is when the parent ends.
func (l *lesson) realParent(ctx context.Context, candidates []Offset, tgid *Offset) (*Offset, error) {
	if len(candidates) < 2 {
		return only(candidates), nil
	}
	child := l.children[0]
	traced, err := l.studyTraced(child)
	if errors.Is(err, errTrace) {
		return l.firstOfPair(candidates, tgid), nil
	}
	if err != nil {
		return nil, err
	}
	candidates = slices.DeleteFunc(candidates, func(at Offset) bool {
		v, ok := le64(traced, uint32(at))
		return !ok || v != child.parent
	})
	if len(candidates) > 1 {
		candidates, err = l.orphan(ctx, candidates)
	}
	return only(candidates), err
}

// orphan ends the thread that made the second child, which gets another one of this process for a
// parent then. It returns the candidates that have changed.
func (l *lesson) orphan(ctx context.Context, candidates []Offset) ([]Offset, error) {
	l.endOther()
	child := l.children[1]
	for {
		image, err := l.probe.read(child.task, taskLen)
		if err != nil {
			return nil, err
		}
		changed := slices.DeleteFunc(slices.Clone(candidates), func(at Offset) bool {
			v, ok := le64(image, uint32(at))
			return !ok || v == child.parent
		})
		if len(changed) > 0 {
			return changed, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for a thread to end: %w", ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
}

func (l *lesson) endOther() {
	if l.other != nil {
		l.other.end()
	}
	l.other = nil
}

// errTrace tells that a process may not be traced here.
var errTrace = errors.New("the test program cannot be traced")

// studyTraced returns the image of a child that another thread traces and has stopped.
func (l *lesson) studyTraced(child *waiting) ([]byte, error) {
	pid := child.cmd.Process.Pid
	err := l.other.do(func() error {
		if err := unix.PtraceSeize(pid); err != nil {
			return fmt.Errorf("%w: %w", errTrace, err)
		}
		return stopTraced(pid)
	})
	if err != nil {
		return nil, err
	}
	image, err := l.probe.read(child.task, taskLen)
	return image, errors.Join(err, l.other.do(func() error { return unix.PtraceDetach(pid) }))
}

// stopTraced stops a process that the current thread traces.
func stopTraced(pid int) error {
	if err := unix.PtraceInterrupt(pid); err != nil {
		return fmt.Errorf("stop the test program: %w", err)
	}
	for {
		_, err := unix.Wait4(pid, nil, unix.WALL, nil)
		if err != unix.EINTR {
			return err
		}
	}
}

// firstOfPair chooses where a policy forbids tracing: real_parent lies right before parent, and both
// behind pid and tgid, unless the members are shuffled. If they are, it is not known.
func (l *lesson) firstOfPair(candidates []Offset, tgid *Offset) *Offset {
	if tgid == nil || *tgid < 4 {
		return nil
	}
	if pid, ok := le32(l.self.image, uint32(*tgid)-4); !ok || pid != l.self.tid {
		return nil
	}
	return only(slices.DeleteFunc(slices.Clone(candidates), func(at Offset) bool {
		return at < *tgid || !slices.Contains(candidates, at+8)
	}))
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
