// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/sys/capability"
	"golang.org/x/sys/unix"

	"github.com/everyexec/everyexec/loader"
)

// roleConfined is the product without some capabilities, and with a remedy followed for it.
const roleConfined = "confined"

const (
	// dropEnv lists capabilities, by number, that the product is to be without.
	dropEnv = "EVERYEXEC_TEST_DROP"
	// tracefsEnv, if set, has tracefs mounted where the product looks, for the product alone.
	tracefsEnv = "EVERYEXEC_TEST_TRACEFS"
)

func init() { roles[roleConfined] = confine }

// confine becomes the product with less privilege.
func confine() {
	runtime.LockOSThread()
	fmt.Fprintln(os.Stderr, "confine:", becomeConfined())
	os.Exit(125)
}

func becomeConfined() error {
	if os.Getenv(tracefsEnv) != "" {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return err
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return err
		}
		// What the remedy says.
		if err := unix.Mount("nodev", "/sys/kernel/tracing", "tracefs", 0, ""); err != nil {
			return err
		}
	}
	for number := range strings.FieldsSeq(os.Getenv(dropEnv)) {
		n, err := strconv.Atoi(number)
		if err != nil {
			return err
		}
		// An exec by root takes what the bounding set leaves.
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(n), 0, 0, 0); err != nil {
			return err
		}
	}
	if err := os.Setenv(roleEnv, roleProduct); err != nil {
		return err
	}
	return syscall.Exec("/proc/self/exe", os.Args, os.Environ())
}

// checked is what check says on a confined host.
type checked struct {
	loader.Report
	code int
}

func runCheckConfined(t *testing.T, drop []capability.Cap, adapt func(*exec.Cmd)) checked {
	t.Helper()
	c := productCommand(roleConfined, "check", "-o", "json")
	var numbers []string
	for _, d := range drop {
		numbers = append(numbers, strconv.Itoa(int(d)))
	}
	c.Env = append(c.Env, dropEnv+"="+strings.Join(numbers, " "))
	if adapt != nil {
		adapt(c)
	}
	return readReport(t, c)
}

// readReport runs a check -o json.
func readReport(t *testing.T, c *exec.Cmd) checked {
	t.Helper()
	r := finish(t, c)
	got := checked{code: r.code}
	if err := json.Unmarshal([]byte(r.stdout), &got.Report); err != nil {
		t.Fatalf("%v: exit code %d\n%s%s", err, r.code, r.stdout, r.stderr)
	}
	return got
}

func (c checked) variant(name loader.Variant) loader.VariantReport {
	return c.Variants[slices.IndexFunc(c.Variants, func(v loader.VariantReport) bool { return v.Name == name })]
}

func (c checked) probe(name string) loader.Probe {
	if i := slices.IndexFunc(c.Probes, func(p loader.Probe) bool { return p.Name == name }); i >= 0 {
		return c.Probes[i]
	}
	return loader.Probe{}
}

// full demands that core runs and is proved.
func (c checked) full(t *testing.T) {
	t.Helper()
	if c.code != 0 || c.Verdict != loader.Full || c.Selected == nil || *c.Selected != loader.Core || !c.variant(loader.Core).Verified {
		t.Errorf("exit code %d, verdict %s, core %+v", c.code, c.Verdict, c.variant(loader.Core))
	}
}

// unusable demands that nothing can run, for a reason and with a remedy.
func (c checked) unusable(t *testing.T, reason, remedy string) {
	t.Helper()
	if c.code != exitUnusable || c.Verdict != loader.Unusable || c.Selected != nil {
		t.Errorf("exit code %d, verdict %s", c.code, c.Verdict)
	}
	for _, v := range c.Variants {
		if v.Usable || !strings.Contains(v.Reason, reason) || !strings.Contains(v.Remedy, remedy) {
			t.Errorf("%s: reason %q, remedy %q; want %q and %q", v.Name, v.Reason, v.Remedy, reason, remedy)
		}
	}
}

func needsModernHost(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("taking privilege away needs some")
	}
	if os.Getenv(quietEnv) != "" {
		t.Skip("a guest: what check must say there is known to who booted it")
	}
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		t.Skip("this kernel has no BTF, and another verdict")
	}
}

