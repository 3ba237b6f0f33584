// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"bytes"
	"errors"
	"io"
	"runtime"

	"github.com/everyexec/everyexec/loader"
)

// What a fleet may grow to. A report beyond these is not taken in.
const (
	maxHosts   = 1_000_000
	maxKernels = 10_000
	maxReasons = 16 // rows of one kernel; then reasons and remedies are no longer told apart
	maxClasses = 64 // rows of one kernel in all
)

var (
	errHosts   = errors.New("more than 1,000,000 hosts: not counted")
	errKernels = errors.New("more than 10,000 distinct kernels: not counted")
	errClasses = errors.New("more than 64 different outcomes on one kernel: not counted")
)

// fleet takes in reports one by one and keeps what a summary needs of them.
type fleet struct {
	reports int // taken in
	older   int // of those, left out for a newer one of the same host
	hosts   map[string]sighting
	classes map[class]*class   // each class once, so that hosts share it
	kernels map[kernelName]int // classes of each kernel
	damaged Damaged
}

// sighting is what is kept of a host: its newest report.
type sighting struct {
	time    int64 // Unix microseconds, which hold every year that JSON can name
	reports int32 // from this host
	class   *class
}

type kernelName struct {
	kernel loader.Kernel
	distro loader.Distro
}

func newFleet() *fleet {
	return &fleet{
		hosts:   make(map[string]sighting),
		classes: make(map[class]*class),
		kernels: make(map[kernelName]int),
	}
}

// Read reads reports from files, from all files below directories except hidden ones, and from
// stdin where a path is "-". Reports may be JSON Lines or indented JSON, one behind the other.
// What cannot be read or used is in the summary's Damaged. At most 1 MiB of a report, 8 GiB of a
// file, 1,000,000 hosts and 10,000 kernels are taken in.
func Read(stdin io.Reader, paths ...string) *Summary {
	f := newFleet()
	decodeAll(func(emit func(item)) {
		r := &reader{emit: emit}
		for _, path := range paths {
			if path == "-" {
				r.stream("standard input", stdin)
				continue
			}
			r.path(path)
		}
	}, f.take)
	return f.summary()
}

// decodeAll decodes what read emits on all processors, and hands it on in the order of reading.
func decodeAll(read func(emit func(item)), take func(item, *hostReport)) {
	type decoded struct {
		item
		report *hostReport
	}
	queue := make(chan chan decoded, 2*runtime.GOMAXPROCS(0)) // bounds what is in memory
	go func() {
		defer close(queue)
		read(func(i item) {
			done := make(chan decoded, 1)
			queue <- done
			go func() {
				var r *hostReport
				if i.err == nil {
					r, i.err = decode(i.text)
				}
				done <- decoded{i, r}
			}()
		})
	}()
	for done := range queue {
		d := <-done
		take(d.item, d.report)
	}
}

// take takes in what was decoded. With an error r is nil, or is good but followed by something else.
func (f *fleet) take(i item, r *hostReport) {
	var after trailer
	if errors.As(i.err, &after) {
		f.damaged.add(i.file, i.line+bytes.Count(i.text[:after.offset], []byte("\n")), i.err)
		i.err = nil
	}
	if i.err == nil {
		i.err = f.add(r)
	}
	if i.err != nil {
		f.damaged.add(i.file, i.line, i.err)
	}
}

// add takes in a checked report. Of several from one host the newest counts.
func (f *fleet) add(r *hostReport) error {
	seen, known := f.hosts[r.Host]
	if !known && len(f.hosts) >= maxHosts {
		return errHosts
	}
	if t := r.Time.UnixMicro(); !known || t > seen.time {
		c, err := f.class(classOf(r))
		if err != nil {
			return err
		}
		seen.time, seen.class = t, c
	}
	if known {
		f.older++
	}
	f.reports++
	seen.reports++
	f.hosts[r.Host] = seen
	return nil
}

// class returns the one copy of c that its hosts share.
func (f *fleet) class(c class) (*class, error) {
	if have := f.classes[c]; have != nil {
		return have, nil
	}
	name := kernelName{c.kernel, c.distro}
	n := f.kernels[name]
	if n == 0 && len(f.kernels) >= maxKernels {
		return nil, errKernels
	}
	if n >= maxClasses {
		return nil, errClasses
	}
	if n >= maxReasons && c.needs && c.reason != manyReasons {
		// Hosts that each give a reason of their own would make a row each.
		c.reason, c.remedy = manyReasons, manyRemedy
		return f.class(c)
	}
	f.kernels[name]++
	f.classes[c] = &c
	return &c, nil
}

const (
	manyReasons = "many different reasons"
	manyRemedy  = "everyexec check"
)
