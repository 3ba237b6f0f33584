// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/everyexec/everyexec/cmd/everyexec/internal/reporttest"
	"github.com/everyexec/everyexec/loader"
)

// result is what a run of the product came to.
type result struct {
	code           int
	stdout, stderr string
	usage          *syscall.Rusage
}

// productCommand is the product with some arguments, in a role of the test binary.
func productCommand(role string, args ...string) *exec.Cmd {
	c := exec.Command("/proc/self/exe", args...)
	c.Env = append(os.Environ(), roleEnv+"="+role)
	return c
}

func finish(t testing.TB, c *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{c.ProcessState.ExitCode(), stdout.String(), stderr.String(), c.ProcessState.SysUsage().(*syscall.Rusage)}
}

func runFleetOn(t testing.TB, stdin string, args ...string) result {
	t.Helper()
	c := productCommand(roleProduct, append([]string{"fleet"}, args...)...)
	c.Stdin = strings.NewReader(stdin)
	return finish(t, c)
}

func reportLine(t testing.TB, r *loader.Report) string {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b) + "\n"
}

func TestFleetExitCodes(t *testing.T) {
	withBTF, without := reporttest.Machines[0], reporttest.Machines[6]
	named := func(host string, r *loader.Report) string {
		r.Host = host
		return reportLine(t, r)
	}
	full := named("a", reporttest.Report(withBTF, true))
	degraded := named("b", reporttest.Report(without, true))
	unusable := named("c", reporttest.Report(without, false))
	gone := filepath.Join(t.TempDir(), "gone")
	for _, c := range []struct {
		name, stdin string
		args        []string
		code        int
		stdout      string // contained in it; "" for nothing at all
		stderr      string // the same
	}{
		{"full", full, nil, 0, "1 host on 1 kernel: 1 full", ""},
		{"standard input by name", full, []string{"-"}, 0, "1 full", ""},
		{"degraded", full + degraded, nil, 3, "1 full, 1 degraded, 0 unusable", ""},
		{"unusable", full + degraded + unusable, nil, 4, "1 full, 1 degraded, 1 unusable", ""},
		{"json", full + degraded, []string{"-o", "json"}, 3, `"hosts": 2`, ""},
		{"damaged and full", "{\n" + full, nil, 0, "1 damaged report left out", "standard input:1: not a report"},
		{"nothing but damage", "{\n", nil, 1, "", "no report to sum up"},
		{"nothing", "", nil, 1, "", "empty"},
		{"a path that is not there", "", []string{gone}, 1, "", "no such file"},
		{"an unknown format", full, []string{"-o", "xml"}, 2, "", `"xml" is none of`},
		{"an unknown flag", full, []string{"--frobnicate"}, 2, "", "unknown flag"},
		{"a page that cannot be written", full, []string{"--html", gone + "/x.html"}, 1, "", "x.html"},
		{"a list that cannot be written", full, []string{"--missing-btf", gone + "/x.json"}, 1, "", "x.json"},
	} {
		r := runFleetOn(t, c.stdin, c.args...)
		if r.code != c.code {
			t.Errorf("%s: exit code %d, want %d\n%s%s", c.name, r.code, c.code, r.stdout, r.stderr)
		}
		if !strings.Contains(r.stdout, c.stdout) || c.stdout == "" && r.stdout != "" {
			t.Errorf("%s: stdout lacks %q:\n%s", c.name, c.stdout, r.stdout)
		}
		if !strings.Contains(r.stderr, c.stderr) || c.stderr == "" && r.stderr != "" {
			t.Errorf("%s: stderr lacks %q:\n%s", c.name, c.stderr, r.stderr)
		}
	}
}

func TestFleetWritesFiles(t *testing.T) {
	dir := t.TempDir()
	page, list, reports := filepath.Join(dir, "fleet.html"), filepath.Join(dir, "fleet.json"), filepath.Join(dir, "reports")
	if err := os.Mkdir(reports, 0o755); err != nil {
		t.Fatal(err)
	}
	for r := range reporttest.Fleet(1, 50) {
		if err := os.WriteFile(filepath.Join(reports, r.Host+".json"), []byte(reportLine(t, r)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := runFleetOn(t, "", "--html", page, "--missing-btf", list, reports)
	if r.stderr != "" || !strings.HasPrefix(r.stdout, "50 hosts on ") {
		t.Fatalf("code %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	html, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(html, []byte("<!DOCTYPE html>")) || !bytes.HasSuffix(html, []byte("</html>\n")) {
		t.Errorf("the page is not whole: %d bytes", len(html))
	}
	// What `btf pack --for` reads.
	var missing struct {
		Schema  int
		Kernels []struct {
			Release, Arch, Distro string
			VersionID             string `json:"version_id"`
			Hosts                 int
		}
	}
	text, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &missing); err != nil {
		t.Fatal(err)
	}
	if missing.Schema != 1 || len(missing.Kernels) == 0 {
		t.Fatalf("missing BTF: %s", text)
	}
	for _, k := range missing.Kernels {
		if k.Release == "" || k.Arch == "" || k.Distro == "" || k.VersionID == "" || k.Hosts == 0 {
			t.Errorf("incomplete: %+v", k)
		}
	}
}

// A reader that goes away early is no failure of fleet.
func TestFleetOutlivesItsReader(t *testing.T) {
	var in strings.Builder
	for r := range reporttest.Fleet(1, 3000) { // the JSON must be more than a pipe holds
		in.WriteString(reportLine(t, r))
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	read.Close()
	defer write.Close()
	c := productCommand(roleProduct, "fleet", "-o", "json")
	c.Stdin, c.Stdout = strings.NewReader(in.String()), write
	var stderr bytes.Buffer
	c.Stderr = &stderr
	err = c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if code := c.ProcessState.ExitCode(); code != exitUnusable || strings.Contains(stderr.String(), "pipe") {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
}

// BenchmarkFleet50000 runs the product on 50,000 reports of about 8 KiB each.
func BenchmarkFleet50000(b *testing.B) {
	path := filepath.Join(b.TempDir(), "reports.jsonl")
	file, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriter(file)
	size := 0
	for r := range reporttest.Fleet(1, 50_000) {
		n, err := w.WriteString(reportLine(b, r))
		if err != nil {
			b.Fatal(err)
		}
		size += n
	}
	if err := errors.Join(w.Flush(), file.Close()); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(size))
	var peak int64
	for b.Loop() {
		r := runFleetOn(b, "", "--html", filepath.Join(b.TempDir(), "fleet.html"), path)
		if r.code != exitUnusable || !strings.HasPrefix(r.stdout, "50,000 hosts on 12 kernels") {
			b.Fatalf("code %d:\n%s%s", r.code, r.stdout, r.stderr)
		}
		peak = max(peak, r.usage.Maxrss)
	}
	b.ReportMetric(float64(peak)/1024, "peak-MiB")
}
