// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// image is a kernel that can be booted.
type image struct {
	name   debian // its package; empty if it was built
	path   string
	btf    string // a file with its BTF; may be empty
	tree   string // a directory with its headers where packages put them; may be empty
	source string // where it comes from, for people
}

// store keeps kernels outside the repository: kernels/ has one directory for each package version or each source version and
// configuration, apt/ the package lists, sources/ the source packages, and build/ exists only while kernels are built.
type store struct {
	dir  string
	list *list
	log  func(format string, args ...any)
}

func defaultStore() string {
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "everyexec", "vmtest")
	}
	if os.Geteuid() == 0 {
		return "/var/cache/everyexec/vmtest"
	}
	return filepath.Join(os.Getenv("HOME"), ".cache", "everyexec", "vmtest")
}

// lock keeps two runs from filling the store at once. It lasts until the file is closed.
func (s *store) lock() (*os.File, error) {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.Create(filepath.Join(s.dir, "lock"))
	if err != nil {
		return nil, err
	}
	return f, syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
}

// get finds a kernel in the store, or downloads or builds it.
func (s *store) get(ctx context.Context, k kernel) (image, error) {
	if k.Build != nil {
		return s.getBuilt(ctx, k)
	}
	return s.getPackaged(ctx, k)
}

func (s *store) apt(ctx context.Context, suite, arch string) (*apt, error) {
	return openApt(ctx, filepath.Join(s.dir, "apt"), suite, arch, s.list.Suites[suite])
}

// getPackaged takes the newest version that the mirror really has.
func (s *store) getPackaged(ctx context.Context, k kernel) (image, error) {
	a, err := s.apt(ctx, k.Package.Suite, k.Arch)
	if err != nil {
		return image{}, err
	}
	versions, err := a.versions(ctx, k.Package.Name)
	if err != nil {
		return image{}, err
	}
	var errs []error
	for _, v := range versions {
		im, err := s.packaged(ctx, a, v)
		if err == nil && k.bcc() {
			im.tree, err = s.headers(ctx, a, im.name)
		}
		if err == nil {
			return im, nil
		}
		s.log("%s: %v", k.Name, err)
		errs = append(errs, err)
	}
	return image{}, errors.Join(errs...)
}

func (s *store) packaged(ctx context.Context, a *apt, d debian) (image, error) {
	d, err := a.imagePackage(ctx, d)
	if err != nil {
		return image{}, err
	}
	dir := filepath.Join(s.dir, "kernels", d.name+"_"+d.version)
	im := image{name: d, path: filepath.Join(dir, "bzImage"), source: fmt.Sprintf("%s (%s)", d, a.suite)}
	if exists(im.path) {
		return im, nil
	}
	s.log("downloading %s", d)
	return im, fill(dir, func(tmp string) error {
		deb, err := a.download(ctx, d, tmp)
		if err != nil {
			return err
		}
		if err := unpack(ctx, deb, filepath.Join(tmp, "deb")); err != nil {
			return err
		}
		found, err := findKernel(filepath.Join(tmp, "deb"))
		if err != nil {
			return fmt.Errorf("package %s: %w", d, err)
		}
		if err := os.Rename(found, filepath.Join(tmp, "bzImage")); err != nil {
			return err
		}
		return errors.Join(os.Remove(deb), os.RemoveAll(filepath.Join(tmp, "deb")))
	})
}

// findKernel finds the one image in an unpacked package: under /boot, or beside the modules since 7.x.
func findKernel(dir string) (string, error) {
	var found []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && strings.HasPrefix(e.Name(), "vmlinu") {
			found = append(found, path)
		}
		return err
	})
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("has not one kernel but %q", found)
	}
	return strings.Join(found, ""), err
}

// fill makes a directory that is either whole or not there.
func fill(dir string, make func(tmp string) error) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "partial-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := make(tmp); err != nil {
		return err
	}
	return os.Rename(tmp, dir)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
