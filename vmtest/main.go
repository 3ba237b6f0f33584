// SPDX-License-Identifier: Apache-2.0

// Command vmtest proves everyexec on real kernels: it boots each kernel of kernels.json in QEMU with an initramfs that holds
// nothing but our own static programs, has them run there, and judges what they print.
//
//	vmtest                         the whole matrix, and docs/kernels.md from it
//	vmtest -smoke                  the kernels that `make test` boots
//	vmtest NAME...                 kernels by name
//	vmtest -kernel FILE [-btf FILE]  a kernel that is at hand
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	switch {
	case errors.Is(err, errUsage):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "vmtest:", err)
		os.Exit(1)
	}
}

var (
	errUsage  = errors.New("wrong arguments")
	errFailed = errors.New("some kernels failed")
)

// options are what the command line says.
type options struct {
	smoke  bool
	list   bool
	kernel string
	btf    string
	arch   string
	append string
	accel  string
	run    string
	store  string
	table  string
	logs   string
	jobs   int
	names  []string
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("vmtest", flag.ContinueOnError)
	f.BoolVar(&o.smoke, "smoke", false, "only the smoke set")
	f.BoolVar(&o.list, "list", false, "list the kernels and why each is there")
	f.StringVar(&o.kernel, "kernel", "", "boot this bzImage (Image on arm64) instead of the list")
	f.StringVar(&o.btf, "btf", "", "BTF of the kernel of -kernel, for core-external")
	f.StringVar(&o.arch, "arch", runtime.GOARCH, "architecture of the kernel of -kernel, as Go names it")
	f.StringVar(&o.append, "append", "", "more for the kernel's command line")
	// With a thread for each CPU, a CPU of the guest may run a breakpoint that another has already taken out of the kernel's
	// code again: attaching to tracepoints has kernels with CONFIG_JUMP_LABEL lock up (5.10) or panic with "Oops: int3" (7.3).
	f.StringVar(&o.accel, "accel", "tcg,thread=single", "QEMU's -accel; kvm where guests really boot with it")
	f.StringVar(&o.run, "run", "", "regular expression of the suite's cases to run")
	f.StringVar(&o.store, "cache", defaultStore(), "where kernels are kept")
	f.StringVar(&o.table, "table", "", "table to write the results into; docs/kernels.md when the whole matrix runs")
	f.StringVar(&o.logs, "logs", filepath.Join(os.TempDir(), "vmtest-logs"), "where the consoles of failed guests are kept")
	f.IntVar(&o.jobs, "jobs", runtime.NumCPU(), "guests that run side by side")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, errUsage
	}
	o.names = f.Args()
	if o.jobs < 1 || o.kernel != "" && (o.smoke || len(o.names) > 0) {
		fmt.Fprintln(os.Stderr, "vmtest: -kernel goes with no other kernels, and -jobs is at least 1")
		return o, errUsage
	}
	if _, ok := machines[o.arch]; !ok {
		fmt.Fprintf(os.Stderr, "vmtest: no machine of architecture %q\n", o.arch)
		return o, errUsage
	}
	return o, nil
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	l, err := loadList()
	if err != nil {
		return err
	}
	if o.list {
		for _, k := range l.Kernels {
			fmt.Printf("%-24s %s\n", k.Name, k.Why)
		}
		return nil
	}
	start := time.Now()
	h := &harness{options: o, binaries: map[string]binaries{}}
	defer h.close()
	if o.kernel != "" {
		k := kernel{Name: filepath.Base(o.kernel), Arch: o.arch}
		return h.report(ctx, []account{{kernel: k, image: image{path: o.kernel, btf: o.btf, source: o.kernel}}}, start)
	}
	chosen, left, err := l.choose(o.names, o.smoke)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		var names []string
		for _, k := range left {
			names = append(names, k.Name)
		}
		fmt.Printf("left out (make vmtest runs all): %s\n", strings.Join(names, ", "))
	}
	accounts, err := h.prepare(ctx, l, chosen)
	if err != nil {
		return err
	}
	err = h.report(ctx, accounts, start)
	if o.table == "" && len(left) == 0 && o.run == "" {
		o.table = "docs/kernels.md"
	}
	if o.table == "" {
		return err
	}
	return errors.Join(err, writeTable(o.table, accounts, l.Kernels))
}

// harness runs guests.
type harness struct {
	options
	dir      string              // of the binaries
	binaries map[string]binaries // by the kind of guest
}

func (h *harness) close() { os.RemoveAll(h.dir) }

// prepare brings all kernels into the store before the first boots: a build would slow the guests down.
func (h *harness) prepare(ctx context.Context, l *list, kernels []kernel) ([]account, error) {
	s := &store{dir: h.store, list: l, log: func(format string, args ...any) {
		fmt.Printf("[%s] %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
	}}
	lock, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	defer os.RemoveAll(filepath.Join(s.dir, "build"))
	var accounts []account
	for _, k := range kernels {
		im, err := s.get(ctx, k)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		accounts = append(accounts, account{kernel: k, image: im, missing: err})
	}
	return accounts, nil
}

// report boots the kernels, prints what came out, and gives errFailed when something is wrong. Where CI=true a kernel that
// cannot be had is wrong too.
func (h *harness) report(ctx context.Context, accounts []account, start time.Time) error {
	if err := h.compile(ctx, accounts); err != nil {
		return err
	}
	var printing sync.Mutex
	places := make(chan struct{}, h.jobs)
	var guests sync.WaitGroup
	for i := range accounts {
		places <- struct{}{}
		guests.Go(func() {
			defer func() { <-places }()
			a := &accounts[i]
			if a.missing == nil {
				h.prove(ctx, a)
			}
			printing.Lock()
			defer printing.Unlock()
			fmt.Print(a)
		})
	}
	guests.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return summary(accounts, time.Since(start))
}

func summary(accounts []account, took time.Duration) error {
	failed, missing := 0, 0
	for _, a := range accounts {
		switch {
		case a.missing != nil:
			missing++
			fmt.Printf("%-24s could not be had: %v\n", a.kernel.Name, a.missing)
		case a.failed():
			failed++
			fmt.Printf("%-24s %s\n", a.kernel.Name, a.verdict())
		default:
			fmt.Printf("%-24s %s: auto %s, unknown %s, passed %s\n", a.kernel.Name, a.verdict(), a.auto(), a.unknown(), a.passed())
		}
	}
	fmt.Printf("%d kernels, %d failed, %d could not be had, %v\n", len(accounts), failed, missing, took.Round(time.Second))
	if failed > 0 || missing > 0 && os.Getenv("CI") == "true" {
		return errFailed
	}
	return nil
}

func writeTable(path string, accounts []account, kernels []kernel) error {
	t, err := readTable(path)
	if err != nil {
		return err
	}
	date := time.Now().UTC().Format(time.DateOnly)
	for _, a := range accounts {
		if a.missing == nil {
			t.put(a, date)
		}
	}
	return t.write(path, kernels)
}
