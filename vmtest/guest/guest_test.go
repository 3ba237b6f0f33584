// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain makes this test binary an init of its own, good for a first look at a kernel.
func TestMain(m *testing.M) {
	Main()
	os.Exit(m.Run())
}

func TestParseMark(t *testing.T) {
	for _, c := range []struct {
		line string
		mark Mark
		text string
		ok   bool
	}{
		{"vmtest-begin suite", Begin, "suite", true},
		{"vmtest-1 ", Stdout, "", true},
		{"vmtest-1   --- PASS: a", Stdout, "  --- PASS: a", true},
		{"[    2.1] random: crng vmtest-end suite 3", End, "suite 3", true},
		{"vmtest-other x", "", "", false},
		{"Linux version 5.10", "", "", false},
	} {
		mark, text, ok := ParseMark(c.line)
		if mark != c.mark || text != c.text || ok != c.ok {
			t.Errorf("%q: got %q, %q, %v", c.line, mark, text, ok)
		}
	}
}

func runTest(t *testing.T, s Step) []string {
	t.Helper()
	var out bytes.Buffer
	run(s, &console{w: &out})
	var lines []string
	for line := range strings.Lines(out.String()) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, string(Note)) {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestRunMarksEveryLine(t *testing.T) {
	got := runTest(t, Step{Name: "s", Seconds: 60, Args: []string{"/bin/sh", "-c", "echo one; echo two >&2; printf three; exit 5"}})
	if got[0] != "vmtest-begin s" || got[len(got)-1] != "vmtest-end s 5" {
		t.Fatalf("first and last line: %q", got)
	}
	all := strings.Join(got, "\n")
	for _, want := range []string{"vmtest-1 one", "vmtest-2 two", "vmtest-1 three"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
}

func TestRunKillsWhatTakesTooLong(t *testing.T) {
	got := runTest(t, Step{Name: "s", Seconds: 1, Args: []string{"/bin/sleep", "1000"}})
	if want := "vmtest-end s 124"; got[len(got)-1] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRunSaysWhatCouldNotStart(t *testing.T) {
	got := runTest(t, Step{Name: "s", Seconds: 1, Args: []string{"/no/such/program"}})
	if want := "vmtest-end s 127"; got[len(got)-1] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPlaceBTF(t *testing.T) {
	dir := t.TempDir()
	from, cache := filepath.Join(dir, "from"), filepath.Join(dir, "a/cache")
	if err := placeBTF(from, cache, "5.10"); err != nil {
		t.Fatalf("without a file: %v", err)
	}
	if err := os.WriteFile(from, []byte("BTF"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := placeBTF(from, cache, "5.10"); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(cache, "5.10.btf")); string(got) != "BTF" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestRunPlaysTheWorkloadOnceTraced(t *testing.T) {
	// The workload's programs are not here: that is said, and the tracer is stopped nevertheless.
	got := runTest(t, Step{Name: "s", Seconds: 60, Workload: true,
		Args: []string{"/bin/sh", "-c", "trap 'echo stopped; exit 7' INT; echo msg=tracing >&2; while :; do sleep 0.05; done"}})
	if want := "vmtest-1 stopped\nvmtest-end s 7"; !strings.HasSuffix(strings.Join(got, "\n"), want) {
		t.Errorf("got %q, want %q at the end", got, want)
	}
}

func TestRunDoesNotWaitForATracerThatEnded(t *testing.T) {
	got := runTest(t, Step{Name: "s", Seconds: 3600, Workload: true, Args: []string{"/bin/sh", "-c", "exit 3"}})
	if want := "vmtest-end s 3"; got[len(got)-1] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
