// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/everyexec/everyexec/cmd/everyexec/internal/fleet"
	"github.com/everyexec/everyexec/cmd/everyexec/internal/terminal"
)

type fleetFlags struct {
	output     string
	html       string
	missingBTF string
}

func newFleetCommand() *cobra.Command {
	var flags fleetFlags
	c := &cobra.Command{
		Use:   "fleet [FILE|DIRECTORY|-]...",
		Short: "Sum up the reports of many hosts: which variant each kernel gets, which BTFs are missing",
		Long: `fleet reads reports that "everyexec check -o json" wrote on many hosts, from files,
from all files below directories, or from standard input (no argument, or "-").

It prints one row for each distinct kernel, and for each difference between hosts of one kernel: how
many hosts, the variant that they get, the fields that are missing, and what to do about it.
A damaged report is named on standard error and counted; of several reports from one
host the newest counts.

It exits with 0 if every host is full, 3 if some host is degraded, 4 if some host is unusable.`,
		Example: `  for h in $(cat hosts); do ssh "$h" sudo everyexec check -o json; done | everyexec fleet
  everyexec fleet --html fleet.html --missing-btf fleet.json reports/`,
		RunE: func(c *cobra.Command, args []string) error { return runFleet(c, flags, args) },
	}
	c.Flags().StringVarP(&flags.output, "output", "o", "text", "text or json")
	c.Flags().StringVar(&flags.html, "html", "", "also write one self-contained page to `FILE`")
	c.Flags().StringVar(&flags.missingBTF, "missing-btf", "", "write the kernels that lack BTF to `FILE`, for btf pack --for")
	return c
}

func runFleet(c *cobra.Command, flags fleetFlags, args []string) error {
	if flags.output != "text" && flags.output != "json" {
		return usagef("--output: %q is none of text, json", flags.output)
	}
	if len(args) == 0 {
		if isTerminal(c.InOrStdin()) {
			return usagef("no reports: name files or directories, or pipe reports in")
		}
		args = []string{"-"}
	}
	if err := mustExist(args); err != nil {
		return err
	}
	s := fleet.Read(c.InOrStdin(), args...)
	nameDamage(c.ErrOrStderr(), s.Damaged)
	if s.Hosts == 0 {
		return errors.New("no report to sum up: everyexec check -o json writes one")
	}
	err := writeFleet(c.OutOrStdout(), flags, s)
	if err != nil && !errors.Is(err, unix.EPIPE) { // a reader that has seen enough is no failure
		return err
	}
	return fleetVerdict(s.Now)
}

func isTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// mustExist finds a mistyped path at once, not after minutes of reading the others.
func mustExist(paths []string) error {
	for _, path := range paths {
		if path == "-" {
			continue
		}
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("read reports: %w", err)
		}
	}
	return nil
}

func nameDamage(w io.Writer, d fleet.Damaged) {
	for _, damage := range d.First {
		fmt.Fprintln(w, damage)
	}
	if more := d.Count - len(d.First); more > 0 {
		fmt.Fprintf(w, "and %d more damaged reports\n", more)
	}
}

func writeFleet(w io.Writer, flags fleetFlags, s *fleet.Summary) error {
	if flags.html != "" {
		if err := writeFile(flags.html, s.WriteHTML); err != nil {
			return err
		}
	}
	if flags.missingBTF != "" {
		if err := writeFile(flags.missingBTF, s.WriteMissingBTF); err != nil {
			return err
		}
	}
	if flags.output == "json" {
		return s.WriteJSON(w)
	}
	return s.WriteText(w, terminal.PenFor(w))
}

// writeFile renders first, so that an error leaves what is there as it was.
func writeFile(path string, render func(io.Writer) error) error {
	var b bytes.Buffer
	if err := render(&b); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// fleetVerdict turns the worst verdict of the fleet into the exit code.
func fleetVerdict(t fleet.Tally) error {
	switch {
	case t.Unusable > 0:
		return verdictError{exitUnusable}
	case t.Degraded > 0:
		return verdictError{exitUnavailable}
	}
	return nil
}
