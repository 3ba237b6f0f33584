// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestContainer(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	for path, want := range map[string]string{
		"/":                                     "",
		"/user.slice/user-1000.slice":           "",
		"/docker/" + id:                         id,
		"/system.slice/docker-" + id + ".scope": id,
		"/kubepods.slice/kubepods-pod1.slice/cri-containerd-" + id + ".scope":       id,
		"/kubepods/besteffort/pod1/" + id + "/inner":                                id,
		"/machine.slice/libpod-" + id + ".scope/container":                          id,
		"/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:" + id: id,
		"/docker/" + id + "0":            "",
		"/docker/" + strings.ToUpper(id): "",
	} {
		got := ""
		if found := container.FindStringSubmatch(path); found != nil {
			got = found[1]
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

// TestResolver makes a cgroup and finds it by the id that the kernel gives it.
func TestResolver(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may make a cgroup and open it by its id")
	}
	r, err := NewResolver()
	if err != nil {
		t.Skip(err)
	}
	name := "everyexec-test-" + filepath.Base(t.TempDir())
	outer := filepath.Join(r.mount, name)
	inner := filepath.Join(outer, "inner")
	ids := make(map[string]uint64)
	for _, dir := range []string{outer, inner} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Skipf("this cgroup file system takes no cgroup: %v", err)
		}
		t.Cleanup(func() { os.Remove(dir) })
		handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, dir, 0)
		if err != nil || handle.Size() != 8 {
			t.Skipf("no handle of 8 bytes: %v", err)
		}
		var st unix.Stat_t
		if err := unix.Stat(dir, &st); err != nil {
			t.Fatal(err)
		}
		ids[dir] = st.Ino
	}

	for dir, want := range map[string]string{outer: "/" + name, inner: "/" + name + "/inner"} {
		if got, err := r.Path(ids[dir]); err != nil || got != want {
			t.Errorf("path of %s is %q, %v", dir, got, err)
		}
	}
	below, err := r.Below(outer)
	if err != nil {
		t.Fatal(err)
	}
	if !below(ids[outer]) || !below(ids[inner]) || below(1) {
		t.Errorf("below says %v, %v, %v", below(ids[outer]), below(ids[inner]), below(1))
	}
	if _, err := r.Below(outer + "-absent"); err == nil {
		t.Error("an absent cgroup was taken")
	}
	if _, err := r.Path(1 << 40); err == nil {
		t.Error("an absent id has a path")
	}

	// Known paths outlive their cgroups, whose programs may still be reported.
	os.Remove(inner)
	if got, err := r.Path(ids[inner]); err != nil || got != "/"+name+"/inner" {
		t.Errorf("path after removal is %q, %v", got, err)
	}
}
