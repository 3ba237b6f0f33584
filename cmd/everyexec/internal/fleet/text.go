// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/everyexec/everyexec/cmd/everyexec/internal/terminal"
	"github.com/everyexec/everyexec/loader"
)

// WriteText writes the summary for people: the verdict, what to ship, the table, what else to do.
func (s *Summary) WriteText(w io.Writer, pen terminal.Pen) error {
	t := &text{pen: pen}
	t.headline(s)
	t.shipping(s)
	t.table(s.Rows)
	t.remedies(s.Rows)
	t.notes(s)
	_, err := io.WriteString(w, t.String())
	return err
}

type text struct {
	strings.Builder
	pen terminal.Pen
}

func (t *text) line(format string, args ...any) {
	fmt.Fprintf(t, format+"\n", args...)
}

func (t *text) headline(s *Summary) {
	t.line("%s on %s: %s", counted(s.Hosts, "host"), counted(s.Kernels, "kernel"), t.tally(s.Now))
}

func (t *text) tally(n Tally) string {
	return fmt.Sprintf("%s, %s, %s",
		t.pen.Good(thousands(n.Full)+" full"),
		orPlain(n.Degraded, t.pen.Warn)(thousands(n.Degraded)+" degraded"),
		orPlain(n.Unusable, t.pen.Bad)(thousands(n.Unusable)+" unusable"))
}

// orPlain colours only what is not zero.
func orPlain(n int, colour func(string) string) func(string) string {
	if n == 0 {
		return func(s string) string { return s }
	}
	return colour
}

func (t *text) shipping(s *Summary) {
	if len(s.MissingBTF) == 0 {
		return
	}
	t.line("after shipping %s: %s", counted(len(s.MissingBTF), "BTF"), t.tally(s.Shipped))
	t.line("")
	t.line("%s", t.pen.Strong("BTFs to ship")+"  (--missing-btf fleet.json, then everyexec btf pack --for fleet.json)")
	for i, k := range s.MissingBTF {
		if i == maxListed {
			t.line("  and %s", counted(len(s.MissingBTF)-i, "more kernel"))
			break
		}
		t.line("  %s %s %s, for %s", distroName(k.Distro, k.VersionID), k.Release, k.Arch, counted(k.Hosts, "host"))
	}
}

// maxListed is how many BTFs the text lists; the file that --missing-btf writes has all.
const maxListed = 20

func distroName(id, version string) string {
	if id == "" {
		return "unknown distribution"
	}
	return strings.TrimSpace(id + " " + version)
}

// Columns of the table and their widths in runes; together they fit terminal.Width.
var columns = []struct {
	title string
	width int // negative: to the right
}{
	{"HOSTS", -7}, {"KERNEL", 34}, {"ARCH", 8}, {"DISTRO", 14}, {"VARIANT", 13}, {"MISSING", 10}, {"TO DO", 8},
}

func (t *text) table(rows []Row) {
	if len(rows) == 0 {
		return
	}
	var titles []string
	for _, c := range columns {
		titles = append(titles, c.title)
	}
	t.line("")
	t.line("%s", t.pen.Strong(cells(titles)))
	numbers := remedyNumbers(rows)
	for _, r := range rows {
		t.line("%s", t.shade(r.Verdict)(cells([]string{
			thousands(r.Hosts),
			r.Release,
			r.Arch,
			orDash(strings.TrimSpace(r.Distro + " " + r.VersionID)),
			variantCell(r),
			missingCell(r),
			todoCell(r, numbers),
		})))
	}
}

func (t *text) shade(v loader.Verdict) func(string) string {
	switch v {
	case loader.Degraded:
		return t.pen.Warn
	case loader.Unusable:
		return t.pen.Bad
	}
	return func(s string) string { return s }
}

