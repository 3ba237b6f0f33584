// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"os"
	"strings"
	"syscall"
)

// Main does nothing unless this process is the init of a virtual machine. There it carries its orders out, switches the
// machine off and never returns. A test binary that is to be an init calls it first thing in TestMain.
func Main() {
	if os.Getpid() != 1 {
		return
	}
	if _, err := os.Stat(OrdersPath); err != nil {
		return // a container's pid 1
	}
	defer restart()
	out := &console{w: os.Stdout}
	quietKernel()
	for _, problem := range mountAll() {
		out.mark(Note, problem)
	}
	for _, err := range []error{upLoopback(), placeBTF(BTFPath, btfCache, release())} {
		if err != nil {
			out.mark(Note, err.Error())
		}
	}
	orders, err := readOrders(OrdersPath)
	if err != nil {
		out.mark(Note, err.Error())
		return
	}
	out.mark(Fact, "release "+release())
	out.mark(Fact, "btf "+hasBTF())
	for _, s := range orders.Steps {
		run(s, out)
		reapOrphans()
	}
	out.mark(Done, "")
}

// quietKernel keeps all but emergencies off the console, where they would break lines of ours. The log itself stays whole.
func quietKernel() {
	const consoleLevel = 8 // SYSLOG_ACTION_CONSOLE_LEVEL
	syscall.Syscall(syscall.SYS_SYSLOG, consoleLevel, 0, 1)
}

func release() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}

// reapOrphans buries what the last step left to init.
func reapOrphans() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if pid <= 0 || err != nil {
			return
		}
	}
}

// restart ends the machine: QEMU runs with -no-reboot. A small kernel knows no way to power off, but all know how to restart.
func restart() {
	syscall.Sync()
	syscall.Reboot(syscall.LINUX_REBOOT_CMD_RESTART)
}
