// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

const noBTFReport = `{"schema":1,"variants":[
{"name":"core","usable":false,"reason":"no BTF","remedy":"give --btf FILE"},
{"name":"core-external","usable":false,"reason":"no file","remedy":"give --btf FILE"},
{"name":"bcc","usable":false,"reason":"not built in","remedy":"make build-bcc"},
{"name":"stub","usable":true,"verified":true,"fields":["pid","tid","uid","gid","comm","filename","args","ret"]}],
"selected":"stub","verdict":"degraded"}`

var noBTF = &expectations{
	Auto: "stub", Verdict: "degraded", Unknown: []string{"ppid"}, Variants: []string{"stub"},
	Refused: map[string][]string{"core": {"BTF", "--btf"}},
}

// probed is a guest that behaves as it should on a kernel without BTF.
func probed() *transcript {
	refusal := []string{"no BTF; give --btf FILE"}
	return &transcript{done: true, steps: []step{
		{name: "check", stdout: strings.Split(noBTFReport, "\n"), ended: true, exit: 3},
		{name: "trace-auto", ended: true},
		{name: "trace-core", stderr: refusal, ended: true, exit: 3},
		{name: "trace-core-external", stderr: refusal, ended: true, exit: 3},
		{name: "trace-bcc", stderr: refusal, ended: true, exit: 3},
		{name: "trace-stub", ended: true},
		{name: "suite", stdout: []string{"=== RUN   TestA", "--- PASS: TestA (0.00s)"}, ended: true},
	}}
}

// judged gives the names of the results that failed.
func judged(t *transcript, e *expectations) (failed, said string) {
	var j judgement
	report := j.judgeCheck(t, e)
	if report != nil {
		j.judgeTraces(t, report, e)
	}
	j.judgeSuite(t)
	var names, all []string
	for _, r := range j.results {
		if r.outcome == fail {
			names = append(names, r.name)
			all = append(all, r.said...)
		}
	}
	return strings.Join(names, " "), strings.Join(all, "\n")
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name   string
		spoil  func(*transcript, *expectations)
		failed string
		said   string
	}{
		{"all is well", func(*transcript, *expectations) {}, "", ""},
		{"check was killed", func(tr *transcript, _ *expectations) { tr.step("check").ended = false }, "check", "not run to its end"},
		{"check prints no JSON", func(tr *transcript, _ *expectations) { tr.step("check").stdout = []string{"oops"} }, "check", "oops"},
		{"exit code and verdict differ", func(tr *transcript, _ *expectations) { tr.step("check").exit = 0 }, "check/report", "degraded"},
		{"auto chooses another", func(_ *transcript, e *expectations) { e.Auto = "core" }, "check/expected", `auto chose "stub", not "core"`},
		{"another field is unknown", func(_ *transcript, e *expectations) { e.Unknown = nil }, "check/expected", "unknown fields [ppid]"},
		{"another variant is usable", func(_ *transcript, e *expectations) { e.Variants = []string{"core", "stub"} }, "check/expected", "usable variants"},
		{"usable and fails", func(tr *transcript, _ *expectations) { tr.step("trace-stub").exit = 1 }, "trace/stub", "exit code 1"},
		{"auto fails", func(tr *transcript, _ *expectations) { tr.step("trace-auto").exit = 4 }, "trace/auto", "exit code 4"},
		{"not usable and works", func(tr *transcript, _ *expectations) { tr.step("trace-bcc").exit = 0 }, "trace/bcc", "exit code 0"},
		{"a refusal without its words", func(tr *transcript, _ *expectations) { tr.step("trace-core").stderr = []string{"no"} }, "trace/core", `"BTF"`},
		{"a case fails", func(tr *transcript, _ *expectations) {
			tr.step("suite").stdout = []string{"=== RUN   TestA", "--- FAIL: TestA (0.00s)"}
		}, "TestA suite", "no case passed"},
		{"the suite crashes", func(tr *transcript, _ *expectations) { tr.step("suite").exit = 2 }, "suite", "exit code 2"},
		{"the suite hangs", func(tr *transcript, _ *expectations) { tr.step("suite").ended = false }, "suite", "did not end"},
		{"the suite runs nothing", func(tr *transcript, _ *expectations) { tr.step("suite").stdout = nil }, "suite", "no case passed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr, e := probed(), *noBTF
			c.spoil(tr, &e)
			failed, said := judged(tr, &e)
			if failed != c.failed || !strings.Contains(said, c.said) {
				t.Errorf("failed: %q, want %q with %q in\n%s", failed, c.failed, c.said, said)
			}
		})
	}
}

func TestJudgeUnlistedKernel(t *testing.T) {
	if failed, said := judged(probed(), nil); failed != "" {
		t.Errorf("failed: %s\n%s", failed, said)
	}
}
