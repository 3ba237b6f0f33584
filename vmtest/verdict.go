// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/everyexec/everyexec/loader"
)

// Exit codes of everyexec that matter here.
const (
	exitOK          = 0
	exitNotHere     = 3 // the named variant cannot run, or a field is missing
	exitCannotTrace = 4
)

// verdictExit is what `check` exits with.
var verdictExit = map[loader.Verdict]int{loader.Full: exitOK, loader.Degraded: exitNotHere, loader.Unusable: exitCannotTrace}

// promisedFields are those that a line of everyexec always has a place for.
var promisedFields = []string{"pid", "tid", "ppid", "uid", "gid", "comm", "filename", "args", "ret"}

// judgement collects results.
type judgement struct {
	results []result
}

// that notes a pass when nothing is wrong and a failure otherwise.
func (j *judgement) that(name string, wrong []string) {
	r := result{name: name, outcome: pass}
	if len(wrong) > 0 {
		r.outcome, r.said = fail, wrong
	}
	j.results = append(j.results, r)
}

// judgeBoot says whether the guest came up and ran all its steps.
func (j *judgement) judgeBoot(arch string, t *transcript, err error) {
	if err == nil && t.done {
		j.that("boot", nil)
		return
	}
	var wrong []string
	if err != nil {
		wrong = append(wrong, err.Error())
	}
	if t == nil {
		j.that("boot", wrong)
		return
	}
	wrong = append(wrong, diagnose(arch, t)...)
	wrong = append(wrong, "the console's last lines:")
	j.that("boot", append(wrong, t.tail(30)...))
}

// judgeCheck holds `check` against itself and against what is expected. It gives the report, or nil.
func (j *judgement) judgeCheck(t *transcript, e *expectations) *loader.Report {
	s := t.step(checkStep)
	if s == nil || !s.ended {
		j.that("check", []string{"was not run to its end"})
		return nil
	}
	var report loader.Report
	if err := json.Unmarshal([]byte(strings.Join(s.stdout, "\n")), &report); err != nil {
		j.that("check", append([]string{fmt.Sprintf("exit %d, stdout is no report: %v", s.exit, err)}, s.output()...))
		return nil
	}
	var names []string
	for _, v := range report.Variants {
		names = append(names, string(v.Name))
	}
	var wrong []string
	if !slices.Equal(names, variantNames) {
		wrong = append(wrong, fmt.Sprintf("lists the variants %v, not %v", names, variantNames))
	}
	if want, ok := verdictExit[report.Verdict]; !ok || want != s.exit {
		wrong = append(wrong, fmt.Sprintf("verdict %q with exit code %d", report.Verdict, s.exit))
	}
	for _, v := range report.Variants {
		if !v.Usable && (v.Reason == "" || v.Remedy == "") {
			wrong = append(wrong, fmt.Sprintf("%s is not usable, without a reason or a remedy: %q, %q", v.Name, v.Reason, v.Remedy))
		}
	}
	j.that("check/report", wrong)
	if e != nil {
		j.that("check/expected", unexpected(&report, e))
	}
	return &report
}

// unexpected says in what a report differs from the data file.
func unexpected(report *loader.Report, e *expectations) (wrong []string) {
	if got := selected(report); got != e.Auto {
		wrong = append(wrong, fmt.Sprintf("auto chose %q, not %q", got, e.Auto))
	}
	if got := string(report.Verdict); got != e.Verdict {
		wrong = append(wrong, fmt.Sprintf("verdict %q, not %q", got, e.Verdict))
	}
	if got := unknownFields(report); e.Auto != "" && !slices.Equal(got, e.Unknown) {
		wrong = append(wrong, fmt.Sprintf("unknown fields %v, not %v", got, e.Unknown))
	}
	if got := usable(report); !slices.Equal(got, e.Variants) {
		wrong = append(wrong, fmt.Sprintf("usable variants %v, not %v", got, e.Variants))
	}
	for _, v := range report.Variants {
		if v.Usable && !v.Verified {
			wrong = append(wrong, fmt.Sprintf("%s is usable but not verified: %s", v.Name, v.Reason))
		}
		if !v.Usable {
			wrong = append(wrong, lacks(string(v.Name), v.Reason+" "+v.Remedy, e.Refused[string(v.Name)])...)
		}
	}
	return wrong
}

func selected(report *loader.Report) string {
	if report.Selected == nil {
		return ""
	}
	return string(*report.Selected)
}

// usable gives the variants that check holds for usable.
func usable(report *loader.Report) []string {
	names := []string{}
	for _, v := range report.Variants {
		if v.Usable {
			names = append(names, string(v.Name))
		}
	}
	return names
}

// unknownFields gives the promised fields that the chosen variant does not deliver.
func unknownFields(report *loader.Report) []string {
	var unknown []string
	for _, v := range report.Variants {
		if string(v.Name) != selected(report) {
			continue
		}
		for _, field := range promisedFields {
			if !slices.Contains(v.Fields, field) {
				unknown = append(unknown, field)
			}
		}
	}
	return unknown
}

// judgeTraces holds what check said against what then works, variant by variant.
func (j *judgement) judgeTraces(t *transcript, report *loader.Report, e *expectations) {
	works := usable(report)
	if report.Selected != nil {
		works = append(works, "auto")
	}
	for _, v := range append([]string{"auto"}, variantNames...) {
		var words []string
		if e != nil {
			words = e.Refused[v]
		}
		j.that("trace/"+v, judgeTrace(t.step(tracePart+v), slices.Contains(works, v), words))
	}
}

func judgeTrace(s *step, works bool, words []string) []string {
	switch {
	case s == nil || !s.ended:
		return []string{"was not run to its end"}
	case works && s.exit != exitOK:
		return append([]string{fmt.Sprintf("check holds it for usable, and it ends with exit code %d", s.exit)}, s.output()...)
	case works:
		return nil
	case s.exit != exitNotHere && s.exit != exitCannotTrace:
		return append([]string{fmt.Sprintf("check holds it for not usable, and it ends with exit code %d", s.exit)}, s.output()...)
	}
	return lacks("the refusal", strings.Join(s.stderr, "\n"), words)
}

// lacks says which words a text does not have.
func lacks(what, text string, words []string) (wrong []string) {
	for _, word := range words {
		if !strings.Contains(text, word) {
			wrong = append(wrong, fmt.Sprintf("%s does not name %q: %s", what, word, text))
		}
	}
	return wrong
}

// judgeSuite takes the torture suite's own results over.
func (j *judgement) judgeSuite(t *transcript) {
	s := t.step(suiteStep)
	if s == nil {
		j.that("suite", []string{"was not run"})
		return
	}
	cases := leaves(parseGoTest(s.stdout))
	j.results = append(j.results, cases...)
	switch {
	case !s.ended:
		j.that("suite", append([]string{"did not end; its last lines:"}, t.tail(30)...))
	case s.exit != 0 && count(cases, fail) == 0:
		j.that("suite", append([]string{fmt.Sprintf("exit code %d and no failed case", s.exit)}, s.output()...))
	case count(cases, pass) == 0:
		j.that("suite", append([]string{"no case passed"}, s.output()...))
	}
}

// output gives the last that a step said, for a reader who looks for the reason.
func (s *step) output() []string {
	const most = 40
	var all []string
	for _, part := range [][]string{s.stdout, s.stderr, s.notes} {
		all = append(all, part[max(0, len(part)-most):]...)
	}
	return all
}
