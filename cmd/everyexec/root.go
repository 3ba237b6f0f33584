// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/everyexec/everyexec/loader"
)

// The exit codes of the contract.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitUnavailable = 3
	exitUnusable    = 4
)

// usageError is a wrong flag or argument.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// verdictError ends a command that did its work with the exit code of what it found.
type verdictError struct{ code int }

func (e verdictError) Error() string { return fmt.Sprintf("verdict %d", e.code) }

// run executes the command line.
func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	// A reader of stdout that has gone away is an error of the write, not a death.
	signal.Ignore(unix.SIGPIPE)

	root := newRootCommand()
	root.SetArgs(args)
	return root.ExecuteContext(ctx)
}

// exitCode prints an error, if there is one to print, and returns the exit code for it.
func exitCode(err error) int {
	var verdict verdictError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &verdict):
		return verdict.code
	}
	fmt.Fprintf(os.Stderr, "everyexec: %v\n", err)

	var usage usageError
	var unavailable *loader.UnavailableError
	var unusable *loader.UnusableError
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &unavailable):
		return exitUnavailable
	case errors.As(err, &unusable):
		return exitUnusable
	}
	return exitFailed
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "everyexec",
		Short: "Show every program that starts on this machine",
		Long: `everyexec shows every program that starts on this machine: pid, parent, user, path, arguments.
It works on kernels with BTF and without, and says so where a value cannot be known.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newTraceCommand(), newCheckCommand(), newFleetCommand(), newBTFCommand(), newVersionCommand())
	return root
}

// noArgs rejects arguments, unknown commands among them.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasSubCommands() {
		return usagef("unknown command %q; see: %s help", args[0], cmd.CommandPath())
	}
	return usagef("%s takes no arguments, but got %q", cmd.CommandPath(), args[0])
}
