// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/moby/sys/capability"
	"golang.org/x/sys/unix"
)

// surroundings are the probes that explain to an operator what the facts rest on. Nothing is
// chosen by them.
func surroundings(t *tracefs) []Probe {
	probes := probeKernelConfig(uname().Release)
	probes = append(probes, probeCapabilities()...)
	probes = append(probes,
		probeMapType("map type perf event array", ebpf.PerfEventArray, "4.3"),
		probeMapType("map type LRU hash", ebpf.LRUHash, "4.10"),
		probeHelper("helper bpf_get_current_task", asm.FnGetCurrentTask, "4.8"),
		probeHelper("helper bpf_probe_read_user_str", asm.FnProbeReadUserStr, "5.5, replaced by bpf_probe_read_str before"),
		probePerfEventParanoid(),
		probeUnprivilegedBPF(),
		probeMemlock(),
		probePayload(t),
		probeNamespace("initial pid namespace", insidePIDNamespace, "pids are shown as the host counts them, not as this namespace does"),
		probeNamespace("initial user namespace", insideUserNamespace, "capabilities inside a user namespace do not count for BPF"),
		probeContainer(),
		probeVirtualMachine(),
	)
	return probes
}

// probeCapabilities shows each capability that can play a part.
func probeCapabilities() []Probe {
	uses := []struct {
		cap capability.Cap
		use string
	}{
		{capability.CAP_SYS_ADMIN, "stands for all of the others, and mounts tracefs privately"},
		{capability.CAP_BPF, "loads programs (since 5.8)"},
		{capability.CAP_PERFMON, "attaches programs and opens perf buffers (since 5.8)"},
		{capability.CAP_SYS_RESOURCE, "raises the limit of locked memory (before 5.11)"},
		{capability.CAP_DAC_READ_SEARCH, "finds the container of a cgroup, and reads tracefs as an ordinary user"},
	}
	caps, err := capability.NewPid2(0)
	if err == nil {
		err = caps.Load()
	}
	var probes []Probe
	for _, u := range uses {
		p := Probe{Name: "CAP_" + strings.ToUpper(u.cap.String()), Detail: u.use, Source: "/proc/self/status"}
		switch {
		case err != nil:
			p.Result, p.Detail = Unknown, err.Error()
		case caps.Get(capability.EFFECTIVE, u.cap):
			p.Result = Yes
		default:
			p.Result = No
			p.Remedy = "run as root, or: " + setcap([]string{p.Name})
		}
		probes = append(probes, p)
	}
	return probes
}

func probeMapType(name string, mt ebpf.MapType, since string) Probe {
	return fromError(Probe{
		Name: name, Detail: "since " + since, Source: "creating a map", Remedy: "boot a kernel of " + since + " or later",
	}, features.HaveMapType(mt))
}

func probeHelper(name string, fn asm.BuiltinFunc, since string) Probe {
	return fromError(Probe{
		Name: name, Detail: "since " + since, Source: "loading a program",
	}, features.HaveProgramHelper(ebpf.TracePoint, fn))
}

// readSetting reads a number below /proc/sys.
func readSetting(path string) (int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

func probePerfEventParanoid() Probe {
	p := Probe{Name: "perf events for CAP_PERFMON", Source: paranoidPath}
	level, err := readSetting(paranoidPath)
	switch {
	case errors.Is(err, os.ErrNotExist):
		p.Result, p.Detail = No, "this kernel has no perf events"
		p.Remedy = "boot a kernel with CONFIG_PERF_EVENTS=y"
	case err != nil:
		p.Result, p.Detail = Unknown, err.Error()
	case level > 2:
		p.Result = No
		p.Detail = fmt.Sprintf("kernel.perf_event_paranoid=%d asks for CAP_SYS_ADMIN", level)
		p.Remedy = "sysctl -w kernel.perf_event_paranoid=2"
	default:
		p.Result, p.Detail = Yes, fmt.Sprintf("kernel.perf_event_paranoid=%d", level)
	}
	return p
}

func probeUnprivilegedBPF() Probe {
	const path = "/proc/sys/kernel/unprivileged_bpf_disabled"
	p := Probe{Name: "unprivileged_bpf_disabled", Source: path}
	value, err := readSetting(path)
	if err != nil {
		p.Result, p.Detail = Unknown, err.Error()
		return p
	}
	p.Result, p.Detail = Yes, fmt.Sprintf("%d; tracing wants privilege in any case", value)
	if value == 0 {
		p.Result = No
	}
	return p
}

// probeMemlock tells whether BPF maps are charged to the limit of locked memory, which the
// loader then raises.
func probeMemlock() Probe {
	p := Probe{Name: "locked memory", Source: "getrlimit(2)"}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		p.Result, p.Detail = Unknown, err.Error()
		return p
	}
	p.Result, p.Detail = Yes, fmt.Sprintf("limit %d KiB, raised where the kernel charges BPF maps to it (before 5.11)", limit.Cur>>10)
	if limit.Cur == unix.RLIM_INFINITY {
		p.Detail = "unlimited"
	}
	return p
}

// probePayload shows where sched_process_exec's payload lies on this kernel.
func probePayload(t *tracefs) Probe {
	p := Probe{Name: "payload of " + schedProcessExec.String(), Source: "tracefs"}
	if t == nil {
		p.Result, p.Detail = Unknown, "tracefs cannot be read"
		return p
	}
	fields, err := readFormat(t, schedProcessExec)
	if err != nil {
		p.Result, p.Detail = Unknown, err.Error()
		return p
	}
	p.Result = Yes
	p.Detail = fmt.Sprintf("filename at %d, old_pid at %d", fields["filename"].offset, fields["old_pid"].offset)
	return p
}

func probeNamespace(name string, inside func() (bool, error), consequence string) Probe {
	p := Probe{Name: name, Source: "/proc/self/ns"}
	in, err := inside()
	switch {
	case err != nil:
		p.Result, p.Detail = Unknown, err.Error()
	case in:
		p.Result, p.Detail = No, consequence
	default:
		p.Result = Yes
	}
	return p
}

func probeContainer() Probe {
	p := Probe{Name: "container", Result: No, Detail: "no sign of one", Source: "/proc/self/cgroup"}
	for _, sign := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(sign); err == nil {
			p.Result, p.Detail, p.Source = Yes, "there is "+sign, sign
			return p
		}
	}
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		p.Result, p.Detail = Unknown, err.Error()
		return p
	}
	for _, word := range []string{"docker", "kubepods", "libpod", "lxc", "containerd"} {
		if strings.Contains(string(text), word) {
			p.Result, p.Detail = Yes, "the cgroup names "+word
		}
	}
	return p
}

func probeVirtualMachine() Probe {
	p := Probe{Name: "virtual machine", Result: No, Detail: "no sign of one", Source: "/proc/cpuinfo"}
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		p.Result, p.Detail = Unknown, err.Error()
		return p
	}
	for line := range strings.Lines(string(text)) {
		key, flags, _ := strings.Cut(line, ":")
		if strings.TrimSpace(key) == "flags" && strings.Contains(flags, " hypervisor") {
			p.Result, p.Detail = Yes, "the processor names a hypervisor"
			return p
		}
	}
	return p
}
