// SPDX-License-Identifier: Apache-2.0

//go:build bcc

package bpf_noncore

import (
	_ "embed"
	"fmt"
	"strings"

	"github.com/everyexec/everyexec/bpf"
)

//go:embed exec.bcc.c
var bccMain string

// BCC returns the program that libbcc compiles as one text: each of our own headers stands where
// it is included.
func BCC() (string, error) { return inline(bccMain) }

func inline(text string) (string, error) {
	var out strings.Builder
	for line := range strings.Lines(text) {
		name, ok := strings.CutPrefix(line, `#include "`)
		if !ok {
			out.WriteString(line)
			continue
		}
		name, _, _ = strings.Cut(name, `"`)
		header, err := bpf.Text.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("include %s: %w", name, err)
		}
		inlined, err := inline(string(header))
		if err != nil {
			return "", err
		}
		out.WriteString(inlined)
	}
	return out.String(), nil
}
