// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/everyexec/everyexec/cmd/everyexec/internal/reporttest"
	"github.com/everyexec/everyexec/loader"
)

// Kinds of made-up machines.
var (
	withBTF    = reporttest.Machines[0]
	withoutBTF = reporttest.Machines[6]
)

func encode(t testing.TB, r *loader.Report) string {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestDecodeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(r *loader.Report)
		want  string // in the error
	}{
		"a newer schema":             {func(r *loader.Report) { r.Schema = 2 }, "schema 2 is not known"},
		"no schema":                  {func(r *loader.Report) { r.Schema = 0 }, "schema 0 is not known"},
		"no time":                    {func(r *loader.Report) { r.Time = time.Time{} }, "no time"},
		"no host":                    {func(r *loader.Report) { r.Host = "" }, "not a host's name"},
		"a long host":                {func(r *loader.Report) { r.Host = strings.Repeat("x", 256) }, "not a host's name"},
		"an escape in the host":      {func(r *loader.Report) { r.Host = "a\x1b[2J" }, "not a host's name"},
		"no release":                 {func(r *loader.Report) { r.Kernel.Release = "" }, "do not name a kernel"},
		"a path as release":          {func(r *loader.Report) { r.Kernel.Release = "../../etc" }, "do not name a kernel"},
		"a slash in the release":     {func(r *loader.Report) { r.Kernel.Release = "5/4" }, "do not name a kernel"},
		"a space in the arch":        {func(r *loader.Report) { r.Kernel.Arch = "x 86" }, "do not name a kernel"},
		"a long release":             {func(r *loader.Report) { r.Kernel.Release = strings.Repeat("5", 65) }, "do not name a kernel"},
		"a slash in the distro":      {func(r *loader.Report) { r.Distro.ID = "a/b" }, "do not name a distribution"},
		"a dot as version":           {func(r *loader.Report) { r.Distro.VersionID = ".." }, "do not name a distribution"},
		"three variants":             {func(r *loader.Report) { r.Variants = r.Variants[:3] }, "variants are not"},
		"other variants":             {func(r *loader.Report) { r.Variants[2].Name = "ebpf" }, "variants are not"},
		"an evil field":              {func(r *loader.Report) { r.Variants[3].Fields = []string{"a\nb"} }, "not a field's name"},
		"a comma in a field":         {func(r *loader.Report) { r.Variants[3].Fields = []string{"a,b"} }, "not a field's name"},
		"too many fields":            {func(r *loader.Report) { r.Variants[3].Fields = make([]string, 100) }, "fields"},
		"a huge remedy":              {func(r *loader.Report) { r.Variants[0].Remedy = strings.Repeat("x", 3000) }, "remedy longer"},
		"a verdict that is none":     {func(r *loader.Report) { r.Verdict = "fine" }, "none of full"},
		"nothing selected but full":  {func(r *loader.Report) { r.Selected, r.Verdict = nil, loader.Full }, "no variant is selected"},
		"selected but unusable":      {func(r *loader.Report) { r.Verdict = loader.Unusable }, "a variant is selected"},
		"an unusable one selected":   {func(r *loader.Report) { r.Variants[3].Usable = false }, "not a usable one"},
		"an unknown one is selected": {func(r *loader.Report) { v := loader.Auto; r.Selected = &v }, "not a usable one"},
	} {
		r := reporttest.Report(withoutBTF, true)
		c.spoil(r)
		got, err := decode([]byte(encode(t, r)))
		if got != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: report %v, error %v, want %q", name, got != nil, err, c.want)
		}
	}
}

func TestDecodeRefusesWhatIsNoReport(t *testing.T) {
	good := encode(t, reporttest.Report(withBTF, true))
	for in, want := range map[string]string{
		`{`:              "ends early",
		good[:100]:       "ends early",
		`[]`:             "not a report",
		`{"schema":"1"}`: "not a report",
		`hello`:          "not a report",
		`{"x":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`: "deeper than 16",
	} {
		if got, err := decode([]byte(in)); got != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: report %v, error %v, want %q", in, got != nil, err, want)
		}
	}
}

func TestDecodeIgnoresBracketsInStrings(t *testing.T) {
	r := reporttest.Report(withBTF, true)
	r.Probes[0].Detail = strings.Repeat(`[{"\`, 50)
	if _, err := decode([]byte(encode(t, r))); err != nil {
		t.Error(err)
	}
}

func TestDecodeTakesAReportThatSomethingFollows(t *testing.T) {
	good := encode(t, reporttest.Report(withBTF, true))
	r, err := decode([]byte(good + "\n\nbye\n"))
	var after trailer
	if r == nil || !errors.As(err, &after) || after.offset != len(good)+2 {
		t.Errorf("report %v, error %v", r != nil, err)
	}
	if _, err := decode([]byte(good + "\r\n \n")); err != nil {
		t.Errorf("white space: %v", err)
	}
}

func TestDecodeCleansWhatPeopleRead(t *testing.T) {
	r := reporttest.Report(withoutBTF, true)
	r.Variants[0].Reason = "a\x1b[2Jb\nc"
	r.Variants[0].Remedy = "one\ntwo\x1b"
	got, err := decode([]byte(encode(t, r)))
	if err != nil {
		t.Fatal(err)
	}
	if v := got.Variants[0]; v.Reason != "a\uFFFD[2Jb\uFFFDc" || v.Remedy != "one\ntwo\uFFFD" {
		t.Errorf("reason %q, remedy %q", v.Reason, v.Remedy)
	}
}
