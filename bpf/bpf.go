// SPDX-License-Identifier: Apache-2.0

// Package bpf holds the CO-RE program of everyexec, the body that all programs share and the
// layout of the records that they write (exec.h).
//
// The object is built by clang on `make generate` and committed, so that `go build` needs no
// clang. It is little-endian and the same for amd64 and arm64.
package bpf

//go:generate go tool bpf2go -target bpfel -cflags "-O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -mcpu=v1" Core exec.bpf.c
