// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// What the product's log lines say.
const startedWord = "tracing" // beside variant=NAME, when execs are being seen

var endLine = regexp.MustCompile(`\bseen=(\d+) lost=(\d+)`)

// lines collects what comes out of a pipe until its end.
type lines struct {
	mu    sync.Mutex
	all   []string
	ended chan struct{}
}

func collect(r io.ReadCloser) *lines {
	l := &lines{ended: make(chan struct{})}
	go func() {
		defer close(l.ended)
		defer r.Close()
		in := bufio.NewReader(r)
		for {
			line, err := in.ReadString('\n')
			if line != "" {
				l.mu.Lock()
				l.all = append(l.all, strings.TrimSuffix(line, "\n"))
				l.mu.Unlock()
			}
			if err != nil {
				return
			}
		}
	}()
	return l
}

func (l *lines) get() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[:len(l.all):len(l.all)]
}

func (l *lines) String() string { return strings.Join(l.get(), "\n") }

// product is a running everyexec.
type product struct {
	cmd    *exec.Cmd
	began  time.Time
	stderr *lines
	exited chan struct{}
}

// productOptions are for starting the product in special circumstances.
type productOptions struct {
	role   string   // roleProduct if empty
	stdout *os.File // not closed here
	sys    *syscall.SysProcAttr
	env    []string
}

// start starts the product; it is killed at the test's end if it still runs then.
func start(t *testing.T, o productOptions, args ...string) *product {
	t.Helper()
	if o.role == "" {
		o.role = roleProduct
	}
	// Not by its path: another user may not be able to reach that.
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(append(os.Environ(), roleEnv+"="+o.role), o.env...)
	cmd.SysProcAttr = o.sys
	if o.stdout != nil {
		cmd.Stdout = o.stdout
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = w
	p := &product{cmd: cmd, began: time.Now(), exited: make(chan struct{})}
	err = cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		t.Fatalf("start everyexec: %v", err)
	}
	p.stderr = collect(r)
	go func() {
		defer close(p.exited)
		cmd.Wait()
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-p.exited
	})
	return p
}

// awaitStart waits until the product traces and says so.
func (p *product) awaitStart(t *testing.T) {
	t.Helper()
	p.awaitLog(t, "that it traces", func(line string) bool {
		return strings.Contains(line, startedWord) && strings.Contains(line, "variant=")
	})
}

func (p *product) awaitLog(t *testing.T, what string, match func(line string) bool) string {
	t.Helper()
	var found string
	await(t, "everyexec to log "+what, func() bool {
		exited := isClosed(p.exited) && isClosed(p.stderr.ended)
		for _, line := range p.stderr.get() {
			if match(line) {
				found = line
				return true
			}
		}
		if exited {
			t.Fatalf("everyexec ended with %d instead of logging %s:\n%s", p.code(), what, p.stderr)
		}
		return false
	})
	return found
}

// end waits for the product's end and gives its exit code, -1 if a signal ended it.
func (p *product) end(t *testing.T) int {
	t.Helper()
	await(t, "everyexec to end", func() bool { return isClosed(p.exited) && isClosed(p.stderr.ended) })
	return p.code()
}

func (p *product) code() int { return p.cmd.ProcessState.ExitCode() }

func (p *product) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("signal everyexec: %v\n%s", err, p.stderr)
	}
}

// counts are the numbers of the line that is logged at the end.
func (p *product) counts(t *testing.T) (seen, lost int) {
	t.Helper()
	for _, line := range p.stderr.get() {
		m := endLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		seen, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		lost, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		return seen, lost
	}
	t.Fatalf("no line says %s:\n%s", endLine, p.stderr)
	return 0, 0
}

// tracing is a product that traces to JSON, which is read all the time.
type tracing struct {
	*product
	stdout *lines
}

// trace starts tracing and returns when every exec is seen.
func trace(t *testing.T, o productOptions, args ...string) *tracing {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	o.stdout = w
	p := start(t, o, append([]string{"trace", "--output", "json"}, args...)...)
	w.Close()
	tr := &tracing{product: p, stdout: collect(r)}
	tr.awaitStart(t)
	return tr
}

// stop ends tracing as a user does and gives every event.
func (tr *tracing) stop(t *testing.T) []traced {
	t.Helper()
	tr.signal(t, os.Interrupt)
	return tr.rest(t)
}

// rest gives every event of a tracer that has been told to end.
func (tr *tracing) rest(t *testing.T) []traced {
	t.Helper()
	if code := tr.end(t); code != 0 {
		t.Fatalf("everyexec ended with %d:\n%s", code, tr.stderr)
	}
	await(t, "the end of everyexec's output", func() bool { return isClosed(tr.stdout.ended) })
	return parse(t, tr.stdout.get())
}

func parse(t *testing.T, lines []string) []traced {
	t.Helper()
	var events []traced
	for _, line := range lines {
		e, err := parseLine(line)
		if err != nil {
			t.Error(err)
		}
		events = append(events, e)
	}
	return events
}

// await waits for a condition.
func await(t *testing.T, what string, met func() bool) {
	t.Helper()
	if err := awaiting(what, met); err != nil {
		t.Fatal(err)
	}
}

func awaiting(what string, met func() bool) error {
	deadline := time.Now().Add(patience)
	for !met() {
		if time.Now().After(deadline) {
			return fmt.Errorf("waited %v for %s", patience, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
	return nil
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
