// SPDX-License-Identifier: Apache-2.0

// Package bpf_noncore holds the programs of everyexec that need no BTF of the running kernel.
//
// The stub knows no kernel type: it reads tracepoint payloads and helpers only, and its object
// holds no CO-RE relocation. It shares its body with package bpf.
package bpf_noncore

//go:generate go tool bpf2go -target bpfel -cflags "-O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -mcpu=v1 -I../bpf" Stub stub.bpf.c
//go:generate go tool bpf2go -target bpfel -cflags "-O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -mcpu=v1 -I../bpf" Learn learn.bpf.c
