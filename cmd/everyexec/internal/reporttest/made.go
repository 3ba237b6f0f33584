// SPDX-License-Identifier: Apache-2.0

// Package reporttest makes up reports for tests: the size and the shape of real ones, from a fleet
// of a dozen kernels.
package reporttest

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/everyexec/everyexec/loader"
)

// Machine is a kind of host.
type Machine struct {
	Kernel loader.Kernel
	Distro loader.Distro
	BTF    bool // the kernel has its own
	Share  int  // of the fleet, per mille
}

// Machines are the kinds that a made-up fleet consists of.
var Machines = []Machine{
	machine("6.8.0-45-generic", "x86_64", "ubuntu", "24.04", true, 240),
	machine("5.15.0-122-generic", "x86_64", "ubuntu", "22.04", true, 200),
	machine("6.1.0-25-amd64", "x86_64", "debian", "12", true, 130),
	machine("5.10.0-32-amd64", "x86_64", "debian", "11", true, 90),
	machine("5.14.0-427.37.1.el9_4.x86_64", "x86_64", "rhel", "9.4", true, 80),
	machine("4.18.0-553.22.1.el8_10.x86_64", "x86_64", "rhel", "8.10", true, 70),
	machine("4.15.0-213-generic", "x86_64", "ubuntu", "18.04", false, 60),
	machine("4.14.355-275.572.amzn2.x86_64", "x86_64", "amzn", "2", false, 50),
	machine("6.1.109-118.189.amzn2023.aarch64", "aarch64", "amzn", "2023", true, 40),
	machine("4.19.0-27-arm64", "aarch64", "debian", "10", false, 25),
	machine("3.10.0-1160.119.1.el7.x86_64", "x86_64", "centos", "7", false, 10),
	machine("6.6.52-0-lts", "x86_64", "alpine", "3.20.3", true, 5),
}

func machine(release, arch, distro, version string, btf bool, share int) Machine {
	return Machine{
		Kernel: loader.Kernel{Release: release, Version: "#1 SMP PREEMPT_DYNAMIC", Arch: arch},
		Distro: loader.Distro{ID: distro, VersionID: version},
		BTF:    btf,
		Share:  share,
	}
}

// AllFields are the fields of a full report.
var AllFields = []string{"pid", "tid", "ppid", "uid", "gid", "comm", "filename", "args", "ret"}

var stubFields = []string{"pid", "tid", "uid", "gid", "comm", "filename", "args", "ret"}

// Time is when the first made-up report was made.
var Time = time.Date(2026, 11, 22, 10, 37, 0, 123456789, time.UTC)

// Fleet makes up n reports of n hosts. The same seed makes the same reports. About one host in a
// hundred lacks the capabilities, so that nothing can trace there.
func Fleet(seed uint64, n int) iter.Seq[*loader.Report] {
	return func(yield func(*loader.Report) bool) {
		random := rand.New(rand.NewPCG(seed, seed))
		for i := range n {
			m := pick(random.IntN(1000))
			r := Report(m, random.IntN(100) != 0)
			r.Host = fmt.Sprintf("node-%05d.example.net", i)
			r.Time = Time.Add(time.Duration(i) * time.Second)
			if !yield(r) {
				return
			}
		}
	}
}

func pick(mille int) Machine {
	for _, m := range Machines {
		if mille -= m.Share; mille < 0 {
			return m
		}
	}
	return Machines[0]
}

// Report makes up the report of one host, on which tracing is allowed or not.
func Report(m Machine, allowed bool) *loader.Report {
	r := &loader.Report{
		Schema:  loader.ReportSchema,
		Time:    Time,
		Host:    "node-00000.example.net",
		Kernel:  m.Kernel,
		Distro:  m.Distro,
		Probes:  probes(m, allowed),
		Verdict: loader.Unusable,
	}
	btf := fmt.Sprintf("no BTF for %s %s at any of 4 places", m.Kernel.Release, m.Kernel.Arch)
	r.Variants = []loader.VariantReport{
		variant(loader.Core, allowed, m.BTF, AllFields, "the kernel has no BTF of its own: /sys/kernel/btf/vmlinux is not there", "everyexec btf fetch --btf-url https://mirror.example.net/btfhub"),
		variant(loader.CoreExternal, allowed, false, AllFields, btf, "everyexec btf fetch --btf-url https://mirror.example.net/btfhub"),
		variant(loader.BCC, allowed, false, AllFields, "this everyexec was built without BCC", "make build-bcc"),
		variant(loader.Stub, allowed, true, stubFields, "", ""),
	}
	for _, v := range r.Variants {
		if v.Usable {
			r.Selected, r.Verdict = &v.Name, verdict(v)
			break
		}
	}
	return r
}

