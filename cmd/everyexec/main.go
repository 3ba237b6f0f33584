// SPDX-License-Identifier: Apache-2.0

// Command everyexec shows every program that starts on this machine.
package main

import (
	"os"

	"github.com/everyexec/everyexec/loader"
)

func main() {
	if loader.IsTestExec() {
		os.Exit(loader.RunTestExec())
	}
	os.Exit(exitCode(run(os.Args[1:])))
}
