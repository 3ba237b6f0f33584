// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"testing"
	"time"
)

func TestWallTime(t *testing.T) {
	for _, age := range []time.Duration{0, time.Second, time.Hour, -time.Second} {
		// The stamp lies between two readings of the wall clock, whatever the machine does between.
		before := time.Now()
		stamp := monotonic() - age
		after := time.Now()
		got := wallTime(uint64(stamp))
		if early, late := before.Add(-age).Sub(got), got.Sub(after.Add(-age)); early > time.Millisecond || late > time.Millisecond {
			t.Errorf("age %s: %s too early, %s too late", age, early, late)
		}
	}
}
