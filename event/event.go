// SPDX-License-Identifier: Apache-2.0

// Package event decodes the records that the BPF programs write: one exec each.
//
// All variants write the same layout (bpf/exec.h, docs/event-layout.md), so there is one
// decoder. It takes the bytes for untrusted: every length is held against the record.
package event

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
)

// Version is the layout that this package reads.
const Version = 1

// The limits of the layout, in bytes, trailing NULs included.
const (
	FilenameMax = 4096 // PATH_MAX
	ArgsMax     = 8192
	CommMax     = 16 // TASK_COMM_LEN
)

// Kind says what happened.
type Kind uint8

// The kinds, as in `enum exec_kind`.
const (
	Exec       Kind = 1
	ExecFailed Kind = 2
)

// String returns the JSON name of the kind.
func (k Kind) String() string {
	switch k {
	case Exec:
		return "exec"
	case ExecFailed:
		return "exec_failed"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Program says which BPF program wrote a record.
type Program uint8

// The programs, as in `enum exec_program`.
const (
	ProgramCore Program = 1
	ProgramBCC  Program = 2
	ProgramStub Program = 3
)

// Source says where a value was read.
type Source uint8

// The sources, as in `enum exec_source`.
const (
	SourceNone    Source = iota // the value is not known
	SourceTask                  // task_struct, at offsets from BTF or kernel headers
	SourceLearned               // task_struct, at offsets learned on this kernel
	SourceFork                  // followed from sched_process_fork
	SourceMM                    // the new image's arg_start..arg_end
	SourceArgv                  // the argv that was passed to execve
	SourceProc                  // /proc/PID/cmdline
)

// String returns the JSON name of the source, "" for none.
func (s Source) String() string {
	names := [...]string{"", "task", "learned", "fork", "mm", "argv", "proc"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("source(%d)", uint8(s))
}

// Event is one exec. A field holds a value only if Known has it.
//
// The byte slices point into the record that was decoded, and are valid as long as it is.
type Event struct {
	Kind      Kind
	Program   Program
	Known     Fields
	Truncated Fields // cut to the limits of the layout; of these only Args can be known
	Faulted   Fields // their memory could not be read

	KtimeNs  uint64 // CLOCK_MONOTONIC, nanoseconds
	PID      uint32 // thread group id, in the initial pid namespace as all ids here
	TID      uint32 // the thread that called execve
	PPID     uint32 // thread group id of the real parent
	UID      uint32 // real uid, initial user namespace
	GID      uint32 // real gid, initial user namespace
	Ret      int32  // 0, or a negative errno if the kind is ExecFailed
	CgroupID uint64 // in the cgroup v2 hierarchy

	Comm        []byte
	Filename    []byte // as passed to execve; "/dev/fd/N" for fexecve
	RawArgs     []byte // NUL-separated; the last one may be cut if Args is in Truncated
	ArgsFullLen uint32 // bytes of the arguments before truncation, NULs included; 0: not known

	PPIDSource Source
	ArgsSource Source
}

// Args yields the arguments, argv[0] first.
func (e *Event) Args() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for rest := e.RawArgs; len(rest) > 0; {
			end := bytes.IndexByte(rest, 0)
			if end < 0 {
				yield(rest)
				return
			}
			if !yield(rest[:end]) {
				return
			}
			rest = rest[end+1:]
		}
	}
}

// Offsets of struct exec_header; a test holds them against the BTF of every object.
const (
	offVersion     = 0
	offKind        = 1
	offProgram     = 2
	offPPIDSource  = 3
	offArgsSource  = 4
	offKnown       = 6
	offTruncated   = 8
	offFaulted     = 10
	offRet         = 12
	offKtimeNs     = 16
	offCgroupID    = 24
	offPID         = 32
	offTID         = 36
	offPPID        = 40
	offUID         = 44
	offGID         = 48
	offFilenameLen = 52
	offArgsLen     = 56
	offArgsFullLen = 60
	offComm        = 64
	headerLen      = 80
)

// The ways in which a record can be malformed. Each is a defect of a program or a foreign writer.
var (
	ErrShort    = errors.New("record is shorter than its header")
	ErrVersion  = errors.New("record has an unknown layout version")
	ErrKind     = errors.New("record has an unknown kind")
	ErrLength   = errors.New("record is shorter than the lengths in it")
	ErrFilename = errors.New("filename in record is not terminated")
)

// Decode reads a record into e, without allocating. Bytes behind the record's end are ignored:
// the perf buffer pads. On error e holds nothing of use.
func Decode(record []byte, e *Event) error {
	if len(record) < headerLen {
		return ErrShort
	}
	if record[offVersion] != Version {
		return ErrVersion
	}
	kind := Kind(record[offKind])
	if kind != Exec && kind != ExecFailed {
		return ErrKind
	}

	le := binary.LittleEndian
	filenameLen := le.Uint32(record[offFilenameLen:])
	argsLen := le.Uint32(record[offArgsLen:])
	tail := record[headerLen:]
	if filenameLen > FilenameMax || argsLen > ArgsMax || uint64(len(tail)) < uint64(filenameLen)+uint64(argsLen) {
		return ErrLength
	}
	filename := tail[:filenameLen]
	if filenameLen > 0 {
		if filename[filenameLen-1] != 0 {
			return ErrFilename
		}
		filename = filename[:filenameLen-1]
	}

	*e = Event{
		Kind:        kind,
		Program:     Program(record[offProgram]),
		Known:       Fields(le.Uint16(record[offKnown:])) & All,
		Truncated:   Fields(le.Uint16(record[offTruncated:])) & All,
		Faulted:     Fields(le.Uint16(record[offFaulted:])) & All,
		KtimeNs:     le.Uint64(record[offKtimeNs:]),
		PID:         le.Uint32(record[offPID:]),
		TID:         le.Uint32(record[offTID:]),
		PPID:        le.Uint32(record[offPPID:]),
		UID:         le.Uint32(record[offUID:]),
		GID:         le.Uint32(record[offGID:]),
		Ret:         int32(le.Uint32(record[offRet:])),
		CgroupID:    le.Uint64(record[offCgroupID:]),
		Comm:        untilNUL(record[offComm : offComm+CommMax]),
		Filename:    filename,
		RawArgs:     tail[filenameLen : filenameLen+argsLen],
		ArgsFullLen: le.Uint32(record[offArgsFullLen:]),
		PPIDSource:  Source(record[offPPIDSource]),
		ArgsSource:  Source(record[offArgsSource]),
	}
	return nil
}

func untilNUL(b []byte) []byte {
	if end := bytes.IndexByte(b, 0); end >= 0 {
		return b[:end]
	}
	return b
}
