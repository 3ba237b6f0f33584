// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/everyexec/everyexec/vmtest/guest"
)

// fakeQEMU puts a shell script in QEMU's place.
func fakeQEMU(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "qemu-system-x86_64"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// bootFake boots a script and judges it.
func bootFake(t *testing.T, script string, limit time.Duration) (result, string) {
	t.Helper()
	fakeQEMU(t, script)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("program"), 0o755); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "logs", "console")
	v := vm{arch: "amd64", kernel: file, accel: "tcg", binary: binaries{test: file, everyexec: file}, orders: guest.Orders{}, bootTime: limit}
	tr, err := v.boot(t.Context(), log)
	var j judgement
	j.judgeBoot("amd64", tr, err)
	kept, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	return j.results[0], string(kept)
}

func TestBoot(t *testing.T) {
	const long = 5 * time.Minute
	for _, c := range []struct {
		name, script string
		limit        time.Duration
		outcome      outcome
		said         string
	}{
		{"good", "echo vmtest-done", long, pass, ""},
		{"silent", "true", long, fail, "nothing came over the serial console"},
		{"lockup", "echo 'watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [exe:2543]'", long, fail, "softlockup_panic=1"},
		{"panic", "echo '[ 1.0] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)'", long, fail, "CONFIG_BLK_DEV_INITRD"},
		{"no results", "echo vmtest-begin suite; echo oops", long, fail, "in the step suite"},
		{"last lines", "seq 1000; echo vmtest-begin s", long, fail, "1000"},
		{"hang", "echo Booting; exec sleep 1000", time.Second, fail, "hangs"},
		{"QEMU fails", "echo 'no such CPU' >&2; exit 1", long, fail, "no such CPU"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, log := bootFake(t, c.script, c.limit)
			if said := strings.Join(r.said, "\n"); r.outcome != c.outcome || !strings.Contains(said, c.said) {
				t.Errorf("%s, want %s with %q in\n%s", r.outcome, c.outcome, c.said, said)
			}
			if c.name == "panic" && !strings.Contains(log, "not syncing") {
				t.Errorf("the console was not kept: %q", log)
			}
		})
	}
}

func TestBootWithoutQEMU(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	v := vm{arch: "arm64", accel: "tcg", binary: binaries{test: os.Args[0], everyexec: os.Args[0]}, bootTime: time.Minute}
	_, err := v.boot(t.Context(), filepath.Join(t.TempDir(), "log"))
	if err == nil || !strings.Contains(err.Error(), "qemu-system-arm") {
		t.Errorf("got %v, want an error that names the package", err)
	}
}
