// SPDX-License-Identifier: Apache-2.0

package testexec

import (
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestELFRunsChildAndGrandchild(t *testing.T) {
	elf, err := ELF()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "testexec")
	if err := os.WriteFile(path, elf, 0o755); err != nil {
		t.Fatal(err)
	}

	for _, c := range []struct {
		name string
		args []string
		ok   bool
	}{
		{"grandchild", []string{path, "nonce"}, true},
		{"child", []string{path, path, "nonce"}, true},
		{"grandchild cannot be executed", []string{path, path + "-missing", "nonce"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Cmd{Path: path, Args: c.args}
			if err := cmd.Run(); (err == nil) != c.ok {
				t.Errorf("run: %v, want success %v", err, c.ok)
			}
		})
	}
}

func TestELFTellsThatItRunsAndWaits(t *testing.T) {
	elf, err := ELF()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "testexec")
	if err := os.WriteFile(path, elf, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Cmd{Path: path, Args: []string{path, path, "nonce"}}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stack := make([]byte, StackLen)
	if _, err := io.ReadFull(stdout, stack); err != nil {
		t.Errorf("read that it runs: %v", err)
	}
	if argc := binary.LittleEndian.Uint64(stack); argc != 2 {
		t.Errorf("the stack begins with %d, not with argc, which is 2", argc)
	}
	var info unix.Siginfo
	err = unix.Waitid(unix.P_PID, cmd.Process.Pid, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
	if err != nil || info.Signo != 0 {
		t.Errorf("ended before its stdin did: %v, signal %d", err, info.Signo)
	}
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("wait: %v", err)
	}
}
