// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Item is one BTF at hand.
type Item struct {
	Place   Place  `json:"place"`
	Path    string `json:"path"` // of the file, or of the bundle that holds it
	Release string `json:"release"`
	Distro  string `json:"distro"` // as the archive spells it; empty where its path does not say
	Version string `json:"version"`
	Arch    string `json:"arch"`
	Size    int64  `json:"size"`             // bytes: of the file, or minimised in a bundle
	SHA256  string `json:"sha256,omitempty"` // of the file that was packed into the bundle
}

// List returns the BTFs in the query's directories, bundles and cache. Release and architecture
// play no part. An error about one place does not hide the others.
func (q Query) List() ([]Item, error) {
	var items []Item
	var errs []error
	add := func(more []Item, err error) {
		items = append(items, more...)
		errs = append(errs, err)
	}
	for _, dir := range q.Dirs {
		add(listTree(PlaceDir, dir))
	}
	if q.Bundle != "" {
		add(listBundleFile(q.Bundle))
	}
	if len(embedded) > 0 {
		add(listBundle(embeddedName, bytes.NewReader(embedded), int64(len(embedded))))
	}
	if q.CacheDir != "" {
		more, err := listTree(PlaceCache, q.CacheDir)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil // nothing was downloaded yet
		}
		add(more, err)
	}
	return items, errors.Join(errs...)
}

func listTree(place Place, dir string) ([]Item, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var items []Item
	err = walkTree(root, func(l location) {
		info, err := root.Stat(l.path)
		if err != nil || !info.Mode().IsRegular() {
			return
		}
		items = append(items, Item{
			Place: place, Path: filepath.Join(dir, l.path), Size: info.Size(),
			Release: l.release, Distro: l.distro, Version: l.version, Arch: Machine(l.arch),
		})
	})
	return items, err
}

func listBundleFile(name string) ([]Item, error) {
	f, err := os.OpenFile(name, openFlags, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return listBundle(name, f, info.Size())
}

func listBundle(name string, r io.ReaderAt, size int64) ([]Item, error) {
	b, err := OpenBundle(r, size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	kernels, err := b.Kernels()
	var items []Item
	for _, k := range kernels {
		items = append(items, Item{
			Place: PlaceBundle, Path: name, Size: int64(k.size), SHA256: k.SHA256,
			Release: k.Release, Distro: k.Distro, Version: k.Version, Arch: k.Arch,
		})
	}
	return items, err
}
