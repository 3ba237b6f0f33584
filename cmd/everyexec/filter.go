// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"regexp"

	"github.com/everyexec/everyexec/event"
)

// filter passes the execs that match all of its conditions. An exec whose value for a condition
// is not known does not match.
type filter struct {
	needs event.Fields // the fields that the conditions look at
	match []func(*event.Event) bool
}

// on adds a condition that looks at a field.
func (f *filter) on(field event.Fields, match func(*event.Event) bool) {
	f.needs |= field
	f.match = append(f.match, func(e *event.Event) bool { return e.Known.Has(field) && match(e) })
}

func (f *filter) pass(e *event.Event) bool {
	for _, match := range f.match {
		if !match(e) {
			return false
		}
	}
	return true
}

func (f *filter) onUID(uid uint32) {
	f.on(event.UID, func(e *event.Event) bool { return e.UID == uid })
}

func (f *filter) onPID(pid uint32) {
	f.on(event.PID, func(e *event.Event) bool { return e.PID == pid })
}

func (f *filter) onPPID(ppid uint32) {
	f.on(event.PPID, func(e *event.Event) bool { return e.PPID == ppid })
}

func (f *filter) onComm(re *regexp.Regexp) {
	f.on(event.Comm, func(e *event.Event) bool { return re.Match(e.Comm) })
}

// onLine matches the arguments joined by spaces.
func (f *filter) onLine(re *regexp.Regexp) {
	f.on(event.Args, func(e *event.Event) bool {
		line := bytes.TrimSuffix(e.RawArgs, []byte{0})
		return re.Match(bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
	})
}

func (f *filter) onCgroup(below func(id uint64) bool) {
	f.on(event.CgroupID, func(e *event.Event) bool { return below(e.CgroupID) })
}
