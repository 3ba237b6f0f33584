// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/json"
	"io"
	"slices"

	"github.com/everyexec/everyexec/loader"
)

// JSON writes r as one line of JSON, so that the reports of many hosts may be put into one file.
// docs/check.schema.json describes it.
func JSON(w io.Writer, r *loader.Report) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(withoutNull(r))
}

// withoutNull returns r with empty lists in place of nil ones, which JSON would show as null.
func withoutNull(r *loader.Report) *loader.Report {
	full := *r
	if full.Probes == nil {
		full.Probes = []loader.Probe{}
	}
	full.Variants = slices.Clone(r.Variants)
	for i := range full.Variants {
		if full.Variants[i].Fields == nil {
			full.Variants[i].Fields = []string{}
		}
	}
	return &full
}
