// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/everyexec/everyexec/cmd/everyexec/internal/cgroup"
	"github.com/everyexec/everyexec/cmd/everyexec/internal/output"
	"github.com/everyexec/everyexec/event"
	"github.com/everyexec/everyexec/loader"
)

// traceFlags is what the command line of trace says.
type traceFlags struct {
	variant  string
	require  []string
	output   string
	fails    bool
	clock    bool
	since    bool
	printUID bool
	uid      uint32
	name     string
	line     string
	pid      uint32
	ppid     uint32
	cgroup   string
	quote    bool
	maxArgs  int
	count    uint64
	duration time.Duration
	buffer   sizeValue
	btf      btfFlags
	learn    learnFlags
	log      logFlags

	set *pflag.FlagSet
}

func newTraceCommand() *cobra.Command {
	f := &traceFlags{buffer: loader.DefaultBuffer}
	cmd := &cobra.Command{
		Use:   "trace",
		Short: "Stream one line for each program executed on this machine",
		Long: `trace streams one line for each program that is executed on this machine, until it is stopped.

It runs the best variant of its program that this kernel allows, says which and why, and proves it
by a test exec first. Events go to stdout, everything else to stderr. A value that is not known is
printed as "-", or as null in JSON with the reason under "missing".

In JSON, a byte that is not valid UTF-8 is written as the text \xNN, and a backslash before an x as
\x5c, so that the original bytes can be got back.`,
		Example: `  everyexec trace -T -U              # with time and user
  everyexec trace -o json -x         # JSON Lines, failed execs too
  everyexec trace -l 'curl|wget'     # only execs whose arguments match
  everyexec trace --require ppid     # fail unless the parent is known`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runTrace(cmd.Context(), f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f.register(cmd.Flags())
	return cmd
}

func (f *traceFlags) register(flags *pflag.FlagSet) {
	f.set = flags
	flags.SortFlags = false
	flags.StringVar(&f.variant, "variant", string(loader.Auto), "`VARIANT` that runs: auto, core, core-external, bcc or stub; any but auto is strict")
	flags.StringSliceVar(&f.require, "require", nil, "fail at start unless each `FIELD` is delivered, e.g. ppid,args")
	flags.StringVarP(&f.output, "output", "o", "table", "`FORMAT`: table for people, json for JSON Lines")
	flags.BoolVarP(&f.fails, "fails", "x", false, "also report execs that failed")
	flags.BoolVarP(&f.clock, "time", "T", false, "a column with the wall-clock time")
	flags.BoolVarP(&f.since, "timestamp", "t", false, "a column with the seconds since start")
	flags.BoolVarP(&f.printUID, "print-uid", "U", false, "a column with the uid")
	flags.Uint32VarP(&f.uid, "uid", "u", 0, "only execs of this `UID`")
	flags.StringVarP(&f.name, "name", "n", "", "only execs whose comm matches the regular expression `REGEX`")
	flags.StringVarP(&f.line, "line", "l", "", "only execs whose arguments, joined by spaces, match the regular expression `REGEX`")
	flags.Uint32VarP(&f.pid, "pid", "p", 0, "only execs of the process `PID`")
	flags.Uint32VarP(&f.ppid, "ppid", "P", 0, "only execs of the children of process `PPID`")
	flags.StringVar(&f.cgroup, "cgroup", "", "only execs in the cgroup v2 of this `PATH` and below it")
	flags.BoolVarP(&f.quote, "quote", "q", false, "quote the arguments so that they can be pasted into a shell")
	flags.IntVar(&f.maxArgs, "max-args", 20, "show at most `N` arguments, 0 for all (default 20 in the table, 0 in json)")
	flags.Uint64Var(&f.count, "count", 0, "stop after `N` events")
	flags.DurationVar(&f.duration, "duration", 0, "stop after a time `D`, e.g. 30s")
	flags.Var(&f.buffer, "buffer", "`SIZE` of each CPU's perf buffer, e.g. 256KiB")
	f.btf.register(flags)
	f.learn.register(flags)
	f.log.register(flags)
	flags.Lookup("max-args").DefValue = "0" // its text says which default holds where
}

// options are what the loader is told.
func (f *traceFlags) options(needs event.Fields, l *slog.Logger) (loader.Options, error) {
	o := loader.Options{Require: needs, Fails: f.fails, Buffer: int(f.buffer), SelfTest: true, Logger: l}
	f.learn.apply(&o, f.btf.query.CacheDir)
	var err error
	if o.Variant, err = parseVariant(f.variant); err != nil {
		return o, err
	}
	if o.BTF, err = f.btf.places(); err != nil {
		return o, err
	}
	for _, name := range f.require {
		field, ok := event.ParseField(name)
		if !ok {
			return o, usagef("--require: there is no field %q, only %s", name, event.All)
		}
		o.Require |= field
	}
	return o, nil
}

func parseVariant(name string) (loader.Variant, error) {
	all := []loader.Variant{loader.Auto, loader.Core, loader.CoreExternal, loader.BCC, loader.Stub}
	for _, v := range all {
		if string(v) == name {
			return v, nil
		}
	}
	return "", usagef("--variant: %q is none of %s", name, joinVariants(all))
}

func joinVariants(all []loader.Variant) string {
	var names []string
	for _, v := range all {
		names = append(names, string(v))
	}
	return strings.Join(names, ", ")
}

// filter turns the flags into conditions.
func (f *traceFlags) filter(r *cgroup.Resolver, noCgroups error) (*filter, error) {
	fl := new(filter)
	if f.set.Changed("uid") {
		fl.onUID(f.uid)
	}
	if f.set.Changed("pid") {
		fl.onPID(f.pid)
	}
	if f.set.Changed("ppid") {
		fl.onPPID(f.ppid)
	}
	for _, c := range []struct {
		flag, text string
		add        func(*regexp.Regexp)
	}{{"name", f.name, fl.onComm}, {"line", f.line, fl.onLine}} {
		if c.text == "" {
			continue
		}
		re, err := regexp.Compile(c.text)
		if err != nil {
			return nil, usagef("--%s: %w", c.flag, err)
		}
		c.add(re)
	}
	if f.cgroup != "" {
		if noCgroups != nil {
			return nil, fmt.Errorf("--cgroup: %w", noCgroups)
		}
		below, err := r.Below(f.cgroup)
		if err != nil {
			return nil, usagef("--cgroup: %w", err)
		}
		fl.onCgroup(below)
	}
	return fl, nil
}

// writer chooses the form of the output.
func (f *traceFlags) writer(start time.Time) (output.Writer, error) {
	if f.maxArgs < 0 {
		return nil, usagef("--max-args: %d is negative", f.maxArgs)
	}
	switch f.output {
	case "json":
		j := output.JSON{}
		if f.set.Changed("max-args") {
			j.MaxArgs = f.maxArgs
		}
		return j, nil
	case "table":
		t := output.Table{Clock: f.clock, UID: f.printUID, Quote: f.quote, MaxArgs: f.maxArgs}
		if f.since {
			t.Since = start
		}
		return t, nil
	}
	return nil, usagef("--output: %q is none of table, json", f.output)
}

func runTrace(ctx context.Context, f *traceFlags, stdout, stderr io.Writer) error {
	l, err := f.log.logger(stderr)
	if err != nil {
		return err
	}
	w, err := f.writer(time.Now())
	if err != nil {
		return err
	}
	if f.duration < 0 {
		return usagef("--duration: %s is negative", f.duration)
	}
	cgroups, noCgroups := cgroup.NewResolver()
	fl, err := f.filter(cgroups, noCgroups)
	if err != nil {
		return err
	}
	o, err := f.options(fl.needs, l)
	if err != nil {
		return err
	}

	t, err := loader.Open(ctx, o)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	if err != nil {
		return err
	}
	verified, unverified := t.Verified()
	l.Info("tracing", "variant", t.Variant(), "reason", t.Why(), "fields", t.Fields(), "verified", verified)
	if !verified {
		l.Warn("the variant could not be verified", "reason", unverified)
	}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if f.duration > 0 {
		ctx, cancel = context.WithTimeout(ctx, f.duration)
		defer cancel()
	}
	defer stopOnHangup(stdout, cancel)()
	stopped := context.AfterFunc(ctx, func() {
		if err := t.Stop(); err != nil {
			l.Error("stop tracing", "error", err)
		}
	})
	defer stopped()

	s := &stream{tracer: t, filter: fl, cgroups: cgroups, writer: w, out: bufio.NewWriterSize(stdout, 64<<10)}
	err = s.run(f.count)
	if errors.Is(err, unix.EPIPE) {
		err = nil // the reader has seen enough
	}
	err = errors.Join(err, t.Stop(), drain(t))
	l.Info("stopped", "seen", t.Seen(), "lost", t.Lost())
	return errors.Join(err, t.Close())
}

// drain reads what nobody wants any more, so that losses are counted to the end.
func drain(t *loader.Tracer) error {
	var e event.Event
	for {
		err := t.Read(&e)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// stopOnHangup cancels when the reader of a pipe goes away, which no write tells on a quiet machine.
func stopOnHangup(stdout io.Writer, cancel func()) (stop func()) {
	f, ok := stdout.(*os.File)
	if !ok {
		return func() {}
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return func() {}
	}
	wake, wakeUp, err := os.Pipe()
	if err != nil {
		return func() {}
	}
	go func() {
		defer wake.Close()
		fds := []unix.PollFd{{Fd: int32(f.Fd())}, {Fd: int32(wake.Fd()), Events: unix.POLLIN}}
		for {
			_, err := unix.Poll(fds, -1)
			if err == unix.EINTR {
				continue
			}
			if err == nil && fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0 {
				cancel()
			}
			return
		}
	}()
	return func() { wakeUp.Close() }
}
