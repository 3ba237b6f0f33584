// SPDX-License-Identifier: Apache-2.0

package report

import (
	"slices"

	"github.com/everyexec/everyexec/event"
	"github.com/everyexec/everyexec/loader"
)

// Fields are the fields that a full variant delivers, by their JSON names. The cgroup id is not
// among them, since no variant has it on kernels without the helper (before 4.18).
var Fields = (event.All &^ event.CgroupID).Names()

// Missing lists what the selected variant does not deliver although it is one of the Fields, or
// another variant here would deliver it.
func Missing(selected *loader.Variant, variants []loader.VariantReport) []string {
	all := slices.Clone(Fields)
	var has []string
	for _, v := range variants {
		if selected != nil && v.Name == *selected {
			has = v.Fields
		}
		for _, f := range v.Fields {
			if !slices.Contains(all, f) {
				all = append(all, f)
			}
		}
	}
	return slices.DeleteFunc(all, func(f string) bool { return slices.Contains(has, f) })
}
