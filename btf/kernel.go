// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"bytes"
	"fmt"
	"os"

	"github.com/cilium/ebpf/btf"
)

// KernelPath is where a kernel built with CONFIG_DEBUG_INFO_BTF shows its own BTF.
const KernelPath = "/sys/kernel/btf/vmlinux"

// LoadKernel returns the running kernel's own types, and of them no more than needs name: an
// index of all takes several times as long, and some ten MB.
func LoadKernel(needs *Needs) (*btf.Spec, error) {
	whole, err := os.ReadFile(KernelPath)
	if err != nil {
		return nil, fmt.Errorf("kernel BTF: %w", err)
	}
	r, err := parseRaw(whole)
	if err != nil {
		return nil, fmt.Errorf("kernel BTF %s: %w", KernelPath, err)
	}
	wire, err := minimise(r, needs)
	if err != nil {
		return nil, fmt.Errorf("kernel BTF %s: %w", KernelPath, err)
	}
	return btf.LoadSpecFromReader(bytes.NewReader(wire))
}
