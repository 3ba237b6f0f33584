// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
	"testing"
)

const goTestText = `=== RUN   TestA
=== RUN   TestA/core
=== RUN   TestA/core/plain
=== RUN   TestA/core/odd
    a_test.go:3: wrong ppid
    --- FAIL: TestA/core (1.20s)
        --- PASS: TestA/core/plain (0.10s)
        --- FAIL: TestA/core/odd (1.00s)
--- FAIL: TestA (1.20s)
=== RUN   TestB
    b_test.go:3: not here
--- SKIP: TestB (0.00s)
=== RUN   TestC
=== RUN   TestC/stub
=== PAUSE TestC/stub
=== CONT  TestC/stub
panic: index out of range
FAIL`

func TestParseGoTest(t *testing.T) {
	cases := leaves(parseGoTest(strings.Split(goTestText, "\n")))
	var got []string
	for _, r := range cases {
		got = append(got, string(r.outcome)+" "+r.name+": "+strings.TrimSpace(strings.Join(r.said, "; ")))
	}
	want := []string{
		"PASS TestA/core/plain: ",
		"FAIL TestA/core/odd: a_test.go:3: wrong ppid",
		"SKIP TestB: b_test.go:3: not here",
		"FAIL TestC/stub: panic: index out of range; began and gave no result",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if count(cases, fail) != 2 || count(cases, skip) != 1 {
		t.Errorf("counted %d failed and %d skipped", count(cases, fail), count(cases, skip))
	}
}

func TestResultString(t *testing.T) {
	r := result{name: "5.10/TestA", outcome: fail, time: "0.10s", said: []string{"wrong"}}
	if got, want := r.String(), "--- FAIL: 5.10/TestA (0.10s)\n    wrong"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	r.outcome = pass
	if got, want := r.String(), "--- PASS: 5.10/TestA (0.10s)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
