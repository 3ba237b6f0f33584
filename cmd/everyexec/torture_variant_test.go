// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/json"
	"maps"
	"math"
	"os"
	"strings"
	"testing"
)

// variant says what a variant delivers.
type variant struct {
	name    string
	of      string            // the product's name for it, if it is another
	with    []string          // flags that make it so
	ppid    string            // where ppid comes from
	unknown map[string]string // field to reason
	argv    bool              // args are those passed to execve, not the new image's
}

// product is the name that the product gives the variant.
func (v variant) product() string { return cmp.Or(v.of, v.name) }

// allVariants has a line for each; the kernel may make more unknown.
var allVariants = []variant{
	{name: "core", ppid: "task"},
	{name: "core-external", ppid: "task"},
	{name: "bcc", ppid: "task"},
	{name: "stub", ppid: "learned"},
	{name: "stub-following", of: "stub", with: []string{"--no-learn"}, ppid: followed, argv: true},
	{name: "stub-bare", of: "stub", with: []string{"--no-learn", "--no-fork-tracking"}, argv: true, unknown: map[string]string{"ppid": "variant"}},
}

// flags are those that make trace run the variant, and more.
func (v variant) flags(more ...string) []string {
	flags := append([]string{"--variant", v.product()}, v.with...)
	if btf := os.Getenv(btfEnv); btf != "" && v.name == "core-external" {
		flags = append(flags, "--btf", btf)
	}
	return append(flags, more...)
}

// followed says that ppid is followed from forks, and so is not known when the parent has ended.
const followed = "fork"

// recordArgs is how many bytes of arguments a record holds, NULs included.
const recordArgs = 8192

// How many arguments are shown at least if their bytes find room: the new image's are one
// range of memory, and those passed are one read each.
const (
	imageArgs  = math.MaxInt
	passedArgs = 1536
)

// kernelExpectations are what the machine's kernel cannot give, from the environment:
// {"unknown":{"*":{"cgroup_id":"kernel"},"stub":{"args":"kernel"}},"skip":{"with-fails":"no syscall tracepoints"}}
type kernelExpectations struct {
	Unknown map[string]map[string]string `json:"unknown"` // variant or "*", to field, to reason
	Skip    map[string]string            `json:"skip"`    // the end of a test's name, to reason
}

const (
	expectationsEnv = "EVERYEXEC_TEST_KERNEL"   // kernelExpectations
	variantsEnv     = "EVERYEXEC_TEST_VARIANTS" // which to run, with commas
	stormEnv        = "EVERYEXEC_TEST_STORM"    // execs in a storm
	btfEnv          = "EVERYEXEC_TEST_BTF"      // file that core-external reads
	quietEnv        = "EVERYEXEC_TEST_QUIET"    // set where nothing but the suite executes programs
)

func expectations(t *testing.T) kernelExpectations {
	t.Helper()
	var k kernelExpectations
	text := os.Getenv(expectationsEnv)
	if text == "" {
		return k
	}
	if err := json.Unmarshal([]byte(text), &k); err != nil {
		t.Fatalf("%s: %v", expectationsEnv, err)
	}
	return k
}

// variants are those to run, with what this kernel makes unknown.
func variants(t *testing.T) []variant {
	t.Helper()
	names := os.Getenv(variantsEnv)
	if names == "" {
		names = "core,stub,stub-following,stub-bare"
	}
	var chosen []variant
	for name := range strings.SplitSeq(names, ",") {
		chosen = append(chosen, onThisKernel(t, name))
	}
	return chosen
}

// onThisKernel is a variant with what this kernel makes unknown.
func onThisKernel(t *testing.T, name string) variant {
	t.Helper()
	v := variantNamed(t, name)
	kernel := expectations(t)
	unknown := map[string]string{}
	for _, more := range []map[string]string{v.unknown, kernel.Unknown["*"], kernel.Unknown[name]} {
		maps.Copy(unknown, more)
	}
	v.unknown = unknown
	return v
}

func variantNamed(t *testing.T, name string) variant {
	t.Helper()
	for _, v := range allVariants {
		if v.name == name {
			return v
		}
	}
	t.Fatalf("%s: no variant %q", variantsEnv, name)
	return variant{}
}

// needs skips a test that this kernel cannot pass, or a user who may not trace.
func needs(t *testing.T) {
	t.Helper()
	for end, reason := range expectations(t).Skip {
		if t.Name() == end || strings.HasSuffix(t.Name(), "/"+end) {
			t.Skip(reason)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if ns, err := os.Readlink("/proc/self/ns/pid"); err == nil && ns != "pid:[4026531836]" {
		t.Skip("needs the initial pid namespace: events have its pids")
	}
}
