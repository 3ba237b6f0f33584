// SPDX-License-Identifier: Apache-2.0

package loader

import (
	ciliumbtf "github.com/cilium/ebpf/btf"

	"github.com/everyexec/everyexec/bpf"
	"github.com/everyexec/everyexec/btf"
)

// kernelTypes returns what the CO-RE program needs of the kernel's own types.
func kernelTypes() (*ciliumbtf.Spec, error) {
	needs, err := btf.ReadNeeds(bpf.CoreObject())
	if err != nil {
		return nil, err
	}
	return btf.LoadKernel(needs)
}
