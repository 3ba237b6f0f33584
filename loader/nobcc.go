// SPDX-License-Identifier: Apache-2.0

//go:build !bcc

package loader

import (
	"context"
	"errors"

	"github.com/cilium/ebpf"
)

func probeBCC() Probe {
	return Probe{
		Name:   "BCC",
		Result: No,
		Detail: "built without BCC",
		Remedy: "build with `make build-bcc`, which needs libbcc (run: apt-get install libbpfcc-dev, or dnf install bcc-devel), " +
			"and run bin/everyexec-bcc where libbcc is installed (libbpfcc, or bcc)",
		Source: "this binary",
	}
}

func loadBCC(context.Context, *ebpf.CollectionSpec, *Facts) (*ebpf.Collection, error) {
	return nil, errors.New("built without BCC")
}
