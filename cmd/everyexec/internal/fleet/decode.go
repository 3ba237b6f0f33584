// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/everyexec/everyexec/cmd/everyexec/internal/terminal"
	"github.com/everyexec/everyexec/loader"
)

const (
	maxDepth  = 16   // nesting of JSON; a report has 3 levels
	maxHost   = 255  // bytes of a host's name
	maxName   = 64   // bytes of any other name; uname(2) has 65 with the NUL
	maxFields = 32   // of a variant
	maxReason = 300  // runes of a reason
	maxRemedy = 2000 // bytes of a remedy, which may be several commands and is useless when cut
)

// hostReport is a [loader.Report] without what only its own host's user wants to know of the probes.
// Most of a report is that, and to leave it out halves the time that decoding takes.
type hostReport struct {
	loader.Report
	Probes []probe `json:"probes"` // hides those of loader.Report
}

type probe struct {
	Name   string        `json:"name"`
	Result loader.Result `json:"result"`
}

// trailer says that a report was followed by something else.
type trailer struct{ offset int } // of the first byte behind the report

func (t trailer) Error() string { return "something other than a report follows the report" }

// decode parses the text of one report and checks it. With an error of type trailer the report is
// good; with any other it is not.
func decode(text []byte) (*hostReport, error) {
	if err := checkDepth(text); err != nil {
		return nil, err
	}
	var r hostReport
	end, err := unmarshal(text, &r)
	if err != nil {
		return nil, fmt.Errorf("not a report: %w", err)
	}
	if err := check(&r); err != nil {
		return nil, err
	}
	if rest := bytes.TrimLeft(text[end:], " \t\r\n"); len(rest) > 0 {
		return &r, trailer{offset: len(text) - len(rest)}
	}
	return &r, nil
}

// unmarshal parses the first JSON value in text and returns where it ends.
func unmarshal(text []byte, r *hostReport) (end int, err error) {
	if json.Unmarshal(text, r) == nil {
		return len(text), nil
	}
	*r = hostReport{}
	d := json.NewDecoder(bytes.NewReader(text)) // slower, but needs no end
	if err := d.Decode(r); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, errors.New("it ends early")
		}
		return 0, err
	}
	return int(d.InputOffset()), nil
}

// checkDepth refuses JSON that is nested deeper than any report.
func checkDepth(text []byte) error {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return fmt.Errorf("not a report: nested deeper than %d levels", maxDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// check holds a report against what it may contain, and cleans the strings that only people read.
func check(r *hostReport) error {
	if r.Schema != loader.ReportSchema {
		return fmt.Errorf("schema %d is not known here, only %d: use the everyexec that wrote the report, or a newer one", r.Schema, loader.ReportSchema)
	}
	if r.Time.IsZero() {
		return errors.New("the report has no time")
	}
	if !isName(r.Host, maxHost) {
		return fmt.Errorf("host %s is not a host's name", quoted(r.Host))
	}
	if !isFileName(r.Kernel.Release) || !isFileName(r.Kernel.Arch) {
		return fmt.Errorf("release %s, arch %s do not name a kernel", quoted(r.Kernel.Release), quoted(r.Kernel.Arch))
	}
	if d := r.Distro; d.ID != "" && !isFileName(d.ID) || d.VersionID != "" && !isFileName(d.VersionID) {
		return fmt.Errorf("id %s, version_id %s do not name a distribution", quoted(d.ID), quoted(d.VersionID))
	}
	if err := checkVariants(r.Variants); err != nil {
		return err
	}
	return checkVerdict(r)
}

func checkVariants(variants []loader.VariantReport) error {
	var names []loader.Variant
	for i := range variants {
		v := &variants[i]
		names = append(names, v.Name)
		if len(v.Fields) > maxFields {
			return fmt.Errorf("variant %s has more than %d fields", quoted(string(v.Name)), maxFields)
		}
		for _, field := range v.Fields {
			if !isField(field) {
				return fmt.Errorf("variant %s has field %s, which is not a field's name", quoted(string(v.Name)), quoted(field))
			}
		}
		v.Reason = terminal.Clean(v.Reason, maxReason)
		if len(v.Remedy) > maxRemedy {
			return fmt.Errorf("variant %s has a remedy longer than %d bytes", v.Name, maxRemedy)
		}
		v.Remedy = terminal.CleanLines(v.Remedy, maxRemedy)
	}
	if !slices.Equal(names, allVariants) {
		return errors.New("variants are not core, core-external, bcc, stub, in this order")
	}
	return nil
}

var allVariants = []loader.Variant{loader.Core, loader.CoreExternal, loader.BCC, loader.Stub}

// checkVerdict refuses a report that contradicts itself.
func checkVerdict(r *hostReport) error {
	switch r.Verdict {
	case loader.Full, loader.Degraded, loader.Unusable:
	default:
		return fmt.Errorf("verdict %s is none of full, degraded, unusable", quoted(string(r.Verdict)))
	}
	if r.Selected == nil {
		if r.Verdict != loader.Unusable {
			return fmt.Errorf("the verdict is %s, but no variant is selected", r.Verdict)
		}
		return nil
	}
	if r.Verdict == loader.Unusable {
		return errors.New("the verdict is unusable, but a variant is selected")
	}
	if v := r.variant(*r.Selected); v == nil || !v.Usable {
		return fmt.Errorf("the selected variant %s is not a usable one", quoted(string(*r.Selected)))
	}
	return nil
}

// variant returns what r says about a variant, nil if nothing.
func (r *hostReport) variant(name loader.Variant) *loader.VariantReport {
	i := slices.IndexFunc(r.Variants, func(v loader.VariantReport) bool { return v.Name == name })
	if i < 0 {
		return nil
	}
	return &r.Variants[i]
}

// isName tells whether s is 1 to limit bytes of visible ASCII.
func isName(s string, limit int) bool {
	return s != "" && len(s) <= limit && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' })
}

// isFileName tells whether s may be one component of a path, as the names of kernels and
// distributions are in a collection of BTF files.
func isFileName(s string) bool {
	return isName(s, maxName) && s[0] != '.' && !strings.ContainsAny(s, `/\"'`)
}

// isField tells whether s may be the JSON name of a field.
func isField(s string) bool {
	return isName(s, maxName) && !strings.ContainsFunc(s, func(c rune) bool { return c != '_' && (c < 'a' || c > 'z') })
}

// quoted shows a foreign string in an error message.
func quoted(s string) string { return `"` + terminal.Clean(s, 40) + `"` }
