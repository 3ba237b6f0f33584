// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"strings"
	"testing"

	"github.com/everyexec/everyexec/event"
)

// facts are those of a host with everything but external BTF and BCC, changed.
func facts(change func(f *Facts)) *Facts {
	yes := Probe{Result: Yes}
	f := &Facts{
		Privilege: yes, BPFSyscall: yes, Lockdown: yes, TracepointPrograms: yes, RawTracepoints: yes, CgroupIDHelper: yes,
		KernelBTF: yes, Tracefs: yes, ExecTracepoint: yes, SyscallTracepoints: yes,
		ExternalBTF: Probe{Result: No, Detail: "no file was given", Remedy: "give one"},
		BCC:         Probe{Result: No, Detail: "built without", Remedy: "build with"},
	}
	if change != nil {
		change(f)
	}
	return f
}

func no(detail string) Probe { return Probe{Result: No, Detail: detail, Remedy: "mend " + detail} }

func TestChoose(t *testing.T) {
	noArgs := promised &^ event.PPID &^ event.Args
	for _, c := range []struct {
		name  string
		facts *Facts
		fails bool
		// usable lists the variants that nothing stands in the way of, best first.
		usable string
		// obstacle is part of what stands in the way of the best that is not usable.
		obstacle string
		fatal    bool
		// best is the first usable plan.
		best plan
	}{
		{
			name: "kernel BTF", facts: facts(nil), usable: "core stub", obstacle: "no file was given",
			best: plan{fields: event.All, raw: true},
		},
		{
			name: "before raw tracepoints", facts: facts(func(f *Facts) { f.RawTracepoints = no("4.17") }),
			usable: "core stub", obstacle: "no file was given", best: plan{fields: event.All},
		},
		{
			name: "before cgroup ids", facts: facts(func(f *Facts) { f.CgroupIDHelper = no("4.18") }),
			usable: "core stub", obstacle: "no file was given", best: plan{fields: promised, raw: true},
		},
		{
			name: "no BTF", facts: facts(func(f *Facts) { f.KernelBTF = no("BTF") }),
			usable: "stub", obstacle: "BTF", best: plan{fields: event.All &^ event.PPID, syscalls: true},
		},
		{
			name: "external BTF", facts: facts(func(f *Facts) { f.KernelBTF, f.ExternalBTF = no("BTF"), Probe{Result: Yes} }),
			usable: "core-external stub", obstacle: "BTF", best: plan{fields: event.All, raw: true},
		},
		{
			name: "BCC", facts: facts(func(f *Facts) { f.KernelBTF, f.BCC = no("BTF"), Probe{Result: Yes} }),
			usable: "bcc stub", obstacle: "BTF", best: plan{fields: event.All, raw: true},
		},
		{
			name:   "no syscall tracepoints",
			facts:  facts(func(f *Facts) { f.KernelBTF, f.SyscallTracepoints = no("BTF"), no("FTRACE_SYSCALLS") }),
			usable: "stub", obstacle: "BTF", best: plan{fields: noArgs | event.CgroupID},
		},
		{
			name:  "no syscall tracepoints, but failed execs wanted",
			facts: facts(func(f *Facts) { f.SyscallTracepoints = no("FTRACE_SYSCALLS") }), fails: true,
			usable: "", obstacle: "leave out --fails",
		},
		{
			name: "no tracefs: the raw tracepoint needs none", facts: facts(func(f *Facts) { f.Tracefs = no("tracefs") }),
			usable: "core", obstacle: "no file was given", best: plan{fields: event.All, raw: true},
		},
		{
			name: "no tracefs, and failed execs wanted", facts: facts(func(f *Facts) { f.Tracefs = no("tracefs") }), fails: true,
			usable: "", obstacle: "tracefs",
		},
		{
			name:   "no tracefs and no raw tracepoints",
			facts:  facts(func(f *Facts) { f.Tracefs, f.RawTracepoints = no("tracefs"), no("4.17") }),
			usable: "", obstacle: "tracefs",
		},
		{
			name: "no privilege", facts: facts(func(f *Facts) { f.Privilege = no("CAP_BPF") }),
			usable: "", obstacle: "CAP_BPF", fatal: true,
		},
		{
			name:   "no BPF comes before no privilege",
			facts:  facts(func(f *Facts) { f.Privilege, f.BPFSyscall = no("CAP_BPF"), no("CONFIG_BPF_SYSCALL") }),
			usable: "", obstacle: "CONFIG_BPF_SYSCALL", fatal: true,
		},
		{
			name: "lockdown", facts: facts(func(f *Facts) { f.Lockdown = no("lockdown") }),
			usable: "", obstacle: "lockdown", fatal: true,
		},
		{
			name: "unknown is no reason not to try",
			facts: facts(func(f *Facts) {
				unknown := Probe{Result: Unknown}
				f.Privilege, f.Lockdown, f.TracepointPrograms, f.KernelBTF, f.CgroupIDHelper = unknown, unknown, unknown, unknown, unknown
				f.Tracefs, f.ExecTracepoint, f.SyscallTracepoints = unknown, unknown, unknown
			}),
			usable: "core stub", obstacle: "no file was given", best: plan{fields: event.All, raw: true},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			plans := choose(c.facts, c.fails)
			if len(plans) != 4 || plans[0].variant != Core || plans[3].variant != Stub {
				t.Fatalf("not all variants, best first: %v", plans)
			}
			var usable []string
			var best, worst *plan
			for i := range plans {
				p := &plans[i]
				switch {
				case p.obstacle == nil:
					usable = append(usable, string(p.variant))
					if best == nil {
						best = p
					}
				case worst == nil:
					worst = p
				}
				if p.fails != c.fails || c.fails && !p.syscalls {
					t.Errorf("%s: fails %v, syscalls %v", p.variant, p.fails, p.syscalls)
				}
			}
			if got := strings.Join(usable, " "); got != c.usable {
				t.Errorf("usable are %q, want %q", got, c.usable)
			}
			if worst == nil || !strings.Contains(worst.obstacle.Error(), c.obstacle) || worst.fatal != c.fatal {
				t.Errorf("obstacle is %v, want %q (fatal %v)", worst, c.obstacle, c.fatal)
			}
			if best == nil {
				return
			}
			if best.fields != c.best.fields || best.raw != c.best.raw || best.syscalls != c.best.syscalls {
				t.Errorf("best delivers %s, raw %v, syscalls %v; want %s, %v, %v",
					best.fields, best.raw, best.syscalls, c.best.fields, c.best.raw, c.best.syscalls)
			}
		})
	}
}

