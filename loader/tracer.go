// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/cilium/ebpf/perf"

	"github.com/everyexec/everyexec/event"
)

// lossInterval is how often, at most, losses are logged.
const lossInterval = time.Second

// restTime is how long events may lie in the rings: little enough for whoever looks on, and for a
// buffer of 512 KiB, which takes a CPU's execs of a hundred times as long.
const restTime = 5 * time.Millisecond

// settleTime is how long a program that was running at the end may take to write its record.
const settleTime = 100 * time.Millisecond

// Tracer delivers the execs of this machine. Read is for one goroutine; Stop may be called from any.
type Tracer struct {
	plan    plan
	program *program
	reader  *perf.Reader
	logger  *slog.Logger

	// verified is what the test exec proved; unverified says why it could not be run.
	verified   bool
	unverified string
	testPaths  []string // hidden
	selfTest   bool
	watch      watch

	record   perf.Record
	queue    [][]byte // read while verifying
	seen     uint64   // records delivered
	received uint64   // records read
	lost     uint64   // final once Read has returned io.EOF
	settled  bool     // the ring is empty and stays so
	busy     bool     // events have come, and the rings are not known to be empty

	stopOnce sync.Once
	stopErr  error

	unlogged   uint64
	lastLogged time.Time
}

// Variant returns the variant that runs.
func (t *Tracer) Variant() Variant { return t.plan.variant }

// Why says in words why this variant runs.
func (t *Tracer) Why() string { return t.plan.why }

// Fields returns the fields that the variant delivers.
func (t *Tracer) Fields() event.Fields { return t.plan.fields }

// Verified reports whether the test exec came back right; if not, it says why it could not be run.
func (t *Tracer) Verified() (bool, string) { return t.verified, t.unverified }

// Seen returns how many events Read has delivered.
func (t *Tracer) Seen() uint64 { return t.seen }

// Lost returns how many events were lost: exactly, once Read has returned io.EOF.
func (t *Tracer) Lost() uint64 { return t.lost }

// Missing says why an event does not hold a value for a field: "fault", "truncated", "kernel" or
// "variant". It returns "" for a field that is known.
func (t *Tracer) Missing(e *event.Event, f event.Fields) string {
	switch {
	case e.Known.Has(f):
		return ""
	case e.Faulted.Has(f):
		return "fault"
	case e.Truncated.Has(f):
		return "truncated"
	}
	if reason, ok := t.plan.lacks[f]; ok {
		return reason
	}
	return "fault"
}

// Time returns the wall-clock time of an event that was read a short time ago.
func (t *Tracer) Time(e *event.Event) time.Time { return wallTime(e.KtimeNs) }

// Stop ends the tracing. Read goes on to deliver what was captured, and then returns io.EOF.
func (t *Tracer) Stop() error {
	t.stopOnce.Do(func() { t.stopErr = errors.Join(t.program.detach(), t.reader.Flush()) })
	return t.stopErr
}

// Close stops the tracing and frees everything. What has not been read is gone.
func (t *Tracer) Close() error {
	return errors.Join(t.Stop(), t.reader.Close(), t.program.close())
}

// Pending reports whether more events are at hand, so that a writer may wait before it flushes.
func (t *Tracer) Pending() bool { return len(t.queue) > 0 || t.record.Remaining > 0 }

// Read waits for the next event and decodes it into e, whose slices are valid until the next
// call. It returns io.EOF after Stop, when all that was captured has been delivered.
func (t *Tracer) Read(e *event.Event) error {
	for {
		raw, err := t.next()
		if err != nil {
			return err
		}
		if err := event.Decode(raw, e); err != nil {
			return fmt.Errorf("decode a record of variant %s: %w", t.plan.variant, err)
		}
		t.watchOver(raw, e)
		if t.isTestExec(e) {
			continue
		}
		if e.Faulted.Has(event.Args) {
			t.fillArgs(e)
		}
		t.seen++
		return nil
	}
}

// next returns a record: first those that came in while verifying, then those of the ring.
func (t *Tracer) next() ([]byte, error) {
	for {
		if len(t.queue) > 0 {
			raw := t.queue[0]
			t.queue = t.queue[1:]
			return raw, nil
		}
		if t.settled {
			return nil, io.EOF
		}
		raw, err := t.readRing()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			t.rest()
			err = nil
		case errors.Is(err, perf.ErrFlushed):
			err = t.settle()
		case err == nil && !t.busy:
			t.busy = true
			t.reader.SetDeadline(passed)
		}
		if err != nil {
			return nil, fmt.Errorf("read the perf buffer: %w", err)
		}
		if raw != nil {
			return raw, nil
		}
	}
}

// passed is a deadline by which a reader returns as soon as the rings are empty.
var passed = time.Unix(1, 0)

// rest lets some events come together once the rings are empty, before the next is waited for. To
// be woken for each would cost several times as much; on a quiet machine nothing wakes.
func (t *Tracer) rest() {
	time.Sleep(restTime)
	t.busy = false
	t.reader.SetDeadline(time.Time{})
}

// readRing returns a record, or nil for a loss.
func (t *Tracer) readRing() ([]byte, error) {
	if err := t.reader.ReadInto(&t.record); err != nil {
		return nil, err
	}
	if n := t.record.LostSamples; n > 0 {
		t.noteLoss(n)
		return nil, nil
	}
	t.received++
	return t.record.RawSample, nil
}

// noteLoss logs a loss, at most once in lossInterval.
func (t *Tracer) noteLoss(n uint64) {
	t.lost += n
	t.unlogged += n
	now := time.Now()
	if now.Sub(t.lastLogged) < lossInterval {
		return
	}
	t.lastLogged = now
	t.logger.Warn("events lost: the perf buffer was full", "lost", t.unlogged, "lost_in_all", t.lost)
	t.unlogged = 0
}

// settle takes what is left after the end: a program that was running when it was detached may
// still write. What was emitted and has not been read then is lost.
func (t *Tracer) settle() error {
	t.settled = true
	emitted, err := t.program.countEmitted()
	if err != nil {
		return err
	}
	t.reader.SetDeadline(time.Now().Add(settleTime))
	for t.received < emitted {
		raw, err := t.readRing()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			return err
		}
		if raw != nil {
			t.queue = append(t.queue, bytes.Clone(raw))
		}
	}
	t.lost = emitted - min(emitted, t.received)
	return nil
}

// isTestExec recognises our own test execs by their paths.
func (t *Tracer) isTestExec(e *event.Event) bool {
	for _, path := range t.testPaths {
		if string(e.Filename) == path {
			return true
		}
	}
	return false
}