func verdict(v loader.VariantReport) loader.Verdict {
	if len(v.Fields) == len(AllFields) {
		return loader.Full
	}
	return loader.Degraded
}

func variant(name loader.Variant, allowed, usable bool, fields []string, reason, remedy string) loader.VariantReport {
	v := loader.VariantReport{Name: name, Usable: usable && allowed, Verified: usable && allowed, Fields: []string{}}
	switch {
	case v.Usable:
		v.Fields = fields
	case !allowed && name != loader.BCC:
		v.Reason = "this user may not load BPF programs: neither CAP_BPF and CAP_PERFMON nor CAP_SYS_ADMIN"
		v.Remedy = "sudo setcap cap_bpf,cap_perfmon,cap_dac_read_search+ep /usr/local/bin/everyexec"
	default:
		v.Reason, v.Remedy = reason, remedy
	}
	return v
}

// probes makes up about as many as a real report has.
func probes(m Machine, allowed bool) []loader.Probe {
	list := []loader.Probe{
		{Name: "capabilities", Result: result(allowed), Detail: map[bool]string{true: "all that is needed", false: "missing CAP_BPF and CAP_PERFMON"}[allowed], Source: "/proc/self/status",
			Remedy: remedy(allowed, "sudo setcap cap_bpf,cap_perfmon,cap_dac_read_search+ep /usr/local/bin/everyexec")},
		{Name: "CONFIG_DEBUG_INFO_BTF", Result: result(m.BTF), Detail: "from the configuration of the kernel", Source: "/boot/config-" + m.Kernel.Release},
		{Name: "kernel BTF", Result: result(m.BTF), Detail: "BTF of vmlinux that parses", Source: "/sys/kernel/btf/vmlinux",
			Remedy: remedy(m.BTF, "everyexec btf fetch --btf-url https://mirror.example.net/btfhub")},
		{Name: "bpf syscall", Result: loader.Yes, Detail: "exists", Source: "bpf(2)"},
		{Name: "tracepoint programs", Result: loader.Yes, Detail: "BPF programs on tracepoints", Source: "loading a program"},
		{Name: "raw tracepoint programs", Result: loader.Yes, Detail: "BPF programs on raw tracepoints (since 4.17)", Source: "loading a program"},
		{Name: "tracefs", Result: loader.Yes, Detail: "mounted at /sys/kernel/tracing", Source: "/proc/self/mountinfo"},
		{Name: "lockdown", Result: loader.Unknown, Detail: "securityfs is not mounted", Source: "/sys/kernel/security/lockdown"},
	}
	for _, config := range []string{"BPF_SYSCALL", "BPF_EVENTS", "BPF_JIT", "FTRACE_SYSCALLS", "IKHEADERS", "IKCONFIG", "KPROBE_EVENTS", "MODULES"} {
		list = append(list, loader.Probe{Name: "CONFIG_" + config, Result: loader.Yes, Detail: "CONFIG_" + config + "=y", Source: "/boot/config-" + m.Kernel.Release})
	}
	for i := range 40 {
		list = append(list, loader.Probe{Name: fmt.Sprintf("helper bpf_made_up_%d", i), Result: loader.Yes, Detail: "a program that calls it was loaded and thrown away", Source: "bpf(2)"})
	}
	return list
}

func result(yes bool) loader.Result {
	if yes {
		return loader.Yes
	}
	return loader.No
}

func remedy(fine bool, remedy string) string {
	if fine {
		return ""
	}
	return remedy
}
