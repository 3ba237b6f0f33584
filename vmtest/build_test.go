// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"testing"
)

func TestNotTaken(t *testing.T) {
	const asked = "# a comment, with CONFIG_X=y in it\nCONFIG_A=y\nCONFIG_B=y\nCONFIG_C=\"-x\"\nCONFIG_D=y\n# CONFIG_A is not set\n# CONFIG_E is not set\n# CONFIG_F is not set\n"
	const got = "CONFIG_B=y\nCONFIG_C=\"-x\"\nCONFIG_DD=y\n# CONFIG_F is not set\nCONFIG_E=m\n"
	if missing := notTaken(asked, got); !slices.Equal(missing, []string{"# CONFIG_E is not set", "CONFIG_D=y"}) {
		t.Errorf("got %q", missing)
	}
}
