// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/cilium/ebpf"
)

const (
	mapRelatives    = "relatives"
	mapFamilyConfig = "family_config"
)

// relativesMax bounds the processes whose parents are followed: some 5 MiB of kernel memory.
const relativesMax = 32768

// bornBefore and threadsUnknown mark processes that were there before the tracer, as in family.h.
const (
	bornBefore     = 1
	threadsUnknown = 0xffffffff
)

// relative is struct relative of bpf_noncore/family.h.
type relative struct {
	Birth       uint64
	ParentBirth uint64
	Parent      uint32
	Threads     uint32
}

// familyConfig is struct family_config.
type familyConfig struct {
	PID        uint32
	CloneFlags uint32
}

// pruneFamily takes out what follows parents, if the plan does not, and sizes its map if it does.
func pruneFamily(spec *ebpf.CollectionSpec, p *plan) {
	if p.forks {
		spec.Maps[mapRelatives].MaxEntries = relativesMax
		return
	}
	delete(spec.Programs, progNewTask)
	delete(spec.Programs, progEndTask)
}

func (prog *program) configureFamily(t *tracefs) error {
	fields, err := readFormat(t, taskNewtask)
	if err != nil {
		return err
	}
	var c familyConfig
	if c.PID, err = payload(fields, taskNewtask, "pid"); err != nil {
		return err
	}
	flags, ok := fields["clone_flags"]
	if !ok || flags.size != 8 {
		return fmt.Errorf("format of %s: no field clone_flags of 8 bytes", taskNewtask)
	}
	c.CloneFlags = flags.offset
	return prog.coll.Maps[mapFamilyConfig].Put(uint32(0), &c)
}

// followFamily hooks the programs that follow parents, ends first so that no process is kept whose
// end was missed, and tells them of the processes that there are.
func (prog *program) followFamily(t *tracefs) error {
	if err := prog.hook(t, schedProcessExit, progEndTask); err != nil {
		return err
	}
	if err := prog.hook(t, taskNewtask, progNewTask); err != nil {
		return err
	}
	// The pids of /proc are those of its pid namespace, and only the initial one's are the kernel's.
	if inside, err := insidePIDNamespace(); err != nil || inside {
		return nil
	}
	return seedFamily(prog.coll.Maps[mapRelatives])
}

// seedFamily tells of the processes that were there before. One that ended before its entry was
// made left it behind, and so they are looked at twice: one that is not ending then has its end, which
// the programs see, still before it.
func seedFamily(relatives *ebpf.Map) error {
	parents, err := procParents()
	if err != nil {
		return err
	}
	// The parent of the first processes, which is not in /proc.
	parents[0] = 0
	for pid, ppid := range parents {
		r := &relative{Birth: bornBefore, ParentBirth: bornBefore, Parent: ppid, Threads: threadsUnknown}
		if err := seedRelative(relatives, pid, r); err != nil {
			return fmt.Errorf("tell the parent of process %d: %w", pid, err)
		}
	}
	for pid := range parents {
		if pid == 0 {
			continue
		}
		if stat, err := readProcStat(strconv.FormatUint(uint64(pid), 10)); err == nil && !stat.exiting {
			continue
		}
		if err := relatives.Delete(pid); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("forget process %d: %w", pid, err)
		}
	}
	return nil
}

// seedRelative makes an entry. One that the programs made is better, unless they know no parent.
func seedRelative(relatives *ebpf.Map, pid uint32, r *relative) error {
	err := relatives.Update(pid, r, ebpf.UpdateNoExist)
	if !errors.Is(err, ebpf.ErrKeyExist) {
		return err
	}
	var there relative
	if err := relatives.Lookup(pid, &there); err != nil || there.Birth != bornBefore {
		return nil
	}
	err = relatives.Update(pid, r, ebpf.UpdateExist)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil
	}
	return err
}

// procParents returns the parent of each process.
func procParents() (map[uint32]uint32, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	parents := make(map[uint32]uint32)
	for _, e := range entries {
		pid, err := strconv.ParseUint(e.Name(), 10, 32)
		if err != nil {
			continue
		}
		if stat, err := readProcStat(e.Name()); err == nil && !stat.exiting {
			parents[uint32(pid)] = stat.ppid
		}
	}
	return parents, nil
}

func probeForkTracepoints(t *tracefs) Probe {
	p := probeTracepoint(t, taskNewtask, "boot a kernel with CONFIG_TRACEPOINTS=y")
	if p.Result != Yes {
		return p
	}
	return probeTracepoint(t, schedProcessExit, "boot a kernel with CONFIG_TRACEPOINTS=y")
}