func cells(values []string) string {
	var padded []string
	for i, v := range values {
		c := columns[i]
		padded = append(padded, terminal.Pad(terminal.Cut(v, max(c.width, -c.width)), c.width))
	}
	return strings.TrimRight(strings.Join(padded, " "), " ")
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// variantCell marks a variant that was not proved.
func variantCell(r Row) string {
	if r.Variant != nil && !r.Verified {
		return variantName(r.Variant) + "?"
	}
	return variantName(r.Variant)
}

func missingCell(r Row) string {
	switch {
	case r.Variant == nil:
		return "all"
	case len(r.Missing) == 0:
		return "-"
	case len(r.Missing) > 2:
		return fmt.Sprintf("%s +%d", r.Missing[0], len(r.Missing)-1)
	}
	return strings.Join(r.Missing, ",")
}

// todoCell says BTF, the number of an advice below the table, or both.
func todoCell(r Row, numbers map[advice]int) string {
	var todo []string
	if r.ShipBTF {
		todo = append(todo, "BTF")
	}
	if n := numbers[adviceOf(r)]; n != 0 {
		todo = append(todo, strconv.Itoa(n)+".")
	}
	if len(todo) == 0 {
		return "-"
	}
	return strings.Join(todo, ", ")
}

// advice is what several rows may have in common.
type advice struct{ reason, remedy string }

func adviceOf(r Row) advice { return advice{r.Reason, r.Remedy} }

// remedyNumbers numbers the different pieces of advice from 1 on.
func remedyNumbers(rows []Row) map[advice]int {
	numbers := make(map[advice]int)
	for _, r := range rows {
		a := adviceOf(r)
		if a != (advice{}) && numbers[a] == 0 {
			numbers[a] = len(numbers) + 1
		}
	}
	return numbers
}

func (t *text) remedies(rows []Row) {
	numbers := remedyNumbers(rows)
	names := make(map[advice][]string)
	var order []advice
	for _, r := range rows {
		a := adviceOf(r)
		if numbers[a] != 0 && names[a] == nil {
			order = append(order, a)
		}
		names[a] = append(names[a], r.HostNames...)
	}
	for _, a := range order {
		t.line("")
		t.indented(fmt.Sprintf("%d. ", numbers[a]), a.reason)
		if a.remedy != "" {
			for l := range strings.SplitSeq(a.remedy, "\n") {
				for _, part := range terminal.WrapCommand(l, terminal.Width-3) {
					t.line("   %s", t.pen.Strong(part))
				}
			}
		}
		t.indented("   ", "on "+someHosts(names[a]))
	}
}

// indented writes wrapped text behind a lead, the further lines below its first word.
func (t *text) indented(lead, s string) {
	for _, l := range terminal.Wrap(s, terminal.Width-len(lead)) {
		t.line("%s%s", lead, l)
		lead = strings.Repeat(" ", len(lead))
	}
}

// someHosts names a few hosts and counts the others.
func someHosts(names []string) string {
	const few = 5
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %s (-o json names all)", strings.Join(names[:few], ", "), counted(len(names)-few, "more host"))
}

// notes says what a reader has to know about the reports themselves.
func (t *text) notes(s *Summary) {
	var notes []string
	if s.Unverified > 0 {
		notes = append(notes, counted(s.Unverified, "host")+" did not prove the variant by a test exec: those with a question mark.")
	}
	if s.OlderReports > 0 {
		notes = append(notes, fmt.Sprintf("%s left out for a newer one of the same host, most often %s (%s). Hosts of one name count as one.",
			counted(s.OlderReports, "report"), s.MostRepeated.Host, counted(s.MostRepeated.Reports, "report")))
	}
	if s.Damaged.Count > 0 {
		notes = append(notes, counted(s.Damaged.Count, "damaged report")+" left out, named above.")
	}
	if len(notes) > 0 {
		t.line("")
	}
	for _, n := range notes {
		t.indented("", n)
	}
}

// counted is a number with its noun, which gets an s where it needs one.
func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return thousands(n) + " " + noun
}

// thousands writes n with a comma at every third digit.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