// TestChooseBCC tells the two obstacles apart: whoever built with BCC misses the headers.
func TestChooseBCC(t *testing.T) {
	built, headers := Probe{Result: Yes}, Probe{Result: Yes, Detail: "/tree"}
	for _, c := range []struct {
		name     string
		bcc      Probe
		headers  Probe
		obstacle string // "": none
		expected bool
	}{
		{"built with BCC, headers there", built, headers, "", false},
		{"built with BCC, no headers", built, no("headers"), "headers; mend headers", false},
		{"built without BCC", no("build"), headers, "build; mend build", true},
		{"neither", no("build"), no("headers"), "build; mend build", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := choose(facts(func(f *Facts) { f.BCC, f.Headers = c.bcc, c.headers }), false)[2]
			if p.variant != BCC {
				t.Fatalf("is variant %s", p.variant)
			}
			if p.obstacle == nil {
				if c.obstacle != "" || !strings.Contains(p.why, "/tree") {
					t.Errorf("no obstacle, because of %q; want %q", p.why, c.obstacle)
				}
				return
			}
			if got := p.obstacle.Error(); got != c.obstacle || p.obstacle.expected != c.expected {
				t.Errorf("obstacle %q, expected %v; want %q, %v", got, p.obstacle.expected, c.obstacle, c.expected)
			}
		})
	}
}

