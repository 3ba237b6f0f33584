// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
)

// TestKillLeavesNothing: not even SIGKILL leaves programs, maps, pins, mounts or files.
func TestKillLeavesNothing(t *testing.T) {
	eachVariant(t, func(t *testing.T, v variant) {
		t.Run("without-fails", func(t *testing.T) { killLeavesNothing(t, v.flags()...) })
		t.Run("with-fails", func(t *testing.T) {
			needs(t)
			killLeavesNothing(t, v.flags("--fails")...)
		})
	})
}

func killLeavesNothing(t *testing.T, flags ...string) {
	temp := t.TempDir()
	before := remains(t, temp)
	tr := trace(t, productOptions{env: []string{"TMPDIR=" + temp}}, flags...)
	held := objectsOf(t, tr.cmd.Process.Pid)
	executeOne(t)
	if err := tr.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	tr.end(t)

	// The kernel frees BPF objects some time after their last user is gone. Others on
	// this machine may come and go, so only what the tracer held must.
	var left []string
	err := awaiting("what the tracer made to vanish", func() bool {
		left = nil
		for name := range remains(t, temp) {
			if !before[name] && (held[name] || !strings.HasPrefix(name, objectPrefix)) {
				left = append(left, name)
			}
		}
		return len(left) == 0
	})
	if err != nil {
		t.Errorf("%v: left are %v", err, left)
	}
}

// objectPrefix begins the names of BPF objects among what remains.
const objectPrefix = "bpf "

// remains are the names of everything that a tracer could leave.
func remains(t *testing.T, temp string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for name := range objects(t) {
		found[name] = true
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		found["mount "+line] = true
	}
	for _, root := range []string{temp, "/sys/fs/bpf"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err == nil {
				found["file "+path] = true
			}
			return nil // what cannot be read was not left by us
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"/tmp", "/var/tmp", "/run", "/dev/shm"} {
		named, err := filepath.Glob(dir + "/*everyexec*")
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range named {
			found["file "+path] = true
		}
	}
	return found
}

// objects are all BPF programs and maps of the machine.
func objects(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	var program ebpf.ProgramID
	for err := error(nil); ; {
		if program, err = ebpf.ProgramGetNextID(program); err != nil {
			mustEnd(t, err)
			break
		}
		found[fmt.Sprintf("%sprogram %d", objectPrefix, program)] = true
	}
	var object ebpf.MapID
	for err := error(nil); ; {
		if object, err = ebpf.MapGetNextID(object); err != nil {
			mustEnd(t, err)
			break
		}
		found[fmt.Sprintf("%smap %d", objectPrefix, object)] = true
	}
	return found
}

// mustEnd accepts the end of a list.
func mustEnd(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, syscall.EINVAL) {
		t.Skip("this kernel does not list BPF objects")
	}
	if !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

// objectsOf are the BPF objects that a process holds.
func objectsOf(t *testing.T, pid int) map[string]bool {
	t.Helper()
	held := map[string]bool{}
	infos, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range infos {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // closed meanwhile
		}
		for line := range strings.Lines(string(raw)) {
			name, id, _ := strings.Cut(strings.TrimSpace(line), ":")
			if kind, ok := map[string]string{"prog_id": "program", "map_id": "map"}[name]; ok {
				held[objectPrefix+kind+" "+strings.TrimSpace(id)] = true
			}
		}
	}
	all := objects(t)
	for name := range held {
		if !all[name] {
			t.Errorf("%s is held, but not listed among %v", name, slices.Sorted(maps.Keys(all)))
		}
	}
	if len(held) == 0 {
		t.Skip("this kernel does not say which BPF objects a process holds")
	}
	return held
}
