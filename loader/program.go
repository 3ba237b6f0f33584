// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"

	"github.com/everyexec/everyexec/bpf"
	"github.com/everyexec/everyexec/bpf_noncore"
)

// The names in the objects, the same in all.
const (
	mapConfig  = "config"
	mapEvents  = "events"
	mapEmitted = "emitted"
	mapCalls   = "calls"
	mapWalk    = "walk"
	mapSteps   = "steps"
	mapUnread  = "unread"
	mapLearned = "learned"

	progExec          = "exec"
	progExecRaw       = "exec_raw"
	progEnterExecve   = "enter_execve"
	progEnterExecveat = "enter_execveat"
	progExitExec      = "exit_exec"
	progWalkArgv      = "walk_argv"
	progNewTask       = "new_task"
	progEndTask       = "end_task"
)

// callsPerCPU sizes the LRU map of calls in flight. An LRU hands each CPU 128 free entries at a
// time, so with fewer it would throw out entries that are in use.
const (
	callsPerCPU = 128
	callsMax    = 8192
)

// execConfig is struct exec_config of bpf/record.h.
type execConfig struct {
	ExecFilename uint32
	ExecOldPID   uint32
	EnterArgs    uint32
	ExitRet      uint32
	Fails        uint32
	KeepArgs     uint32
}

// learnedOffsets is struct learned_offsets of bpf_noncore/stub.bpf.c.
type learnedOffsets struct {
	Known                                          uint32
	TGID, RealParent, MM, ArgStart, ArgEnd, EnvEnd Offset
}

// Bits of learnedOffsets.Known, as in enum learned.
const (
	learnedPPID = 1 << iota
	learnedArgs
	learnedFilename
)

// program is a loaded variant. Its collection stays open: the kernel empties an array of programs
// when its last descriptor is closed, and no tail call works then.
type program struct {
	coll  *ebpf.Collection
	links []io.Closer
}

// detach ends the tracing; what has been written can still be read.
func (p *program) detach() error {
	errs := make([]error, len(p.links))
	var closing sync.WaitGroup
	for i, l := range p.links {
		// Side by side, as the kernel waits for a grace period at each.
		closing.Go(func() { errs[i] = l.Close() })
	}
	closing.Wait()
	p.links = nil
	return errors.Join(errs...)
}

func (p *program) close() error {
	err := p.detach()
	p.coll.Close()
	return err
}

// loadProgram loads and configures a variant's programs.
func loadProgram(ctx context.Context, p *plan, f *Facts, t *tracefs, measured syscallContext) (*program, error) {
	if err := raiseMemlock(); err != nil {
		return nil, err
	}
	config, err := payloadConfig(p, t, measured)
	if err != nil {
		return nil, err
	}
	coll, err := loadCollection(ctx, p, f)
	if err != nil {
		return nil, err
	}
	prog := &program{coll: coll}
	if err := prog.configure(p, config, t); err != nil {
		return nil, errors.Join(fmt.Errorf("configure the programs: %w", err), prog.close())
	}
	return prog, nil
}

func raiseMemlock() error {
	if err := rlimit.RemoveMemlock(); err != nil {
		return &obstacle{
			reason: fmt.Sprintf("raise the limit of locked memory, which kernels before 5.11 charge BPF maps to: %v", err),
			remedy: "run: ulimit -l unlimited, or give CAP_SYS_RESOURCE",
			err:    err,
		}
	}
	return nil
}

// configure tells the programs what was found out about the kernel.
func (prog *program) configure(p *plan, config *execConfig, t *tracefs) error {
	if err := prog.coll.Maps[mapConfig].Put(uint32(0), config); err != nil {
		return err
	}
	if p.offsets != nil {
		if err := prog.coll.Maps[mapLearned].Put(uint32(0), p.offsets.forProgram()); err != nil {
			return err
		}
	}
	if p.forks {
		return prog.configureFamily(t)
	}
	return nil
}

// payloadConfig tells the programs where the payloads of their tracepoints hold what they read.
func payloadConfig(p *plan, t *tracefs, measured syscallContext) (*execConfig, error) {
	c := &execConfig{EnterArgs: measured.enterArgs, ExitRet: measured.exitRet}
	if p.fails {
		c.Fails = 1
	}
	if !p.offsets.Args() {
		c.KeepArgs = 1
	}
	if p.raw {
		return c, nil
	}
	fields, err := readFormat(t, schedProcessExec)
	if err != nil {
		return nil, err
	}
	if c.ExecFilename, err = payload(fields, schedProcessExec, "filename"); err != nil {
		return nil, err
	}
	if c.ExecOldPID, err = payload(fields, schedProcessExec, "old_pid"); err != nil {
		return nil, err
	}
	return c, nil
}

