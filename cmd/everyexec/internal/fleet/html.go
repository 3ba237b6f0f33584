// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"bufio"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"io"
	"slices"
	"strings"

	"github.com/everyexec/everyexec/cmd/everyexec/internal/report"
)

var (
	//go:embed page.css
	pageCSS markup
	//go:embed page.js
	pageJS markup
)

// WriteHTML writes one page that holds all it needs: the verdict, what to ship, the table, notes.
// Scripts only sort and filter it.
func (s *Summary) WriteHTML(w io.Writer) error {
	p := page{bufio.NewWriter(w)}
	p.head(s)
	p.put("<body>\n")
	p.headline(s)
	p.put("<main>\n")
	p.tallies(s)
	p.shipping(s.MissingBTF)
	p.matrix(s.Rows)
	p.notes(s)
	p.put("</main>\n<script>%s</script>\n</body>\n</html>\n", pageJS)
	return p.out.Flush()
}

func (p page) head(s *Summary) {
	p.put(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="%s">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>everyexec fleet: %s</title>
<link rel="icon" href="data:,">
<style>%s</style>
</head>
`, policy(), counted(s.Hosts, "host"), pageCSS)
}

// policy lets the page run its script and its styles, and ask nobody for anything.
func policy() string {
	return "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; " +
		"style-src '" + hashOf(pageCSS) + "'; script-src '" + hashOf(pageJS) + "'"
}

// hashOf names an inline script or style in a Content-Security-Policy.
func hashOf(m markup) string {
	sum := sha256.Sum256([]byte(m))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func (p page) headline(s *Summary) {
	p.put("<header>\n<h1>everyexec fleet</h1>\n<p>%s on %s", counted(s.Hosts, "host"), counted(s.Kernels, "kernel"))
	if s.Oldest != nil {
		const minutes = "2006-01-02 15:04"
		p.put(", reported from <time>%s</time> to <time>%s</time> UTC", s.Oldest.Format(minutes), s.Newest.Format(minutes))
	}
	p.put("</p>\n</header>\n")
}

func (p page) tallies(s *Summary) {
	p.put(`<section class="tallies" aria-label="Hosts by verdict">` + "\n")
	p.tally("Now", s.Now, s.Hosts)
	if len(s.MissingBTF) > 0 {
		p.tally("With the missing BTFs shipped", s.Shipped, s.Hosts)
	}
	p.put("</section>\n")
}

// tally shows a tally as a bar of three lengths.
func (p page) tally(title string, n Tally, hosts int) {
	p.put(`<figure>
<figcaption>%s</figcaption>
<svg viewBox="0 0 %s 1" preserveAspectRatio="none" role="img" aria-label="%s full, %s degraded, %s unusable">
`, title, hosts, n.Full, n.Degraded, n.Unusable)
	p.put(`<g class="full"><rect width="%s" height="1"/></g>
<g class="degraded" transform="translate(%s 0)"><rect width="%s" height="1"/></g>
<g class="unusable" transform="translate(%s 0)"><rect width="%s" height="1"/></g>
</svg>
`, n.Full, n.Full, n.Degraded, n.Full+n.Degraded, n.Unusable)
	p.put(`<ul>
<li class="full"><b>%s</b> full</li>
<li class="degraded"><b>%s</b> degraded</li>
<li class="unusable"><b>%s</b> unusable</li>
</ul>
</figure>
`, thousands(n.Full), thousands(n.Degraded), thousands(n.Unusable))
}

func (p page) shipping(missing []KernelBTF) {
	if len(missing) == 0 {
		return
	}
	p.put(`<section>
<h2>BTFs to ship</h2>
<p><code>everyexec fleet --missing-btf fleet.json REPORTS</code>, then <code>everyexec btf pack --for fleet.json</code></p>
<ul class="btfs">
`)
	for _, k := range missing {
		p.put("<li><b>%s</b> %s %s <span>%s</span></li>\n", distroName(k.Distro, k.VersionID), k.Release, k.Arch, counted(k.Hosts, "host"))
	}
	p.put("</ul>\n</section>\n")
}

func (p page) matrix(rows []Row) {
	p.put(`<section>
<h2 id="what">What each kernel gets</h2>
<form id="filter">
<label>Filter <input type="search" id="words" autocomplete="off" placeholder="kernel, distribution, field, host …"></label>
<label>Variant <select id="variant"><option value="">all</option><option>core</option><option>core-external</option><option>bcc</option><option>stub</option><option>none</option></select></label>
<fieldset>
<legend>Verdict</legend>
<label><input type="checkbox" name="verdict" value="full" checked> full</label>
<label><input type="checkbox" name="verdict" value="degraded" checked> degraded</label>
<label><input type="checkbox" name="verdict" value="unusable" checked> unusable</label>
</fieldset>
<output id="shown"></output>
</form>
<div class="scroll" tabindex="0" role="region" aria-labelledby="what">
<table id="matrix">
<thead>
<tr>
<th scope="col" class="number"><button type="button">Hosts</button></th>
<th scope="col"><button type="button">Kernel</button></th>
<th scope="col"><button type="button">Arch</button></th>
<th scope="col"><button type="button">Distribution</button></th>
<th scope="col" aria-sort="ascending"><button type="button">Verdict</button></th>
<th scope="col"><button type="button">Variant</button></th>
`)
	fields := fieldsOf(rows)
	for _, f := range fields {
		p.put(`<th scope="col" class="field"><button type="button">%s</button></th>`+"\n", f)
	}
	p.put(`<th scope="col"><button type="button">To do</button></th>
</tr>
</thead>
<tbody>
`)
	for _, r := range rows {
		p.row(r, fields)
	}
	p.put("</tbody>\n</table>\n</div>\n</section>\n")
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

func (p page) row(r Row, fields []string) {
	variant, distro := variantName(r.Variant), distroName(r.Distro, r.VersionID)
	p.put(`<tr data-search="%s" data-verdict="%s" data-variant="%s" data-hosts="%s">`+"\n", searched(r), r.Verdict, variant, r.Hosts)
	p.put(`<td class="number" data-sort="%s">%s</td>`+"\n", r.Hosts, thousands(r.Hosts))
	p.put(`<th scope="row">%s</th>`+"\n", r.Release)
	p.put("<td>%s</td>\n<td>%s</td>\n", r.Arch, distro)
	p.put(`<td data-sort="%s"><span class="verdict %s">%s</span></td>`+"\n", worst[r.Verdict], r.Verdict, r.Verdict)
	p.put("<td>%s%s</td>\n", variant, unverified(r))
	for _, f := range fields {
		p.put("%s\n", fieldCell(!slices.Contains(r.Missing, f)))
	}
	p.todo(r)
	p.put("</tr>\n")
}

// searched is what the filter looks at.
func searched(r Row) string {
	return strings.ToLower(strings.Join([]string{
		r.Release, r.Arch, distroName(r.Distro, r.VersionID), variantName(r.Variant), string(r.Verdict),
		strings.Join(r.Missing, " "), r.Reason, someHosts(r.HostNames),
	}, " "))
}

func unverified(r Row) markup {
	if r.Variant == nil || r.Verified {
		return ""
	}
	return " <small>not verified</small>"
}

// fieldCell says whether a row delivers a field, also in words for people who cannot see the mark.
func fieldCell(has bool) markup {
	if has {
		return `<td class="field yes" data-sort="1"><span role="img" aria-label="yes">✓</span></td>`
	}
	return `<td class="field missing" data-sort="0"><span role="img" aria-label="missing">✗</span></td>`
}

func (p page) todo(r Row) {
	what := whatToDo(r)
	p.put(`<td class="todo" data-sort="%s">`, what)
	if what != "" {
		p.put("<details><summary>%s</summary>", what)
		if r.Reason != "" {
			p.put("<p>%s</p>", r.Reason)
		}
		if r.Remedy != "" {
			p.put("<pre><code>%s</code></pre>", r.Remedy)
		}
		p.put("<p>on %s</p></details>", someHosts(r.HostNames))
	}
	p.put("</td>\n")
}

// whatToDo says in a few words what to do, nothing where nothing is to be done.
func whatToDo(r Row) string {
	switch {
	case r.ShipBTF && r.Reason != "":
		return "ship BTF, and: " + r.Reason
	case r.ShipBTF:
		return "ship BTF → " + variantName(r.Shipped.Variant)
	}
	return r.Reason
}

// notes says what a reader has to know about the reports themselves.
func (p page) notes(s *Summary) {
	if s.Unverified == 0 && s.OlderReports == 0 && s.Damaged.Count == 0 {
		return
	}
	p.put("<section>\n<h2>About the reports</h2>\n<ul>\n")
	if s.Unverified > 0 {
		p.put("<li>%s did not prove the variant by a test exec.</li>\n", counted(s.Unverified, "host"))
	}
	if m := s.MostRepeated; m != nil {
		p.put("<li>%s left out for a newer one of the same host, most often %s (%s). Hosts of one name count as one.</li>\n",
			counted(s.OlderReports, "report"), m.Host, counted(m.Reports, "report"))
	}
	if s.Damaged.Count > 0 {
		p.put("<li><details><summary>%s left out</summary><ul>\n", counted(s.Damaged.Count, "damaged report"))
		for _, d := range s.Damaged.First {
			p.put("<li>%s</li>\n", d)
		}
		p.put("</ul></details></li>\n")
	}
	p.put("</ul>\n</section>\n")
}
