// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everyexec/everyexec/cmd/everyexec/internal/reporttest"
	"github.com/everyexec/everyexec/loader"
)

// reportOf returns the JSON of a report from a host, made so many minutes after the first.
func reportOf(t testing.TB, host string, m reporttest.Machine, minutes int) string {
	r := reporttest.Report(m, true)
	r.Host, r.Time = host, r.Time.Add(time.Duration(minutes)*time.Minute)
	return encode(t, r) + "\n"
}

func read(in string) *Summary { return Read(strings.NewReader(in), "-") }

// damages returns where damage was found.
func damages(s *Summary) []string {
	var out []string
	for _, d := range s.Damaged.First {
		out = append(out, fmt.Sprintf("%s:%d", filepath.Base(d.File), d.Line))
	}
	return out
}

func TestReadGoesOnBehindDamage(t *testing.T) {
	good := func(host string) string { return reportOf(t, host, withBTF, 0) }
	in := good("a") + // line 1
		good("b")[:200] + "\n" + // 2: cut off
		good("c") + // 3
		"{" + strings.Repeat("x", maxReport) + "}\n" + // 4: too long
		good("d") + // 5
		strings.Replace(good("e"), `"schema":1`, `"schema":9`, 1) + // 6
		good("f") + // 7
		"\n" + // 8
		"ssh: bye\n" + // 9: follows f's report
		good("g") // 10
	s := read(in)
	if s.Hosts != 5 || s.Reports != 5 {
		t.Errorf("%d hosts from %d reports, want 5", s.Hosts, s.Reports)
	}
	want := []string{"standard input:2", "standard input:4", "standard input:6", "standard input:9"}
	if got := damages(s); !slices.Equal(got, want) || s.Damaged.Count != 4 {
		t.Errorf("damage at %q, want %q", got, want)
	}
}

func TestReadNamesAHundredAndCountsTheRest(t *testing.T) {
	s := read(strings.Repeat("{\n", 250))
	if s.Damaged.Count != 250 || len(s.Damaged.First) != 100 {
		t.Errorf("counted %d, named %d", s.Damaged.Count, len(s.Damaged.First))
	}
}

func TestReadIndentedReports(t *testing.T) {
	indented := strings.NewReplacer(`,"`, ",\n  \"", `":{`, "\": {\n  ")
	in := indented.Replace(reportOf(t, "a", withBTF, 0)) + indented.Replace(reportOf(t, "b", withBTF, 0))
	if s := read(in); s.Hosts != 2 || s.Damaged.Count != 0 {
		t.Errorf("%d hosts, damaged: %v", s.Hosts, s.Damaged)
	}
}

func TestNewestReportOfAHostCounts(t *testing.T) {
	older, newer := reportOf(t, "a", withoutBTF, 0), reportOf(t, "a", withBTF, 1)
	for name, in := range map[string]string{
		"newer last":  older + newer,
		"newer first": newer + older,
		"twice":       newer + newer,
		"three":       newer + older + newer,
	} {
		s := read(in + reportOf(t, "b", withBTF, 0))
		n := strings.Count(in, "\n")
		if s.Hosts != 2 || s.Now.Full != 2 || s.Reports != n+1 || s.OlderReports != n-1 {
			t.Errorf("%s: %d hosts, %d full, %d reports, %d older", name, s.Hosts, s.Now.Full, s.Reports, s.OlderReports)
		}
		if m := s.MostRepeated; m == nil || m.Host != "a" || m.Reports != n {
			t.Errorf("%s: most repeated: %v, want a, %d times", name, m, n)
		}
		if want := reporttest.Time.Truncate(time.Microsecond); !s.Oldest.Equal(want) || !s.Newest.Equal(want.Add(time.Minute)) {
			t.Errorf("%s: from %s to %s", name, s.Oldest, s.Newest)
		}
	}
}

func TestReadPaths(t *testing.T) {
	dir := t.TempDir()
	write := func(path, text string) {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("reports/a.json", reportOf(t, "a", withBTF, 0))
	write("reports/west/b", reportOf(t, "b", withBTF, 0)+reportOf(t, "c", withBTF, 0))
	write("reports/empty.json", "")
	write("reports/.hidden", "not read")
	write("reports/.git/config", "not read")
	write("elsewhere", reportOf(t, "d", withBTF, 0))
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), filepath.Join(dir, "reports/link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "reports/broken")); err != nil {
		t.Fatal(err)
	}
	// Reading this would block for ever.
	if err := unix.Mkfifo(filepath.Join(dir, "reports/fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "nothing"), 0o755); err != nil {
		t.Fatal(err)
	}
	stdin := strings.NewReader(reportOf(t, "e", withBTF, 0))
	s := Read(stdin, filepath.Join(dir, "reports"), "-", filepath.Join(dir, "nothing"), filepath.Join(dir, "gone"))
	if s.Hosts != 5 {
		t.Errorf("%d hosts, want a, b, c, d, e", s.Hosts)
	}
	want := []string{"broken:0", "empty.json:0", "fifo:0", "nothing:0", "gone:0"}
	if got := damages(s); !slices.Equal(got, want) {
		t.Errorf("damage at %q, want %q", got, want)
	}
}

func TestADirectoryMayBeHidden(t *testing.T) {
	dir := filepath.Join(t.TempDir(), ".cache")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte(reportOf(t, "a", withBTF, 0)), 0o644); err != nil {
		t.Fatal(err)
	}
	if s := Read(nil, dir); s.Hosts != 1 {
		t.Errorf("%d hosts, want 1", s.Hosts)
	}
}

