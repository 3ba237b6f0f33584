// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"slices"
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

// mode is a way in which a variant can work. The stub has three, as the lesser ones come into play only where the kernel
// denies what the better ones need.
type mode struct {
	name    string // as the torture suite knows it
	variant string
	flags   []string
}

var modes = []mode{
	{name: "core", variant: "core"},
	{name: "core-external", variant: "core-external"},
	{name: "bcc", variant: "bcc"},
	{name: "stub", variant: "stub"},
	{name: "stub-following", variant: "stub", flags: []string{"--no-learn"}},
	{name: "stub-bare", variant: "stub", flags: []string{"--no-learn", "--no-fork-tracking"}},
}

// modesOf gives all modes of some variants.
func modesOf(variants []string) (all []mode) {
	for _, m := range modes {
		if slices.Contains(variants, m.variant) {
			all = append(all, m)
		}
	}
	return all
}

// workSteps trace the same workload in all modes of some variants.
func workSteps(variants []string) (steps []guest.Step) {
	for _, m := range modesOf(variants) {
		args := append([]string{guest.BinaryPath, "trace", "--variant", m.variant, "-o", "json"}, m.flags...)
		steps = append(steps, guest.Step{Name: workPart + m.name, Args: args, Seconds: 300, Workload: true})
	}
	return steps
}

// suiteSteps run the torture suite in all modes of some variants.
func suiteSteps(variants []string, expected json.RawMessage, run string) []guest.Step {
	if len(variants) == 0 {
		return nil
	}
	const (
		secondsEach = 900
		storm       = 2000 // execs: an emulated CPU needs a minute for them
	)
	var names []string
	for _, m := range modesOf(variants) {
		names = append(names, m.name)
	}
	env := []string{
		"EVERYEXEC_TEST_VARIANTS=" + strings.Join(names, ","),
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
	return []guest.Step{{Name: suiteStep, Args: args, Env: env, Seconds: secondsEach * len(names)}}
}

// slower gives steps the time that a compiler takes on emulated CPUs.
func slower(steps []guest.Step) []guest.Step {
	for i := range steps {
		steps[i].Seconds *= 4
	}
	return steps
}
