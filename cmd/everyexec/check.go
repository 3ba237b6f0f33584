// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/everyexec/everyexec/cmd/everyexec/internal/report"
	"github.com/everyexec/everyexec/cmd/everyexec/internal/terminal"
	"github.com/everyexec/everyexec/loader"
)

type checkFlags struct {
	output   string
	noVerify bool
	offsets  bool
	btf      btfFlags
	learn    learnFlags
	log      logFlags
}

func newCheckCommand() *cobra.Command {
	f := new(checkFlags)
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say what this kernel and this user allow, and how to get more",
		Long: `check says which variant trace would run here and why not a better one, what each needs, and how to
get it. It runs each variant for a moment and proves it by a test exec; it changes nothing.

It exits with 0 if every field is available, 3 if some field is missing, 4 if nothing can trace.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runCheck(cmd.Context(), f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&f.output, "output", "o", "text", "text for people, json for programs, prometheus for node_exporter's textfile collector, nfd for Node Feature Discovery")
	flags.BoolVar(&f.noVerify, "no-verify", false, "leave out the test execs")
	flags.BoolVar(&f.offsets, "offsets", false, "only learn where this kernel keeps parent and arguments, as the stub does, and print it")
	f.btf.register(flags)
	f.learn.register(flags)
	f.log.register(flags)
	return cmd
}

func runCheck(ctx context.Context, f *checkFlags, stdout, stderr io.Writer) error {
	if f.offsets {
		return printOffsets(ctx, f, stdout, stderr)
	}
	if !slices.Contains(report.Formats, f.output) {
		return usagef("--output: %q is none of %s", f.output, strings.Join(report.Formats, ", "))
	}
	l, err := f.log.logger(stderr)
	if err != nil {
		return err
	}
	o := loader.Options{NoVerify: f.noVerify, SelfTest: true, Logger: l}
	f.learn.apply(&o, f.btf.query.CacheDir)
	if o.BTF, err = f.btf.places(); err != nil {
		return err
	}
	r, err := loader.Check(ctx, o)
	if err != nil {
		return err
	}
	if err := report.Write(stdout, f.output, r, terminal.PenFor(stdout)); err != nil {
		return err
	}
	return verdictOf(r)
}

// verdictOf is the exit code of a report.
func verdictOf(r *loader.Report) error {
	switch r.Verdict {
	case loader.Full:
		return nil
	case loader.Degraded:
		return verdictError{exitUnavailable}
	}
	return verdictError{exitUnusable}
}
