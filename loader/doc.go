// SPDX-License-Identifier: Apache-2.0

// Package loader brings an exec tracer up on the running kernel, whatever that kernel offers.
//
// [Open] probes the kernel, chooses the best variant of the BPF program, loads and attaches it,
// proves it by a test exec, and returns a [Tracer] to read events from. [Check] does the same for
// every variant and returns a [Report] instead. They share one way through the code, so they
// cannot disagree:
//
//	probe -> choose -> load and attach -> verify -> read
//
// Probing gathers [Facts]; choosing is a pure function of them.
package loader
