// SPDX-License-Identifier: Apache-2.0

// Package cgroup finds the paths behind the kernel's cgroup ids, and the containers behind the
// paths.
package cgroup

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

// cacheMax bounds the paths that are remembered.
const cacheMax = 4096

// fileIDKernfs is the type of file handle that holds a 64-bit cgroup id (FILEID_KERNFS, 5.5).
const fileIDKernfs = 0xfe

// Resolver knows the cgroup v2 hierarchy of this host.
type Resolver struct {
	root  *os.File
	mount string
	// alone: no controller is bound to a v1 hierarchy, where container runtimes would work.
	alone bool
	paths map[uint64]string
}

// NewResolver finds the mounted cgroup v2 hierarchy.
func NewResolver() (*Resolver, error) {
	mount, err := findMount()
	if err != nil {
		return nil, err
	}
	root, err := os.Open(mount)
	if err != nil {
		return nil, fmt.Errorf("cgroup v2: %w", err)
	}
	return &Resolver{root: root, mount: mount, alone: !controllersInV1(), paths: make(map[uint64]string)}, nil
}

func findMount() (string, error) {
	f, err := os.Open("/proc/self/mounts")
	if err != nil {
		return "", fmt.Errorf("find cgroup v2: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 2 && fields[2] == "cgroup2" {
			return fields[1], nil
		}
	}
	if err := lines.Err(); err != nil {
		return "", fmt.Errorf("find cgroup v2: %w", err)
	}
	return "", errors.New("cgroup v2 is not mounted; run: mount -t cgroup2 none /sys/fs/cgroup")
}

// controllersInV1 reports whether /proc/cgroups shows a controller in a hierarchy but the v2 one.
func controllersInV1() bool {
	text, err := os.ReadFile("/proc/cgroups")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 4 && !strings.HasPrefix(line, "#") && fields[1] != "0" {
			return true
		}
	}
	return false
}

// Path returns the path of a cgroup below the hierarchy's root, "/" for the root itself. It
// fails for a cgroup that is gone and has not been asked for before.
func (r *Resolver) Path(id uint64) (string, error) {
	if path, ok := r.paths[id]; ok {
		return path, nil
	}
	var handle [8]byte
	binary.NativeEndian.PutUint64(handle[:], id)
	fd, err := unix.OpenByHandleAt(int(r.root.Fd()), unix.NewFileHandle(fileIDKernfs, handle[:]), unix.O_PATH|unix.O_CLOEXEC)
	if err != nil {
		return "", fmt.Errorf("cgroup %d: %w", id, err)
	}
	defer unix.Close(fd)
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return "", fmt.Errorf("cgroup %d: %w", id, err)
	}
	path = "/" + strings.TrimPrefix(strings.TrimPrefix(path, r.mount), "/")
	if len(r.paths) >= cacheMax {
		clear(r.paths)
	}
	r.paths[id] = path
	return path, nil
}

// Below returns a test for the cgroups at and below a directory of the hierarchy.
func (r *Resolver) Below(dir string) (func(id uint64) bool, error) {
	if !strings.HasPrefix(dir, r.mount) {
		dir = r.mount + "/" + strings.TrimPrefix(dir, "/")
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%s is not a cgroup below %s", dir, r.mount)
	}
	want := "/" + strings.Trim(strings.TrimPrefix(dir, r.mount), "/")
	return func(id uint64) bool {
		path, err := r.Path(id)
		return err == nil && (want == "/" || path == want || strings.HasPrefix(path, want+"/"))
	}, nil
}

// ErrUnknown tells that the v2 hierarchy does not show whether there is a container: runtimes
// work in the v1 hierarchies of this host.
var ErrUnknown = errors.New("containers of this host live in cgroup v1")

// container matches what Docker, containerd, CRI-O and Podman call their cgroups.
var container = regexp.MustCompile(`(?:^|[/:-])([0-9a-f]{64})(?:\.scope)?(?:/|$)`)

// ContainerID returns the id of the container that the cgroup belongs to, "" for none.
func (r *Resolver) ContainerID(id uint64) (string, error) {
	path, err := r.Path(id)
	if err != nil {
		return "", err
	}
	if found := container.FindAllStringSubmatch(path, -1); found != nil {
		return found[len(found)-1][1], nil
	}
	if !r.alone {
		return "", ErrUnknown
	}
	return "", nil
}
