// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everyexec/everyexec/event"
	"github.com/everyexec/everyexec/loader/internal/testexec"
)

// verifyTimeout is for a machine under the heaviest load; a test exec takes a few milliseconds.
const verifyTimeout = 10 * time.Second

// testRun is a test exec: a known child that executes a known grandchild.
type testRun struct {
	path  string   // unlike that of any other exec
	nonce string   // the last argument
	file  *os.File // the test program, or nil if our own binary plays it
	pid   int      // of the child, as this process sees it
}

// newTestRun prepares a test exec of the test program or of our own binary. The path names it in
// a roundabout way, which holds some random bits and so tells our test execs from all other execs.
func newTestRun(self bool) (*testRun, error) {
	random, err := drawBits()
	if err != nil {
		return nil, err
	}
	r := &testRun{nonce: "everyexec-verify-" + hex.EncodeToString(random)}
	r.path = "/proc/self/" + detour(random)
	if self {
		r.path += "exe"
		return r, nil
	}
	r.path += "fd/3"
	r.file, err = testProgram()
	return r, err
}

// drawBits returns 32 random bits.
func drawBits() ([]byte, error) {
	bits := make([]byte, 4)
	if _, err := rand.Read(bits); err != nil {
		return nil, fmt.Errorf("draw a nonce: %w", err)
	}
	return bits, nil
}

// detour writes bits as "./" and "/", which lead nowhere in a path.
func detour(bits []byte) string {
	var way strings.Builder
	for _, b := range bits {
		for i := range 8 {
			if b>>i&1 == 1 {
				way.WriteByte('.')
			}
			way.WriteByte('/')
		}
	}
	return way.String()
}

// testProgram puts the test program into a memfd.
func testProgram() (*os.File, error) {
	elf, err := testexec.ELF()
	if err != nil {
		return nil, err
	}
	// MFD_EXEC is wanted since 6.3, and unknown before.
	fd, err := unix.MemfdCreate("everyexec-verify", unix.MFD_CLOEXEC|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate("everyexec-verify", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	file := os.NewFile(uintptr(fd), "everyexec-verify")
	if _, err := file.Write(elf); err != nil {
		return nil, errors.Join(fmt.Errorf("write the test program: %w", err), file.Close())
	}
	return file, nil
}

func (r *testRun) close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// run executes the child, which executes the grandchild, and waits for both. It does so from a
// thread that is not the leader, as a parent's tgid must not be taken for its pid.
func (r *testRun) run(ctx context.Context) error {
	return onOwnThread(func() error {
		cmd := r.command(ctx, r.path, r.nonce)
		if err := cmd.Start(); err != nil {
			return err
		}
		r.pid = cmd.Process.Pid
		return cmd.Wait()
	})
}

func (r *testRun) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, r.path, args...)
	cmd.Env = []string{selfTestVariable + "=1"}
	if r.file != nil {
		cmd.ExtraFiles = []*os.File{r.file} // becomes descriptor 3
	}
	return cmd
}

// wrongFieldError tells that a field of a test exec came back wrong.
type wrongFieldError struct {
	field     event.Fields
	got, want any
}

func (e *wrongFieldError) Error() string {
	return fmt.Sprintf("%s came back as %q, want %q", e.field, fmt.Sprint(e.got), fmt.Sprint(e.want))
}

// errNotSeen tells that a test exec ran and that no event came of it, or none with its path.
var errNotSeen = errors.New("a test exec ran and was not seen")

// verify proves the tracer by a test exec: each field that the variant delivers must come back
// right. An error disqualifies the variant. A test exec that cannot be run, as a policy forbids
// it, does not: the tracer is then usable, and says that it is unverified.
func (t *Tracer) verify(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()

	run, err := t.runTestExec(ctx, false)
	if err != nil && t.selfTest {
		run, err = t.runTestExec(ctx, true)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("verify: the test exec did not end: %w", err)
	}
	if err != nil {
		t.unverified = fmt.Sprintf("the test exec could not be run: %v", err)
		return nil
	}
	if err := t.checkTestExec(ctx, run); err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	t.verified = true
	return nil
}

// runTestExec prepares and runs a test exec, whose events are hidden from now on.
func (t *Tracer) runTestExec(ctx context.Context, self bool) (*testRun, error) {
	run, err := newTestRun(self)
	if err != nil {
		return nil, err
	}
	defer run.close()
	t.testPaths = append(t.testPaths, run.path)
	return run, run.run(ctx)
}

