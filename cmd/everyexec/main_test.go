// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"testing"

	"github.com/everyexec/everyexec/loader"
	"github.com/everyexec/everyexec/vmtest/guest"
)

// The test binary is the product, the suite and its actors in one static file, so that it
// runs where nothing else does.

// roleEnv names what the test binary is to be instead of the suite.
const roleEnv = "EVERYEXEC_TEST_ROLE"

const (
	roleProduct = "everyexec" // the product, with the arguments given
	roleNoBTF   = "no-btf"    // the product, without the kernel's BTF
)

var roles = map[string]func(){
	roleProduct: func() { os.Exit(exitCode(run(os.Args[1:]))) },
	roleNoBTF:   hideBTF,
}

func TestMain(m *testing.M) {
	if loader.IsTestExec() {
		os.Exit(loader.RunTestExec())
	}
	if name := os.Getenv(roleEnv); name != "" {
		role, ok := roles[name]
		if !ok {
			fmt.Fprintf(os.Stderr, "%s: no role %q\n", roleEnv, name)
			os.Exit(2)
		}
		role()
		os.Exit(0)
	}
	guest.Main()
	os.Exit(m.Run())
}
