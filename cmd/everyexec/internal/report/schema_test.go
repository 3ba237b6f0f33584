// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/everyexec/everyexec/cmd/everyexec/internal/reporttest"
	"github.com/everyexec/everyexec/loader"
)

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	s, err := c.Compile("../../../../docs/check.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func parse(t *testing.T, text string) map[string]any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return v.(map[string]any)
}

func TestSchemaHoldsForMadeReports(t *testing.T) {
	s := schema(t)
	for _, m := range reporttest.Machines {
		for _, allowed := range []bool{true, false} {
			text := render(t, "json", reporttest.Report(m, allowed))
			if err := s.Validate(parse(t, text)); err != nil {
				t.Errorf("%s, allowed %t: %v", m.Kernel.Release, allowed, err)
			}
		}
	}
}

func TestSchemaHoldsForAReportWithNilLists(t *testing.T) {
	r := made()["unusable"]
	r.Probes = nil
	for i := range r.Variants {
		r.Variants[i].Fields = nil
	}
	if err := schema(t).Validate(parse(t, render(t, "json", r))); err != nil {
		t.Error(err)
	}
}

// testdata/real holds what `everyexec check -o json` wrote on real machines.
func TestSchemaHoldsForRealReports(t *testing.T) {
	s := schema(t)
	paths, err := filepath.Glob("testdata/real/*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatal("there are no real reports")
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(parse(t, string(text))); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestSchemaRefusesWhatTheContractForbids(t *testing.T) {
	s := schema(t)
	variant := func(r map[string]any, i int) map[string]any { return r["variants"].([]any)[i].(map[string]any) }
	for name, spoil := range map[string]func(r map[string]any){
		"an unknown schema":                     func(r map[string]any) { r["schema"] = json.Number("2") },
		"a time that is none":                   func(r map[string]any) { r["time"] = "yesterday" },
		"no host":                               func(r map[string]any) { delete(r, "host") },
		"an unknown name":                       func(r map[string]any) { r["hostname"] = "x" },
		"a release that is a number":            func(r map[string]any) { r["kernel"].(map[string]any)["release"] = json.Number("5") },
		"a probe that says maybe":               func(r map[string]any) { r["probes"].([]any)[0].(map[string]any)["result"] = "maybe" },
		"no probes":                             func(r map[string]any) { r["probes"] = nil },
		"three variants":                        func(r map[string]any) { r["variants"] = r["variants"].([]any)[:3] },
		"variants in another order":             func(r map[string]any) { variant(r, 0)["name"] = "stub" },
		"an unusable variant without a reason":  func(r map[string]any) { variant(r, 0)["reason"] = "" },
		"an unusable variant without a remedy":  func(r map[string]any) { variant(r, 0)["remedy"] = "" },
		"an unusable variant that was verified": func(r map[string]any) { variant(r, 0)["verified"] = true },
		"an unknown name in a variant":          func(r map[string]any) { variant(r, 0)["why"] = "x" },
		"selected auto":                         func(r map[string]any) { r["selected"] = "auto" },
		"degraded with nothing selected":        func(r map[string]any) { r["selected"] = nil },
		"unusable with a variant selected":      func(r map[string]any) { r["verdict"] = "unusable" },
		"a verdict that is none":                func(r map[string]any) { r["verdict"] = "fine" },
	} {
		r := parse(t, render(t, "json", made()["degraded"]))
		spoil(r)
		if s.Validate(r) == nil {
			t.Errorf("%s passes", name)
		}
	}
}

// The schema and the Go type must have the same names, or one of them was forgotten in a change.
func TestSchemaAcceptsWhatFleetReads(t *testing.T) {
	text := render(t, "json", made()["full"])
	var r loader.Report
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatal(err)
	}
	if again := render(t, "json", &r); again != text {
		t.Errorf("read and written again:\n%s\nwas:\n%s", again, text)
	}
}
