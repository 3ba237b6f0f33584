// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// eachVariant runs a fault for every variant under test.
func eachVariant(t *testing.T, fault func(t *testing.T, v variant)) {
	needs(t)
	for _, v := range variants(t) {
		t.Run(v.name, func(t *testing.T) {
			needs(t)
			fault(t, v)
		})
	}
}

// executeOne makes an event.
func executeOne(t *testing.T) {
	t.Helper()
	if s := play(shapeCases[0], workDir(t)+"/one"); s.failure != "" {
		t.Fatal(s.failure)
	}
}

// backlog is a number of execs that is more than a pipe holds in lines, and less than the
// default buffer of one CPU.
const backlog = 800

// TestSignalsFlush has nobody read, so that most of what was captured still waits in the
// kernel's buffer when the signal comes.
func TestSignalsFlush(t *testing.T) {
	eachVariant(t, func(t *testing.T, v variant) {
		for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			t.Run(unix.SignalName(signal), func(t *testing.T) {
				p, r := pipedTrace(t, v.flags()...)
				s := blow(t, workDir(t)+"/storm", backlog)
				p.signal(t, signal)
				out := collect(r)
				if code := p.end(t); code != 0 {
					t.Errorf("exit code %d:\n%s", code, p.stderr)
				}
				await(t, "the end of the output", func() bool { return isClosed(out.ended) })
				if own := s.own(parse(t, out.get())); len(own) != s.executed {
					t.Errorf("wrote %d of %d execs:\n%s", len(own), s.executed, p.stderr)
				}
			})
		}
	})
}

// pipedTrace starts tracing into a pipe whose reader the test is.
func pipedTrace(t *testing.T, args ...string) (*product, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	p := start(t, productOptions{stdout: w}, append([]string{"trace", "--output", "json"}, args...)...)
	w.Close()
	p.awaitStart(t)
	return p, r
}

// endsQuietly demands the end of a tracer whose reader has gone away.
func endsQuietly(t *testing.T, p *product) {
	t.Helper()
	if code := p.end(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, p.stderr)
	}
	if strings.Contains(p.stderr.String(), "level=ERROR") || strings.Contains(p.stderr.String(), "broken pipe") {
		t.Errorf("complained:\n%s", p.stderr)
	}
}

func TestReaderGoesAway(t *testing.T) {
	eachVariant(t, func(t *testing.T, v variant) {
		t.Run("after the first line", func(t *testing.T) {
			p, r := pipedTrace(t, v.flags()...)
			blow(t, workDir(t)+"/storm", backlog) // it waits in a write when the reader goes
			line, err := bufio.NewReader(r).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parseLine(line); err != nil {
				t.Error(err)
			}
			r.Close()
			endsQuietly(t, p)
		})
		t.Run("without a further event", func(t *testing.T) {
			p, r := pipedTrace(t, v.flags("--name", "^no program has this name$")...)
			r.Close()
			endsQuietly(t, p)
		})
	})
}

func TestOutputFull(t *testing.T) {
	eachVariant(t, func(t *testing.T, v variant) {
		for _, format := range []string{"json", "table"} {
			t.Run(format, func(t *testing.T) {
				full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
				if err != nil {
					t.Skip(err)
				}
				defer full.Close()
				p := start(t, productOptions{stdout: full}, append([]string{"trace"}, v.flags("--output", format)...)...)
				if format == "json" {
					p.awaitStart(t) // a table fails already at its header
					executeOne(t)
				}
				if code := p.end(t); code != 1 {
					t.Errorf("exit code %d, not 1", code)
				}
				if n := strings.Count(p.stderr.String(), "no space left on device"); n != 1 {
					t.Errorf("said %d times that no space is left:\n%s", n, p.stderr)
				}
			})
		}
	})
}

func TestNotRoot(t *testing.T) {
	needs(t)
	nobody := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	for _, name := range []string{"auto", "core", "stub"} {
		t.Run(name, func(t *testing.T) {
			p := start(t, productOptions{sys: nobody}, "trace", "--variant", name)
			if code := p.end(t); code != 4 {
				t.Errorf("exit code %d, not 4", code)
			}
			if !regexp.MustCompile(`\bCAP_[A-Z_]+\b`).MatchString(p.stderr.String()) {
				t.Errorf("names no capability:\n%s", p.stderr)
			}
		})
	}
}

// TestTwoInstances has two tracers see the same execs.
func TestTwoInstances(t *testing.T) {
	eachVariant(t, func(t *testing.T, v variant) {
		tracers := []*tracing{
			trace(t, productOptions{}, v.flags()...),
			trace(t, productOptions{}, v.flags()...),
		}
		work := workDir(t)
		var stages []*stage
		for i, c := range taskCases {
			stages = append(stages, play(c, filepath.Join(work, itoa(i))))
		}
		for i, tr := range tracers {
			events := tr.stop(t)
			for j, c := range taskCases {
				own := slices.DeleteFunc(slices.Clone(events), func(e traced) bool { return !stages[j].owns(e) })
				t.Run(fmt.Sprintf("%d/%s", i+1, c.name), func(t *testing.T) { stages[j].judge(t, v, own) })
			}
		}
	})
}

