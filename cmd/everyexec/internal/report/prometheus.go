// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/everyexec/everyexec/loader"
)

// Prometheus writes r as metrics in Prometheus' text format, for a file that node_exporter's
// textfile collector reads.
//
// The format is written by hand, since client_golang would make the binary 4 MB larger. The tests
// hold it against Prometheus' own parser and linter.
func Prometheus(w io.Writer, r *loader.Report) error {
	var m metrics
	m.family("info", "The kernel and the distribution that everyexec check saw, always 1.")
	m.gauge(1, "release", r.Kernel.Release, "arch", r.Kernel.Arch, "distro", r.Distro.ID, "version_id", r.Distro.VersionID)

	m.family("time_seconds", "When everyexec check ran, in seconds since 1970.")
	m.gauge(float64(r.Time.UnixMilli()) / 1000)

	m.family("verdict", "1 for the verdict of everyexec check, 0 for the others.")
	for _, v := range []loader.Verdict{loader.Full, loader.Degraded, loader.Unusable} {
		m.gauge(oneIf(v == r.Verdict), "verdict", string(v))
	}
	m.family("variant_selected", "1 for the variant that everyexec trace would run, 0 for the others.")
	for _, v := range r.Variants {
		m.gauge(oneIf(string(v.Name) == selectedName(r)), "variant", string(v.Name))
	}
	m.family("variant_usable", "1 if the variant can run here, else 0.")
	for _, v := range r.Variants {
		m.gauge(oneIf(v.Usable), "variant", string(v.Name))
	}
	m.family("variant_verified", "1 if the variant was proved by a test exec, else 0.")
	for _, v := range r.Variants {
		m.gauge(oneIf(v.Verified), "variant", string(v.Name))
	}
	m.family("field_available", "1 if the selected variant delivers the field, else 0.")
	missing := Missing(r.Selected, r.Variants)
	for _, f := range Fields {
		m.gauge(oneIf(!slices.Contains(missing, f)), "field", f)
	}
	m.probes(r.Probes)

	_, err := io.WriteString(w, m.String())
	return err
}

// metrics is a text under construction.
type metrics struct {
	strings.Builder
	name string // of the family
}

func (m *metrics) family(name, help string) {
	m.name = "everyexec_check_" + name
	fmt.Fprintf(m, "# HELP %s %s\n# TYPE %s gauge\n", m.name, help, m.name)
}

// inLabel escapes a label's value.
var inLabel = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// gauge writes one metric of the family. labels are names, each with its value behind it.
func (m *metrics) gauge(value float64, labels ...string) {
	m.WriteString(m.name)
	lead := "{"
	for pair := range slices.Chunk(labels, 2) {
		fmt.Fprintf(m, `%s%s="%s"`, lead, pair[0], inLabel.Replace(strings.ToValidUTF8(pair[1], "\uFFFD")))
		lead = ","
	}
	if len(labels) > 0 {
		m.WriteString("}")
	}
	fmt.Fprintf(m, " %g\n", value)
}

// probes writes each result once, since a metric may not come twice.
func (m *metrics) probes(probes []loader.Probe) {
	m.family("probe", "1 for the result of the probe: yes, no or unknown.")
	seen := make(map[[2]string]bool)
	for _, p := range probes {
		key := [2]string{p.Name, string(p.Result)}
		if !seen[key] {
			seen[key] = true
			m.gauge(1, "probe", p.Name, "result", string(p.Result))
		}
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
