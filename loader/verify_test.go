// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/everyexec/everyexec/event"
)

// rightEvent is what a test exec of this process comes back as.
func rightEvent(args ...string) *event.Event {
	return &event.Event{
		Kind: event.Exec, Known: event.All, PID: 100, TID: 100, PPID: 99,
		UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Comm: []byte("3"),
		Filename: []byte(args[0]), RawArgs: []byte(strings.Join(args, "\x00") + "\x00"),
	}
}

func TestCheckCommon(t *testing.T) {
	const path = "/proc/self/.//fd/3"
	for _, c := range []struct {
		name   string
		change func(e *event.Event)
		want   string // part of the error; "" for none
	}{
		{"right", func(*event.Event) {}, ""},
		{"no ppid", func(e *event.Event) { e.Known &^= event.PPID }, "ppid"},
		{"failed", func(e *event.Event) { e.Kind = event.ExecFailed }, "exec_failed"},
		{"ret", func(e *event.Event) { e.Ret = -2 }, "ret -2"},
		{"tid", func(e *event.Event) { e.TID++ }, "tid"},
		{"comm", func(e *event.Event) { e.Comm = []byte("4") }, "comm"},
		{"args", func(e *event.Event) { e.RawArgs = e.RawArgs[1:] }, "args"},
		{"uid", func(e *event.Event) { e.UID++ }, "uid"},
		{"gid", func(e *event.Event) { e.GID++ }, "gid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := &Tracer{plan: plan{fields: event.All}}
			e := rightEvent(path, "nonce")
			c.change(e)
			err := tr.checkCommon(e, path, "nonce")
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestTestRunsDiffer shows that a path tells one test exec from another and leads to the program.
func TestTestRunsDiffer(t *testing.T) {
	paths := make(map[string]bool)
	for range 20 {
		run, err := newTestRun(false)
		if err != nil {
			t.Fatal(err)
		}
		if err := run.run(context.Background()); err != nil {
			t.Errorf("%s: %v", run.path, err)
		}
		if err := run.close(); err != nil {
			t.Error(err)
		}
		paths[run.path] = true
	}
	if len(paths) != 20 {
		t.Errorf("20 runs had %d paths", len(paths))
	}
}

func TestTestRunFails(t *testing.T) {
	run, err := newTestRun(false)
	if err != nil {
		t.Fatal(err)
	}
	defer run.close()
	run.path += "/nowhere"
	if run.run(context.Background()) == nil {
		t.Error("a program that is not there was run")
	}
}
