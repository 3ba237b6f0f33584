// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/everyexec/everyexec/vmtest/guest"
)

// Names of steps.
const (
	checkStep = "check"
	suiteStep = "suite"
	tracePart = "trace-" // and the name of a variant, or auto
	workPart  = "work-"  // and the name of a variant
)

// probeSteps ask everyexec what it can do here, and then whether that is so: each variant by name.
func probeSteps() []guest.Step {
	const seconds = 120 // emulated CPUs are slow
	steps := []guest.Step{{Name: checkStep, Args: []string{guest.BinaryPath, "check", "-o", "json"}, Seconds: seconds}}
	for _, v := range append([]string{"auto"}, variantNames...) {
		args := []string{guest.BinaryPath, "trace", "--variant", v, "--duration", "100ms"}
		steps = append(steps, guest.Step{Name: tracePart + v, Args: args, Seconds: seconds})
	}
	return steps
}

// workSteps trace the same workload through some variants.
func workSteps(variants []string) (steps []guest.Step) {
	for _, v := range variants {
		args := []string{guest.BinaryPath, "trace", "--variant", v, "-o", "json"}
		steps = append(steps, guest.Step{Name: workPart + v, Args: args, Seconds: 300, Workload: true})
	}
	return steps
}

// suiteSteps run the torture suite through some variants.
func suiteSteps(variants []string, expected json.RawMessage, run string) []guest.Step {
	if len(variants) == 0 {
		return nil
	}
	const (
		secondsEach = 900
		storm       = 2000 // execs: an emulated CPU needs a minute for them
	)
	env := []string{
		"EVERYEXEC_TEST_VARIANTS=" + strings.Join(variants, ","),
		"EVERYEXEC_TEST_QUIET=1",
		fmt.Sprintf("EVERYEXEC_TEST_STORM=%d", storm),
	}
	if len(expected) > 0 {
		env = append(env, "EVERYEXEC_TEST_KERNEL="+string(expected))
	}
	args := []string{"/init", "-test.v", "-test.timeout=0"}
	if run != "" {
		args = append(args, "-test.run="+run)
	}
	return []guest.Step{{Name: suiteStep, Args: args, Env: env, Seconds: secondsEach * len(variants)}}
}

// slower gives steps the time that a compiler takes on emulated CPUs.
func slower(steps []guest.Step) []guest.Step {
	for i := range steps {
		steps[i].Seconds *= 4
	}
	return steps
}