// checkTestExec waits for the two events, and holds them against what is known of the processes.
func (t *Tracer) checkTestExec(ctx context.Context, run *testRun) error {
	child, grandchild, err := t.awaitTestExec(ctx, run)
	if err != nil {
		return err
	}
	return t.checkPair(child, grandchild, run)
}

// checkPair holds the events of a test exec against what is known of the processes.
func (t *Tracer) checkPair(child, grandchild *event.Event, run *testRun) error {
	if err := t.checkCommon(child, run.path, run.path, run.nonce); err != nil {
		return fmt.Errorf("child: %w", err)
	}
	if err := t.checkCommon(grandchild, run.path, run.nonce); err != nil {
		return fmt.Errorf("grandchild: %w", err)
	}
	if t.plan.fields.Has(event.PPID) && grandchild.PPID != child.PID {
		return fmt.Errorf("grandchild: %w", &wrongFieldError{event.PPID, grandchild.PPID, child.PID})
	}
	// Inside a pid namespace our own idea of pids is not the kernel's.
	if inside, err := insidePIDNamespace(); err != nil || inside {
		return nil
	}
	if child.PID != uint32(run.pid) {
		return fmt.Errorf("pid of the child came back as %d, want %d", child.PID, run.pid)
	}
	if t.plan.fields.Has(event.PPID) && child.PPID != uint32(os.Getpid()) {
		return fmt.Errorf("child: %w", &wrongFieldError{event.PPID, child.PPID, os.Getpid()})
	}
	return nil
}

// awaitTestExec returns the events of child and grandchild, told apart by the order in which
// the kernel stamped them, and keeps all others for Read.
func (t *Tracer) awaitTestExec(ctx context.Context, run *testRun) (child, grandchild *event.Event, err error) {
	// Both have ended, so what they left is in the ring: nothing is to be waited for.
	t.reader.SetDeadline(time.Now())
	defer t.reader.SetDeadline(time.Time{})

	var found []*event.Event
	for len(found) < 2 {
		raw, err := t.readRing()
		if errors.Is(err, os.ErrDeadlineExceeded) || ctx.Err() != nil {
			return nil, nil, errNotSeen
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read the perf buffer: %w", err)
		}
		if raw == nil {
			continue
		}
		raw = bytes.Clone(raw)
		e := new(event.Event)
		if err := event.Decode(raw, e); err != nil {
			return nil, nil, err
		}
		if string(e.Filename) != run.path {
			t.queue = append(t.queue, raw)
			continue
		}
		found = append(found, e)
	}
	child, grandchild = inOrder(found[0], found[1])
	return child, grandchild, nil
}

// inOrder returns two events in the order of their times.
func inOrder(a, b *event.Event) (first, second *event.Event) {
	if a.KtimeNs > b.KtimeNs {
		return b, a
	}
	return a, b
}

// checkCommon holds against the truth what is known of child and grandchild alike.
func (t *Tracer) checkCommon(e *event.Event, args ...string) error {
	if missing := t.plan.fields &^ e.Known; missing != 0 {
		return &wrongFieldError{missing, "", "a value"}
	}
	want := strings.Join(args, "\x00") + "\x00"
	switch {
	case e.Kind != event.Exec || e.Ret != 0:
		return fmt.Errorf("came back as %s with ret %d", e.Kind, e.Ret)
	case e.TID != e.PID:
		return fmt.Errorf("tid came back as %d, want %d", e.TID, e.PID)
	case string(e.Comm) != path.Base(args[0]):
		return fmt.Errorf("comm came back as %q, want %q", e.Comm, path.Base(args[0]))
	case t.plan.fields.Has(event.Args) && string(e.RawArgs) != want:
		return &wrongFieldError{event.Args, string(e.RawArgs), want}
	}
	if inside, err := insideUserNamespace(); err != nil || inside {
		return nil
	}
	if e.UID != uint32(os.Getuid()) || e.GID != uint32(os.Getgid()) {
		return fmt.Errorf("uid and gid came back as %d and %d, want %d and %d", e.UID, e.GID, os.Getuid(), os.Getgid())
	}
	return nil
}
