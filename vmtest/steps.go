// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"strings"

	"github.com/everyexec/everyexec/vmtest/guest"
)

// Names of steps.
const (
	checkStep = "check"
	suiteStep = "suite"
	tracePart = "trace-" // and the name of a variant, or auto
)

// probeSteps ask everyexec what it can do here, and then whether that is so: each variant by name.
func probeSteps(btf bool) []guest.Step {
	const seconds = 120 // emulated CPUs are slow
	check := []string{guest.BinaryPath, "check", "-o", "json"}
	if btf {
		check = append(check, "--btf", guest.BTFPath)
	}
	steps := []guest.Step{{Name: checkStep, Args: check, Seconds: seconds}}
	for _, v := range append([]string{"auto"}, variantNames...) {
		args := []string{guest.BinaryPath, "trace", "--variant", v, "--duration", "100ms"}
		if btf && v != "core" && v != "stub" {
			args = append(args, "--btf", guest.BTFPath)
		}
		steps = append(steps, guest.Step{Name: tracePart + v, Args: args, Seconds: seconds})
	}
	return steps
}

// suiteSteps run the torture suite through some variants.
func suiteSteps(variants []string, expected json.RawMessage, btf bool, run string) []guest.Step {
	if len(variants) == 0 {
		return nil
	}
	const secondsEach = 900
	env := []string{
		"EVERYEXEC_TEST_VARIANTS=" + strings.Join(variants, ","),
		"EVERYEXEC_TEST_QUIET=1",
	}
	if len(expected) > 0 {
		env = append(env, "EVERYEXEC_TEST_KERNEL="+string(expected))
	}
	if btf {
		env = append(env, "EVERYEXEC_TEST_BTF="+guest.BTFPath)
	}
	args := []string{"/init", "-test.v", "-test.timeout=0"}
	if run != "" {
		args = append(args, "-test.run="+run)
	}
	return []guest.Step{{Name: suiteStep, Args: args, Env: env, Seconds: secondsEach * len(variants)}}
}
