// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"context"
	"errors"
	"fmt"

	"github.com/everyexec/everyexec/bpf"
	"github.com/everyexec/everyexec/btf"
)

// probeExternalBTF leaves the search to the attempt: only a program that runs and sees the right
// values proves a BTF.
func probeExternalBTF() Probe {
	return Probe{
		Name:   "external BTF",
		Result: Unknown,
		Detail: "not searched, as nothing can trace here",
		Source: "the places named in docs/external-btf.md",
	}
}

// startExternal tries the BTFs that are found for this kernel, until the programs see the right
// values with one.
func startExternal(ctx context.Context, p *plan, f *Facts, fs *tracefs, o Options) (*Tracer, error) {
	q, err := externalQuery(f, o.BTF)
	if err != nil {
		return nil, err
	}
	search := btf.NewSearch(q)
	for found := range search.Found(ctx) {
		t, err := startWith(ctx, found, p, f, fs, o)
		if err == nil {
			f.ExternalBTF.Result, f.ExternalBTF.Detail = Yes, found.String()
			return t, nil
		}
		if errors.Is(err, errNotSeen) {
			err = fmt.Errorf("%w, as when the BTF is that of another kernel", err)
		}
		search.Reject(err)
		o.Logger.Warn("external BTF rejected", "place", found.Place, "path", found.Path, "reason", err)
	}
	f.ExternalBTF.Result, f.ExternalBTF.Detail = No, search.Err().Error()
	f.ExternalBTF.Remedy = externalRemedy
	return nil, &obstacle{
		reason: search.Err().Error(),
		remedy: externalRemedy,
		// Whoever named no place does not miss what is in none.
		expected: !q.Named() && !search.Rejected(),
	}
}

const externalRemedy = "everyexec btf fetch --btf-url URL (of a mirror of btfhub-archive), " +
	"or name BTF for exactly this kernel with --btf FILE, --btf-dir DIR or --btf-bundle FILE"

// startWith starts the variant with the types of one BTF.
func startWith(ctx context.Context, found *btf.BTF, p *plan, f *Facts, fs *tracefs, o Options) (*Tracer, error) {
	types, err := found.Spec()
	if err != nil {
		return nil, fmt.Errorf("read its types: %w", err)
	}
	try := *p
	try.types = types
	try.why = "external BTF from " + found.String()
	return start(ctx, &try, f, fs, o)
}

// externalQuery says which kernel this is to a query that says where to look.
func externalQuery(f *Facts, q btf.Query) (btf.Query, error) {
	var err error
	if q.Needs, err = btf.ReadNeeds(bpf.CoreObject()); err != nil {
		return q, err
	}
	q.Release, q.Arch = f.Kernel.Release, f.Kernel.Arch
	if q.Distro.ID == "" {
		// Not known, it is the kernel's release alone that is searched for.
		q.Distro, _, _ = btf.HostDistro()
	}
	return q, nil
}
