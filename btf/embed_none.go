// SPDX-License-Identifier: Apache-2.0

//go:build !btfbundle

package btf

var embedded []byte