func TestCheckHosts(t *testing.T) {
	needsModernHost(t)
	admin := []capability.Cap{capability.CAP_SYS_ADMIN}
	t.Run("root", func(t *testing.T) { runCheckConfined(t, nil, nil).full(t) })

	t.Run("ordinary user", func(t *testing.T) {
		c := runCheckConfined(t, nil, func(c *exec.Cmd) {
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		})
		c.unusable(t, "CAP_BPF and CAP_PERFMON", `run as root, or: sudo setcap cap_bpf,cap_perfmon+ep "$(command -v everyexec)"`)
		if p := c.probe("CONFIG_BPF_SYSCALL"); p.Result != loader.Yes {
			t.Errorf("what needs no privilege is not said: %+v", p)
		}
		if p := c.probe("tracepoint programs"); p.Result != loader.Unknown || p.Detail == "" {
			t.Errorf("what needs privilege is not unknown: %+v", p)
		}
	})

	t.Run("ordinary user with the capabilities", func(t *testing.T) {
		c := productCommand(roleProduct, "check", "-o", "json")
		c.SysProcAttr = &syscall.SysProcAttr{
			Credential:  &syscall.Credential{Uid: 65534, Gid: 65534},
			AmbientCaps: []uintptr{uintptr(capability.CAP_BPF), uintptr(capability.CAP_PERFMON)},
		}
		readReport(t, c).full(t)
	})

	t.Run("no BTF", func(t *testing.T) {
		c := readReport(t, productCommand(roleNoBTF, "check", "-o", "json", "--no-learn", "--no-fork-tracking"))
		if c.code != exitUnavailable || c.Verdict != loader.Degraded || *c.Selected != loader.Stub {
			t.Errorf("exit code %d, verdict %s, selected %v", c.code, c.Verdict, *c.Selected)
		}
		core := c.variant(loader.Core)
		for _, way := range []string{"CONFIG_DEBUG_INFO_BTF=y", "--btf FILE", "--btf-dir DIR", "--btf-url URL"} {
			if core.Usable || !strings.Contains(core.Reason, "no BTF") || !strings.Contains(core.Remedy, way) {
				t.Errorf("core: %+v, want the way %s", core, way)
			}
		}
		// Follow the remedy.
		whole, err := os.ReadFile("/sys/kernel/btf/vmlinux")
		if err != nil {
			t.Fatal(err)
		}
		file := t.TempDir() + "/vmlinux.btf"
		if err := os.WriteFile(file, whole, 0o644); err != nil {
			t.Fatal(err)
		}
		c = readReport(t, productCommand(roleNoBTF, "check", "-o", "json", "--btf", file))
		if c.code != 0 || c.Verdict != loader.Full || *c.Selected != loader.CoreExternal || !c.variant(loader.CoreExternal).Verified {
			t.Errorf("the remedy did not help: exit code %d, %+v", c.code, c.variant(loader.CoreExternal))
		}
	})

	t.Run("pid namespace", func(t *testing.T) {
		c := runCheckConfined(t, nil, func(c *exec.Cmd) {
			c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
		})
		c.full(t)
		if p := c.probe("initial pid namespace"); p.Result != loader.No {
			t.Errorf("%+v", p)
		}
	})

	t.Run("user namespace", func(t *testing.T) {
		c := runCheckConfined(t, nil, func(c *exec.Cmd) {
			mapping := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}
			c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, UidMappings: mapping, GidMappings: mapping}
		})
		c.unusable(t, "user namespace", "run in the initial user namespace")
	})

	t.Run("tracefs", func(t *testing.T) {
		if _, err := os.Stat("/sys/kernel/tracing/events"); err == nil {
			t.Skip("tracefs is mounted here")
		}
		// Without CAP_SYS_ADMIN the product cannot mount it for itself. core does not need it.
		c := runCheckConfined(t, admin, nil)
		c.full(t)
		stub := c.variant(loader.Stub)
		if stub.Usable || !strings.Contains(stub.Reason, "tracefs is not mounted") ||
			!strings.Contains(stub.Remedy, "mount -t tracefs nodev /sys/kernel/tracing") {
			t.Errorf("stub: %+v", stub)
		}
		c = runCheckConfined(t, admin, func(c *exec.Cmd) { c.Env = append(c.Env, tracefsEnv+"=1") })
		if stub := c.variant(loader.Stub); !stub.Usable || !stub.Verified {
			t.Errorf("the remedy did not help: %+v", stub)
		}
	})
}

// TestCheckCapabilities takes each single capability away, and then those that matter together.
func TestCheckCapabilities(t *testing.T) {
	needsModernHost(t)
	last, err := capability.LastCap()
	if err != nil {
		t.Fatal(err)
	}
	for n := range last + 1 {
		t.Run(n.String(), func(t *testing.T) {
			c := runCheckConfined(t, []capability.Cap{n}, nil)
			c.full(t)
			name := "CAP_" + strings.ToUpper(n.String())
			if p := c.probe(name); p.Name != "" && (p.Result != loader.No || !strings.Contains(p.Remedy, strings.ToLower(name))) {
				t.Errorf("%+v", p)
			}
		})
	}
	const admin, bpf, perfmon = capability.CAP_SYS_ADMIN, capability.CAP_BPF, capability.CAP_PERFMON
	for _, c := range []struct {
		name string
		drop []capability.Cap
		want string
	}{
		{"neither sys_admin nor bpf", []capability.Cap{admin, bpf}, "missing CAP_BPF"},
		{"neither sys_admin nor perfmon", []capability.Cap{admin, perfmon}, "missing CAP_PERFMON"},
		{"none of the three", []capability.Cap{admin, bpf, perfmon}, "missing CAP_BPF and CAP_PERFMON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			runCheckConfined(t, c.drop, nil).unusable(t, c.want, "run as root, or: sudo setcap cap_")
		})
	}
}
