// SPDX-License-Identifier: Apache-2.0

// Package report renders what `everyexec check` found: for people, as JSON, as metrics for
// node_exporter's textfile collector, and as a feature file for Kubernetes Node Feature Discovery.
package report

import (
	"io"

	"github.com/everyexec/everyexec/cmd/everyexec/internal/terminal"
	"github.com/everyexec/everyexec/loader"
)

// Formats are the values that check's --output takes.
var Formats = []string{"text", "json", "prometheus", "nfd"}

// Write renders r in one of the Formats. The pen matters to text only.
func Write(w io.Writer, format string, r *loader.Report, pen terminal.Pen) error {
	switch format {
	case "json":
		return JSON(w, r)
	case "prometheus":
		return Prometheus(w, r)
	case "nfd":
		return NFD(w, r)
	}
	return Text(w, r, pen)
}
