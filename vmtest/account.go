// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/everyexec/everyexec/loader"
)

// account is what one kernel's guest gave.
type account struct {
	kernel  kernel
	image   image
	release string // as uname -r prints it
	btf     string // where its BTF comes from
	report  *loader.Report
	results []result
	log     string // the console, kept on failure
	took    time.Duration
	missing error // why there was no kernel to boot
}

func (a account) failed() bool { return count(a.results, fail) > 0 }

func (a account) verdict() string {
	if n := count(a.results, fail); n > 0 {
		return fmt.Sprintf("%d failed", n)
	}
	return "verified"
}

func (a account) auto() string {
	if a.report == nil {
		return "unknown"
	}
	return autoCell(selected(a.report))
}

func autoCell(variant string) string {
	if variant == "" {
		return "nothing"
	}
	return variant
}

func (a account) unknown() string {
	if a.report == nil {
		return "unknown"
	}
	return unknownCell(selected(a.report), unknownFields(a.report))
}

func unknownCell(variant string, fields []string) string {
	switch {
	case variant == "":
		return "all"
	case len(fields) == 0:
		return "none"
	}
	return strings.Join(fields, ", ")
}

// variants are those that the suite ran through.
func (a account) variants() []string {
	switch {
	case a.kernel.expect != nil:
		return a.kernel.expect.Variants
	case a.report != nil:
		return usable(a.report)
	}
	return nil
}

// passed counts the suite's cases for each mode, and those skipped in brackets.
func (a account) passed() string {
	var parts []string
	for _, m := range modesOf(a.variants()) {
		var cases []result
		for _, r := range a.results {
			if slices.Contains(strings.Split(r.name, "/"), m.name) && strings.HasPrefix(r.name, "Test") {
				cases = append(cases, r)
			}
		}
		if len(cases) == 0 {
			continue
		}
		part := fmt.Sprintf("%s %d", m.name, count(cases, pass))
		if n := count(cases, skip); n > 0 {
			part += fmt.Sprintf(" (%d)", n)
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

// String gives the kernel's results as `go test -v` would print them.
func (a account) String() string {
	var b strings.Builder
	if a.missing != nil {
		fmt.Fprintf(&b, "--- SKIP: %s\n    %v\n", a.kernel.Name, a.missing)
		return b.String()
	}
	overall := pass
	if a.failed() {
		overall = fail
	}
	for _, r := range a.results {
		r.name = a.kernel.Name + "/" + r.name
		fmt.Fprintln(&b, r)
	}
	fmt.Fprintf(&b, "--- %s: %s (%.1fs) auto %s, unknown %s, passed %s\n", overall, a.kernel.Name, a.took.Seconds(), a.auto(), a.unknown(), a.passed())
	if a.failed() {
		fmt.Fprintf(&b, "    the whole console: %s\n", a.log)
	}
	return b.String()
}