// TestInPidNamespace: a tracer that has other pids for everything shows the kernel's.
func TestInPidNamespace(t *testing.T) {
	eachVariant(t, func(t *testing.T, v variant) {
		inside := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
		tr := trace(t, productOptions{sys: inside}, v.flags()...)
		s := play(shapeCases[0], workDir(t)+"/one")
		own := slices.DeleteFunc(tr.stop(t), func(e traced) bool { return !s.owns(e) })
		s.judge(t, v, own)
	})
}

// TestWrongUsage needs no privilege: what is wrong is said before anything is tried.
func TestWrongUsage(t *testing.T) {
	for _, args := range []string{
		"trace --name (",
		"trace --line [",
		"trace --line *",
		"trace --buffer -1",
		"trace --buffer 0",
		"trace --buffer 12parsecs",
		"trace --buffer 99999999999999999999GiB",
		"trace --variant nonsense",
		"trace --require nonsense",
		"trace --output xml",
		"trace --count -1",
		"trace --count many",
		"trace --duration -1s",
		"trace --duration soon",
		"trace --max-args -1",
		"trace --uid -1",
		"trace --uid nobody-of-this-name",
		"trace --uid 4294967296",
		"trace --pid -1",
		"trace --ppid x",
		"trace --cgroup /no/such/cgroup",
		"trace --log-level loud",
		"trace --log-format xml",
		"trace --no-such-flag",
		"trace no-such-argument",
		"no-such-command",
	} {
		t.Run(args, func(t *testing.T) {
			refused(t, 2, strings.Fields(args)...)
		})
	}
}

// refused demands that the product ends at once with a code, having said why in one line.
func refused(t *testing.T, code int, args ...string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, productOptions{stdout: w}, args...)
	w.Close()
	out := collect(r)
	if got := p.end(t); got != code {
		t.Errorf("exit code %d, not %d", got, code)
	}
	if said := p.stderr.get(); len(said) != 1 || strings.TrimSpace(said[0]) == "" {
		t.Errorf("not one line that says what is wrong:\n%s", p.stderr)
	}
	await(t, "the end of the output", func() bool { return isClosed(out.ended) })
	if said := out.String(); said != "" {
		t.Errorf("wrote to stdout:\n%s", said)
	}
}

// TestUnavailable: what was named and is not to be had here ends with 3.
func TestUnavailable(t *testing.T) {
	needs(t)
	under := variants(t)
	for _, name := range []string{"core-external", "bcc"} {
		t.Run(name, func(t *testing.T) {
			if slices.ContainsFunc(under, func(v variant) bool { return v.name == name }) {
				t.Skip("is under test here")
			}
			refused(t, 3, "trace", "--variant", name)
		})
	}
	for _, v := range under {
		known := []string{"pid", "tid", "ppid", "uid", "gid", "comm", "filename", "args", "ret"}
		known = slices.DeleteFunc(known, func(field string) bool { return v.unknown[field] != "" })
		for _, field := range slices.Sorted(maps.Keys(v.unknown)) {
			t.Run("require "+field+" of "+v.name, func(t *testing.T) {
				refused(t, 3, append([]string{"trace"}, v.flags("--require", field)...)...)
			})
		}
		t.Run("require what "+v.name+" has", func(t *testing.T) {
			trace(t, productOptions{}, v.flags("--require", strings.Join(known, ","))...).stop(t)
		})
	}
}

const kernelBTF = "/sys/kernel/btf"

// hideBTF becomes the product on a kernel that seems to have no BTF, in a mount namespace of its own:
// whoever forgets to give it one must not hide the machine's.
func hideBTF() {
	runtime.LockOSThread()
	hide := func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("leave the mount namespace: %w", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("make mounts private: %w", err)
		}
		if err := unix.Mount("none", kernelBTF, "tmpfs", 0, ""); err != nil {
			return fmt.Errorf("hide %s: %w", kernelBTF, err)
		}
		if err := os.Setenv(roleEnv, roleProduct); err != nil {
			return err
		}
		return syscall.Exec("/proc/self/exe", os.Args, os.Environ())
	}
	fmt.Fprintln(os.Stderr, hide())
	os.Exit(125)
}

