// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/everyexec/everyexec/btf"
)

func newBTFFindCommand() *cobra.Command {
	var f btfFlags
	var kernel kernelFlags
	var form formFlag
	cmd := &cobra.Command{
		Use:   "find",
		Short: "Say where BTF for a kernel would come from",
		Long: `find tries every place in the order in which trace does, says what came of each, and stops at the
first BTF that holds what everyexec needs. Whether the values come out right is only proved by
check and trace, on the kernel itself. With --btf-url it downloads as trace would, into the cache.

It ends with code 1 if no place has the BTF.`,
		Example: `  everyexec btf find
  everyexec btf find --btf-dir ~/btfhub-archive --release 5.4.0-1029-aws --distro ubuntu --distro-version 18.04 --arch x86_64`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := form.check(); err != nil {
				return err
			}
			q, err := f.resolve(kernel)
			if err != nil {
				return err
			}
			return findBTF(cmd.Context(), cmd.OutOrStdout(), q, form)
		},
	}
	cmd.Flags().SortFlags = false
	kernel.register(cmd.Flags())
	f.register(cmd.Flags())
	form.register(cmd.Flags())
	return cmd
}

// findReport is the JSON of btf find.
type findReport struct {
	Schema  int         `json:"schema"`
	Release string      `json:"release"`
	Arch    string      `json:"arch"`
	Distro  string      `json:"distro"`
	Version string      `json:"version_id"`
	Needs   []string    `json:"needs"`
	Found   *btf.Tried  `json:"found"` // null: nowhere
	Tried   []btf.Tried `json:"tried"`
}

func findBTF(ctx context.Context, w io.Writer, q btf.Query, form formFlag) error {
	search := btf.NewSearch(q)
	found := false
	for range search.Found(ctx) {
		found = true
		break
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r := findReport{
		Schema: 1, Release: q.Release, Arch: q.Arch, Distro: q.Distro.ID, Version: q.Distro.VersionID,
		Needs: q.Needs.Names(), Tried: search.Trail(),
	}
	if found {
		r.Found = &r.Tried[len(r.Tried)-1]
	}
	if err := r.write(w, form); err != nil {
		return err
	}
	if !found {
		return verdictError{exitFailed}
	}
	return nil
}

func (r findReport) write(w io.Writer, form formFlag) error {
	if form == formJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "kernel %s, %s, %s\n\n", printable(r.Release), printable(r.Arch), btf.Distro{ID: r.Distro, VersionID: r.Version})
	fmt.Fprintln(t, "PLACE\tPATH\tRESULT")
	for _, tried := range r.Tried {
		fmt.Fprintf(t, "%s\t%s\t%s\n", tried.Place, printable(tried.Path), printable(tried.Result))
	}
	if r.Found != nil {
		fmt.Fprintf(t, "\nfound: %s\n", printable(r.Found.Path))
	} else {
		fmt.Fprint(t, "\nnot found: see docs/external-btf.md for where to get it and how to make it\n")
	}
	return t.Flush()
}
