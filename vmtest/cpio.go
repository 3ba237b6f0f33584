// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// Modes of cpio entries, as in stat(2).
const (
	modeDir  = 0o040000
	modeFile = 0o100000
	modeChar = 0o020000
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