func TestWithoutBTF(t *testing.T) {
	needs(t)
	if _, err := os.Stat(kernelBTF + "/vmlinux"); err != nil {
		t.Skip("this kernel has no BTF to hide")
	}
	private := productOptions{role: roleNoBTF}
	t.Run("auto", func(t *testing.T) {
		needs(t)
		tr := trace(t, private)
		tr.awaitLog(t, "which variant traces", func(line string) bool {
			return strings.Contains(line, startedWord) && strings.Contains(line, "variant=stub")
		})
		tr.awaitLog(t, "a warning that there is no BTF", func(line string) bool {
			return strings.Contains(line, "level=WARN") && strings.Contains(line, "BTF")
		})
		s := play(shapeCases[0], workDir(t)+"/one")
		own := slices.DeleteFunc(tr.stop(t), func(e traced) bool { return !s.owns(e) })
		s.judge(t, onThisKernel(t, "stub"), own)
	})
	t.Run("core", func(t *testing.T) {
		p := start(t, private, "trace", "--variant", "core")
		if code := p.end(t); code != 3 {
			t.Errorf("exit code %d, not 3:\n%s", code, p.stderr)
		}
	})
}

// stalledBuffer is small, so that a reader who stops makes losses soon: it holds less than a
// hundred execs.
const stalledBuffer = "16KiB"

// TestStalledReader: what a reader's standstill loses is counted exactly.
func TestStalledReader(t *testing.T) {
	eachVariant(t, func(t *testing.T, v variant) {
		t.Run("reads on", func(t *testing.T) { stall(t, v, true) })
		t.Run("ends while it stands", func(t *testing.T) { stall(t, v, false) })
	})
}

func stall(t *testing.T, v variant, readOn bool) {
	// Other programs may start on this machine meanwhile. A second tracer sees them all.
	var witness *tracing
	if os.Getenv(quietEnv) == "" {
		witness = trace(t, productOptions{}, v.flags()...)
	}
	work := workDir(t)
	var w watch
	w.began = time.Now()
	p, r := pipedTrace(t, v.flags("--buffer", stalledBuffer)...)
	w.traced = time.Now()
	s := blow(t, work+"/storm", 1000+100*runtime.NumCPU())
	executed := s.executed + stormWorkers

	var out *lines
	if readOn {
		out = collect(r)
		// When the tracer has caught up, execs come through again.
		await(t, "the tracer to catch up", func() bool {
			dir := fmt.Sprintf("%s/after-%d", work, executed)
			if s := play(shapeCases[0], dir); s.failure != "" {
				t.Fatal(s.failure)
			}
			executed++
			return strings.Contains(out.String(), work+"/after-")
		})
		w.signalled = time.Now()
		p.signal(t, os.Interrupt)
	} else {
		w.signalled = time.Now()
		p.signal(t, os.Interrupt)
		out = collect(r)
	}
	if code := p.end(t); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, p.stderr)
	}
	w.ended = time.Now()
	await(t, "the end of the output", func() bool { return isClosed(out.ended) })

	events := parse(t, out.get())
	s.judge(t, v, s.own(events))
	seen, lost := p.counts(t)
	least, most := executed, executed
	if witness != nil {
		least, most = w.bounds(t, witness, work, p.cmd.Process.Pid)
	}
	result := fmt.Sprintf("executed %d, with others between %d and %d; written %d, seen=%d lost=%d", executed, least, most, len(events), seen, lost)
	t.Log(result)
	if lost == 0 {
		t.Fatalf("nothing was lost, so nothing was tried: %s", result)
	}
	if seen != len(events) || seen+lost < least || seen+lost > most {
		t.Error(result)
	}
}

// watch holds the moments between which a tracer certainly saw, and those outside of
// which it certainly did not.
type watch struct{ began, traced, signalled, ended time.Time }

// bounds says how many execs a tracer had to see in this time, by a witness who lost nothing.
func (w watch) bounds(t *testing.T, witness *tracing, work string, tracer int) (least, most int) {
	t.Helper()
	const margin = 20 * time.Millisecond // between the witness's clock and ours
	events := witness.stop(t)
	if _, lost := witness.counts(t); lost != 0 {
		t.Fatalf("the witness lost %d", lost)
	}
	for _, e := range withoutFamily(events, tracer) {
		own := strings.Contains(e.line, work)
		if own || e.Time.After(w.traced.Add(margin)) && e.Time.Before(w.signalled.Add(-margin)) {
			least++
		}
		if own || e.Time.After(w.began.Add(-margin)) && e.Time.Before(w.ended.Add(margin)) {
			most++
		}
	}
	return least, most
}

// withoutFamily leaves out a process and its descendants, as far as parents are known: a
// tracer hides its own test execs.
func withoutFamily(events []traced, pid int) []traced {
	slices.SortStableFunc(events, func(a, b traced) int { return a.Time.Compare(b.Time) })
	family := map[int]bool{pid: true}
	return slices.DeleteFunc(events, func(e traced) bool {
		if e.PPID != nil && family[*e.PPID] {
			family[*e.PID] = true
		}
		return family[*e.PID]
	})
}
