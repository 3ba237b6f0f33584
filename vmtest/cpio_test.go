// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestArchive has cpio(1) read what was written.
func TestArchive(t *testing.T) {
	if _, err := exec.LookPath("cpio"); err != nil {
		t.Skip("no cpio here")
	}
	from := filepath.Join(t.TempDir(), "from")
	if err := os.WriteFile(from, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	a := newArchive(&b)
	a.char("/dev/console", 5, 1)
	a.copy("/bin/prog", 0o755, from)
	a.file("/bin/empty", 0o644, nil)
	a.json("/orders", []int{1})
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	list := exec.Command("cpio", "-itv", "--quiet")
	list.Stdin = bytes.NewReader(b.Bytes())
	text, err := list.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	var got []string
	for line := range strings.Lines(string(text)) {
		cells := strings.Fields(line)
		got = append(got, cells[0]+" "+cells[len(cells)-1])
	}
	want := "drwxr-xr-x dev;crw------- dev/console;drwxr-xr-x bin;-rwxr-xr-x bin/prog;-rw-r--r-- bin/empty;-rw-r--r-- orders"
	if strings.Join(got, ";") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, ";"), want)
	}
	unpack := exec.Command("cpio", "-i", "--quiet", "--to-stdout", "bin/prog")
	unpack.Stdin = bytes.NewReader(b.Bytes())
	if data, err := unpack.Output(); err != nil || string(data) != "12345" {
		t.Errorf("bin/prog holds %q, %v", data, err)
	}
}

func TestArchiveKeepsItsFirstError(t *testing.T) {
	a := newArchive(new(bytes.Buffer))
	a.copy("/prog", 0o755, "/no/such/file")
	a.file("/other", 0o644, nil)
	if err := a.Close(); err == nil || !strings.Contains(err.Error(), "/no/such/file") {
		t.Errorf("got %v", err)
	}
}
