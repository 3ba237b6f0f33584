// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"testing"
)

func TestLearnX(t *testing.T) {
	for range 5 {
		o, err := LearnOffsets(t.Context(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Log(o, o.proof())
	}
}
