// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Modes of cpio entries, as in stat(2).
const (
	modeDir  = 0o040000
	modeFile = 0o100000
	modeChar = 0o020000
	modeLink = 0o120000
)

// archive writes an initramfs in the newc format of cpio. It keeps the first error and gives it at Close.
type archive struct {
	w     io.Writer
	inode int
	dirs  map[string]bool
	err   error
}

func newArchive(w io.Writer) *archive {
	return &archive{w: w, dirs: map[string]bool{".": true, "/": true}}
}

// file adds data under an absolute path, with the directories above it.
func (a *archive) file(name string, perm int, data []byte) {
	a.dir(path.Dir(name))
	a.entry(name, modeFile|perm, 0, 0, data)
}

// copy adds a file of this machine.
func (a *archive) copy(name string, perm int, from string) {
	data, err := os.ReadFile(from)
	if err != nil && a.err == nil {
		a.err = fmt.Errorf("initramfs %s: %w", name, err)
	}
	a.file(name, perm, data)
}

// json adds a value as JSON.
func (a *archive) json(name string, value any) {
	data, err := json.Marshal(value)
	if err != nil && a.err == nil {
		a.err = fmt.Errorf("initramfs %s: %w", name, err)
	}
	a.file(name, 0o644, data)
}

func (a *archive) dir(name string) {
	if a.dirs[name] {
		return
	}
	a.dir(path.Dir(name))
	a.dirs[name] = true
	a.entry(name, modeDir|0o755, 0, 0, nil)
}

// char adds a character device: the kernel opens /dev/console before anything is mounted.
func (a *archive) char(name string, major, minor int) {
	a.dir(path.Dir(name))
	a.entry(name, modeChar|0o600, major, minor, nil)
}

func (a *archive) link(name, to string) {
	a.dir(path.Dir(name))
	a.entry(name, modeLink|0o777, 0, 0, []byte(to))
}

// tree adds the files and links below a directory of this machine, each under the path that it has there.
func (a *archive) tree(dir string) {
	err := filepath.WalkDir(dir, func(from string, e fs.DirEntry, err error) error {
		name := strings.TrimPrefix(from, dir)
		switch {
		case err != nil:
			return err
		case e.Type().IsRegular():
			a.copy(name, 0o644, from)
		case e.Type() == fs.ModeSymlink:
			to, err := os.Readlink(from)
			if err != nil {
				return err
			}
			a.link(name, to)
		}
		return nil
	})
	if err != nil && a.err == nil {
		a.err = fmt.Errorf("initramfs %s: %w", dir, err)
	}
}

// Close writes the end of the archive.
func (a *archive) Close() error {
	a.entry("TRAILER!!!", 0, 0, 0, nil)
	return a.err
}

func (a *archive) entry(name string, mode, major, minor int, data []byte) {
	if a.err != nil {
		return
	}
	name = strings.TrimLeft(name, "/") + "\x00"
	a.inode++
	const uid, gid, links, mtime, devMajor, devMinor, check = 0, 0, 1, 0, 0, 0, 0
	_, a.err = fmt.Fprintf(a.w, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		a.inode, mode, uid, gid, links, mtime, len(data), devMajor, devMinor, major, minor, len(name), check)
	const header = 110
	a.write([]byte(name), header+len(name))
	a.write(data, len(data))
}

// write writes data and fills up to a multiple of four, counted from the start of the part that is size bytes long.
func (a *archive) write(data []byte, size int) {
	if a.err != nil {
		return
	}
	padding := make([]byte, (4-size%4)%4)
	if _, a.err = a.w.Write(data); a.err == nil {
		_, a.err = a.w.Write(padding)
	}
}
