// SPDX-License-Identifier: Apache-2.0

package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/everyexec/everyexec/loader"
)

// TestTableIsInStep fails when kernels.json was changed and the matrix was not run again.
func TestTableIsInStep(t *testing.T) {
	l, err := loadList()
	if err != nil {
		t.Fatal(err)
	}
	rows, err := readTable("../docs/kernels.md")
	if err != nil {
		t.Fatal(err)
	}
	if wrong := rows.outOfStep(l.Kernels); len(wrong) > 0 {
		t.Errorf("docs/kernels.md is out of step with vmtest/kernels.json; `make vmtest` writes it anew:\n%s", strings.Join(wrong, "\n"))
	}
}

// oneKernel is a list of one with what its guest gave.
func oneKernel() (kernel, account) {
	stub := loader.Stub
	k := kernel{Name: "5.10-no-btf", Arch: "amd64", expect: &expectations{Auto: "stub", Unknown: []string{"ppid"}, Variants: []string{"stub"}}}
	report := &loader.Report{Selected: &stub, Variants: []loader.VariantReport{
		{Name: loader.Stub, Fields: []string{"pid", "tid", "uid", "gid", "comm", "filename", "args", "ret"}},
	}}
	return k, account{kernel: k, release: "5.10.262|x", btf: "none", image: image{source: "built"}, report: report, results: []result{
		{name: "check/report", outcome: pass},
		{name: "TestA/stub/plain", outcome: pass},
		{name: "TestA/stub/odd", outcome: skip},
		{name: "TestOther", outcome: pass},
	}}
}

func TestPendingKernelsAreNamed(t *testing.T) {
	k, _ := oneKernel()
	k.Pending = true
	if text := (table{}).text([]kernel{k}); !strings.Contains(text, "not proved yet: 5.10-no-btf.") {
		t.Errorf("not named in\n%s", text)
	}
	if wrong := (table{}).outOfStep([]kernel{k}); len(wrong) > 0 {
		t.Errorf("out of step: %q", wrong)
	}
}

func TestTableRoundTrip(t *testing.T) {
	k, a := oneKernel()
	path := filepath.Join(t.TempDir(), "kernels.md")
	rows := table{}
	rows.put(a, "2026-11-22")
	if err := rows.write(path, []kernel{k}); err != nil {
		t.Fatal(err)
	}
	back, err := readTable(path)
	if err != nil {
		t.Fatal(err)
	}
	want := "5.10-no-btf | 5.10.262/x | amd64 | built | none | stub | ppid | stub 1 (1) | verified | 2026-11-22"
	if got := strings.Join(back[k.Name], " | "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if wrong := back.outOfStep([]kernel{k}); len(wrong) > 0 {
		t.Errorf("out of step: %q", wrong)
	}
}

func TestOutOfStep(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(k *kernel, a *account)
		want  string
	}{
		{"renamed", func(k *kernel, _ *account) { k.Name = "5.10" }, "no row for 5.10"},
		{"removed", func(k *kernel, _ *account) { k.Name = "5.10" }, "a row for 5.10-no-btf"},
		{"other variant", func(k *kernel, _ *account) { k.expect.Auto = "core" }, "auto"},
		{"field learned", func(k *kernel, _ *account) { k.expect.Unknown = nil }, "unknown"},
		{"failed", func(_ *kernel, a *account) { a.results[1].outcome = fail }, "1 failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, a := oneKernel()
			rows := table{}
			c.spoil(&k, &a)
			rows.put(a, "2026-11-22")
			if got := strings.Join(rows.outOfStep([]kernel{k}), "\n"); !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
