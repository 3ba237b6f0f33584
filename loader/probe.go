// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/moby/sys/capability"
	"golang.org/x/sys/unix"

	"github.com/everyexec/everyexec/btf"
)

const (
	lockdownPath = "/sys/kernel/security/lockdown"
	// btfMagic is BTF_MAGIC of linux/btf.h.
	btfMagic     = 0xeb9f
	paranoidPath = "/proc/sys/kernel/perf_event_paranoid"
)

// probe gathers the facts. It changes nothing on the host.
func probe(t *tracefs, tracefsErr error) *Facts {
	kernel, distro := uname(), osRelease()
	return &Facts{
		Kernel:             kernel,
		Distro:             distro,
		Privilege:          probePrivilege(),
		BPFSyscall:         probeBPFSyscall(),
		Lockdown:           probeLockdown(),
		TracepointPrograms: probeTracepointPrograms(),
		RawTracepoints:     probeRawTracepoints(),
		CgroupIDHelper:     probeCgroupIDHelper(),
		KernelBTF:          probeKernelBTF(),
		Tracefs:            probeTracefs(t, tracefsErr),
		ExecTracepoint:     probeTracepoint(t, schedProcessExec, "boot a kernel with CONFIG_TRACEPOINTS=y"),
		SyscallTracepoints: probeTracepoint(t, enterExecve, "boot a kernel with CONFIG_FTRACE_SYSCALLS=y"),
		ExternalBTF:        probeExternalBTF(),
		BCC:                probeBCC(),
		ForkTracepoints:    probeForkTracepoints(t),
		Learning:           Probe{Name: "learned offsets", Result: Unknown, Detail: "not tried"},
		Headers:            probeHeaders(kernel, distro),
	}
}

func uname() Kernel {
	var u unix.Utsname
	// Fails only for a bad pointer.
	_ = unix.Uname(&u)
	return Kernel{
		Release: unix.ByteSliceToString(u.Release[:]),
		Version: unix.ByteSliceToString(u.Version[:]),
		Arch:    unix.ByteSliceToString(u.Machine[:]),
	}
}

// osRelease reads the host's os-release where a container mounts it at /host, else the own one.
func osRelease() Distro {
	d, _, err := btf.HostDistro()
	if err != nil {
		return Distro{}
	}
	return Distro{ID: d.ID, VersionID: d.VersionID}
}

// fromError turns the result of one of cilium/ebpf's feature probes into a Probe.
func fromError(p Probe, err error) Probe {
	switch {
	case err == nil:
		p.Result, p.Remedy = Yes, ""
	case errors.Is(err, ebpf.ErrNotSupported):
		p.Result = No
	default:
		p.Result = Unknown
		p.Detail = fmt.Sprintf("could not be probed: %v", err)
	}
	return p
}

func probePrivilege() Probe {
	p := Probe{Name: "capabilities", Source: "/proc/self/status"}
	if inside, err := insideUserNamespace(); err == nil && inside {
		p.Result = No
		p.Detail = "capabilities inside a user namespace do not count for BPF"
		p.Remedy = "run in the initial user namespace"
		return p
	}
	caps, err := capability.NewPid2(0)
	if err == nil {
		err = caps.Load()
	}
	if err != nil {
		p.Result, p.Detail = Unknown, err.Error()
		return p
	}
	missing := missingCapabilities(func(c capability.Cap) bool { return caps.Get(capability.EFFECTIVE, c) }, knowsCapBPF())
	if len(missing) == 0 {
		p.Result, p.Detail = Yes, "all that is needed"
		return p
	}
	p.Result = No
	p.Detail = "missing " + strings.Join(missing, " and ")
	p.Remedy = "run as root, or: " + setcap(missing)
	return p
}

// setcap is the command that gives a binary capabilities.
func setcap(names []string) string {
	return fmt.Sprintf(`sudo setcap %s+ep "$(command -v everyexec)"`, strings.ToLower(strings.Join(names, ",")))
}

// missingCapabilities names those without which no program can be loaded and attached.
// CAP_BPF and CAP_PERFMON came with 5.8; before, and still, CAP_SYS_ADMIN is enough.
func missingCapabilities(has func(capability.Cap) bool, knowsBPF bool) []string {
	if has(capability.CAP_SYS_ADMIN) {
		return nil
	}
	if !knowsBPF {
		return []string{"CAP_SYS_ADMIN"}
	}
	var missing []string
	if !has(capability.CAP_BPF) {
		missing = append(missing, "CAP_BPF")
	}
	if !has(capability.CAP_PERFMON) {
		missing = append(missing, "CAP_PERFMON")
	}
	return missing
}

func knowsCapBPF() bool {
	last, err := capability.LastCap()
	return err == nil && last >= capability.CAP_BPF
}

// insideUserNamespace holds the namespace's inode number against the one that the kernel gives
// the first (PROC_USER_INIT_INO of include/linux/proc_ns.h).
func insideUserNamespace() (bool, error) { return insideNamespace("user", "user:[4026531837]") }

