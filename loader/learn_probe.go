// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/everyexec/everyexec/bpf_noncore"
)

// The names in the object.
const (
	mapOrder     = "order"
	mapAnswer    = "answer"
	mapSightings = "sightings"

	progShowMemory  = "show_memory"
	progShowContext = "show_context"
	progNoteExec    = "note_exec"
)

// shownMax is how many bytes one answer holds.
const shownMax = 4096

// learnOrder is struct learn_order of bpf_noncore/learn.bpf.c.
type learnOrder struct {
	Name         [16]byte
	Path         [88]byte
	Address      uint64
	Length       uint32
	Serial       uint32
	ExecFilename uint32
	Reserved     uint32
}

// learnAnswer is struct learn_answer.
type learnAnswer struct {
	PIDTGID uint64
	Task    uint64
	Serial  uint32
	Faulted uint32
	Bytes   [shownMax]byte
}

// sighting is a process that executed the path of the order.
type sighting struct {
	tgid, tid uint32
	task      uint64
	ktimeNs   uint64
}

// learnProbe shows kernel memory. Only the thread that opened it may use it.
type learnProbe struct {
	coll  *ebpf.Collection
	links []io.Closer
	order learnOrder
}

// errNotShown tells that the program did not run on an order.
var errNotShown = errors.New("the probe program was not run")

// openLearnProbe loads the probe and gives the current thread, which must be locked, the name by
// which the programs know it. The thread should end with its goroutine, as it keeps that name.
func openLearnProbe() (*learnProbe, error) {
	spec, err := bpf_noncore.LoadLearn()
	if err != nil {
		return nil, err
	}
	coll, err := ebpf.NewCollection(spec)
	if err != nil {
		return nil, fmt.Errorf("load the probe programs: %w", err)
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

// watch has the execs of a path noted.
func (p *learnProbe) watch(path string) error {
	if len(path) >= len(p.order.Path) {
		return fmt.Errorf("the path of the test exec has %d bytes, more than %d", len(path), len(p.order.Path)-1)
	}
	p.order.Path = [len(p.order.Path)]byte{}
	copy(p.order.Path[:], path)
	return p.give()
}

// sightings takes the processes that were noted, in the order of their execs.
func (p *learnProbe) sightings() ([]sighting, error) {
	var found []sighting
	var key uint64
	var value struct{ Task, KtimeNs uint64 }
	entries := p.coll.Maps[mapSightings].Iterate()
	for entries.Next(&key, &value) {
		found = append(found, sighting{uint32(key >> 32), uint32(key), value.Task, value.KtimeNs})
	}
	if err := entries.Err(); err != nil {
		return nil, fmt.Errorf("read the test execs: %w", err)
	}
	slices.SortFunc(found, func(a, b sighting) int { return cmp.Compare(a.ktimeNs, b.ktimeNs) })
	for _, s := range found {
		if err := p.coll.Maps[mapSightings].Delete(uint64(s.tgid)<<32 | uint64(s.tid)); err != nil {
			return nil, fmt.Errorf("forget a test exec: %w", err)
		}
	}
	return found, nil
}

// onOwnThread runs f on a thread that is not the leader of the process and that ends with it, so
// that f may change the thread as it likes.
func onOwnThread(f func() error) error {
	done := make(chan error)
	go func() {
		// Never unlocked: the thread ends with the goroutine.
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			done <- f()
			return
		}
		// The leader cannot run another goroutine while it waits here.
		err := onOwnThread(f)
		runtime.UnlockOSThread()
		done <- err
	}()
	return <-done
}

func le64(b []byte, offset uint32) (uint64, bool) {
	if uint64(offset)+8 > uint64(len(b)) {
		return 0, false
	}
	return binary.LittleEndian.Uint64(b[offset:]), true
}

func le32(b []byte, offset uint32) (uint32, bool) {
	if uint64(offset)+4 > uint64(len(b)) {
		return 0, false
	}
	return binary.LittleEndian.Uint32(b[offset:]), true
}
