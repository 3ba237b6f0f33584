// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"os"
	"os/exec"
	"testing"
)

// rerun runs the calling test alone in a process with another environment.
func rerun(t *testing.T, env ...string) ([]byte, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), env...)
	return cmd.CombinedOutput()
}
