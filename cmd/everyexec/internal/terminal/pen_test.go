// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal returns the two ends of a new pseudo-terminal.
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminal here: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminal here: %v", err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

func TestColourOnlyWhereWanted(t *testing.T) {
	_, tty := openTerminal(t)
	const plain, green = "x", "\x1b[32mx\x1b[0m"

	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	if got := PenFor(tty).Good("x"); got != green {
		t.Errorf("terminal: %q, want %q", got, green)
	}
	if got := PenFor(new(bytes.Buffer)).Good("x"); got != plain {
		t.Errorf("no file: %q, want %q", got, plain)
	}
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if got := PenFor(file).Good("x"); got != plain {
		t.Errorf("file: %q, want %q", got, plain)
	}
	t.Setenv("TERM", "dumb")
	if got := PenFor(tty).Good("x"); got != plain {
		t.Errorf("TERM=dumb: %q, want %q", got, plain)
	}
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "1")
	if got := PenFor(tty).Good("x"); got != plain {
		t.Errorf("NO_COLOR: %q, want %q", got, plain)
	}
}
