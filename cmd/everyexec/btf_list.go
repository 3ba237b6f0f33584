// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/everyexec/everyexec/btf"
)

func newBTFListCommand() *cobra.Command {
	var f btfFlags
	var form formFlag
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the BTFs at hand",
		Long:  `list shows the BTFs in the embedded bundle, in --btf-bundle, in the cache and in --btf-dir.`,
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := form.check(); err != nil {
				return err
			}
			items, err := f.query.List()
			return errors.Join(writeItems(cmd.OutOrStdout(), items, form), err)
		},
	}
	cmd.Flags().SortFlags = false
	f.registerPlaces(cmd.Flags())
	form.register(cmd.Flags())
	return cmd
}

func writeItems(w io.Writer, items []btf.Item, form formFlag) error {
	if form == formJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(struct {
			Schema int        `json:"schema"`
			BTFs   []btf.Item `json:"btfs"`
		}{1, append([]btf.Item{}, items...)})
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PLACE\tDISTRO\tVERSION\tARCH\tRELEASE\tSIZE\tPATH")
	for _, i := range items {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", i.Place, orDash(i.Distro), orDash(i.Version), orDash(i.Arch),
			printable(i.Release), i.Size, printable(i.Path))
	}
	return t.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return printable(s)
}