// insidePIDNamespace does so with PROC_PID_INIT_INO.
func insidePIDNamespace() (bool, error) { return insideNamespace("pid", "pid:[4026531836]") }

func insideNamespace(kind, initial string) (bool, error) {
	name, err := os.Readlink("/proc/self/ns/" + kind)
	if err != nil {
		return false, err
	}
	return name != initial, nil
}

func probeBPFSyscall() Probe {
	p := Probe{Name: "bpf syscall", Result: Yes, Detail: "exists", Source: "bpf(2)"}
	const noCommand = 0x7fffffff
	var attr [8]byte
	_, _, errno := unix.Syscall(unix.SYS_BPF, noCommand, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno == unix.ENOSYS {
		p.Result = No
		p.Detail = "this kernel was built without BPF (CONFIG_BPF_SYSCALL)"
		p.Remedy = "boot a kernel with CONFIG_BPF_SYSCALL=y and CONFIG_BPF_EVENTS=y"
	}
	return p
}

func probeLockdown() Probe {
	p := Probe{Name: "lockdown", Source: lockdownPath}
	text, err := os.ReadFile(lockdownPath)
	switch {
	case errors.Is(err, os.ErrNotExist):
		p.Result, p.Detail = Yes, "not in force"
	case err != nil:
		p.Result, p.Detail = Unknown, err.Error()
	case bytes.Contains(text, []byte("[confidentiality]")):
		p.Result = No
		p.Detail = "kernel lockdown is in confidentiality mode, which forbids BPF programs to read memory"
		p.Remedy = "boot with lockdown=integrity or without lockdown"
	default:
		p.Result, p.Detail = Yes, "does not forbid reading memory"
	}
	return p
}

func probeTracepointPrograms() Probe {
	return fromError(Probe{
		Name:   "tracepoint programs",
		Detail: "BPF programs on tracepoints",
		Source: "loading a program",
		Remedy: "boot a kernel of 4.7 or later with CONFIG_BPF_EVENTS=y",
	}, features.HaveProgramType(ebpf.TracePoint))
}

func probeRawTracepoints() Probe {
	return fromError(Probe{
		Name:   "raw tracepoint programs",
		Detail: "BPF programs on raw tracepoints (since 4.17): no tracefs needed",
		Source: "loading a program",
	}, features.HaveProgramType(ebpf.RawTracepoint))
}

func probeCgroupIDHelper() Probe {
	return fromError(Probe{
		Name:   "helper bpf_get_current_cgroup_id",
		Detail: "cgroup ids (since 4.18)",
		Source: "loading a program",
	}, features.HaveProgramHelper(ebpf.TracePoint, asm.FnGetCurrentCgroupId))
}

func probeKernelBTF() Probe {
	p := Probe{Name: "kernel BTF", Source: btf.KernelPath}
	size, err := checkKernelBTF()
	switch {
	case errors.Is(err, os.ErrNotExist):
		p.Result = No
		p.Detail = "this kernel has no BTF: there is no " + btf.KernelPath
		p.Remedy = "get BTF in one of three ways: a kernel with CONFIG_DEBUG_INFO_BTF=y; " +
			"--btf FILE made by pahole for this very kernel; --btf-dir DIR or --btf-url URL of a btfhub-archive tree"
	case err != nil:
		p.Result, p.Detail = Unknown, err.Error()
	default:
		p.Result = Yes
		p.Detail = fmt.Sprintf("the kernel's own BTF, %d KiB", size>>10)
	}
	return p
}

// checkKernelBTF looks at the begin of the kernel's BTF. That it is whole shows when it is used.
func checkKernelBTF() (size int64, err error) {
	f, err := os.Open(btf.KernelPath)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	var magic [2]byte
	if _, err := io.ReadFull(f, magic[:]); err != nil {
		return 0, fmt.Errorf("read %s: %w", btf.KernelPath, err)
	}
	if binary.NativeEndian.Uint16(magic[:]) != btfMagic {
		return 0, fmt.Errorf("%s does not begin as BTF does", btf.KernelPath)
	}
	return info.Size(), nil
}

func probeTracefs(t *tracefs, err error) Probe {
	p := Probe{Name: "tracefs", Source: "/proc/self/mounts"}
	if err != nil {
		p.Result, p.Detail = No, err.Error()
		var o *obstacle
		if errors.As(err, &o) {
			p.Detail, p.Remedy = o.reason, o.remedy
		}
		return p
	}
	p.Result, p.Detail = Yes, t.source
	return p
}

func probeTracepoint(t *tracefs, tp tracepoint, remedy string) Probe {
	p := Probe{Name: "tracepoint " + tp.String(), Source: "tracefs"}
	if t == nil {
		p.Result, p.Detail = Unknown, "tracefs cannot be read"
		return p
	}
	_, err := tracepointID(t, tp)
	switch {
	case errors.Is(err, os.ErrNotExist):
		p.Result = No
		p.Detail = "this kernel has no tracepoint " + tp.String()
		p.Remedy = remedy
	case err != nil:
		p.Result, p.Detail = Unknown, err.Error()
	default:
		p.Result, p.Detail = Yes, "exists"
	}
	return p
}
