// SPDX-License-Identifier: Apache-2.0

//go:build btfbundle

package btf

import _ "embed"

// The bundle that `make build BTF_BUNDLE=file` puts here.
//
//go:embed embedded.bundle
var embedded []byte
