// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/everyexec/everyexec/vmtest/guest"
)

// machine is what QEMU emulates for an architecture.
type machine struct {
	command string
	args    []string
	console string // the kernel's name of the serial port
}

// machines by architecture as Go names it. The CPUs are the fullest that emulate fast: five-level page tables (la57) and
// pointer authentication (max on arm64) cost much and change nothing here.
var machines = map[string]machine{
	"amd64": {"qemu-system-x86_64", []string{"-cpu", "max,la57=off"}, "ttyS0"},
	"arm64": {"qemu-system-aarch64", []string{"-machine", "virt", "-cpu", "cortex-a72"}, "ttyAMA0"},
}

// Size of a guest.
const (
	guestCPUs   = 2 // at least: an exec may end on another CPU than it began
	guestMemory = "1024M"
	bootTime    = 5 * time.Minute
)

// vm is one boot.
type vm struct {
	arch     string
	kernel   string
	append   string // more for the kernel's command line
	accel    string
	binary   binaries
	btf      string // a file; may be empty
	tree     string // a directory that the guest has too; may be empty
	orders   guest.Orders
	bootTime time.Duration // until the first step; the steps have their own times
}

// boot runs a guest to its end and gives what it printed. The console is also written to log. An error means that the
// guest could not be run at all or did not end in time; what is on the console is judged elsewhere.
func (v *vm) boot(ctx context.Context, log string) (*transcript, error) {
	dir, err := os.MkdirTemp("", "vmtest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	initrd := filepath.Join(dir, "initramfs")
	if err := v.writeInitramfs(initrd); err != nil {
		return nil, err
	}
	limit := v.bootTime
	for _, s := range v.orders.Steps {
		limit += time.Duration(s.Seconds) * time.Second
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("hangs: it did not end within %v", limit))
	defer cancel()
	t, err := record(v.command(ctx, initrd), log)
	if cause := context.Cause(ctx); cause != nil {
		return t, cause
	}
	return t, err
}

func (v *vm) command(ctx context.Context, initrd string) *exec.Cmd {
	m := machines[v.arch]
	args := append([]string{
		"-accel", v.accel, "-smp", fmt.Sprintf("%[1]d,sockets=%[1]d", guestCPUs), "-m", v.memory(),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
		"-kernel", v.kernel, "-initrd", initrd,
		"-append", strings.TrimSpace("console=" + m.console + " panic=-1 " + v.append),
	}, m.args...)
	cmd := exec.CommandContext(ctx, m.command, args...)
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// record runs a command and keeps what it prints.
func record(cmd *exec.Cmd, log string) (*transcript, error) {
	if err := os.MkdirAll(filepath.Dir(log), 0o755); err != nil {
		return nil, err
	}
	f, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w; the Debian packages qemu-system-x86 and qemu-system-arm have it", err)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- cmd.Wait()
		w.Close()
	}()
	t := readTranscript(io.TeeReader(r, f))
	return t, <-ended
}

// writeInitramfs packs the guest: programs of ours and nothing else.
func (v *vm) writeInitramfs(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	a := newArchive(w)
	a.char("/dev/console", 5, 1)
	a.char("/dev/null", 1, 3)
	a.copy("/init", 0o755, v.binary.test)
	a.copy(guest.BinaryPath, 0o755, v.binary.everyexec)
	a.json(guest.OrdersPath, v.orders)
	if v.btf != "" {
		a.copy(guest.BTFPath, 0o644, v.btf)
	}
	if v.tree != "" {
		a.tree(v.tree)
	}
	for _, library := range v.binary.libraries {
		a.copy(library, 0o755, library)
	}
	if err := a.Close(); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}