func loadCollection(ctx context.Context, p *plan, f *Facts) (*ebpf.Collection, error) {
	spec, err := objectOf(p.variant)
	if err != nil {
		return nil, err
	}
	if err := prune(spec, p, f); err != nil {
		return nil, err
	}
	if p.variant == BCC {
		return loadBCC(ctx, spec, f)
	}
	var opts ebpf.CollectionOptions
	switch p.variant {
	case CoreExternal:
		opts.Programs.KernelTypes = p.types
	case Core:
		if opts.Programs.KernelTypes, err = kernelTypes(); err != nil {
			return nil, err
		}
	}
	coll, err := ebpf.NewCollectionWithOptions(spec, opts)
	if err != nil {
		return nil, fmt.Errorf("load the programs of variant %s: %w", p.variant, err)
	}
	return coll, nil
}

func objectOf(v Variant) (*ebpf.CollectionSpec, error) {
	switch v {
	case Core, CoreExternal, BCC: // BCC has its programs from elsewhere, its maps from here
		return bpf.LoadCore()
	case Stub:
		return bpf_noncore.LoadStub()
	}
	return nil, fmt.Errorf("variant %s has no object", v)
}

// prune takes out what the plan does not use and what the kernel does not know.
func prune(spec *ebpf.CollectionSpec, p *plan, f *Facts) error {
	if p.raw {
		delete(spec.Programs, progExec)
	} else {
		delete(spec.Programs, progExecRaw)
	}
	if !p.syscalls {
		for _, name := range []string{progEnterExecve, progEnterExecveat, progExitExec, progWalkArgv} {
			delete(spec.Programs, name)
		}
		// The stub looks a call up that nobody puts there.
		delete(spec.Maps, mapWalk)
		delete(spec.Maps, mapSteps)
		resize(spec, mapCalls, 1)
		resize(spec, mapUnread, 1)
	} else {
		cpus, err := ebpf.PossibleCPU()
		if err != nil {
			return fmt.Errorf("count the CPUs: %w", err)
		}
		resize(spec, mapCalls, uint32(min(cpus*callsPerCPU, callsMax)))
		resize(spec, mapUnread, uint32(min(cpus*callsPerCPU, callsMax)))
	}
	pruneFamily(spec, p)
	if f.CgroupIDHelper.Result == No {
		for _, prog := range spec.Programs {
			dropCall(prog.Instructions, asm.FnGetCurrentCgroupId)
		}
	}
	return nil
}

// resize sizes a map, if the object has it.
func resize(spec *ebpf.CollectionSpec, name string, entries uint32) {
	if m, ok := spec.Maps[name]; ok {
		m.MaxEntries = entries
	}
}

// dropCall makes calls of a helper that the kernel lacks return 0.
func dropCall(insns asm.Instructions, helper asm.BuiltinFunc) {
	for i, ins := range insns {
		if ins.IsBuiltinCall() && ins.Constant == int64(helper) {
			insns[i] = asm.Mov.Imm(asm.R0, 0).WithMetadata(ins.Metadata)
		}
	}
}

// attach hooks the programs. Entries come last, so that no call is kept whose end is not seen.
func (prog *program) attach(p *plan, t *tracefs) error {
	if p.raw {
		l, err := link.AttachRawTracepoint(link.RawTracepointOptions{
			Name:    schedProcessExec.name,
			Program: prog.coll.Programs[progExecRaw],
		})
		if err != nil {
			return fmt.Errorf("attach raw tracepoint %s: %w", schedProcessExec.name, err)
		}
		prog.links = append(prog.links, l)
	} else if err := prog.hook(t, schedProcessExec, progExec); err != nil {
		return err
	}
	if p.forks {
		if err := prog.followFamily(t); err != nil {
			return err
		}
	}
	if !p.syscalls {
		return nil
	}
	for _, h := range []struct {
		tp   tracepoint
		name string
	}{
		{exitExecve, progExitExec},
		{exitExecveat, progExitExec},
		{enterExecve, progEnterExecve},
		{enterExecveat, progEnterExecveat},
	} {
		if err := prog.hook(t, h.tp, h.name); err != nil {
			return err
		}
	}
	return nil
}

func (prog *program) hook(t *tracefs, tp tracepoint, name string) error {
	l, err := attach(t, tp, prog.coll.Programs[name])
	if err != nil {
		return err
	}
	prog.links = append(prog.links, l)
	return nil
}

// countEmitted returns how many records the programs have written or tried to.
func (p *program) countEmitted() (uint64, error) {
	var perCPU []uint64
	if err := p.coll.Maps[mapEmitted].Lookup(uint32(0), &perCPU); err != nil {
		return 0, fmt.Errorf("count the records: %w", err)
	}
	var sum uint64
	for _, n := range perCPU {
		sum += n
	}
	return sum, nil
}
