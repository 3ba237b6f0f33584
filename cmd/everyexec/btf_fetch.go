// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/everyexec/everyexec/btf"
)

func newBTFFetchCommand() *cobra.Command {
	var f btfFlags
	var kernel kernelFlags
	var form formFlag
	var sum string
	cmd := &cobra.Command{
		Use:   "fetch --btf-url URL",
		Short: "Download the BTF of a kernel into the cache",
		Long: `fetch downloads the BTF of this kernel, or of the one that is named, from a mirror with the layout of
btfhub-archive. It keeps the file only if it is whole, has the SHA-256 that is asked for (--sha256, or
the mirror's FILE.sha256 or SHA256SUMS), and holds what everyexec needs.

The settings HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the environment are honoured.`,
		Example: `  everyexec btf fetch --btf-url https://mirror.example/btfhub-archive`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := form.check(); err != nil {
				return err
			}
			if f.url == "" {
				return usagef("--btf-url: name the mirror to download from")
			}
			q, err := f.resolve(kernel)
			if err != nil {
				return err
			}
			q.Mirror.SHA256 = sum
			return fetchBTF(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), q, form)
		},
	}
	cmd.Flags().SortFlags = false
	f.registerMirror(cmd.Flags())
	cmd.Flags().StringVar(&sum, "sha256", "", "what SHA-256 the file must have, in hexadecimal")
	f.registerCache(cmd.Flags())
	kernel.register(cmd.Flags())
	f.registerDistro(cmd.Flags())
	form.register(cmd.Flags())
	return cmd
}

func fetchBTF(ctx context.Context, stdout, stderr io.Writer, q btf.Query, form formFlag) error {
	bar := newBar(stderr, "B")
	q.Mirror.Progress = bar.show
	file, err := q.Fetch(ctx)
	bar.clear()
	if err != nil {
		return fmt.Errorf("fetch %s: %w", file.URL, err)
	}
	if form == formJSON {
		return json.NewEncoder(stdout).Encode(struct {
			Schema int    `json:"schema"`
			URL    string `json:"url"`
			Path   string `json:"path"`
		}{1, file.URL, file.Path})
	}
	_, err = fmt.Fprintln(stdout, printable(file.Path))
	return err
}
