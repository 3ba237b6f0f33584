// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
)

// PackOptions says what goes into a bundle.
type PackOptions struct {
	Needs *Needs
	// Only takes the kernels of these releases, and architectures where they are given. Nil
	// takes all.
	Only []Kernel
	// Progress, if not nil, is called after each file, not by two at once.
	Progress func(done, total int)
}

// Packed says what went into a bundle.
type Packed struct {
	Kernels int       // in the manifest
	Skipped []Skipped // in the order of their paths
	Missing []Kernel  // of Only, those that the tree does not have
}

// Skipped is a file that was left out, and why.
type Skipped struct {
	Path string
	Err  error
}

// Pack writes a bundle of the BTFs in a tree in the layout of btfhub-archive. Files that cannot
// be trusted are left out and listed. It keeps one whole BTF for each core in memory.
func Pack(ctx context.Context, w io.Writer, dir string, o PackOptions) (Packed, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Packed{}, err
	}
	defer root.Close()

	var files []location
	err = walkTree(root, func(l location) {
		if l.distro != "" && o.wants(l.kernel()) {
			files = append(files, l)
		}
	})
	if err != nil {
		return Packed{}, fmt.Errorf("read %s: %w", dir, err)
	}
	results := packAll(ctx, root, files, o)
	if err := ctx.Err(); err != nil {
		return Packed{}, err
	}

	var done Packed
	slices.SortStableFunc(results, func(a, b packResult) int { return a.kernel.compare(b.kernel) })
	var kernels []Kernel
	var btfs [][]byte
	for _, r := range results {
		switch {
		case r.err != nil:
			done.Skipped = append(done.Skipped, Skipped{r.path, r.err})
		case len(kernels) > 0 && kernels[len(kernels)-1].compare(r.kernel) == 0:
			done.Skipped = append(done.Skipped, Skipped{r.path, errors.New("a second file for the same kernel")})
		default:
			kernels = append(kernels, r.kernel)
			btfs = append(btfs, r.wire)
		}
	}
	slices.SortFunc(done.Skipped, func(a, b Skipped) int { return cmp.Compare(a.Path, b.Path) })
	for _, want := range o.Only {
		if !slices.ContainsFunc(kernels, want.matches) {
			done.Missing = append(done.Missing, want)
		}
	}
	done.Kernels = len(kernels)
	if len(kernels) == 0 {
		return done, fmt.Errorf("no BTF in %s to pack: it should hold <distro>/<version>/<arch>/<release>.btf.tar.xz", dir)
	}
	return done, writeBundle(w, o.Needs, kernels, btfs)
}

// kernel is what the path says, in the manifest's terms.
func (l location) kernel() Kernel {
	return Kernel{Release: l.release, Arch: Machine(l.arch), Distro: l.distro, Version: l.version}
}

func (o PackOptions) wants(k Kernel) bool {
	return o.Only == nil || slices.ContainsFunc(o.Only, func(want Kernel) bool { return want.matches(k) })
}

// matches says whether k has the release that is wanted, and the architecture if it is given.
func (want Kernel) matches(k Kernel) bool {
	return want.Release == k.Release && (want.Arch == "" || Machine(want.Arch) == k.Arch)
}

func (k Kernel) compare(o Kernel) int {
	return cmp.Or(cmp.Compare(k.Distro, o.Distro), cmp.Compare(k.Version, o.Version),
		cmp.Compare(k.Arch, o.Arch), cmp.Compare(k.Release, o.Release))
}

type packResult struct {
	path   string
	kernel Kernel
	wire   []byte
	err    error
}

// packAll minimises the files on all cores. Its results have the files' order.
func packAll(ctx context.Context, root *os.Root, files []location, o PackOptions) []packResult {
	results := make([]packResult, len(files))
	next := make(chan int)
	var workers sync.WaitGroup
	var progress sync.Mutex
	done := 0
	for range min(runtime.GOMAXPROCS(0), len(files)) {
		workers.Go(func() {
			for i := range next {
				results[i] = packOne(root, files[i], o.Needs)
				progress.Lock()
				if done++; o.Progress != nil {
					o.Progress(done, len(files))
				}
				progress.Unlock()
			}
		})
	}
	for i := range files {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	workers.Wait()
	return results
}

func packOne(root *os.Root, l location, needs *Needs) packResult {
	r := packResult{path: l.path, kernel: l.kernel()}
	q := Query{Release: l.release, Arch: r.kernel.Arch, Needs: needs}
	sum := sha256.New()
	open := func() (*os.File, error) { return root.OpenFile(l.path, openFlags, 0) }
	whole, err := readFile(open, q.inner())
	if err != nil {
		r.err = err
		return r
	}
	if r.wire, r.err = q.trust(whole); r.err != nil {
		return r
	}
	f, err := open()
	if err != nil {
		r.err = err
		return r
	}
	defer f.Close()
	if _, r.err = io.Copy(sum, f); r.err == nil {
		r.kernel.SHA256 = hex.EncodeToString(sum.Sum(nil))
	}
	return r
}
