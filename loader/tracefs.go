// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// tracefs is the file system with the tracepoints' ids and formats.
type tracefs struct {
	fs.FS
	source string // where it is, for people
	dir    *os.File
}

func (t *tracefs) Close() error {
	if t.dir == nil {
		return nil
	}
	return t.dir.Close()
}

// tracefsPlaces are where tracefs is mounted by convention (tracefs since 4.1, debugfs before).
var tracefsPlaces = []string{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}

// openTracefs returns the mounted tracefs or, where there is none, one mounted for this process
// alone: the host's mount table stays as it is, and nothing is left when the process ends.
func openTracefs() (*tracefs, error) {
	for _, place := range tracefsPlaces {
		if _, err := os.Stat(place + "/events"); err == nil {
			return &tracefs{FS: os.DirFS(place), source: place}, nil
		}
	}
	dir, err := detachedTracefs()
	if errors.Is(err, unix.ENOSYS) {
		dir, err = namespacedTracefs()
	}
	if err != nil {
		return nil, &obstacle{
			reason: fmt.Sprintf("tracefs is not mounted, and mounting it privately failed (%v)", err),
			remedy: "run: mount -t tracefs nodev /sys/kernel/tracing",
			err:    err,
		}
	}
	return &tracefs{
		FS:     os.DirFS(fmt.Sprintf("/proc/self/fd/%d", dir.Fd())),
		source: "private mount",
		dir:    dir,
	}, nil
}

// detachedTracefs mounts tracefs at no place at all (fsmount, 5.2).
func detachedTracefs() (*os.File, error) {
	fsfd, err := unix.Fsopen("tracefs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("fsopen: %w", err)
	}
	defer unix.Close(fsfd)
	if err := unix.FsconfigCreate(fsfd); err != nil {
		return nil, fmt.Errorf("fsconfig: %w", err)
	}
	mount, err := unix.Fsmount(fsfd, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("fsmount: %w", err)
	}
	return os.NewFile(uintptr(mount), "tracefs"), nil
}

// namespacedTracefs mounts tracefs in a mount namespace of one thread, which ends with the call;
// the open directory keeps the mount alive.
func namespacedTracefs() (*os.File, error) {
	type result struct {
		dir *os.File
		err error
	}
	done := make(chan result)
	go func() {
		// Never unlocked: the thread has left the process's mount namespace and must die.
		runtime.LockOSThread()
		dir, err := mountInOwnNamespace()
		done <- result{dir, err}
	}()
	r := <-done
	return r.dir, r.err
}

func mountInOwnNamespace() (*os.File, error) {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return nil, fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("make / private: %w", err)
	}
	const at = "/sys/kernel"
	if err := unix.Mount("nodev", at, "tracefs", 0, ""); err != nil {
		return nil, fmt.Errorf("mount at %s: %w", at, err)
	}
	return os.Open(at)
}
