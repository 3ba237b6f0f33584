// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/everyexec/everyexec/event"
)

// watchInterval is how often learned offsets are held against the truth while tracing.
const watchInterval = 30 * time.Second

// watch goes on to prove learned offsets: by what /proc says of an exec now and then, and by test
// execs. A field that ever comes back wrong is not believed any more.
type watch struct {
	next  time.Time
	wrong event.Fields
	// The test exec that is under way: what came of it, and a word when it is over.
	run   *testRun
	found []*event.Event
	over  chan error
	ended bool
	err   error
	looks int
}

// watchOver looks at an event, and takes from it what is not believed any more.
func (t *Tracer) watchOver(raw []byte, e *event.Event) {
	if t.plan.offsets == nil {
		return
	}
	if run := t.watch.run; run != nil && string(e.Filename) == run.path {
		t.keepTestExec(raw)
		return
	}
	if now := time.Now(); now.After(t.watch.next) {
		t.watch.next = now.Add(watchInterval)
		if e.PPIDSource == event.SourceLearned && procContradicts(e) {
			t.disbelieve(&wrongFieldError{event.PPID, e.PPID, "another process by /proc"})
		}
		t.judgeTestExec()
		t.beginTestExec()
	}
	e.Known &^= t.watch.wrong
}

// disbelieve takes a field out of all events from now on, if an error says that it is wrong.
func (t *Tracer) disbelieve(err error) {
	var wrong *wrongFieldError
	if !errors.As(err, &wrong) || t.watch.wrong.Has(wrong.field) {
		return
	}
	t.watch.wrong |= wrong.field
	t.plan.fields &^= wrong.field
	t.logger.Warn("a learned offset is wrong, the field is unknown from now on", "field", wrong.field, "reason", err)
}

// beginTestExec starts a test exec, whose events Read hides. That it cannot be run is no news.
func (t *Tracer) beginTestExec() {
	if !t.verified || t.watch.run != nil {
		return
	}
	run, err := newTestRun(false)
	if err != nil {
		return
	}
	over := make(chan error, 1)
	// The paths of ended runs, but those of the start, are not needed any more.
	t.testPaths = append(slices.Clip(t.testPaths[:min(len(t.testPaths), 2)]), run.path)
	t.watch = watch{next: t.watch.next, wrong: t.watch.wrong, run: run, over: over}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), verifyTimeout)
		defer cancel()
		over <- errors.Join(run.run(ctx), run.close())
	}()
}

func (t *Tracer) keepTestExec(raw []byte) {
	e := new(event.Event)
	// It has been decoded once.
	_ = event.Decode(bytes.Clone(raw), e)
	e.Known &^= t.watch.wrong
	t.watch.found = append(t.watch.found, e)
}

// testExecLooks is how often a test exec that is over is looked at until its events have come. They
// may be behind others in the buffer, or lost.
const testExecLooks = 3

// judgeTestExec holds the last test exec, if it is over, against what is known of it.
func (t *Tracer) judgeTestExec() {
	w := &t.watch
	if w.run == nil {
		return
	}
	if !w.ended {
		select {
		case w.err = <-w.over:
			w.ended = true
		default:
			return
		}
	}
	w.looks++
	if len(w.found) < 2 && w.looks < testExecLooks {
		return
	}
	if w.err == nil && t.complete(w.found) {
		child, grandchild := inOrder(w.found[0], w.found[1])
		t.disbelieve(t.checkPair(child, grandchild, w.run))
	}
	w.run = nil
}

// complete reports whether both events of a test exec came, with a value for each field: memory that
// could not be read this time is no proof against an offset.
func (t *Tracer) complete(found []*event.Event) bool {
	return len(found) == 2 && found[0].Known.Has(t.plan.fields) && found[1].Known.Has(t.plan.fields)
}

// procContradicts reports whether /proc proves a parent wrong. A process gets another parent only
// when its parent has ended; so a parent that lives, and is none by /proc, never was.
func procContradicts(e *event.Event) bool {
	if inside, err := insidePIDNamespace(); err != nil || inside || !e.Known.Has(event.PPID) {
		return false
	}
	pid, ppid := strconv.FormatUint(uint64(e.PID), 10), strconv.FormatUint(uint64(e.PPID), 10)
	child, err := readProcStat(pid)
	if err != nil || child.ppid == e.PPID || !startedBefore(pid, e.KtimeNs) {
		return false
	}
	return startedBefore(ppid, e.KtimeNs)
}
