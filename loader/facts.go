// SPDX-License-Identifier: Apache-2.0

package loader

// Facts is what probing found out about the host. A variant is chosen from nothing else.
type Facts struct {
	Kernel Kernel
	Distro Distro

	Privilege          Probe // may this process load and attach BPF programs
	BPFSyscall         Probe // bpf(2) exists
	TracepointPrograms Probe // BPF programs can be attached to tracepoints
	RawTracepoints     Probe // and to raw ones (4.17)
	CgroupIDHelper     Probe // bpf_get_current_cgroup_id (4.18)
	Lockdown           Probe // yes: kernel memory may be read
	KernelBTF          Probe
	Tracefs            Probe
	ExecTracepoint     Probe // sched/sched_process_exec
	SyscallTracepoints Probe // syscalls/sys_enter_execve and its kin
	ExternalBTF        Probe
	BCC                Probe // yes: this build runs libbcc
	Headers            Probe // the running kernel's
	ForkTracepoints    Probe // task/task_newtask and sched/sched_process_exit

	// Offsets is what was learned for the stub; nil as long as nothing was. Learning says how it went.
	Offsets  *Offsets
	Learning Probe
}

// probes lists the facts in the order in which people want to read them.
func (f *Facts) probes() []Probe {
	return []Probe{
		f.Privilege, f.BPFSyscall, f.Lockdown, f.TracepointPrograms, f.RawTracepoints, f.CgroupIDHelper,
		f.KernelBTF, f.ExternalBTF, f.BCC, f.Headers, f.Tracefs, f.ExecTracepoint, f.SyscallTracepoints,
		f.ForkTracepoints, f.Learning,
	}
}
