// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkCost shows what tracing costs the machine: the time of an exec and of an unrelated
// syscall while a tracer runs, and the tracer's own CPU time for each exec. execsnoop is that of
// libbpf-tools. Run it with -count, as machines are noisy, and compare within one run.
func BenchmarkCost(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("tracing needs privilege")
	}
	b.Run("none", func(b *testing.B) { cost(b, nil) })
	for _, v := range []string{"core", "stub"} {
		b.Run(v, func(b *testing.B) { cost(b, productCommand(roleProduct, "trace", "--variant", v)) })
	}
	b.Run("execsnoop", func(b *testing.B) {
		path, err := exec.LookPath("execsnoop")
		if err != nil {
			b.Skip("no execsnoop here: apt-get install libbpf-tools")
		}
		// It wants tracefs, which is mounted for it alone.
		cost(b, exec.Command("unshare", "-m", "sh", "-c", "mount -t tracefs nodev /sys/kernel/tracing; exec "+path))
	})
}

func cost(b *testing.B, tracer *exec.Cmd) {
	target := b.TempDir() + "/target"
	if err := writeExecutable(target, quitting().file(), 0o755); err != nil {
		b.Fatal(err)
	}
	run := func() {
		cmd := exec.Cmd{Path: target, Args: []string{"target", "-l", "some", "arguments"}}
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
	}
	if tracer != nil {
		awaitTracer(b, tracer, run)
	}

	execs := 0
	for b.Loop() {
		run()
		execs++
	}

	const calls = 200_000
	began := time.Now()
	for range calls {
		unix.Getppid()
	}
	b.ReportMetric(float64(time.Since(began).Nanoseconds())/calls, "ns/getppid")
	if tracer == nil {
		return
	}
	if err := tracer.Process.Signal(os.Interrupt); err != nil {
		b.Fatal(err)
	}
	ended, err := tracer.Process.Wait()
	if err != nil {
		b.Fatal(err)
	}
	// Starting is part of it, so it is right for many execs only.
	cpu := ended.UserTime() + ended.SystemTime()
	b.ReportMetric(float64(cpu.Microseconds())/float64(execs), "tracer-us/exec")
}

// awaitTracer starts a tracer and waits until it shows an exec.
func awaitTracer(b *testing.B, tracer *exec.Cmd, run func()) {
	out, err := tracer.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := tracer.Start(); err != nil {
		b.Fatal(err)
	}
	seen := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "target ") {
				break
			}
		}
		close(seen)
		_, _ = io.Copy(io.Discard, out) // ends with the tracer
	}()
	for {
		run()
		select {
		case <-seen:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}
