// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// newTerminal makes a pair of a terminal and what reads from it.
func newTerminal(t *testing.T) (tty, reader *os.File) {
	t.Helper()
	reader, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { reader.Close() })
	if err := unix.IoctlSetPointerInt(int(reader.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(reader.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { tty.Close() })
	return tty, reader
}

func TestBarOnATerminal(t *testing.T) {
	tty, reader := newTerminal(t)
	b := newBar(tty, "files")
	b.show(20, 20)
	got := make([]byte, 200)
	n, err := reader.Read(got)
	if err != nil {
		t.Fatal(err)
	}
	if want := "[" + strings.Repeat("#", barWidth) + "] 20/20 files"; !strings.Contains(string(got[:n]), want) {
		t.Errorf("drew %q, want %q", got[:n], want)
	}
}

func TestBarElsewhere(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var buf bytes.Buffer
	for _, b := range []*bar{newBar(w, "B"), newBar(&buf, "B")} {
		b.show(1, 1)
		b.show(1, -1)
		b.clear()
	}
	w.Close()
	if _, err := buf.ReadFrom(r); err != nil || buf.Len() > 0 {
		t.Errorf("drew %q (%v)", buf.Bytes(), err)
	}
}
