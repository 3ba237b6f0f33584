// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"github.com/everyexec/everyexec/loader"
)

// learnFlags say what the stub may do to know the parent and the arguments.
type learnFlags struct {
	noLearn bool
	noForks bool
}

func (f *learnFlags) register(flags *pflag.FlagSet) {
	flags.BoolVar(&f.noLearn, "no-learn", false, "stub: do not learn where the kernel keeps parent and arguments")
	flags.BoolVar(&f.noForks, "no-fork-tracking", false, "stub: do not follow forks where nothing was learned; ppid is unknown then")
}

// apply tells the loader; cacheDir is where learned offsets are kept.
func (f *learnFlags) apply(o *loader.Options, cacheDir string) {
	o.NoLearn, o.NoForkTracking, o.CacheDir = f.noLearn, f.noForks, cacheDir
}

// printOffsets learns the kernel's offsets and prints them. Like check, it ends with 3 if the stub
// would miss a field for want of one.
func printOffsets(ctx context.Context, f *checkFlags, stdout, stderr io.Writer) error {
	l, err := f.log.logger(stderr)
	if err != nil {
		return err
	}
	var write func(io.Writer, *loader.Offsets) error
	switch f.output {
	case "text":
		write = writeOffsets
	case "json":
		write = func(w io.Writer, o *loader.Offsets) error { return json.NewEncoder(w).Encode(o) }
	default:
		return usagef("--output: with --offsets, %q is none of text, json", f.output)
	}
	o, err := loader.LearnOffsets(ctx, loader.Options{SelfTest: true, Logger: l})
	if err != nil {
		return err
	}
	if err := write(stdout, o); err != nil {
		return err
	}
	if !o.PPID() || !o.Args() {
		return verdictError{exitUnavailable}
	}
	return nil
}

func writeOffsets(w io.Writer, o *loader.Offsets) error {
	for name, offset := range o.Members() {
		text := "-"
		if offset != nil {
			text = fmt.Sprint(*offset)
		}
		if _, err := fmt.Fprintf(w, "%-24s %5s\n", name, text); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%s\n", o.Proof())
	return err
}
