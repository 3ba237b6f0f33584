// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"io"
	"slices"
	"strings"

	"github.com/everyexec/everyexec/cmd/everyexec/internal/report"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string
)

var page = template.Must(template.New("page.html").Funcs(template.FuncMap{
	"counted":   counted,
	"thousands": thousands,
	"variant":   variantName,
	"distro":    distroName,
	"join":      strings.Join,
}).Parse(pageHTML))

// pageData is what the page shows. Everything foreign in it is escaped by html/template.
type pageData struct {
	*Summary
	CSS    template.CSS
	Script template.JS
	Policy string // the page may run this script and these styles, and ask nobody for anything
	Fields []string
	Lines  []pageRow
	Bars   []bar
}

type pageRow struct {
	Row
	Cells     []fieldCell
	Search    string // what the filter looks at
	SomeHosts string
}

// fieldCell says whether a row delivers a field, in words for people who cannot see the mark.
type fieldCell struct {
	Has  bool
	Word string
}

// bar is one tally as a bar of three lengths.
type bar struct {
	Title string
	Tally
	Hosts int
}

// WriteHTML writes one page that holds all it needs.
func (s *Summary) WriteHTML(w io.Writer) error {
	data := pageData{
		Summary: s,
		CSS:     template.CSS(pageCSS),
		Script:  template.JS(pageJS),
		Policy: "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; " +
			"style-src '" + hashOf(pageCSS) + "'; script-src '" + hashOf(pageJS) + "'",
		Fields: fieldsOf(s.Rows),
		Bars:   []bar{{"Now", s.Now, s.Hosts}},
	}
	if len(s.MissingBTF) > 0 {
		data.Bars = append(data.Bars, bar{"With the missing BTFs shipped", s.Shipped, s.Hosts})
	}
	for _, r := range s.Rows {
		data.Lines = append(data.Lines, newPageRow(r, data.Fields))
	}
	return page.Execute(w, data)
}

// hashOf names an inline script or style in a Content-Security-Policy.
func hashOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// fieldsOf lists all fields that are a column of the matrix.
func fieldsOf(rows []Row) []string {
	all := slices.Clone(report.Fields)
	for _, r := range rows {
		for _, f := range r.Missing {
			if !slices.Contains(all, f) {
				all = append(all, f)
			}
		}
	}
	return all
}

func newPageRow(r Row, fields []string) pageRow {
	p := pageRow{Row: r, SomeHosts: someHosts(r.HostNames)}
	for _, f := range fields {
		has := !slices.Contains(r.Missing, f)
		p.Cells = append(p.Cells, fieldCell{Has: has, Word: map[bool]string{true: "yes", false: "missing"}[has]})
	}
	p.Search = strings.ToLower(strings.Join([]string{
		r.Release, r.Arch, distroName(r.Distro, r.VersionID), variantName(r.Variant), string(r.Verdict),
		strings.Join(r.Missing, " "), r.Reason, p.SomeHosts,
	}, " "))
	return p
}

// Rank orders verdicts, the worst first.
func (p pageRow) Rank() int { return worst[p.Verdict] }

// Todo says in a few words what to do, nothing where nothing is to be done.
func (p pageRow) Todo() string {
	switch {
	case p.ShipBTF && p.Reason != "":
		return "ship BTF, and: " + p.Reason
	case p.ShipBTF:
		return "ship BTF → " + variantName(p.Shipped.Variant)
	}
	return p.Reason
}
