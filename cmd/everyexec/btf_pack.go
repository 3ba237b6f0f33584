// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/everyexec/everyexec/bpf"
	"github.com/everyexec/everyexec/btf"
)

func newBTFPackCommand() *cobra.Command {
	var releases []string
	var fleet string
	cmd := &cobra.Command{
		Use:   "pack TREE BUNDLE",
		Short: "Make a small bundle of the BTFs in a tree",
		Long: `pack reads a tree with the layout of btfhub-archive, <distro>/<version>/<arch>/<release>.btf.tar.xz, and
writes a bundle with only those types and members that everyexec needs: some hundred bytes for each
kernel. The same tree makes the same bundle, byte for byte. Files that are damaged or not what their
name says are left out and named.`,
		Example: `  everyexec btf pack ~/btfhub-archive all.bundle
  everyexec btf pack --for fleet.json ~/btfhub-archive fleet.bundle    # fleet.json from: everyexec fleet --missing-btf
  everyexec btf pack --release 5.4.0-1029-aws ~/btfhub-archive one.bundle`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef("pack takes a tree to read and a bundle to write, but got %q", args)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			needs, err := btf.ReadNeeds(bpf.CoreObject())
			if err != nil {
				return err
			}
			only, err := chosenKernels(fleet, releases)
			if err != nil {
				return err
			}
			o := btf.PackOptions{Needs: needs, Only: only}
			return packBTF(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), args[0], args[1], o)
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&fleet, "for", "", "only the kernels in `FILE`, written by fleet --missing-btf")
	cmd.Flags().StringArrayVar(&releases, "release", nil, "only the kernels of this release; may be repeated")
	return cmd
}

// maxFleetFile is far above what a fleet's distinct kernels take.
const maxFleetFile = 64 << 20

// chosenKernels returns nil for all kernels.
func chosenKernels(fleet string, releases []string) ([]btf.Kernel, error) {
	var only []btf.Kernel
	for _, r := range releases {
		only = append(only, btf.Kernel{Release: r})
	}
	if fleet == "" {
		return only, nil
	}
	f, err := os.Open(fleet)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var list struct {
		Schema  int
		Kernels []struct{ Release, Arch string }
	}
	if err := json.NewDecoder(io.LimitReader(f, maxFleetFile)).Decode(&list); err != nil {
		return nil, fmt.Errorf("read %s: %w", fleet, err)
	}
	if list.Schema != 1 {
		return nil, fmt.Errorf("read %s: schema %d, only 1 is known: write it with everyexec fleet --missing-btf", fleet, list.Schema)
	}
	for _, k := range list.Kernels {
		only = append(only, btf.Kernel{Release: k.Release, Arch: k.Arch})
	}
	if len(only) == 0 {
		return nil, fmt.Errorf("read %s: it names no kernel, so there is nothing to pack", fleet)
	}
	return only, nil
}

func packBTF(ctx context.Context, stdout, stderr io.Writer, tree, bundle string, o btf.PackOptions) error {
	bar := newBar(stderr, "files")
	o.Progress = func(done, total int) { bar.show(int64(done), int64(total)) }
	packed, size, err := writePacked(ctx, tree, bundle, o)
	bar.clear()
	for _, s := range packed.Skipped {
		fmt.Fprintf(stderr, "left out %s: %s\n", printable(s.Path), printable(s.Err.Error()))
	}
	for _, k := range packed.Missing {
		fmt.Fprintf(stderr, "not in %s: %s %s\n", tree, printable(k.Release), printable(k.Arch))
	}
	if err != nil {
		return fmt.Errorf("pack %s: %w", tree, err)
	}
	_, err = fmt.Fprintf(stdout, "%s: %d kernels, %d bytes, %d files left out, %d kernels not there\n",
		bundle, packed.Kernels, size, len(packed.Skipped), len(packed.Missing))
	return err
}

// writePacked puts the bundle in place whole or not at all.
func writePacked(ctx context.Context, tree, bundle string, o btf.PackOptions) (packed btf.Packed, size int64, err error) {
	f, err := os.CreateTemp(filepath.Dir(bundle), "."+filepath.Base(bundle)+".*.part")
	if err != nil {
		return packed, 0, err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	packed, err = btf.Pack(ctx, f, tree, o)
	info, statErr := f.Stat()
	if err := errors.Join(err, statErr, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return packed, 0, err
	}
	return packed, info.Size(), os.Rename(f.Name(), bundle)
}
