// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
)

// procStat is what /proc/PID/stat tells of a process, as this pid namespace counts.
type procStat struct {
	ppid      uint32
	exiting   bool   // the leader ends or has ended
	startTick uint64 // since boot, in units of 1/100 s (USER_HZ)
	layout    layout // zero without the permission to see it
}

// readProcStat reads of a pid or of "self".
func readProcStat(pid string) (procStat, error) {
	path := "/proc/" + pid + "/stat"
	text, err := os.ReadFile(path)
	if err != nil {
		return procStat{}, err
	}
	s, err := parseProcStat(text)
	if err != nil {
		return procStat{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

var errStat = errors.New("not the line of a process")

// The fields of proc(5), counted from the state, which is the third of them.
const (
	statState     = 0
	statPPID      = 1
	statFlags     = 6
	statStartTime = 19
	statArgStart  = 45
	statArgEnd    = 46
	statEnvEnd    = 48
	statFields    = statEnvEnd + 1
)

// parseProcStat reads the line; the name in it may hold anything, parentheses and spaces too.
func parseProcStat(text []byte) (procStat, error) {
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return procStat{}, errStat
	}
	fields := bytes.Fields(text[end+1:])
	if len(fields) < statFields {
		return procStat{}, errStat
	}
	var s procStat
	var ppid, flags uint64
	for _, f := range []struct {
		index int
		value *uint64
	}{
		{statPPID, &ppid},
		{statFlags, &flags},
		{statStartTime, &s.startTick},
		{statArgStart, &s.layout.argStart},
		{statArgEnd, &s.layout.argEnd},
		{statEnvEnd, &s.layout.envEnd},
	} {
		n, err := strconv.ParseUint(string(fields[f.index]), 10, 64)
		if err != nil {
			return procStat{}, err
		}
		*f.value = n
	}
	s.ppid = uint32(ppid)
	// PF_EXITING is set before sched_process_exit, the state later.
	const exiting = 0x4
	s.exiting = flags&exiting != 0 || string(fields[statState]) == "Z"
	return s, nil
}
