// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEquivalence has core and another variant see the same execs at the same time, and demands
// the same JSON of both but for the time, the variant's name and where it read the values.
func TestEquivalence(t *testing.T) {
	needs(t)
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		t.Skip("this kernel has no BTF, so variant core cannot run")
	}
	for _, v := range variants(t) {
		if v.name == "core" || v.argv {
			continue // the latter tells the arguments that were passed, which for scripts are others
		}
		t.Run(v.name, func(t *testing.T) {
			needs(t)
			core := trace(t, productOptions{}, "--variant", "core", "--fails")
			other := trace(t, productOptions{}, "--variant", v.name, "--fails")
			work := workDir(t)
			var stages []*stage
			for i, c := range slices.Concat(shapeCases, pathCases, taskCases, memoryCases, failureCases) {
				stages = append(stages, play(c, filepath.Join(work, fmt.Sprintf("%02d", i))))
			}
			want, got := ownLines(t, core, stages), ownLines(t, other, stages)
			if len(want) == 0 {
				t.Error("core saw nothing")
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("core and %s differ:\n%s", v.name, diff)
			}
		})
	}
}

// ownLines ends a tracer and returns the events of the stages, sorted, without what must differ.
func ownLines(t *testing.T, tr *tracing, stages []*stage) []string {
	t.Helper()
	var lines []string
	for _, e := range tr.stop(t) {
		if !slices.ContainsFunc(stages, func(s *stage) bool { return s.owns(e) }) {
			continue
		}
		var values map[string]any
		if err := json.Unmarshal([]byte(e.line), &values); err != nil {
			t.Fatal(err)
		}
		delete(values, "time")
		delete(values, "variant")
		delete(values, "sources") // the torture suite demands the right ones of each variant
		// A cgroup may be gone before the one looks it up, and not yet for the other.
		delete(values, "container_id")
		if missing, ok := values["missing"].(map[string]any); ok {
			delete(missing, "container_id")
		}
		line, err := json.Marshal(values)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(line))
	}
	slices.Sort(lines)
	return lines
}
