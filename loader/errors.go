// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"fmt"
	"strings"

	"github.com/everyexec/everyexec/event"
)

// UnavailableError says that the variant or a field that was asked for cannot be had here.
type UnavailableError struct {
	Variant Variant      // the variant asked for, or Auto
	Fields  event.Fields // the fields asked for that are missing; 0 if the variant is
	Reason  string
	Remedy  string
}

func (e *UnavailableError) Error() string {
	what := fmt.Sprintf("variant %s is not available here", e.Variant)
	if e.Fields != 0 {
		what = fmt.Sprintf("required field %s is not available here", e.Fields)
	}
	return withRemedy(what+": "+e.Reason, e.Remedy)
}

// UnusableError says that no variant can trace here.
type UnusableError struct {
	Reason string
	Remedy string
}

func (e *UnusableError) Error() string {
	return withRemedy("nothing can trace here: "+e.Reason, e.Remedy)
}

// obstacle is what stands in a variant's way, with the way out.
type obstacle struct {
	reason, remedy string
	err            error
	expected       bool // no news to whoever did not ask for the variant
}

func (o *obstacle) Error() string { return withRemedy(o.reason, o.remedy) }
func (o *obstacle) Unwrap() error { return o.err }

func withRemedy(reason, remedy string) string {
	if remedy == "" {
		return reason
	}
	return reason + "; " + remedy
}

// compileError is what libbcc had to say when it could not bring a program up.
type compileError struct {
	output string // all that it printed
	err    error  // how it ended
}

func (e *compileError) Error() string {
	text := "libbcc could not build the program: " + e.err.Error()
	if lines := tellingLines(e.output); lines != "" {
		text += ": " + lines
	}
	return text
}

func (e *compileError) Unwrap() error { return e.err }

// tellingLinesMax is how many lines of a compiler an error message holds.
const tellingLinesMax = 4

// tellingLines returns the first lines that tell of an error or, if none does, the first lines.
func tellingLines(output string) string {
	var all, telling []string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		all = append(all, line)
		lower := strings.ToLower(line)
		if strings.Contains(lower, "error") || strings.Contains(lower, "fail") || strings.Contains(lower, "unable") {
			telling = append(telling, line)
		}
	}
	if len(telling) == 0 {
		telling = all
	}
	return strings.Join(telling[:min(len(telling), tellingLinesMax)], "; ")
}
