// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"regexp"
	"strings"
)

// outcome of a test, as `go test -v` spells it.
type outcome string

const (
	pass outcome = "PASS"
	fail outcome = "FAIL"
	skip outcome = "SKIP"
)

// result is one line of the report.
type result struct {
	name    string
	outcome outcome
	time    string   // as printed, "0.12s"; may be empty
	said    []string // what the test printed
}

var (
	testEnd  = regexp.MustCompile(`^\s*--- (PASS|FAIL|SKIP): (\S+) \(([0-9.]+s)\)$`)
	testName = regexp.MustCompile(`^=== (RUN|NAME|CONT|PAUSE)\s+(\S+)$`)
)

// parseGoTest reads the output of a test binary run with -test.v. A test that began and did not end has failed: the
// binary panicked or was killed in it.
func parseGoTest(lines []string) []result {
	said := map[string][]string{}
	var started []string
	ended := map[string]result{}
	current := ""
	for _, line := range lines {
		if m := testName.FindStringSubmatch(line); m != nil {
			current = m[2]
			if m[1] == "RUN" {
				started = append(started, current)
			}
			continue
		}
		if m := testEnd.FindStringSubmatch(line); m != nil {
			ended[m[2]] = result{name: m[2], outcome: outcome(m[1]), time: m[3]}
			continue
		}
		if line != string(pass) && line != string(fail) { // the binary's own verdict, which its exit code says too
			said[current] = append(said[current], line)
		}
	}
	var all []result
	for _, name := range started {
		r, ok := ended[name]
		if !ok {
			r = result{name: name, outcome: fail}
			said[name] = append(said[name], "began and gave no result")
		}
		r.said = said[name]
		all = append(all, r)
	}
	return all
}

// leaves leaves out the tests that only hold others, so that a case is counted once.
func leaves(all []result) []result {
	holds := map[string]bool{}
	for _, r := range all {
		for i, c := range r.name {
			if c == '/' {
				holds[r.name[:i]] = true
			}
		}
	}
	var some []result
	for _, r := range all {
		if !holds[r.name] {
			some = append(some, r)
		}
	}
	return some
}

// count gives how many of the results have an outcome.
func count(all []result, o outcome) int {
	n := 0
	for _, r := range all {
		if r.outcome == o {
			n++
		}
	}
	return n
}

// String gives the line that `go test` would print.
func (r result) String() string {
	line := fmt.Sprintf("--- %s: %s", r.outcome, r.name)
	if r.time != "" {
		line += " (" + r.time + ")"
	}
	if r.outcome == pass {
		return line
	}
	for _, s := range r.said {
		line += "\n    " + strings.TrimRight(s, " ")
	}
	return line
}
