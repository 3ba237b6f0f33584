// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/everyexec/everyexec/event"
)

// ownBinary is a program that is there in any guest; it waits until its stdin ends.
func ownBinary() *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{selfTestVariable + "=1"}
	return cmd
}

func TestProcContradicts(t *testing.T) {
	if inside, err := insidePIDNamespace(); err != nil || inside {
		t.Skip("needs the initial pid namespace")
	}
	waiting := ownBinary()
	stdin, err := waiting.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := waiting.Start(); err != nil {
		t.Fatal(err)
	}
	alive := uint32(waiting.Process.Pid)
	now := uint64(monotonic()) + uint64(time.Second) // safely behind both starts
	own, parent := uint32(os.Getpid()), uint32(os.Getppid())
	for _, c := range []struct {
		name string
		e    event.Event
		want bool
	}{
		{"right", event.Event{PID: own, PPID: parent, Known: event.All, KtimeNs: now}, false},
		{"another living process", event.Event{PID: own, PPID: alive, Known: event.All, KtimeNs: now}, true},
		{"unknown", event.Event{PID: own, PPID: alive, Known: event.All &^ event.PPID, KtimeNs: now}, false},
		{"no such parent", event.Event{PID: own, PPID: 1 << 30, Known: event.All, KtimeNs: now}, false},
		{"no such process", event.Event{PID: 1 << 30, PPID: alive, Known: event.All, KtimeNs: now}, false},
		{"pid used anew", event.Event{PID: own, PPID: alive, Known: event.All, KtimeNs: 0}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := procContradicts(&c.e); got != c.want {
				t.Errorf("got %t, want %t", got, c.want)
			}
		})
	}
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := waiting.Wait(); err != nil {
		t.Error(err)
	}
}

// TestWrongOffsetIsDropped spoils an offset while tracing: the field must become unknown.
func TestWrongOffsetIsDropped(t *testing.T) {
	for _, c := range []struct {
		name  string
		field event.Fields
		spoil func(*learnedOffsets)
	}{
		// Half a pointer is then taken for the parent.
		{"ppid", event.PPID, func(l *learnedOffsets) { l.TGID = l.RealParent }},
		{"args", event.Args, func(l *learnedOffsets) { l.ArgStart = l.ArgEnd }},
	} {
		t.Run(c.name, func(t *testing.T) {
			needsRoot(t)
			var log bytes.Buffer
			tracer, err := Open(t.Context(), Options{Variant: Stub, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			defer tracer.Close()
			if !tracer.plan.offsets.PPID() || !tracer.plan.offsets.Args() {
				t.Skip("not all was learned")
			}
			l := tracer.plan.offsets.forProgram()
			c.spoil(l)
			if err := tracer.program.coll.Maps[mapLearned].Put(uint32(0), l); err != nil {
				t.Fatal(err)
			}
			// Execs go on by themselves, so that reading keeps up with whatever the machine executes.
			ctx, cancel := context.WithCancel(t.Context())
			var executing sync.WaitGroup
			defer executing.Wait()
			defer cancel()
			executing.Go(func() {
				for ctx.Err() == nil {
					if err := ownBinary().Run(); err != nil {
						t.Error(err)
						return
					}
				}
			})
			var e event.Event
			looked := time.Now()
			for deadline := time.Now().Add(time.Minute); tracer.Fields().Has(c.field); {
				if time.Now().After(deadline) {
					t.Fatal("the wrong offset was not noticed")
				}
				// Not at each event: the test exec's own must have the time to come.
				if time.Since(looked) > 20*time.Millisecond {
					tracer.watch.next, looked = time.Time{}, time.Now()
				}
				if err := tracer.Read(&e); err != nil {
					t.Fatal(err)
				}
			}
			if e.Known.Has(c.field) {
				t.Errorf("%s is still known", c.field)
			}
			if !strings.Contains(log.String(), "unknown from now on") {
				t.Errorf("logged %q", log.String())
			}
		})
	}
}
