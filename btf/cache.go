// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// DefaultCacheDir is where downloads are kept: /var/cache/everyexec for root, everyexec in the
// user's cache directory for others. It is empty if there is none.
func DefaultCacheDir() string {
	if os.Geteuid() == 0 {
		return "/var/cache/everyexec"
	}
	dir, err := os.UserCacheDir() // honours XDG_CACHE_HOME
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "everyexec")
}

const (
	partSuffix = ".part"
	// No download lasts that long, so a partial file this old belongs to a process that died.
	partMaxAge = time.Hour
)

// store writes a file whole or not at all. Two processes may store the same at once: each has
// its own temporary file, and the last to finish wins.
func store(name string, write func(*os.File) error) (err error) {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	sweep(dir)
	f, err := os.CreateTemp(dir, "."+filepath.Base(name)+".*"+partSuffix)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreMissing(os.Remove(f.Name())))
		}
	}()
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Chmod(f.Name(), 0o644); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return fmt.Errorf("keep the download: %w", err)
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// sweep removes what processes left behind that were killed while they stored.
func sweep(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") || !strings.HasSuffix(e.Name(), partSuffix) {
			continue
		}
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > partMaxAge {
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
