// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// tracepoint names an event of tracefs.
type tracepoint struct{ group, name string }

func (t tracepoint) String() string { return t.group + "/" + t.name }

// The tracepoints that the programs are attached to.
var (
	schedProcessExec = tracepoint{"sched", "sched_process_exec"}
	enterExecve      = tracepoint{"syscalls", "sys_enter_execve"}
	enterExecveat    = tracepoint{"syscalls", "sys_enter_execveat"}
	exitExecve       = tracepoint{"syscalls", "sys_exit_execve"}
	exitExecveat     = tracepoint{"syscalls", "sys_exit_execveat"}
	taskRename       = tracepoint{"task", "task_rename"}
	taskNewtask      = tracepoint{"task", "task_newtask"}
	schedProcessExit = tracepoint{"sched", "sched_process_exit"}
)

// formatMax bounds a format file; the kernel's are below 4 KiB.
const formatMax = 64 << 10

// field is where a tracepoint's payload holds a value.
type field struct{ offset, size uint32 }

// readFormat returns the fields of a tracepoint's payload by name, from its format file.
func readFormat(t *tracefs, tp tracepoint) (map[string]field, error) {
	f, err := t.Open("events/" + tp.String() + "/format")
	if err != nil {
		return nil, fmt.Errorf("format of %s: %w", tp, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, formatMax))
	if err != nil {
		return nil, fmt.Errorf("format of %s: %w", tp, err)
	}
	fields, err := parseFormat(text)
	if err != nil {
		return nil, fmt.Errorf("format of %s: %w", tp, err)
	}
	return fields, nil
}

// parseFormat reads lines such as
//
//	field:__data_loc char[] filename;	offset:8;	size:4;	signed:0;
func parseFormat(text []byte) (map[string]field, error) {
	fields := make(map[string]field)
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		declaration, ok := strings.CutPrefix(line, "field:")
		if !ok {
			continue
		}
		parts := strings.Split(declaration, ";")
		if len(parts) < 3 {
			return nil, fmt.Errorf("line %q is cut", line)
		}
		offset, err := numberAfter(parts[1], "offset:")
		if err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		size, err := numberAfter(parts[2], "size:")
		if err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		words := strings.Fields(parts[0])
		if len(words) == 0 {
			return nil, fmt.Errorf("line %q has no name", line)
		}
		name, _, _ := strings.Cut(words[len(words)-1], "[")
		fields[name] = field{offset, size}
	}
	return fields, lines.Err()
}

func numberAfter(text, prefix string) (uint32, error) {
	digits, ok := strings.CutPrefix(strings.TrimSpace(text), prefix)
	if !ok {
		return 0, fmt.Errorf("no %s", prefix)
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	return uint32(n), err
}

// payload returns the offset of a field that must be four bytes long.
func payload(fields map[string]field, tp tracepoint, name string) (uint32, error) {
	f, ok := fields[name]
	if !ok || f.size != 4 {
		return 0, fmt.Errorf("format of %s: no field %s of 4 bytes", tp, name)
	}
	return f.offset, nil
}

// attach runs a program at a tracepoint, on all CPUs, until the returned value is closed.
func attach(t *tracefs, tp tracepoint, prog *ebpf.Program) (io.Closer, error) {
	id, err := tracepointID(t, tp)
	if err != nil {
		return nil, fmt.Errorf("attach %s: %w", tp, err)
	}
	event, err := openTracepoint(id)
	if err != nil {
		return nil, fmt.Errorf("attach %s: perf_event_open: %w", tp, explainPerf(err))
	}
	if err := unix.IoctlSetInt(int(event.Fd()), unix.PERF_EVENT_IOC_SET_BPF, prog.FD()); err != nil {
		event.Close()
		return nil, fmt.Errorf("attach %s: %w", tp, explainSetBPF(err, tp))
	}
	if err := unix.IoctlSetInt(int(event.Fd()), unix.PERF_EVENT_IOC_ENABLE, 0); err != nil {
		event.Close()
		return nil, fmt.Errorf("enable %s: %w", tp, err)
	}
	return event, nil
}

func tracepointID(t *tracefs, tp tracepoint) (uint64, error) {
	text, err := fs.ReadFile(t, "events/"+tp.String()+"/id")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("this kernel has no such tracepoint: %w", err)
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
}

// openTracepoint opens the event on the first CPU that is online: its program runs on all.
func openTracepoint(id uint64) (*os.File, error) {
	attr := unix.PerfEventAttr{
		Type:        unix.PERF_TYPE_TRACEPOINT,
		Config:      id,
		Sample_type: unix.PERF_SAMPLE_RAW,
		Sample:      1,
		Wakeup:      1,
	}
	attr.Size = uint32(unix.PERF_ATTR_SIZE_VER1)
	for cpu := 0; ; cpu++ {
		fd, err := unix.PerfEventOpen(&attr, -1, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
		if err == nil {
			return os.NewFile(uintptr(fd), "perf_event"), nil
		}
		// ENODEV: this CPU is offline. EINVAL: there are no more.
		if !errors.Is(err, unix.ENODEV) {
			return nil, err
		}
	}
}

func explainPerf(err error) error {
	// cilium/ebpf passes the error on as text.
	if !errors.Is(err, unix.EACCES) && !strings.HasSuffix(err.Error(), unix.EACCES.Error()) {
		return err
	}
	level, readErr := os.ReadFile(paranoidPath)
	if readErr != nil {
		return err
	}
	return &obstacle{
		reason: fmt.Sprintf("perf events are forbidden by kernel.perf_event_paranoid=%s", bytes.TrimSpace(level)),
		remedy: "run: sysctl -w kernel.perf_event_paranoid=2, or give CAP_SYS_ADMIN",
		err:    err,
	}
}

func explainSetBPF(err error, tp tracepoint) error {
	if errors.Is(err, unix.EEXIST) {
		return &obstacle{
			reason: "another program is attached, and this kernel allows one (several since 4.15)",
			remedy: "stop the other tracer of " + tp.String(),
			err:    err,
		}
	}
	return err
}
