// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/everyexec/everyexec/vmtest/guest"
)

// tracedWork is what a flawless tracer prints of the workload.
func tracedWork(t *testing.T, variant string) []map[string]any {
	t.Helper()
	var events []map[string]any
	for i, e := range guest.Workload() {
		events = append(events, maps.Clone(expectedEvent(e, map[string]any{"pid": float64(100 + i)}, variant)))
		events[i]["pid"] = float64(100 + i)
	}
	return events
}

func printed(t *testing.T, events []map[string]any) (lines []string) {
	t.Helper()
	for _, e := range events {
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(line))
	}
	return lines
}

func TestDifferences(t *testing.T) {
	l, err := loadList()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, mode string
		spoil      func(events []map[string]any) []map[string]any
		want       string
	}{
		{"flawless", "core", nil, ""},
		{"wrong ppid", "core", func(e []map[string]any) []map[string]any { e[0]["ppid"] = 2.0; return e }, "plain: ppid"},
		{"no ppid", "core", func(e []map[string]any) []map[string]any { e[0]["ppid"] = nil; return e }, "plain: ppid"},
		{"an event is lost", "core", func(e []map[string]any) []map[string]any { return e[1:] }, "8 lines for 9 execs"},
		{"a pid twice", "core", func(e []map[string]any) []map[string]any {
			e[1]["pid"], e[1]["tid"] = e[0]["pid"], e[0]["pid"]
			return e
		}, "was there before"},
		{"an argument less", "core", func(e []map[string]any) []map[string]any { e[0]["args"] = []any{"everyexec"}; return e }, "plain: args"},
		{"the stub's differences", "stub-bare", asStub, ""},
		{"the stub's differences in core", "core", asStub, "script: args"},
		{"the stub with learned offsets", "stub", nil, ""},
		{"the stub without its differences", "stub-bare", nil, "ppid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			events := tracedWork(t, modeNamed(t, c.mode).variant)
			if c.spoil != nil {
				events = c.spoil(events)
			}
			got := strings.Join(differences(printed(t, events), modeNamed(t, c.mode), l.Differences, nil), "\n")
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestDifferencesOfAnUnknownField(t *testing.T) {
	l, err := loadList()
	if err != nil {
		t.Fatal(err)
	}
	events := asStub(tracedWork(t, "stub"))
	for _, e := range events {
		e["args"] = nil
	}
	if wrong := differences(printed(t, events), modeNamed(t, "stub-bare"), l.Differences, []string{"ppid", "args"}); len(wrong) > 0 {
		t.Errorf("null where it may be: %q", wrong)
	}
	events[0]["args"] = []any{"a guess"}
	if wrong := differences(printed(t, events), modeNamed(t, "stub-bare"), l.Differences, []string{"ppid", "args"}); len(wrong) != 1 {
		t.Errorf("a guess in place of an unknown value: %q", wrong)
	}
}

func modeNamed(t *testing.T, name string) mode {
	t.Helper()
	for _, m := range modes {
		if m.name == name {
			return m
		}
	}
	t.Fatalf("no mode %q", name)
	return mode{}
}

func asStub(events []map[string]any) []map[string]any {
	for _, e := range events {
		e["ppid"] = nil
	}
	events[len(events)-1]["args"] = []any{"script", "one", "two"}
	return events
}
