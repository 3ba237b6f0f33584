// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTorture executes programs in every way there is and demands exactly the events that
// must come of it, from each variant, without and with the failures.
func TestTorture(t *testing.T) {
	needs(t)
	for _, v := range variants(t) {
		t.Run(v.name, func(t *testing.T) {
			needs(t)
			torture(t, v, false)
			t.Run("with-fails", func(t *testing.T) {
				needs(t)
				torture(t, v, true)
			})
			t.Run("storm", func(t *testing.T) {
				needs(t)
				stormIsSeen(t, v)
			})
		})
	}
}

// torture plays all cases under one tracer, then judges each.
func torture(t *testing.T, v variant, fails bool) {
	flags := v.flags()
	if fails {
		flags = v.flags("--fails")
	}
	tortureWith(t, v, fails, productOptions{}, flags...)
}

func tortureWith(t *testing.T, v variant, fails bool, o productOptions, flags ...string) {
	t.Helper()
	work := workDir(t)
	tr := trace(t, o, flags...)
	cases := slices.Concat(shapeCases, pathCases, taskCases, memoryCases, failureCases)
	var stages []*stage
	for i, c := range cases {
		stages = append(stages, play(c, filepath.Join(work, fmt.Sprintf("%02d", i))))
	}
	events := tr.stop(t)

	claimed := make([]bool, len(events))
	for i, c := range cases {
		s := stages[i]
		var own []traced
		for j, e := range events {
			if !claimed[j] && s.owns(e) {
				claimed[j] = true
				own = append(own, e)
			}
		}
		if !fails {
			s.wants = slices.DeleteFunc(s.wants, func(w wanted) bool { return w.failed })
		}
		t.Run(c.name, func(t *testing.T) {
			needs(t)
			s.judge(t, v, own)
		})
	}
	for j, e := range events {
		ours := e.PPID != nil && *e.PPID == os.Getpid() || strings.Contains(e.line, work)
		if !claimed[j] && ours {
			t.Errorf("belongs to no case: %.2000s", e.line)
		}
	}
	if faults := countFaults(events); faults > len(events)/2 {
		t.Errorf("the arguments of %d of %d execs could not be read", faults, len(events))
	}
	seen, lost := tr.counts(t)
	if seen != len(events) || lost != 0 {
		t.Errorf("logged seen=%d lost=%d, but wrote %d events", seen, lost, len(events))
	}
}

// countFaults counts the execs whose arguments could not be read. Where a case must allow
// that, it still cannot be the rule.
func countFaults(events []traced) int {
	n := 0
	for _, e := range events {
		if e.Missing["args"] == "fault" {
			n++
		}
	}
	return n
}

// workDir is a directory that every user can enter, with a short name: 127 bytes are what
// a script's first line had room for before 5.1.
func workDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ee")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
