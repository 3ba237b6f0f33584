// SPDX-License-Identifier: Apache-2.0

package report

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

func TestPrometheusIsValid(t *testing.T) {
	reports := made()
	reports["hostile"] = hostile()
	for name, r := range reports {
		text := render(t, "prometheus", r)
		problems, err := promlint.New(strings.NewReader(text)).Lint()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s: %s", name, p.Metric, p.Text)
		}
	}
}

func TestPrometheusSaysWhatTheReportSays(t *testing.T) {
	r := made()["degraded"]
	const odd = "a\\n\"b\"\nc\\"
	r.Probes[0].Name = odd
	r.Probes = append(r.Probes, r.Probes[0]) // twice the same must come once
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(render(t, "prometheus", r)))
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for name, f := range families {
		for _, m := range f.Metric {
			key := name
			for _, l := range m.Label {
				key += " " + l.GetValue()
			}
			if _, twice := values[key]; twice {
				t.Errorf("%s comes twice", key)
			}
			values[key] = m.GetGauge().GetValue()
		}
	}
	for key, want := range map[string]float64{
		"everyexec_check_info 4.15.0-213-generic x86_64 ubuntu 18.04": 1,
		"everyexec_check_verdict degraded":                            1,
		"everyexec_check_verdict full":                                0,
		"everyexec_check_variant_selected stub":                       1,
		"everyexec_check_variant_selected core":                       0,
		"everyexec_check_variant_usable core":                         0,
		"everyexec_check_variant_verified stub":                       1,
		"everyexec_check_field_available ppid":                        0,
		"everyexec_check_field_available args":                        1,
		"everyexec_check_probe " + odd + " yes":                       1,
		"everyexec_check_probe kernel BTF no":                         1,
		"everyexec_check_time_seconds":                                float64(r.Time.UnixMilli()) / 1000,
	} {
		if got, ok := values[key]; !ok || got != want {
			t.Errorf("%s is %v (there: %t), want %v", key, got, ok, want)
		}
	}
	if got := len(families["everyexec_check_field_available"].Metric); got != len(Fields) {
		t.Errorf("%d fields, want %d", got, len(Fields))
	}
}
