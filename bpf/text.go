// SPDX-License-Identifier: Apache-2.0

//go:build bcc

package bpf

import "embed"

// Text holds the C that all programs share, for the one that is compiled on the host.
//
//go:embed *.h
var Text embed.FS
