// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/everyexec/everyexec/bpf_noncore"
)

// The names in the object.
const (
	mapOrder     = "order"
	mapAnswer    = "answer"
	mapSightings = "sightings"

	progShowMemory    = "show_memory"
	progShowMemoryRaw = "show_memory_raw"
	progShowContext   = "show_context"
)

// shownMax is how many bytes one answer holds.
const shownMax = 4096

// learnOrder is struct learn_order of bpf_noncore/learn.bpf.c.
type learnOrder struct {
	Name    [16]byte
	PIDTGID uint64
	Address uint64
	Length  uint32
	Serial  uint32
}

// learnAnswer is struct learn_answer.
type learnAnswer struct {
	PIDTGID uint64
	Task    uint64
	Serial  uint32
	Faulted uint32
	Bytes   [shownMax]byte
}

// sighting is a thread that bears, or as it executed a program bore, the name of the order.
type sighting struct {
	tgid, tid uint32
	task      uint64
}

// learnProbe shows kernel memory. Only the thread that opened it may use it.
type learnProbe struct {
	coll  *ebpf.Collection
	links []io.Closer
	order learnOrder
}

// errNotShown tells that the program did not run on an order.
var errNotShown = errors.New("the probe program was not run")

// openLearnProbe loads one program of the probe, and gives the current thread the name by which it
// knows it.
func openLearnProbe(prog string) (*learnProbe, error) {
	if err := raiseMemlock(); err != nil {
		return nil, err
	}
	spec, err := bpf_noncore.LoadLearn()
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(spec.Programs, func(name string, _ *ebpf.ProgramSpec) bool { return name != prog })
	coll, err := ebpf.NewCollection(spec)
	if err != nil {
		return nil, fmt.Errorf("load the probe: %w", err)
	}
	p := &learnProbe{coll: coll}
	random, err := drawBits()
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	copy(p.order.Name[:], "learn-"+hex.EncodeToString(random))
	if err := p.rename(); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// openMemory opens the probe to read kernel memory from the current thread.
func openMemory(fs *tracefs, raw bool) (*learnProbe, error) {
	name := progShowMemory
	if raw {
		name = progShowMemoryRaw
	}
	p, err := openLearnProbe(name)
	if err != nil {
		return nil, err
	}
	if !raw {
		err = p.hook(fs, taskRename, name)
	} else {
		err = p.hookRaw(taskRename, name)
	}
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

func (p *learnProbe) close() error {
	err := p.detach()
	p.coll.Close()
	return err
}

func (p *learnProbe) detach() error {
	var errs []error
	for _, l := range p.links {
		errs = append(errs, l.Close())
	}
	p.links = nil
	return errors.Join(errs...)
}

func (p *learnProbe) hook(t *tracefs, tp tracepoint, name string) error {
	l, err := attach(t, tp, p.coll.Programs[name])
	if err != nil {
		return err
	}
	p.links = append(p.links, l)
	return nil
}

func (p *learnProbe) hookRaw(tp tracepoint, name string) error {
	l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: tp.name, Program: p.coll.Programs[name]})
	if err != nil {
		return fmt.Errorf("attach raw tracepoint %s: %w", tp.name, err)
	}
	p.links = append(p.links, l)
	return nil
}

// rename gives the current thread the name, which it may have already.
func (p *learnProbe) rename() error {
	_, _, errno := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_NAME, uintptr(unsafe.Pointer(&p.order.Name)), 0)
	if errno != 0 {
		return fmt.Errorf("name the thread: %w", errno)
	}
	return nil
}

// give puts an order where the programs find it.
func (p *learnProbe) give() error {
	p.order.Serial++
	if err := p.coll.Maps[mapOrder].Put(uint32(0), &p.order); err != nil {
		return fmt.Errorf("give the probe an order: %w", err)
	}
	return nil
}

// answer returns what the programs showed on the last order.
func (p *learnProbe) answer() (*learnAnswer, error) {
	a := new(learnAnswer)
	if err := p.coll.Maps[mapAnswer].Lookup(uint32(0), a); err != nil {
		return nil, fmt.Errorf("read what the probe shows: %w", err)
	}
	if a.Serial != p.order.Serial {
		return nil, errNotShown
	}
	return a, nil
}

// show returns the bytes at an address, at most shownMax.
func (p *learnProbe) show(address uint64, n int) (*learnAnswer, error) {
	p.order.Address, p.order.Length = address, uint32(n)
	if err := p.give(); err != nil {
		return nil, err
	}
	if err := p.rename(); err != nil {
		return nil, err
	}
	return p.answer()
}

// self returns the current thread as the kernel counts, and the address of its task_struct.
func (p *learnProbe) self() (sighting, error) {
	a, err := p.show(0, 1)
	if err != nil {
		return sighting{}, err
	}
	// From now on, whoever else bears the name is noted.
	p.order.PIDTGID = a.PIDTGID
	if err := p.give(); err != nil {
		return sighting{}, err
	}
	return sighting{tgid: uint32(a.PIDTGID >> 32), tid: uint32(a.PIDTGID), task: a.Task}, nil
}

// faultStep is how closely the end of readable memory is found out.
const faultStep = 256

// read implements memory.
func (p *learnProbe) read(address uint64, n int) ([]byte, error) {
	var out []byte
	step := shownMax
	for len(out) < n {
		step = min(step, n-len(out))
		a, err := p.show(address+uint64(len(out)), step)
		if err != nil {
			return nil, err
		}
		if a.Faulted == 0 {
			out = append(out, a.Bytes[:step]...)
			continue
		}
		if step <= faultStep {
			break
		}
		step = max(step/2, faultStep)
	}
	return out, nil
}

// noted returns the one thread that was noted since the last call.
func (p *learnProbe) noted() (sighting, error) {
	var found []sighting
	var key, task uint64
	entries := p.coll.Maps[mapSightings].Iterate()
	for entries.Next(&key, &task) {
		found = append(found, sighting{tgid: uint32(key >> 32), tid: uint32(key), task: task})
	}
	if err := entries.Err(); err != nil {
		return sighting{}, fmt.Errorf("read what the probe noted: %w", err)
	}
	if len(found) != 1 {
		return sighting{}, fmt.Errorf("%w: the probe noted %d threads instead of 1", errNotSeen, len(found))
	}
	if err := p.coll.Maps[mapSightings].Delete(key); err != nil {
		return sighting{}, fmt.Errorf("forget what the probe noted: %w", err)
	}
	return found[0], nil
}
