// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"fmt"
	"os"
	"syscall"
)

var mounts = []struct{ fs, dir string }{
	{"proc", "/proc"},
	{"sysfs", "/sys"},
	{"devtmpfs", "/dev"},
	{"tmpfs", "/dev/shm"},
	{"tmpfs", "/tmp"},
	{"cgroup2", "/sys/fs/cgroup"},
}

// mountAll mounts what a program expects to find, and says what this kernel lacks. tracefs is left out on purpose: everyexec
// must get along without it.
func mountAll() (problems []string) {
	for _, m := range mounts {
		if err := mount(m.fs, m.dir); err != nil {
			problems = append(problems, err.Error())
		}
	}
	if err := os.Chmod("/tmp", os.ModeSticky|0o777); err != nil {
		problems = append(problems, err.Error())
	}
	return problems
}

func mount(fs, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("mount %s: %w", fs, err)
	}
	err := syscall.Mount(fs, dir, fs, 0, "")
	if err != nil {
		return fmt.Errorf("mount %s on %s: %w", fs, dir, err)
	}
	return nil
}
