// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"io"
	"strconv"
	"strings"

	"github.com/everyexec/everyexec/vmtest/guest"
)

// transcript is a guest's console, taken apart.
type transcript struct {
	lines []string // all of it
	steps []step
	notes []string // said outside of steps
	facts map[string]string
	done  bool // the guest ran all its steps
}

// step is what became of one step.
type step struct {
	name   string
	stdout []string
	stderr []string
	notes  []string
	ended  bool
	exit   int
}

// maxConsoleLine bounds a line of the console, in bytes; a longer one is cut into pieces.
const maxConsoleLine = 1 << 20

// readTranscript reads a console to its end.
func readTranscript(r io.Reader) *transcript {
	t := &transcript{facts: map[string]string{}}
	for reader := bufio.NewReaderSize(r, maxConsoleLine); ; {
		line, err := reader.ReadSlice('\n')
		if len(line) > 0 {
			t.add(strings.TrimRight(string(line), "\r\n"))
		}
		if err != nil && err != bufio.ErrBufferFull {
			return t
		}
	}
}

func (t *transcript) add(line string) {
	t.lines = append(t.lines, line)
	mark, text, ok := guest.ParseMark(line)
	if !ok {
		return
	}
	switch mark {
	case guest.Begin:
		t.steps = append(t.steps, step{name: text})
		return
	case guest.Fact:
		name, value, _ := strings.Cut(text, " ")
		t.facts[name] = value
		return
	case guest.Done:
		t.done = true
		return
	}
	if len(t.steps) == 0 || t.steps[len(t.steps)-1].ended {
		t.notes = append(t.notes, text)
		return
	}
	s := &t.steps[len(t.steps)-1]
	switch mark {
	case guest.Stdout:
		s.stdout = append(s.stdout, text)
	case guest.Stderr:
		s.stderr = append(s.stderr, text)
	case guest.Note:
		s.notes = append(s.notes, text)
	case guest.End:
		s.end(text)
	}
}

// end takes in "NAME CODE"; an end that is garbled is none.
func (s *step) end(text string) {
	code, ok := strings.CutPrefix(text, s.name+" ")
	if !ok {
		return
	}
	exit, err := strconv.Atoi(code)
	if err != nil {
		return
	}
	s.exit, s.ended = exit, true
}

// step finds a step; nil when the guest never began it.
func (t *transcript) step(name string) *step {
	for i := range t.steps {
		if t.steps[i].name == name {
			return &t.steps[i]
		}
	}
	return nil
}

// tail gives the last lines, for whoever has to find out what went wrong.
func (t *transcript) tail(n int) []string {
	return t.lines[max(0, len(t.lines)-n):]
}