// Hosts that each give another reason must not make a row each.
func TestRowsOfOneKernelAreBounded(t *testing.T) {
	var in strings.Builder
	for i := range 200 {
		r := reporttest.Report(withBTF, false)
		r.Host = fmt.Sprint("host-", i)
		r.Variants[0].Reason = fmt.Sprint("process ", i, " is in the way")
		in.WriteString(encode(t, r) + "\n")
	}
	s := read(in.String())
	if s.Hosts != 200 || len(s.Rows) != maxReasons+1 || s.Kernels != 1 {
		t.Errorf("%d hosts in %d rows", s.Hosts, len(s.Rows))
	}
	if s.Rows[0].Reason != manyReasons || s.Rows[0].Hosts != 200-maxReasons {
		t.Errorf("first row: %d hosts, %q", s.Rows[0].Hosts, s.Rows[0].Reason)
	}
}

func TestOutcomesOfOneKernelAreBounded(t *testing.T) {
	f := newFleet()
	refused := 0
	for i := range 200 {
		r := hostReport{Report: *reporttest.Report(withoutBTF, true)}
		r.Host = fmt.Sprint("host-", i)
		r.Variants[0].Fields = []string{"f" + strings.Repeat("x", i)} // another missing field each
		if err := f.add(&r); err == errClasses {
			refused++
		}
	}
	if refused != 200-maxClasses {
		t.Errorf("refused %d, want %d", refused, 200-maxClasses)
	}
}

func TestKernelsAreBounded(t *testing.T) {
	f := newFleet()
	refused := 0
	for i := range maxKernels + 5 {
		r := hostReport{Report: *reporttest.Report(withBTF, true)}
		r.Host, r.Kernel.Release = fmt.Sprint("host-", i), fmt.Sprint("5.0.", i)
		if err := f.add(&r); err == errKernels {
			refused++
		}
	}
	if s := f.summary(); refused != 5 || s.Kernels != maxKernels || s.Hosts != maxKernels {
		t.Errorf("refused %d, kept %d kernels of %d hosts", refused, s.Kernels, s.Hosts)
	}
}

// What comes out must not depend on which report was decoded first.
func TestReadIsDeterministic(t *testing.T) {
	var in strings.Builder
	for r := range reporttest.Fleet(7, 500) {
		in.WriteString(encode(t, r) + "\n")
	}
	var first strings.Builder
	if err := read(in.String()).WriteJSON(&first); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		var again strings.Builder
		if err := read(in.String()).WriteJSON(&again); err != nil {
			t.Fatal(err)
		}
		if again.String() != first.String() {
			t.Fatal("two runs differ")
		}
	}
}

func TestTheNumbersAddUp(t *testing.T) {
	var in strings.Builder
	want := make(map[loader.Verdict]int)
	lacking := make(map[string]int)
	for r := range reporttest.Fleet(3, 2000) {
		in.WriteString(encode(t, r) + "\n")
		want[r.Verdict]++
		if r.Selected == nil || *r.Selected == loader.Stub {
			for _, m := range reporttest.Machines {
				if m.Kernel.Release == r.Kernel.Release && !m.BTF {
					lacking[r.Kernel.Release]++
				}
			}
		}
	}
	s := read(in.String())
	if got := (map[loader.Verdict]int{loader.Full: s.Now.Full, loader.Degraded: s.Now.Degraded, loader.Unusable: s.Now.Unusable}); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("now %v, want %v", got, want)
	}
	if s.Shipped.Full != want[loader.Full]+want[loader.Degraded] || s.Shipped.Degraded != 0 || s.Shipped.Unusable != want[loader.Unusable] {
		t.Errorf("shipped %+v", s.Shipped)
	}
	if got := s.Shipped.Variants[string(loader.CoreExternal)]; got != want[loader.Degraded] {
		t.Errorf("%d core-external after shipping, want %d", got, want[loader.Degraded])
	}
	got := make(map[string]int)
	for _, k := range s.MissingBTF {
		got[k.Release] = k.Hosts
	}
	if fmt.Sprint(got) != fmt.Sprint(lacking) {
		t.Errorf("missing BTF %v, want %v", got, lacking)
	}
	hosts := 0
	for _, row := range s.Rows {
		hosts += row.Hosts
		if row.Verdict != loader.Full && len(row.HostNames) != row.Hosts {
			t.Errorf("%s: %d hosts, %d names", row.Release, row.Hosts, len(row.HostNames))
		}
	}
	if hosts != 2000 || s.Hosts != 2000 || s.Kernels != len(reporttest.Machines) {
		t.Errorf("%d hosts in rows, %d in all, %d kernels", hosts, s.Hosts, s.Kernels)
	}
}
