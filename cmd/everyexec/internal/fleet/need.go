// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"slices"
	"strings"

	"github.com/everyexec/everyexec/cmd/everyexec/internal/report"
	"github.com/everyexec/everyexec/loader"
)

// class is what hosts must have in common to share a row: all that the report of one says about
// its kernel, what it gets there and what is in the way of more.
type class struct {
	kernel   loader.Kernel // without Version
	distro   loader.Distro
	variant  loader.Variant // "" when nothing can trace
	verdict  loader.Verdict
	verified bool
	missing  string // names of fields, joined by commas
	shipBTF  bool   // the kernel has no BTF, and none was found for it
	needs    bool   // something besides BTF stands in the way
	reason   string // what that is
	remedy   string
}

// classOf sums up one checked report.
func classOf(r *hostReport) class {
	c := class{
		kernel:  loader.Kernel{Release: r.Kernel.Release, Arch: r.Kernel.Arch},
		distro:  r.Distro,
		verdict: r.Verdict,
		missing: strings.Join(report.Missing(r.Selected, r.Variants), ","),
	}
	if r.Selected != nil {
		c.variant = *r.Selected
		c.verified = r.variant(c.variant).Verified
	}
	if r.Verdict == loader.Full {
		return c
	}
	c.shipBTF = lacksBTF(r)
	if c.shipBTF && bpfWorks(r) {
		return c
	}
	c.needs = true
	c.reason, c.remedy = obstacle(r, c.shipBTF)
	return c
}

// lacksBTF tells whether the host has neither a BTF of its kernel nor one from elsewhere.
func lacksBTF(r *hostReport) bool {
	return r.probe("kernel BTF") == loader.No &&
		!r.variant(loader.Core).Usable && !r.variant(loader.CoreExternal).Usable
}

// bpfNeeds are the probes that every variant needs a yes from.
var bpfNeeds = []string{"capabilities", "bpf syscall", "lockdown", "tracepoint programs"}

// bpfWorks tells whether the host would run a variant with BTF if it had the BTF: either another
// variant runs there already, or no probe that matters said no and at least one said yes.
func bpfWorks(r *hostReport) bool {
	if r.Selected != nil {
		return true
	}
	yes := false
	for _, name := range bpfNeeds {
		switch r.probe(name) {
		case loader.No:
			return false
		case loader.Yes:
			yes = true
		}
	}
	// The variants with BTF hook the raw tracepoint, which needs no tracefs, or else an ordinary one.
	hooks := r.probe("raw tracepoint programs") == loader.Yes || r.probe("tracefs") == loader.Yes
	return yes && hooks
}

// probe returns the result of the named probe, unknown if the report has none.
func (r *hostReport) probe(name string) loader.Result {
	i := slices.IndexFunc(r.Probes, func(p probe) bool { return p.Name == name })
	if i < 0 {
		return loader.Unknown
	}
	return r.Probes[i].Result
}

// obstacle returns what stands in the way of the best variant. Where that is BTF and something
// else, the stub, which needs no BTF, knows the something else.
func obstacle(r *hostReport, lacksBTF bool) (reason, remedy string) {
	if lacksBTF {
		stub := r.variant(loader.Stub)
		return stub.Reason, stub.Remedy
	}
	for _, v := range r.Variants {
		if !v.Usable {
			return v.Reason, v.Remedy
		}
		if r.Selected != nil && v.Name == *r.Selected {
			break // nothing better was refused
		}
	}
	return "", ""
}
