// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
	"testing"
)

const consoleText = "SeaBIOS\r\n" +
	"[    0.0] Linux version 5.10\r\n" +
	"vmtest-note mount cgroup2 on /sys/fs/cgroup: no such device\r\n" +
	"vmtest-fact release 5.10.262-no-btf\r\n" +
	"vmtest-begin check\r\n" +
	"vmtest-1 {\"schema\":1}\r\n" +
	"vmtest-2 a warning\r\n" +
	"[    9.9] emergency vmtest-note said by the kernel\r\n" +
	"vmtest-end check 3\r\n" +
	"vmtest-begin suite\r\n" +
	"vmtest-end check 0\r\n" +
	"vmtest-end suite none\r\n" +
	"vmtest-1 cut off"

func TestReadTranscript(t *testing.T) {
	tr := readTranscript(strings.NewReader(consoleText))
	check, suite := tr.step("check"), tr.step("suite")
	if check == nil || suite == nil || tr.step("other") != nil {
		t.Fatalf("steps: %+v", tr.steps)
	}
	if !check.ended || check.exit != 3 || !slices.Equal(check.stdout, []string{`{"schema":1}`}) || !slices.Equal(check.stderr, []string{"a warning"}) {
		t.Errorf("check: %+v", check)
	}
	if !slices.Equal(check.notes, []string{"said by the kernel"}) || len(tr.notes) != 1 {
		t.Errorf("notes: %q, outside %q", check.notes, tr.notes)
	}
	if suite.ended || !slices.Equal(suite.stdout, []string{"cut off"}) {
		t.Errorf("suite: %+v", suite)
	}
	if tr.facts["release"] != "5.10.262-no-btf" || tr.done {
		t.Errorf("facts %v, done %v", tr.facts, tr.done)
	}
	if got := tr.tail(1); !slices.Equal(got, []string{"vmtest-1 cut off"}) {
		t.Errorf("tail: %q", got)
	}
}

func TestReadTranscriptCutsEndlessLines(t *testing.T) {
	tr := readTranscript(strings.NewReader(strings.Repeat("x", 3*maxConsoleLine) + "\nvmtest-done\n"))
	if !tr.done {
		t.Error("the line behind was not read")
	}
	for _, line := range tr.lines {
		if len(line) > maxConsoleLine {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
}

func FuzzReadTranscript(f *testing.F) {
	f.Add(consoleText)
	f.Add("vmtest-end x 1\nvmtest-1 y\nvmtest-begin \nvmtest-end  0")
	f.Fuzz(func(t *testing.T, text string) {
		tr := readTranscript(strings.NewReader(text))
		for _, s := range tr.steps {
			parseGoTest(s.stdout)
		}
	})
}
