// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"slices"
	"testing"

	"github.com/everyexec/everyexec/cmd/everyexec/internal/reporttest"
	"github.com/everyexec/everyexec/loader"
)

// set changes the result of a probe.
func set(r *loader.Report, name string, result loader.Result) {
	i := slices.IndexFunc(r.Probes, func(p loader.Probe) bool { return p.Name == name })
	r.Probes[i].Result = result
}

// unusable makes a report one on which nothing can trace, although it is allowed to.
func unusable(m reporttest.Machine) *loader.Report {
	r := reporttest.Report(m, true)
	r.Selected, r.Verdict = nil, loader.Unusable
	for i := range r.Variants {
		v := &r.Variants[i]
		if v.Usable {
			*v = loader.VariantReport{Name: v.Name, Reason: string(v.Name) + " is stuck", Remedy: "unstick " + string(v.Name)}
		}
	}
	return r
}

func TestNeed(t *testing.T) {
	caps := "this user may not load BPF programs: neither CAP_BPF and CAP_PERFMON nor CAP_SYS_ADMIN"
	with := func(r *loader.Report, change func(*loader.Report)) *loader.Report {
		change(r)
		return r
	}
	for _, c := range []struct {
		name    string
		report  *loader.Report
		shipBTF bool
		reason  string // "" where nothing besides BTF is needed
		missing string
		after   loader.Verdict // once the BTF is shipped
	}{
		{"full", reporttest.Report(withBTF, true), false, "", "", loader.Full},
		{"full without BTF, by learned offsets", with(reporttest.Report(withoutBTF, true), func(r *loader.Report) {
			r.Verdict = loader.Full
			r.Variants[3].Fields = reporttest.AllFields
		}), false, "", "", loader.Full},
		{"stub for want of BTF", reporttest.Report(withoutBTF, true), true, "", "ppid", loader.Full},
		{"external BTF that does not help", with(reporttest.Report(withoutBTF, true), func(r *loader.Report) {
			external := loader.CoreExternal
			r.Selected = &external
			r.Variants[1] = loader.VariantReport{Name: external, Usable: true, Fields: r.Variants[3].Fields}
		}), false, "the kernel has no BTF of its own: /sys/kernel/btf/vmlinux is not there", "ppid", loader.Degraded},
		{"no privilege", reporttest.Report(withBTF, false), false, caps, "all", loader.Unusable},
		{"no privilege and no BTF", reporttest.Report(withoutBTF, false), true, caps, "all", loader.Unusable},
		{"stub although the kernel has BTF", with(reporttest.Report(withBTF, true), func(r *loader.Report) {
			stub := loader.Stub
			r.Selected, r.Verdict = &stub, loader.Degraded
			r.Variants[0] = loader.VariantReport{Name: loader.Core, Reason: "the verifier says no", Remedy: "report it"}
		}), false, "the verifier says no", "ppid", loader.Degraded},
		{"stub, and whether the kernel has BTF is not known", with(reporttest.Report(withoutBTF, true), func(r *loader.Report) {
			set(r, "kernel BTF", loader.Unknown)
		}), false, "the kernel has no BTF of its own: /sys/kernel/btf/vmlinux is not there", "ppid", loader.Degraded},
		{"unusable for want of BTF only", unusable(withoutBTF), true, "", "all", loader.Full},
		{"the same without tracefs, on raw tracepoints", with(unusable(withoutBTF), func(r *loader.Report) {
			set(r, "tracefs", loader.No)
		}), true, "", "all", loader.Full},
		{"without tracefs and raw tracepoints", with(unusable(withoutBTF), func(r *loader.Report) {
			set(r, "tracefs", loader.No)
			set(r, "raw tracepoint programs", loader.No)
		}), true, "stub is stuck", "all", loader.Unusable},
		{"under lockdown", with(unusable(withoutBTF), func(r *loader.Report) {
			set(r, "lockdown", loader.No)
		}), true, "stub is stuck", "all", loader.Unusable},
		{"no probe knows", with(unusable(withoutBTF), func(r *loader.Report) {
			for i := range r.Probes {
				if r.Probes[i].Name != "kernel BTF" {
					r.Probes[i].Result = loader.Unknown
				}
			}
		}), true, "stub is stuck", "all", loader.Unusable},
	} {
		r, err := decode([]byte(encode(t, c.report)))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		class := classOf(r)
		row := newRow(&class)
		if row.ShipBTF != c.shipBTF || row.Reason != c.reason || row.Shipped.Verdict != c.after {
			t.Errorf("%s: ship BTF %t, reason %q, then %s; want %t, %q, %s",
				c.name, row.ShipBTF, row.Reason, row.Shipped.Verdict, c.shipBTF, c.reason, c.after)
		}
		if got := missingCell(*row); got != c.missing && (got != "-" || c.missing != "") {
			t.Errorf("%s: missing %q, want %q", c.name, got, c.missing)
		}
		if (c.reason == "") != (row.Remedy == "") {
			t.Errorf("%s: reason %q, but remedy %q", c.name, row.Reason, row.Remedy)
		}
	}
}
