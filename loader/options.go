// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"log/slog"

	"github.com/everyexec/everyexec/btf"
	"github.com/everyexec/everyexec/event"
)

// DefaultBuffer is the size in bytes of each CPU's perf buffer. A record takes 80 bytes and its
// strings, commonly 150 to 300 in all, so this holds some thousand execs of one CPU.
const DefaultBuffer = 512 << 10

// Options says what to trace and how. The zero value traces successful execs with the best variant.
type Options struct {
	// Variant is the only one that may run, or Auto (also "") for the best.
	Variant Variant
	// Require holds fields without which a variant is not taken.
	Require event.Fields
	// Fails also reports execs that failed. It attaches syscall tracepoints, which costs every
	// syscall of the machine some 80 ns.
	Fails bool
	// Buffer is the size of each CPU's perf buffer in bytes, rounded up to a power of two of
	// pages; 0 means DefaultBuffer.
	Buffer int
	// NoVerify leaves out the test exec.
	NoVerify bool
	// NoLearn keeps the stub from learning where the kernel keeps parent and arguments.
	NoLearn bool
	// NoForkTracking keeps the stub from following who makes whom, where it has not learned where
	// the kernel keeps the parent.
	NoForkTracking bool
	// CacheDir is where learned offsets are kept between runs; "" keeps none.
	CacheDir string
	// SelfTest lets the test exec fall back to this very binary where memfds may not be executed
	// (vm.memfd_noexec=2, a policy). Its main must ask IsTestExec first.
	SelfTest bool
	// BTF says where BTF for a kernel without its own may come from. Which kernel is wanted and
	// what the programs need of it is filled in.
	BTF btf.Query
	// Logger takes warnings and errors; nil discards them.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Variant == "" {
		o.Variant = Auto
	}
	if o.Buffer == 0 {
		o.Buffer = DefaultBuffer
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
