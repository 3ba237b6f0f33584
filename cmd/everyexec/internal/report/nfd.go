// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/everyexec/everyexec/loader"
)

// NFD writes a feature file for the local source of Node Feature Discovery: one `name=value` in a
// line, each of which becomes the node label feature.node.kubernetes.io/name. It has no comments,
// which old releases of Node Feature Discovery would take for features. All values are words of
// ours, so that they are valid in a label.
func NFD(w io.Writer, r *loader.Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "everyexec-verdict=%s\n", r.Verdict)
	fmt.Fprintf(&b, "everyexec-variant=%s\n", selectedName(r))
	missing := Missing(r.Selected, r.Variants)
	for _, f := range Fields {
		fmt.Fprintf(&b, "everyexec-field-%s=%t\n", f, !slices.Contains(missing, f))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func selectedName(r *loader.Report) string {
	if r.Selected == nil {
		return "none"
	}
	return string(*r.Selected)
}
