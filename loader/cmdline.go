// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"io"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everyexec/everyexec/event"
)

// fillArgs takes arguments that could not be read at sys_enter from /proc, if they are certain to
// be those of this exec: the process is the same, and has entered no other exec since.
func (t *Tracer) fillArgs(e *event.Event) {
	unread := t.program.coll.Maps[mapUnread]
	if unread == nil || e.Kind != event.Exec || !e.Known.Has(event.PID) {
		return
	}
	// The pids of /proc are those of its pid namespace.
	if inside, err := insidePIDNamespace(); err != nil || inside {
		return
	}
	pid := strconv.FormatUint(uint64(e.PID), 10)
	if !startedBefore(pid, e.KtimeNs) {
		return
	}
	args, err := readCmdline(pid)
	if err != nil || len(args) == 0 {
		return
	}
	var exec uint64
	if err := unread.Lookup(e.PID, &exec); err != nil || exec != e.KtimeNs {
		return
	}
	e.ArgsFullLen = uint32(len(args))
	if len(args) > event.ArgsMax {
		args, e.ArgsFullLen = args[:event.ArgsMax], 0
		e.Truncated |= event.Args
	}
	e.RawArgs = args
	e.ArgsSource = event.SourceProc
	e.Known |= event.Args
	e.Faulted &^= event.Args
}

// readCmdline returns the arguments of a process, one byte more of them at most than a record holds.
func readCmdline(pid string) ([]byte, error) {
	f, err := os.Open("/proc/" + pid + "/cmdline")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, event.ArgsMax+1))
}

// tick is the unit of the start time in /proc (USER_HZ).
const tick = time.Second / 100

// startedBefore reports whether the process that has a pid now had it at a CLOCK_MONOTONIC time.
// Start times are cut to ticks; that a pid comes round within one would take tens of thousands of
// forks.
func startedBefore(pid string, ktimeNs uint64) bool {
	stat, err := readProcStat(pid)
	if err != nil || stat.exiting {
		return false
	}
	var mono, boot unix.Timespec
	// They fail only for a clock that does not exist.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono)
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot)
	asleep := boot.Nano() - mono.Nano()
	return int64(stat.startTick)*int64(tick) <= int64(ktimeNs)+asleep
}
