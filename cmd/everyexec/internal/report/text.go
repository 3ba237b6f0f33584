// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/everyexec/everyexec/cmd/everyexec/internal/terminal"
	"github.com/everyexec/everyexec/loader"
)

// limit is how many runes of a foreign string are shown.
const limit = 1000

// Text writes r for people, in 100 columns: the verdict, what to do, then the details. Only a
// command with quotes, which cannot be broken, and a single long word may be wider.
func Text(w io.Writer, r *loader.Report, pen terminal.Pen) error {
	t := &text{pen: pen}
	t.verdict(r)
	t.whatToDo(r)
	t.variants(r)
	t.probes(r.Probes)
	_, err := io.WriteString(w, t.String())
	return err
}

type text struct {
	strings.Builder
	pen terminal.Pen
}

func (t *text) line(s string) {
	t.WriteString(strings.TrimRight(s, " ") + "\n")
}

func (t *text) heading(s string) {
	t.line("")
	t.line(t.pen.Strong(s))
}

// wrapped writes s in lines that fit behind the lead, each below the one before. The lead is
// width runes wide, whatever colour it has.
func (t *text) wrapped(lead string, width int, s string) {
	lines := terminal.Wrap(terminal.Clean(s, limit), terminal.Width-width)
	if len(lines) == 0 {
		t.line(lead)
	}
	for _, l := range lines {
		t.line(lead + l)
		lead = strings.Repeat(" ", width)
	}
}

func (t *text) verdict(r *loader.Report) {
	t.line(t.sentence(r))
	distro := strings.TrimSpace(r.Distro.ID + " " + r.Distro.VersionID)
	if distro == "" {
		distro = "unknown distribution"
	}
	t.wrapped("", 0, fmt.Sprintf("%s: Linux %s %s, %s", r.Host, r.Kernel.Release, r.Kernel.Arch, distro))
}

func (t *text) sentence(r *loader.Report) string {
	switch r.Verdict {
	case loader.Full:
		return t.pen.Good("full") + ": everyexec traces every exec here, with every field, by the variant " + selectedName(r) + "."
	case loader.Degraded:
		return t.pen.Warn("degraded") + ": everyexec traces every exec here, by the variant " + selectedName(r) +
			", without " + strings.Join(Missing(r.Selected, r.Variants), ", ") + "."
	}
	return t.pen.Bad("unusable") + ": everyexec cannot trace here."
}

// obstacle is what stands in the way of some variants.
type obstacle struct {
	variants       []string
	reason, remedy string
}

// obstacles lists what stands in the way of variants that are better than the selected one, each
// thing once.
func obstacles(r *loader.Report) []obstacle {
	var list []obstacle
	for _, v := range r.Variants {
		if r.Selected != nil && v.Name == *r.Selected {
			break
		}
		same := func(o obstacle) bool { return o.reason == v.Reason && o.remedy == v.Remedy }
		i := slices.IndexFunc(list, same)
		if i < 0 {
			i = len(list)
			list = append(list, obstacle{reason: v.Reason, remedy: v.Remedy})
		}
		list[i].variants = append(list[i].variants, string(v.Name))
	}
	return list
}

func (t *text) whatToDo(r *loader.Report) {
	list := obstacles(r)
	if r.Verdict == loader.Full || len(list) == 0 {
		return
	}
	t.heading("What to do, the best first")
	for _, o := range list {
		t.wrapped("  ", 2, "for "+strings.Join(o.variants, ", ")+": "+o.reason)
		if o.remedy != "" {
			t.command("    ", o.remedy)
		}
	}
}

// command writes a remedy so that it fits and can still be pasted into a shell.
func (t *text) command(indent, remedy string) {
	for l := range strings.SplitSeq(terminal.CleanLines(remedy, limit), "\n") {
		for _, part := range terminal.WrapCommand(l, terminal.Width-len(indent)) {
			t.line(indent + t.pen.Strong(part))
		}
	}
}

func (t *text) variants(r *loader.Report) {
	t.heading("Variants, best first")
	for _, v := range r.Variants {
		mark := " "
		if r.Selected != nil && v.Name == *r.Selected {
			mark = "→"
		}
		word, colour := variantWord(v, t.pen)
		lead := fmt.Sprintf("%s %-13s  %s  ", mark, v.Name, colour(terminal.Pad(word, len("not verified"))))
		detail := v.Reason
		if v.Usable {
			detail = strings.Join(v.Fields, " ")
			if v.Reason != "" {
				detail += "; " + v.Reason
			}
		}
		t.wrapped(lead, 2+13+2+len("not verified")+2, detail)
	}
}

func variantWord(v loader.VariantReport, pen terminal.Pen) (string, func(string) string) {
	switch {
	case v.Usable && v.Verified:
		return "verified", pen.Good
	case v.Usable:
		return "not verified", pen.Warn
	}
	return "not usable", pen.Bad
}

// probes shows what did not say yes first, since that is what people look for.
func (t *text) probes(probes []loader.Probe) {
	if len(probes) == 0 {
		return
	}
	t.heading("Probes")
	width := 0
	for _, p := range probes {
		width = max(width, utf8.RuneCountInString(terminal.Clean(p.Name, maxName)))
	}
	for _, result := range []loader.Result{loader.No, loader.Unknown, loader.Yes} {
		for _, p := range probes {
			if p.Result == result {
				t.probe(p, width)
			}
		}
	}
}

func (t *text) probe(p loader.Probe, width int) {
	name := terminal.Pad(terminal.Clean(p.Name, maxName), width)
	lead := fmt.Sprintf("  %s  %s  ", name, t.result(p.Result))
	indent := 2 + width + 2 + len(loader.Unknown) + 2
	t.wrapped(lead, indent, probeDetail(p))
	if p.Result != loader.Yes && p.Remedy != "" {
		t.command("    ", p.Remedy)
	}
}

// maxName is how many runes of a probe's name are shown.
const maxName = 36

func (t *text) result(r loader.Result) string {
	word := terminal.Pad(string(r), len(loader.Unknown))
	switch r {
	case loader.Yes:
		return t.pen.Good(word)
	case loader.No:
		return t.pen.Bad(word)
	}
	return t.pen.Warn(word)
}

func probeDetail(p loader.Probe) string {
	if p.Source == "" {
		return p.Detail
	}
	return strings.TrimSpace(p.Detail + " (" + p.Source + ")")
}
