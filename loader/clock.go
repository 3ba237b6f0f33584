// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"time"

	"golang.org/x/sys/unix"
)

// clockGap is how long the reading of both clocks may take for it to count.
const clockGap = 20 * time.Microsecond

// wallTime turns a CLOCK_MONOTONIC stamp of the recent past into wall-clock time. Both clocks are
// read anew each time: their distance changes when the clock is set or the machine sleeps.
func wallTime(ktimeNs uint64) time.Time {
	before := monotonic()
	wall := time.Now()
	after := monotonic()
	for tries := 0; after-before > clockGap && tries < 5; tries++ {
		before = monotonic()
		wall = time.Now()
		after = monotonic()
	}
	// In int64, as the difference may be negative when the stamp is bad.
	age := time.Duration(int64(before+(after-before)/2) - int64(ktimeNs))
	// Without Go's own monotonic reading, which would be printed and compared.
	return wall.Round(0).Add(-age)
}

func monotonic() time.Duration {
	var ts unix.Timespec
	// Fails only for a clock that does not exist.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return time.Duration(ts.Nano())
}
