// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Exit codes of a step that gave none itself.
const (
	exitKilled   = 124 // took too long
	exitNotFound = 127 // could not be started
)

// tracesWord is what everyexec logs when it traces.
const tracesWord = "msg=tracing"

// run runs one step and prints it. What a killed step left behind in its process group goes with it.
func run(s Step, out *console) {
	out.mark(Begin, s.Name)
	code := runProgram(s, out)
	if code != 0 {
		printKernelLog(out)
	}
	out.mark(End, fmt.Sprintf("%s %d", s.Name, code))
}

func runProgram(s Step, out *console) int {
	cmd := exec.Command(s.Args[0], s.Args[1:]...)
	cmd.Dir = "/"
	cmd.Env = append([]string{"PATH=/bin", "HOME=/tmp", "TMPDIR=/tmp"}, s.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 5 * time.Second // a grandchild may hold the pipes
	stdout := out.lines(Stdout)
	stderr := out.lines(Stderr)
	defer stdout.Close()
	defer stderr.Close()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	traces := make(chan struct{})
	if s.Workload {
		stderr.sawWord(tracesWord, func() { close(traces) })
	}
	if err := cmd.Start(); err != nil {
		out.mark(Note, err.Error())
		return exitNotFound
	}
	ended := make(chan struct{})
	var workload sync.WaitGroup
	if s.Workload {
		workload.Go(func() {
			if err := playWhile(cmd.Process.Pid, traces, ended); err != nil {
				out.mark(Note, err.Error())
			}
		})
	}
	timer := time.AfterFunc(time.Duration(s.Seconds)*time.Second, func() {
		out.mark(Note, fmt.Sprintf("%s took longer than %d s and is killed", s.Name, s.Seconds))
		kill(cmd.Process.Pid)
	})
	err := cmd.Wait()
	close(ended)
	workload.Wait()
	if !timer.Stop() {
		return exitKilled
	}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return exitCode(exit)
	case err != nil:
		out.mark(Note, err.Error())
	}
	return 0
}

// kill ends a process group: first so that a Go program prints its goroutines, then for good.
func kill(pgid int) {
	syscall.Kill(-pgid, syscall.SIGQUIT)
	time.AfterFunc(5*time.Second, func() { syscall.Kill(-pgid, syscall.SIGKILL) })
}

func exitCode(e *exec.ExitError) int {
	status := e.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return e.ExitCode()
}

// printKernelLog prints the kernel's warnings and worse since the last call.
func printKernelLog(out *console) {
	const readClear, size = 4, 1 << 16 // SYSLOG_ACTION_READ_CLEAR
	buf := make([]byte, size)
	n, err := klog(readClear, buf)
	if err != nil {
		return
	}
	for line := range strings.Lines(string(buf[:n])) {
		if strings.HasPrefix(line, "<") && line < "<5" {
			out.mark(Note, "kernel: "+strings.TrimSpace(line))
		}
	}
}
