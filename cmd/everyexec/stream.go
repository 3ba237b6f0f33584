// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/everyexec/everyexec/cmd/everyexec/internal/cgroup"
	"github.com/everyexec/everyexec/cmd/everyexec/internal/output"
	"github.com/everyexec/everyexec/event"
	"github.com/everyexec/everyexec/loader"
)

// stream carries execs from the tracer to stdout.
type stream struct {
	tracer  *loader.Tracer
	filter  *filter
	cgroups *cgroup.Resolver // nil where there is no cgroup v2
	writer  output.Writer
	out     *bufio.Writer
	written uint64
}

// run writes execs until the tracer ends or count have been written (0: no limit).
func (s *stream) run(count uint64) error {
	if err := s.flush(s.writer.Header()); err != nil {
		return err
	}
	var e event.Event
	var line []byte
	x := output.Exec{Event: &e, Variant: string(s.tracer.Variant())}
	x.Missing = func(f event.Fields) string { return s.tracer.Missing(&e, f) }
	for count == 0 || s.written < count {
		err := s.tracer.Read(&e)
		if errors.Is(err, io.EOF) {
			return s.flush(nil)
		}
		if err != nil {
			return errors.Join(err, s.flush(nil))
		}
		if s.filter.pass(&e) {
			s.complete(&x)
			line = s.writer.Append(line[:0], &x)
			s.written++
			if _, err := s.out.Write(line); err != nil {
				return fmt.Errorf("write stdout: %w", err)
			}
		}
		// A reader sees an exec at once, but a storm is not written line by line.
		if !s.tracer.Pending() {
			if err := s.flush(nil); err != nil {
				return err
			}
		}
	}
	return s.flush(nil)
}

// complete adds what is not in the record.
func (s *stream) complete(x *output.Exec) {
	x.Time = s.tracer.Time(x.Event)
	x.ContainerID, x.ContainerMissing = "", ""
	if s.cgroups == nil || !x.Known.Has(event.CgroupID) {
		x.ContainerMissing = "kernel"
		return
	}
	id, err := s.cgroups.ContainerID(x.CgroupID)
	switch {
	case errors.Is(err, cgroup.ErrUnknown):
		x.ContainerMissing = "kernel"
	case err != nil:
		x.ContainerMissing = "fault"
	}
	x.ContainerID = id
}

func (s *stream) flush(text []byte) error {
	if _, err := s.out.Write(text); err != nil {
		return fmt.Errorf("write stdout: %w", err)
	}
	if err := s.out.Flush(); err != nil {
		return fmt.Errorf("write stdout: %w", err)
	}
	return nil
}
