// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
)

// serialConfig names the driver of the serial port that a guest speaks through.
var serialConfig = map[string]string{"amd64": "CONFIG_SERIAL_8250_CONSOLE", "arm64": "CONFIG_SERIAL_AMBA_PL011_CONSOLE"}

// signs are what a console shows when a kernel cannot run a guest, with what that means.
var signs = []struct{ sign, meaning string }{
	{"VFS: Unable to mount root fs", "the kernel took no initramfs: it needs CONFIG_BLK_DEV_INITRD"},
	{"Initramfs unpacking failed", "the kernel could not unpack the initramfs: too little memory, or no CONFIG_BLK_DEV_INITRD"},
	{"/init failed (error -8)", "the kernel cannot execute static programs of this architecture: it needs CONFIG_BINFMT_ELF and 64 bits"},
	{"No working init found", "the kernel could not start /init of the initramfs: it needs CONFIG_BLK_DEV_INITRD and CONFIG_BINFMT_ELF"},
	{"Attempted to kill init", "init died, perhaps for want of CONFIG_FUTEX, CONFIG_EPOLL or CONFIG_POSIX_TIMERS, which Go programs need"},
	{"futexwakeup", "init died for want of CONFIG_FUTEX, which Go programs need"},
	{"Out of memory", "the guest ran out of memory"},
	{"soft lockup", "a CPU of the guest was stuck; -append 'softlockup_panic=1 ignore_loglevel' shows where, if this machine was not just too busy"},
	{"mount proc on", "everyexec and the suite need CONFIG_PROC_FS"},
	{"mount sysfs on", "everyexec needs CONFIG_SYSFS"},
	{"mount devtmpfs on", "the suite needs CONFIG_DEVTMPFS"},
	{"mount tmpfs on", "the suite needs CONFIG_TMPFS and CONFIG_SHMEM"},
}

// diagnose says in words why a guest did not do what it should.
func diagnose(arch string, t *transcript) (why []string) {
	all := strings.Join(t.lines, "\n")
	if strings.TrimSpace(all) == "" {
		return []string{fmt.Sprintf("nothing came over the serial console: the file is no kernel for %s that boots in QEMU, or it lacks %s", arch, serialConfig[arch])}
	}
	for _, line := range t.lines {
		if strings.Contains(line, "Kernel panic - not syncing") {
			why = append(why, "the kernel panicked: "+strings.TrimSpace(line))
			break
		}
	}
	for _, s := range signs {
		if strings.Contains(all, s.sign) {
			why = append(why, s.meaning)
		}
	}
	if !t.done && len(t.steps) == 0 && len(why) == 0 {
		why = append(why, "the guest's init never spoke: the kernel needs CONFIG_BLK_DEV_INITRD, CONFIG_TTY and "+serialConfig[arch])
	}
	if n := len(t.steps); !t.done && n > 0 && !t.steps[n-1].ended {
		why = append(why, "the guest ended, or was ended, in the step "+t.steps[n-1].name)
	}
	return why
}
