// SPDX-License-Identifier: Apache-2.0

// Package output writes execs as people and programs read them.
package output

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/everyexec/everyexec/event"
)

// Exec is an event with what the tracer knows beyond it.
type Exec struct {
	*event.Event
	Time    time.Time
	Variant string
	// Missing says why a field has no value: "variant", "fault", "truncated" or "kernel".
	Missing func(event.Fields) string
	// ContainerID is "" outside of a container. ContainerMissing says why it is not known.
	ContainerID      string
	ContainerMissing string
}

// Writer appends the form of one exec to dst.
type Writer interface {
	// Header is what comes before all execs.
	Header() []byte
	Append(dst []byte, x *Exec) []byte
}

// errnoName returns the name of a negative errno, as "ENOENT" for -2.
func errnoName(ret int32) string { return unix.ErrnoName(unix.Errno(-ret)) }
