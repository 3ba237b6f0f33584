// SPDX-License-Identifier: Apache-2.0

// Package guest is the inside of a virtual machine of vmtest: the init process that runs a list of steps, prints what they
// print on the console with marks around it, and switches the machine off. It judges nothing; the host does.
package guest

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// Where the initramfs holds what a guest needs.
const (
	OrdersPath = "/orders.json"
	BTFPath    = "/kernel.btf"    // only where the host was given one
	BinaryPath = "/bin/everyexec" // the static binary that users get
)

// Orders say what a guest does between boot and power-off.
type Orders struct {
	Steps []Step `json:"steps"`
}

// Step is one program that a guest runs.
type Step struct {
	Name    string   `json:"name"` // no blanks
	Args    []string `json:"args"` // the program first
	Env     []string `json:"env,omitempty"`
	Seconds int      `json:"seconds"` // killed when it takes longer

	// Workload has [Workload] run once the program says on stderr that it traces; then the program is interrupted.
	Workload bool `json:"workload,omitempty"`
}

func readOrders(path string) (Orders, error) {
	var o Orders
	text, err := os.ReadFile(path)
	if err != nil {
		return o, fmt.Errorf("read orders: %w", err)
	}
	if err := json.Unmarshal(text, &o); err != nil {
		return o, fmt.Errorf("read orders %s: %w", path, err)
	}
	return o, nil
}

// Mark is a line of the console that the guest wrote on its own account.
type Mark string

// The marks, each followed by a blank and the text that belongs to it.
const (
	Begin  Mark = "vmtest-begin" // name of the step
	Stdout Mark = "vmtest-1"     // one line of the step's stdout
	Stderr Mark = "vmtest-2"     // one line of the step's stderr
	End    Mark = "vmtest-end"   // name of the step, exit code
	Note   Mark = "vmtest-note"  // something that the reader of a failure should know
	Fact   Mark = "vmtest-fact"  // name and value of something about the kernel
	Done   Mark = "vmtest-done"  // all steps were run
)

// ParseMark splits a console line. The line may begin with the rest of a message that the kernel was printing.
func ParseMark(line string) (mark Mark, text string, ok bool) {
	i := strings.Index(line, "vmtest-")
	if i < 0 {
		return "", "", false
	}
	head, text, _ := strings.Cut(line[i:], " ")
	switch m := Mark(head); m {
	case Begin, Stdout, Stderr, End, Note, Fact, Done:
		return m, text, true
	}
	return "", "", false
}
