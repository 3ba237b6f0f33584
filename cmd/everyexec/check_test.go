// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/everyexec/everyexec/loader"
)

// hosts are ways to run check that end in different reports.
func hosts(t *testing.T) map[string]func(args ...string) *exec.Cmd {
	check := func(role string) func(args ...string) *exec.Cmd {
		return func(args ...string) *exec.Cmd { return productCommand(role, append([]string{"check"}, args...)...) }
	}
	all := map[string]func(args ...string) *exec.Cmd{"this user": check(roleProduct)}
	if os.Geteuid() != 0 {
		t.Log("not root: an ordinary user and a kernel without BTF are left out")
		return all
	}
	if _, err := os.Stat(kernelBTF); err == nil {
		all["without BTF"] = check(roleNoBTF)
	}
	all["nobody"] = func(args ...string) *exec.Cmd {
		c := check(roleProduct)(args...)
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		return c
	}
	return all
}

func TestCheckPrintsWhatTheSchemaDescribes(t *testing.T) {
	needsSources(t)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	schema, err := compiler.Compile("../../docs/check.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, check := range hosts(t) {
		r := finish(t, check("-o", "json"))
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(r.stdout))
		if err != nil {
			t.Errorf("%s: %v\n%s%s", name, err, r.stdout, r.stderr)
			continue
		}
		if err := schema.Validate(v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Count(r.stdout, "\n") != 1 {
			t.Errorf("%s: not one line:\n%s", name, r.stdout)
		}
	}
}

// The verdict of check, in each of its formats, and of fleet on its report must be the same.
func TestCheckAndFleetAgree(t *testing.T) {
	for name, check := range hosts(t) {
		r := finish(t, check("-o", "json"))
		var report loader.Report
		if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
			t.Errorf("%s: %v\n%s%s", name, err, r.stdout, r.stderr)
			continue
		}
		want := map[loader.Verdict]int{loader.Full: 0, loader.Degraded: 3, loader.Unusable: 4}[report.Verdict]
		if r.code != want {
			t.Errorf("%s: exit code %d, but the verdict is %s", name, r.code, report.Verdict)
		}
		if sum := runFleetOn(t, r.stdout); sum.code != want || sum.stderr != "" {
			t.Errorf("%s: fleet exits with %d, want %d\n%s%s", name, sum.code, want, sum.stdout, sum.stderr)
		}
		text := finish(t, check("-o", "text"))
		if text.code != want || !strings.HasPrefix(text.stdout, string(report.Verdict)+": ") {
			t.Errorf("%s: text, exit code %d, want %d and %s first:\n%s", name, text.code, want, report.Verdict, text.stdout)
		}
		nfd := finish(t, check("-o", "nfd"))
		if nfd.code != want || !strings.HasPrefix(nfd.stdout, "everyexec-verdict="+string(report.Verdict)+"\n") {
			t.Errorf("%s: nfd, exit code %d, want %d:\n%s", name, nfd.code, want, nfd.stdout)
		}
		prom := finish(t, check("-o", "prometheus"))
		if problems, err := promlint.New(strings.NewReader(prom.stdout)).Lint(); err != nil || len(problems) > 0 {
			t.Errorf("%s: prometheus: %v %v\n%s", name, err, problems, prom.stdout)
		}
		if line := `everyexec_check_verdict{verdict="` + string(report.Verdict) + `"} 1`; prom.code != want || !strings.Contains(prom.stdout, line) {
			t.Errorf("%s: prometheus, exit code %d, want %d and %s:\n%s", name, prom.code, want, line, prom.stdout)
		}
	}
}

func TestCheckRefusesAnUnknownFormat(t *testing.T) {
	r := finish(t, productCommand(roleProduct, "check", "-o", "xml"))
	if r.code != exitUsage || r.stdout != "" || !strings.Contains(r.stderr, `"xml" is none of text, json, prometheus, nfd`) {
		t.Errorf("exit code %d, %q, %q", r.code, r.stdout, r.stderr)
	}
}
