// SPDX-License-Identifier: Apache-2.0

package testexec

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
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
