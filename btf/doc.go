// SPDX-License-Identifier: Apache-2.0

// Package btf finds the BTF of a kernel that does not carry its own: in files, in trees with the
// layout of btfhub-archive, in the debug symbols that distributions install, in bundles that it
// makes itself, and on mirrors.
//
// Every such file is taken for hostile. It is unpacked within bounds, read by a decoder that
// cannot be led astray ([raw]), and only what the CO-RE programs ask for is handed on.
package btf
