// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/everyexec/everyexec/vmtest/guest"
)

// judgeWork holds what each mode said of the workload against what was executed. All modes on all kernels are held
// against the same, so they agree with each other but for the differences in kernels.json.
func (j *judgement) judgeWork(t *transcript, e *expectations) {
	for _, m := range modesOf(e.Variants) {
		unknown := e.Unknown
		if m.name != m.variant {
			unknown = e.Lesser
		}
		s := t.step(workPart + m.name)
		switch {
		case s == nil || !s.ended:
			j.that("equivalence/"+m.name, []string{"was not run to its end"})
		case s.exit != exitOK:
			j.that("equivalence/"+m.name, append([]string{fmt.Sprintf("exit code %d", s.exit)}, s.output()...))
		default:
			j.that("equivalence/"+m.name, differences(s.stdout, m, e.differences, unknown))
		}
	}
}

// differences compares JSON lines with the workload, event by event. Pids are compared with each other only, and times and
// cgroups not at all, as they differ from run to run. An unknown field must be null.
func differences(lines []string, m mode, allowed []difference, unknown []string) (wrong []string) {
	work := guest.Workload()
	if len(lines) != len(work) {
		wrong = append(wrong, fmt.Sprintf("%d lines for %d execs", len(lines), len(work)))
	}
	pids := map[any]bool{}
	for i, line := range lines[:min(len(lines), len(work))] {
		e := work[i]
		var got map[string]any
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			return append(wrong, fmt.Sprintf("%s: %v: %s", e.Name, err, line))
		}
		for field, want := range expectedEvent(e, got, m.variant) {
			for _, d := range allowed {
				if d.Mode == m.name && d.Field == field && (d.Exec == "*" || d.Exec == e.Name) {
					want = plain(d.Value)
				}
			}
			if slices.Contains(unknown, field) {
				want = nil
			}
			if !reflect.DeepEqual(got[field], want) {
				wrong = append(wrong, fmt.Sprintf("%s: %s is %v, not %v", e.Name, field, short(got[field]), short(want)))
			}
		}
		if pids[got["pid"]] {
			wrong = append(wrong, fmt.Sprintf("%s: pid %v was there before", e.Name, got["pid"]))
		}
		pids[got["pid"]] = true
	}
	slices.Sort(wrong)
	return wrong
}

// expectedEvent gives the fields of an exec as JSON has them.
func expectedEvent(e guest.Exec, got map[string]any, variant string) map[string]any {
	image := e.Image
	if image == nil {
		image = e.Argv
	}
	args := []any{}
	for _, a := range image {
		args = append(args, a)
	}
	return map[string]any{
		"type": "exec", "variant": variant, "ret": 0.0, "tid": got["pid"], "ppid": 1.0,
		"uid": float64(e.UID), "gid": float64(e.UID), "comm": e.Comm, "filename": e.Path,
		"args": args, "args_truncated": false,
	}
}

// plain decodes a value; the list was checked when it was loaded.
func plain(value json.RawMessage) (v any) {
	json.Unmarshal(value, &v)
	return v
}

func short(v any) string {
	const most = 200
	text := fmt.Sprintf("%q", v)
	if len(text) > most {
		return text[:most] + "..."
	}
	return strings.ReplaceAll(text, "%!q(<nil>)", "null")
}
