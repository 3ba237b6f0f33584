// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/everyexec/everyexec/cmd/everyexec/internal/reporttest"
	"github.com/everyexec/everyexec/cmd/everyexec/internal/terminal"
	"github.com/everyexec/everyexec/loader"
)

var update = flag.Bool("update", false, "write the golden files anew")

// made are reports of the three verdicts.
func made() map[string]*loader.Report {
	withBTF, without := reporttest.Machines[0], reporttest.Machines[6]
	return map[string]*loader.Report{
		"full":     reporttest.Report(withBTF, true),
		"degraded": reporttest.Report(without, true),
		"unusable": reporttest.Report(without, false),
	}
}

func render(t *testing.T, format string, r *loader.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, format, r, terminal.Pen{}); err != nil {
		t.Fatalf("write %s: %v", format, err)
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	for name, r := range made() {
		for _, format := range Formats {
			path := filepath.Join("testdata", name+"."+format)
			got := render(t, format, r)
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs (go test -update writes it anew):\n%s", path, got)
			}
		}
	}
}

// hostile has in every string what must not reach a terminal.
func hostile() *loader.Report {
	const evil = "\x1b[2J\u202e\xff\r\n#"
	long := evil + strings.Repeat("words that go on ", 20)
	r := reporttest.Report(reporttest.Machines[6], true)
	r.Host, r.Kernel.Release, r.Kernel.Arch, r.Distro.ID, r.Distro.VersionID = long, long, evil, evil, evil
	for i := range r.Probes {
		p := &r.Probes[i]
		p.Name, p.Detail, p.Source, p.Remedy = evil+p.Name, long, long, evil
	}
	for i := range r.Variants {
		v := &r.Variants[i]
		v.Reason, v.Remedy = long, evil+v.Remedy
	}
	return r
}

func TestTextFitsAndIsClean(t *testing.T) {
	reports := made()
	reports["hostile"] = hostile()
	for name, r := range reports {
		for line := range strings.Lines(render(t, "text", r)) {
			line = strings.TrimSuffix(line, "\n")
			if n := utf8.RuneCountInString(line); n > terminal.Width {
				t.Errorf("%s: %d columns: %s", name, n, line)
			}
			if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) && r != utf8.RuneError }) || !utf8.ValidString(line) {
				t.Errorf("%s: not clean: %q", name, line)
			}
		}
	}
}

func TestTextPutsTheVerdictFirst(t *testing.T) {
	for name, r := range made() {
		got := render(t, "text", r)
		if !strings.HasPrefix(got, name+": ") {
			t.Errorf("%s: begins with %.40q", name, got)
		}
		todo, details := strings.Index(got, "What to do"), strings.Index(got, "Variants")
		if (todo >= 0) != (name != "full") || todo > details {
			t.Errorf("%s: what to do at %d, details at %d", name, todo, details)
		}
	}
}

func TestColourChangesNothingElse(t *testing.T) {
	r := made()["degraded"]
	var b bytes.Buffer
	if err := Text(&b, r, terminal.Colourful()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "\x1b[33mdegraded\x1b[0m") {
		t.Errorf("no colour:\n%s", b.String())
	}
	plain := regexp.MustCompile(`\x1b\[\d+m`).ReplaceAllString(b.String(), "")
	// Spaces at the end of a line are cut off only where no colour hides them.
	if got, want := trimLines(plain), trimLines(render(t, "text", r)); got != want {
		t.Errorf("with the colour taken out:\n%s\nwant:\n%s", got, want)
	}
}

func trimLines(s string) string {
	return regexp.MustCompile(`(?m) +$`).ReplaceAllString(s, "")
}

// A node label of Kubernetes, as its API documents it.
var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?=[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)

func TestNFDHasOnlyValidLabels(t *testing.T) {
	reports := made()
	reports["hostile"] = hostile()
	for name, r := range reports {
		for line := range strings.Lines(render(t, "nfd", r)) {
			if !label.MatchString(strings.TrimSuffix(line, "\n")) {
				t.Errorf("%s: not a label: %q", name, line)
			}
		}
	}
}
