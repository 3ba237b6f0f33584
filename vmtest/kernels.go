// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
)

//go:embed kernels.json
var kernelsJSON []byte

// list is what kernels.json holds.
type list struct {
	Suites   map[string][]string     `json:"suites"`   // of Debian, by the name used below, with the archives that make each up
	Profiles map[string]expectations `json:"profiles"` // by the name used below
	Kernels  []kernel                `json:"kernels"`

	Differences []difference `json:"differences"`
}

// difference is one that a mode may show for the same exec.
type difference struct {
	Mode  string          `json:"mode"`
	Exec  string          `json:"exec"` // of guest.Workload; "*" for all
	Field string          `json:"field"`
	Value json.RawMessage `json:"value"` // what is shown instead
	Why   string          `json:"why"`
}

// kernel is one kernel of the matrix. It has either a package or a build.
type kernel struct {
	Name    string         `json:"name"`
	Why     string         `json:"why"`            // the reason for having it
	Arch    string         `json:"arch,omitempty"` // as Go names it; amd64 unless said
	Package *debianPackage `json:"package,omitempty"`
	Build   *build         `json:"build,omitempty"`
	Profile string         `json:"profile"`
	Smoke   bool           `json:"smoke,omitempty"` // part of `make test`
	// Pending says that the kernel has not been verified yet: docs/kernels.md names it without a row.
	Pending bool `json:"pending,omitempty"`

	expect *expectations // nil for a kernel that is not in the list
}

// debianPackage is a kernel that Debian built, by the name of the package that depends on the newest of its flavour.
type debianPackage struct {
	Suite   string `json:"suite"`
	Name    string `json:"name"`
	Headers bool   `json:"headers,omitempty"` // the guest has its headers, libbcc, and everyexec-bcc for everyexec
}

// build is a kernel that we build from Debian's source package.
type build struct {
	Suite  string   `json:"suite"`
	Source string   `json:"source"`          // the package
	Patch  string   `json:"patch,omitempty"` // a file of that package
	Config []string `json:"config"`          // files of config/, a later one overrides an earlier one
	BTF    bool     `json:"btf,omitempty"`   // have pahole write BTF from the debug information
}

// expectations are what must come out on a kernel.
type expectations struct {
	Auto     string              `json:"auto"`     // the variant that `auto` chooses; empty: none can trace
	Verdict  string              `json:"verdict"`  // of check
	Unknown  []string            `json:"unknown"`  // fields that the chosen variant does not deliver
	Lesser   []string            `json:"lesser"`   // fields that the stub does not deliver without learned offsets
	Variants []string            `json:"variants"` // those that work; every other one must be refused
	Refused  map[string][]string `json:"refused"`  // words that the refusal of a variant must hold, or of `auto`
	Suite    json.RawMessage     `json:"suite"`    // handed to the torture suite as it is

	differences []difference
}

// auto gives the table's words for the variant chosen.
func (e *expectations) auto() string { return autoCell(e.Auto) }

// unknown gives the table's words for the fields that are not delivered.
func (e *expectations) unknown() string { return unknownCell(e.Auto, e.Unknown) }

// variantNames are all variants, best first.
var variantNames = []string{"core", "core-external", "bcc", "stub"}

// bcc says whether the guest is to run variant bcc.
func (k kernel) bcc() bool { return k.Package != nil && k.Package.Headers }

func loadList() (*list, error) { return parseList(kernelsJSON) }

func parseList(text []byte) (*list, error) {
	var l list
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return nil, fmt.Errorf("kernels.json: %w", err)
	}
	seen := map[string]bool{}
	for i := range l.Kernels {
		k := &l.Kernels[i]
		if err := l.complete(k); err != nil {
			return nil, fmt.Errorf("kernels.json: kernel %q: %w", k.Name, err)
		}
		if seen[k.Name] {
			return nil, fmt.Errorf("kernels.json: kernel %q is there twice", k.Name)
		}
		seen[k.Name] = true
	}
	return &l, nil
}

// complete fills in what a kernel takes from the rest of the list.
func (l *list) complete(k *kernel) error {
	if k.Name == "" || k.Why == "" {
		return fmt.Errorf("has no name, or no reason for being here")
	}
	if k.Arch == "" {
		k.Arch = "amd64"
	}
	if _, ok := machines[k.Arch]; !ok {
		return fmt.Errorf("no machine of architecture %q", k.Arch)
	}
	if (k.Package == nil) == (k.Build == nil) {
		return fmt.Errorf("needs either a package or a build")
	}
	suite := ""
	if k.Package != nil {
		suite = k.Package.Suite
	} else {
		suite = k.Build.Suite
	}
	if len(l.Suites[suite]) == 0 {
		return fmt.Errorf("suite %q is not in the list", suite)
	}
	e, ok := l.Profiles[k.Profile]
	if !ok {
		return fmt.Errorf("profile %q is not in the list", k.Profile)
	}
	for _, v := range e.Variants {
		if !slices.Contains(variantNames, v) {
			return fmt.Errorf("profile %q: no variant %q", k.Profile, v)
		}
	}
	if e.Auto != "" && !slices.Contains(e.Variants, e.Auto) {
		return fmt.Errorf("profile %q: auto cannot choose %q, which is not among the variants", k.Profile, e.Auto)
	}
	e.differences = l.Differences
	k.expect = &e
	return nil
}

// choose gives the kernels of these names, or the smoke set, or all, and those left out.
func (l *list) choose(names []string, smoke bool) (chosen, left []kernel, err error) {
	for _, k := range l.Kernels {
		wanted := len(names) == 0 && (k.Smoke || !smoke) || slices.Contains(names, k.Name)
		if wanted {
			chosen = append(chosen, k)
		} else {
			left = append(left, k)
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(chosen, func(k kernel) bool { return k.Name == name }) {
			return nil, nil, fmt.Errorf("no kernel %q in the list; -list shows them", name)
		}
	}
	return chosen, left, nil
}