func TestLacks(t *testing.T) {
	noBTF := func(f *Facts) { f.KernelBTF = no("BTF") }
	noSyscalls := func(f *Facts) { f.KernelBTF, f.SyscallTracepoints = no("BTF"), no("FTRACE_SYSCALLS") }
	for _, c := range []struct {
		name   string
		change func(*Facts)
		index  int // of the plan
		field  event.Fields
		want   string
	}{
		{"core without a cgroup id", nil, 0, event.CgroupID, "kernel"},
		{"core with nothing else to blame", nil, 0, event.PPID, ""},
		{"stub's ppid", noBTF, 3, event.PPID, "variant"},
		{"stub's args", noBTF, 3, event.Args, "variant"},
		{"stub's args without syscall tracepoints", noSyscalls, 3, event.Args, "kernel"},
		{"stub's filename, where the kernel dropped the payload", noBTF, 3, event.Filename, "kernel"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := choose(facts(c.change), false)[c.index].lacks[c.field]; got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	tr := &Tracer{plan: choose(facts(func(f *Facts) { f.KernelBTF = no("BTF") }), false)[3]}
	e := &event.Event{Known: event.PID, Faulted: event.Args, Truncated: event.Filename}
	for field, want := range map[event.Fields]string{
		event.PID: "", event.Args: "fault", event.Filename: "truncated", event.PPID: "variant", event.CgroupID: "kernel", event.Comm: "fault",
	} {
		if got := tr.Missing(e, field); got != want {
			t.Errorf("%s: got %q, want %q", field, got, want)
		}
	}
}

func TestChooseStub(t *testing.T) {
	at := func() *Offset { o := Offset(0); return &o } // which is an offset like any other
	ppid := &Offsets{TGID: at(), RealParent: at()}
	args := &Offsets{MM: at(), ArgStart: at(), ArgEnd: at()}
	all := &Offsets{TGID: at(), RealParent: at(), MM: at(), ArgStart: at(), ArgEnd: at(), EnvEnd: at()}
	forks := Probe{Result: Yes}
	for _, c := range []struct {
		name   string
		change func(f *Facts)
		want   plan
	}{
		{"nothing", func(f *Facts) {}, plan{fields: promised &^ event.PPID, syscalls: true}},
		{"forks", func(f *Facts) { f.ForkTracepoints = forks }, plan{fields: promised, syscalls: true, forks: true}},
		{"forks, no syscall tracepoints", func(f *Facts) { f.ForkTracepoints, f.SyscallTracepoints = forks, no("them") },
			plan{fields: promised &^ event.Args, forks: true}},
		{"all learned", func(f *Facts) { f.Offsets, f.ForkTracepoints = all, forks }, plan{fields: promised, raw: true}},
		{"all learned, no syscall tracepoints", func(f *Facts) { f.Offsets, f.SyscallTracepoints = all, no("them") },
			plan{fields: promised, raw: true}},
		{"all learned, before raw tracepoints", func(f *Facts) { f.Offsets, f.RawTracepoints = all, no("them") },
			plan{fields: promised}},
		{"parent learned", func(f *Facts) { f.Offsets, f.ForkTracepoints = ppid, forks }, plan{fields: promised, syscalls: true}},
		{"arguments learned", func(f *Facts) { f.Offsets, f.ForkTracepoints = args, forks }, plan{fields: promised, forks: true}},
		{"arguments learned, no forks", func(f *Facts) { f.Offsets = args }, plan{fields: promised &^ event.PPID}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := chooseStub(facts(c.change))
			if got.fields != c.want.fields || got.raw != c.want.raw || got.syscalls != c.want.syscalls || got.forks != c.want.forks {
				t.Errorf("fields %s raw %t syscalls %t forks %t; want %s %t %t %t",
					got.fields, got.raw, got.syscalls, got.forks, c.want.fields, c.want.raw, c.want.syscalls, c.want.forks)
			}
		})
	}
}
