// SPDX-License-Identifier: Apache-2.0

package bpf

import "slices"

// CoreObject returns the CO-RE object as clang made it, an ELF file. Package btf reads from it
// which kernel types and members the programs relocate against.
func CoreObject() []byte {
	return slices.Clone(_CoreBytes)
}
