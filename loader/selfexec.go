// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"os"
	"os/exec"
	"runtime"
)

// selfTestVariable tells our own binary that it is executed as a test exec.
const selfTestVariable = "EVERYEXEC_TEST_EXEC"

// IsTestExec reports whether this process is a test exec of Options.SelfTest. A program that
// sets that option asks at the begin of main, and if so exits with what RunTestExec returns.
func IsTestExec() bool { return os.Getenv(selfTestVariable) != "" }

// RunTestExec does what the little test program does: called with PATH PATH NONCE it executes
// PATH NONCE as a child; else it says that it runs, and waits until its stdin ends. It returns the
// exit code.
func RunTestExec() int {
	// The loader looks at the thread that is the parent.
	runtime.LockOSThread()
	if len(os.Args) != 3 {
		// Nobody may be there to listen or to be waited for.
		_, _ = os.Stdout.Write(ownStack())
		_, _ = os.Stdin.Read(make([]byte, 1))
		return 0
	}
	cmd := exec.Cmd{Path: os.Args[1], Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout}
	if err := cmd.Run(); err != nil {
		return 1
	}
	return 0
}
