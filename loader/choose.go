// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"github.com/cilium/ebpf/btf"

	"github.com/everyexec/everyexec/event"
)

// promised are the fields that a full variant delivers. The cgroup id comes on top where the
// kernel has the helper.
const promised = event.All &^ event.CgroupID

// plan says how one variant would run here.
type plan struct {
	variant  Variant
	fields   event.Fields // delivered
	raw      bool         // hook the raw tracepoint
	syscalls bool         // hook the syscalls' tracepoints
	fails    bool         // report failed execs
	types    *btf.Spec    // the kernel's, where they come from elsewhere
	forks    bool         // follow who makes whom
	offsets  *Offsets     // what the stub reads at; nil for the others
	why      string       // why this variant, if nothing stands in its way
	obstacle *obstacle    // what does
	// fatal obstacles stand in the way of every variant.
	fatal bool
	// lacks says why a field is not delivered: "variant" or "kernel".
	lacks map[event.Fields]string
}

// choose makes a plan for each variant, best first. It is a pure function of the facts.
func choose(f *Facts, fails bool) []plan {
	plans := []plan{
		chooseCore(f, Core, f.KernelBTF),
		expected(chooseCore(f, CoreExternal, f.ExternalBTF)),
		chooseBCC(f),
		chooseStub(f),
	}
	for i := range plans {
		p := &plans[i]
		p.fails = fails
		p.syscalls = p.syscalls || fails
		p.lacks = lacks(f, p)
		if f.CgroupIDHelper.Result != No {
			p.fields |= event.CgroupID
		}
		if o := blocker(f); o != nil {
			p.obstacle, p.fatal = o, true
			continue
		}
		if p.obstacle == nil {
			p.obstacle = missingTracepoints(f, p)
		}
	}
	return plans
}

// blocker is what stands in the way of all variants. Unknown is no reason not to try.
func blocker(f *Facts) *obstacle {
	for _, p := range []Probe{f.BPFSyscall, f.Privilege, f.Lockdown, f.TracepointPrograms} {
		if p.Result == No {
			return obstacleOf(p)
		}
	}
	return nil
}

func obstacleOf(p Probe) *obstacle {
	return &obstacle{reason: p.Detail, remedy: p.Remedy}
}

// missingTracepoints holds the tracepoints that a plan needs against those that there are. The
// raw tracepoint needs no tracefs.
func missingTracepoints(f *Facts, p *plan) *obstacle {
	if (p.syscalls || !p.raw) && f.Tracefs.Result == No {
		return obstacleOf(f.Tracefs)
	}
	if !p.raw && f.ExecTracepoint.Result == No {
		return obstacleOf(f.ExecTracepoint)
	}
	if p.fails && f.SyscallTracepoints.Result == No {
		return &obstacle{
			reason: "failed execs cannot be seen: " + f.SyscallTracepoints.Detail,
			remedy: "leave out --fails, or " + f.SyscallTracepoints.Remedy,
		}
	}
	return nil
}

// chooseCore plans a variant that knows the kernel's types from the source that was probed.
func chooseCore(f *Facts, v Variant, types Probe) plan {
	p := plan{variant: v, fields: promised, raw: f.RawTracepoints.Result == Yes, why: types.Detail}
	if types.Result == No {
		p.obstacle = obstacleOf(types)
	}
	return p
}

// chooseBCC takes the kernel's types from its headers. That a build knows no BCC is no news.
func chooseBCC(f *Facts) plan {
	p := chooseCore(f, BCC, f.Headers)
	p.why = "compiled against the headers in " + p.why
	if f.BCC.Result == No {
		p.obstacle = obstacleOf(f.BCC)
		return expected(p)
	}
	return p
}

// expected marks a variant whose absence is no news: it wants something that nobody gave.
func expected(p plan) plan {
	if p.obstacle != nil {
		p.obstacle.expected = true
	}
	return p
}

// chooseStub reads parent and arguments where offsets were learned. Else it follows who makes whom,
// and takes the arguments at sys_enter, where the kernel lets it.
func chooseStub(f *Facts) plan {
	p := plan{variant: Stub, fields: promised, offsets: f.Offsets}
	var ppid, args string
	switch {
	case f.Offsets.PPID():
		ppid = "the parent is read at learned offsets"
	case f.ForkTracepoints.Result == Yes:
		p.forks = true
		ppid = "the parent is followed from its forks"
	default:
		p.fields &^= event.PPID
		ppid = "the parent is not known"
	}
	switch {
	case f.Offsets.Args():
		p.raw = f.RawTracepoints.Result == Yes && f.Offsets.Filename()
		args = "the arguments are read at learned offsets"
	case f.SyscallTracepoints.Result != No:
		p.syscalls = true
		args = "the arguments are taken at sys_enter"
	default:
		p.fields &^= event.Args
		args = "the arguments are not known"
	}
	p.why = "no better variant is available; " + ppid + ", " + args
	return p
}

// lacks tells the two reasons apart for which a variant does not deliver a field.
func lacks(f *Facts, p *plan) map[event.Fields]string {
	m := map[event.Fields]string{event.CgroupID: "kernel"}
	if p.variant != Stub {
		return m
	}
	m[event.PPID] = "variant"
	// A filename is missing where sched_process_exec was not run: the kernel drops long ones.
	m[event.Filename] = "kernel"
	m[event.Args] = "variant"
	if f.SyscallTracepoints.Result == No && !f.Offsets.Args() {
		m[event.Args] = "kernel"
	}
	return m
}
