// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"context"
	"os"
	"time"

	"github.com/everyexec/everyexec/event"
)

// Check probes the host and, unless the options forbid it, proves each variant by running it. It
// changes nothing on the host. Of the options it regards those that Open probes and chooses by;
// Variant and Require are for Open alone.
func Check(ctx context.Context, o Options) (*Report, error) {
	o = o.withDefaults()
	o.CacheDir = "" // nothing is to be written
	tracefs, tracefsErr := openTracefs()
	defer tracefs.Close()
	facts := probe(tracefs, tracefsErr)

	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	r := &Report{
		Schema:  ReportSchema,
		Time:    time.Now().UTC(),
		Host:    host,
		Kernel:  facts.Kernel,
		Distro:  facts.Distro,
		Verdict: Unusable,
	}
	for _, p := range choose(facts, o.Fails) {
		p = studied(ctx, p, facts, tracefs, o)
		v := checkVariant(ctx, &p, facts, tracefs, o)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		r.Variants = append(r.Variants, v)
		if v.Usable && r.Selected == nil {
			r.Selected = &v.Name
			r.Verdict = verdict(p.fields)
		}
	}
	// Only now, as running the variants has told more of them.
	r.Probes = append(facts.probes(), surroundings(tracefs)...)
	return r, nil
}

func verdict(delivered event.Fields) Verdict {
	if delivered.Has(promised) {
		return Full
	}
	return Degraded
}

// checkVariant runs one variant, up to the point at which Open would return it.
func checkVariant(ctx context.Context, p *plan, f *Facts, fs *tracefs, o Options) VariantReport {
	v := VariantReport{Name: p.variant, Fields: []string{}}
	if p.obstacle != nil {
		v.Reason, v.Remedy = p.obstacle.reason, p.obstacle.remedy
		return v
	}
	t, err := startVariant(ctx, p, f, fs, o)
	if err != nil {
		v.Reason, v.Remedy = explain(err)
		if v.Remedy == "" {
			v.Remedy = "report this with the output of: everyexec check -o json"
		}
		return v
	}
	v.Usable = true
	v.Fields = (p.fields & promised).Names()
	v.Verified, v.Reason = t.Verified()
	if err := t.Close(); err != nil {
		v.Reason = "close: " + err.Error()
	}
	return v
}
