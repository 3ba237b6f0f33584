// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/everyexec/everyexec/bpf"
	"github.com/everyexec/everyexec/btf"
	"github.com/everyexec/everyexec/cmd/everyexec/internal/terminal"
)

func newBTFCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "btf",
		Short: "Find, fetch, pack and list BTF for kernels without their own",
		Long: `A kernel without BTF of its own is traced with every field if its BTF comes from elsewhere: from a
file, from a tree with the layout of btfhub-archive, from a bundle made of one, or from a mirror.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	cmd.AddCommand(newBTFFindCommand(), newBTFFetchCommand(), newBTFPackCommand(), newBTFListCommand())
	return cmd
}

// btfFlags say where external BTF comes from.
type btfFlags struct {
	query    btf.Query
	url      string
	insecure bool
}

func (f *btfFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.query.File, "btf", "", "external BTF in `FILE`: raw, ELF with a section .BTF, or .btf.tar.xz")
	f.registerPlaces(flags)
	f.registerDistro(flags)
	f.registerMirror(flags)
}

func (f *btfFlags) registerPlaces(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.query.Dirs, "btf-dir", nil, "`DIR` with the layout of btfhub-archive, packed or not; may be repeated")
	flags.StringVar(&f.query.Bundle, "btf-bundle", "", "bundle in `FILE`, made by btf pack")
	f.registerCache(flags)
}

func (f *btfFlags) registerCache(flags *pflag.FlagSet) {
	flags.StringVar(&f.query.CacheDir, "btf-cache", btf.DefaultCacheDir(),
		"`DIR` where downloads are kept (default: /var/cache/everyexec for root, everyexec in $XDG_CACHE_HOME for others)")
	flags.Lookup("btf-cache").DefValue = "" // not the same for all who read the help
}

func (f *btfFlags) registerDistro(flags *pflag.FlagSet) {
	flags.StringVar(&f.query.Distro.ID, "distro", "", "distribution as os-release's ID names it (default: this host's)")
	flags.StringVar(&f.query.Distro.VersionID, "distro-version", "", "its version as os-release's VERSION_ID names it")
}

func (f *btfFlags) registerMirror(flags *pflag.FlagSet) {
	flags.StringVar(&f.url, "btf-url", "", "base `URL` of a mirror with the layout of btfhub-archive; nothing is downloaded without it")
	flags.BoolVar(&f.insecure, "btf-insecure-http", false, "allow --btf-url to be http:// beyond this machine")
}

// kernelFlags name a kernel that need not be this one.
type kernelFlags struct{ release, arch string }

func (k *kernelFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&k.release, "release", "", "kernel release as uname -r prints it (default: this kernel's)")
	flags.StringVar(&k.arch, "arch", "", "architecture as uname -m prints it (default: this machine's)")
}

// places returns where to look, for the kernel that runs here.
func (f *btfFlags) places() (btf.Query, error) {
	q := f.query
	if q.Distro.ID == "" && q.Distro.VersionID != "" {
		return q, usagef("--distro-version: needs --distro, too")
	}
	if f.url != "" {
		q.Mirror = &btf.Mirror{URL: f.url, InsecureHTTP: f.insecure}
	}
	return q, nil
}

// resolve also says which kernel, and what is needed of it.
func (f *btfFlags) resolve(k kernelFlags) (btf.Query, error) {
	q, err := f.places()
	if err != nil {
		return q, err
	}
	if q.Needs, err = btf.ReadNeeds(bpf.CoreObject()); err != nil {
		return q, err
	}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return q, fmt.Errorf("uname: %w", err)
	}
	if q.Release = k.release; q.Release == "" {
		q.Release = unix.ByteSliceToString(uts.Release[:])
	}
	if q.Arch = btf.Machine(k.arch); q.Arch == "" {
		q.Arch = unix.ByteSliceToString(uts.Machine[:])
	}
	if q.Distro.ID == "" {
		// Without it the kernel's release alone must do, which the search says.
		q.Distro, _, _ = btf.HostDistro()
	}
	return q, nil
}

// maxShown is longer than any path or message that is shown.
const maxShown = 8192

// printable makes a name from elsewhere harmless to a terminal.
func printable(s string) string { return terminal.Clean(s, maxShown) }
