// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// thread is a thread of this process that is not its leader, and so has a tid that is not its
// tgid. What is done on it may change it as it likes: it ends, and nothing else ever runs on it.
type thread struct {
	work chan func()
}

// newThread starts a thread, which lives until end is called.
func newThread() *thread {
	t := &thread{work: make(chan func())}
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			// Never unlocked: the thread ends with the goroutine.
			t.loop()
			return
		}
		// No other goroutine runs on the leader while this one waits for another to end.
		defer runtime.UnlockOSThread()
		other := newThread()
		for f := range t.work {
			other.work <- f
		}
		other.end()
	}()
	return t
}

func (t *thread) loop() {
	for f := range t.work {
		f()
	}
}

// do runs f on the thread and returns when it is done.
func (t *thread) do(f func() error) error {
	done := make(chan error)
	t.work <- func() { done <- f() }
	return <-done
}

func (t *thread) end() { close(t.work) }

// onOwnThread runs f on a thread of its own.
func onOwnThread(f func() error) error {
	t := newThread()
	defer t.end()
	return t.do(f)
}
