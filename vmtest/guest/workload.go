// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// Exec is one program of the workload, with what any tracer must say of it.
type Exec struct {
	Name  string
	Path  string   // as passed to execve
	Argv  []string // as passed to execve
	UID   uint32   // and GID
	Image []string // the new program's arguments, where they differ from Argv
	Comm  string
}

const scriptPath = "/tmp/a script"

// Workload is the same on every kernel and for every variant. Its programs start one after the other, as children of init.
func Workload() []Exec {
	return []Exec{
		{Name: "plain", Path: BinaryPath, Argv: []string{"everyexec", "version"}, Comm: "everyexec"},
		{Name: "other argv[0]", Path: BinaryPath, Argv: []string{"-login name", "version"}, Comm: "everyexec"},
		{Name: "empty arguments", Path: BinaryPath, Argv: []string{"everyexec", "", "version", ""}, Comm: "everyexec"},
		{Name: "bytes", Path: BinaryPath, Argv: []string{"everyexec", "tab\tline\nquote\"", "\u00e9\u4e16"}, Comm: "everyexec"},
		{Name: "many", Path: BinaryPath, Argv: append([]string{"everyexec"}, strings.Split(strings.Repeat("x", 40), "")...), Comm: "everyexec"},
		{Name: "long", Path: BinaryPath, Argv: []string{"everyexec", strings.Repeat("0123456789", 200)}, Comm: "everyexec"},
		{Name: "path with dots", Path: "/tmp/../bin/./everyexec", Argv: []string{"everyexec", "version"}, Comm: "everyexec"},
		{Name: "another user", Path: BinaryPath, Argv: []string{"everyexec", "version"}, UID: 1234, Comm: "everyexec"},
		{Name: "script", Path: scriptPath, Argv: []string{"script", "one", "two"}, Comm: "a script",
			Image: []string{BinaryPath, "version", scriptPath, "one", "two"}},
	}
}

// play runs the workload and waits for each program, whatever it exits with.
func play() error {
	if err := os.WriteFile(scriptPath, []byte("#!"+BinaryPath+" version\n"), 0o755); err != nil {
		return err
	}
	for _, e := range Workload() {
		attr := &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: e.UID, Gid: e.UID, NoSetGroups: true}}}
		pid, err := syscall.ForkExec(e.Path, e.Argv, attr)
		if err != nil {
			return fmt.Errorf("workload: %s: %w", e.Name, err)
		}
		if _, err := syscall.Wait4(pid, nil, 0, nil); err != nil {
			return fmt.Errorf("workload: %s: %w", e.Name, err)
		}
	}
	return nil
}

// playWhile waits until a tracer says that it traces, runs the workload, and tells the tracer to stop.
func playWhile(pid int, traces, ended <-chan struct{}) error {
	select {
	case <-traces:
		defer syscall.Kill(pid, syscall.SIGINT)
		return play()
	case <-ended:
		return fmt.Errorf("workload: the tracer ended before it said %q", tracesWord)
	}
}
