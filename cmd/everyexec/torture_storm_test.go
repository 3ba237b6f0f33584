// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const stormWorkers = 4

// stormSize is the number of execs in a storm.
func stormSize(t *testing.T) int {
	t.Helper()
	if text := os.Getenv(stormEnv); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < stormWorkers {
			t.Fatalf("%s: %q is no number from %d", stormEnv, text, stormWorkers)
		}
		return n
	}
	if testing.Short() {
		return 2000
	}
	return 20000
}

// storm is a great number of execs in a short time.
type storm struct {
	dir      string
	target   string
	argv     []string
	executed int          // by the workers, each of which succeeded
	each     int          // by each worker
	workers  map[int]bool // by pid
}

// blow executes n programs from several processes at once. The workers count: one that
// cannot start a program, or that sees one fail, fails itself.
func blow(t *testing.T, dir string, n int) storm {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(dir, "target")
	s := storm{dir: dir, target: target, argv: []string{target, "in a storm"}, each: n / stormWorkers, workers: map[int]bool{}}
	worker := filepath.Join(dir, "worker")
	for path, p := range map[string]*program{target: quitting(), worker: stormWorker(s.each, target, s.argv)} {
		if err := writeExecutable(path, p.file(), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var procs []*proc
	for range stormWorkers {
		p, err := spawn(worker, []string{worker}, spawnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer p.kill()
		procs = append(procs, p)
		s.workers[p.pid] = true
	}
	for _, p := range procs {
		p.gate.Close()
	}
	for _, p := range procs {
		status, err := p.finish()
		if err != nil || !status.Exited() || status.ExitStatus() != 0 {
			t.Fatalf("storm worker %d: %v, exit status %d", p.pid, err, status.ExitStatus())
		}
		s.executed += s.each
	}
	return s
}

func stormWorker(n int, target string, argv []string) *program {
	p := newProgram(native())
	p.await(gateFD)
	p.emit(p.m.counter(uint64(n)))
	p.label("again")
	p.fork(unix.CLONE_VFORK|unix.CLONE_VM|int(unix.SIGCHLD), func() { p.exec(target, argv) })
	p.wait()
	p.jump(ifZero, "succeeded")
	p.exit(1)
	p.label("succeeded")
	p.jump(untilZero, "again")
	p.exit(0)
	return p
}

// own gives those of the events that are the storm's programs, without the workers.
func (s storm) own(events []traced) []traced {
	var own []traced
	for _, e := range events {
		if e.Filename != nil && *e.Filename == s.target {
			own = append(own, e)
		}
	}
	return own
}

// judge holds every event of the storm against the only thing it can have been.
func (s storm) judge(t *testing.T, v variant, own []traced) {
	t.Helper()
	perWorker := map[int]int{}
	for _, e := range own {
		w := wanted{
			uid: os.Getuid(), gid: os.Getgid(), comm: "target", filename: s.target, passed: s.argv, cgroup: ownCgroup(),
		}
		if e.PID != nil {
			w.pid, w.tid = *e.PID, *e.PID
		}
		if e.PPID != nil {
			w.ppid = *e.PPID
			perWorker[w.ppid]++
		}
		if wrong := differences(w, v, e); wrong != nil {
			t.Fatalf("%s\n  in %s", strings.Join(wrong, "\n  "), e.line)
		}
	}
	for ppid, n := range perWorker {
		if !s.workers[ppid] || n > s.each {
			t.Errorf("%d execs by %d, where the workers %v did %d each", n, ppid, s.workers, s.each)
		}
	}
}

// stormIsSeen demands that nothing of a storm is lost with the default buffer.
func stormIsSeen(t *testing.T, v variant) {
	tr := trace(t, productOptions{}, v.flags()...)
	s := blow(t, workDir(t)+"/storm", stormSize(t))
	events := tr.stop(t)
	own := s.own(events)
	s.judge(t, v, own)
	seen, lost := tr.counts(t)
	result := fmt.Sprintf("executed %d, of them written %d; written %d in all, seen=%d lost=%d", s.executed, len(own), len(events), seen, lost)
	t.Log(result)
	if len(own) != s.executed || seen != len(events) || lost != 0 {
		t.Error(result)
	}
}
