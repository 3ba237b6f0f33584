// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/everyexec/everyexec/btf"
)

// made-up kernels, in a tree of which two files cannot be used
func madeUpTree(t *testing.T) string {
	t.Helper()
	tree := t.TempDir()
	b := otherKernel(t, registers("pt_regs", "r15"))
	for name, packed := range map[string][]byte{
		"debian/10/x86_64/4.19.0-1-amd64.btf.tar.xz": archiveOf(t, "4.19.0-1-amd64.btf", b),
		"debian/10/x86_64/4.19.0-2-amd64.btf.tar.xz": archiveOf(t, "4.19.0-2-amd64.btf", b),
		"debian/10/x86_64/4.19.0-3-amd64.btf.tar.xz": inArchive(t, nil, nil),
		"debian/10/arm64/4.19.0-1-amd64.btf.tar.xz":  archiveOf(t, "4.19.0-1-amd64.btf", b),
	} {
		name = filepath.Join(tree, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, packed, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return tree
}

// ends runs a command of the product and returns its exit code and what it said.
func ends(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, productOptions{stdout: w}, args...)
	w.Close()
	out := collect(r)
	code = p.end(t)
	await(t, "the end of the output", func() bool { return isClosed(out.ended) })
	return code, out.String(), p.stderr.String()
}

func TestBTFFind(t *testing.T) {
	tree := madeUpTree(t)
	kernel := []string{"btf", "find", "--btf-cache", "", "--btf-dir", tree, "--arch", "amd64", "--distro", "debian", "--distro-version", "10", "--release"}
	find := func(release string, more ...string) (int, string) {
		code, out, _ := ends(t, append(append(slices.Clone(kernel), release), more...)...)
		return code, out
	}
	file := filepath.Join(tree, "debian/10/x86_64/4.19.0-2-amd64.btf.tar.xz")
	if code, out := find("4.19.0-2-amd64"); code != 0 || !strings.HasSuffix(out, "found: "+file) {
		t.Errorf("ended with %d and said:\n%s", code, out)
	}
	code, out := find("4.19.0-3-amd64")
	if code != 1 || !strings.Contains(out, "an empty archive") || !strings.Contains(out, "debug-symbols") || !strings.Contains(out, "not found") {
		t.Errorf("ended with %d and said:\n%s", code, out)
	}

	var report findReport
	code, out = find("4.19.0-2-amd64", "-o", "json")
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != 0 {
		t.Fatalf("ended with %d, %v:\n%s", code, err, out)
	}
	want := btf.Tried{Place: btf.PlaceDir, Path: file, Found: true, Result: "found"}
	if report.Schema != 1 || report.Arch != "x86_64" || report.Found == nil || *report.Found != want || !cmp.Equal(report.Tried, []btf.Tried{want}) {
		t.Errorf("reported %s", out)
	}
	code, out = find("4.19.0-4-amd64", "-o", "json")
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != 1 || report.Found != nil {
		t.Errorf("ended with %d, %v:\n%s", code, err, out)
	}
}

func TestBTFPackAndList(t *testing.T) {
	tree := madeUpTree(t)
	bundle := filepath.Join(t.TempDir(), "b")
	code, out, said := ends(t, "btf", "pack", tree, bundle)
	if code != 0 || !strings.Contains(out, "2 kernels") || !strings.Contains(said, "4.19.0-3-amd64.btf.tar.xz: an empty archive") ||
		!strings.Contains(said, "arm64/4.19.0-1-amd64.btf.tar.xz: BTF of a kernel for x86_64") {
		t.Errorf("ended with %d and said:\n%s\n%s", code, out, said)
	}
	list := func() []string {
		code, out, said := ends(t, "btf", "list", "--btf-cache", "", "--btf-bundle", bundle, "-o", "json")
		var report struct{ BTFs []btf.Item }
		if err := json.Unmarshal([]byte(out), &report); err != nil || code != 0 {
			t.Fatalf("ended with %d, %v:\n%s\n%s", code, err, out, said)
		}
		var releases []string
		for _, i := range report.BTFs {
			releases = append(releases, i.Release)
		}
		return releases
	}
	if diff := cmp.Diff([]string{"4.19.0-1-amd64", "4.19.0-2-amd64"}, list()); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}

	fleet := filepath.Join(t.TempDir(), "fleet.json")
	text := `{"schema":1,"kernels":[{"release":"4.19.0-2-amd64","arch":"x86_64","distro":"debian","version_id":"10","hosts":7},{"release":"9.9","arch":"aarch64"}]}`
	if err := os.WriteFile(fleet, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	code, out, said = ends(t, "btf", "pack", "--for", fleet, tree, bundle)
	if code != 0 || !strings.Contains(out, "1 kernels") || !strings.Contains(said, "9.9 aarch64") {
		t.Errorf("ended with %d and said:\n%s\n%s", code, out, said)
	}
	if diff := cmp.Diff([]string{"4.19.0-2-amd64"}, list()); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}
}

// What cannot be packed leaves the old bundle and nothing else.
func TestBTFPackFails(t *testing.T) {
	dir := t.TempDir()
	bundle := filepath.Join(dir, "b")
	if err := os.WriteFile(bundle, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	fleet := filepath.Join(t.TempDir(), "fleet.json")
	for text, want := range map[string]string{
		"":                          "EOF",
		`{"schema":2}`:              "schema 2",
		`{"schema":1,"kernels":[]}`: "names no kernel",
		`{"schema":1,"kernels":[{"release":"1"}]}`: "no BTF in",
	} {
		if err := os.WriteFile(fleet, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		code, _, said := ends(t, "btf", "pack", "--for", fleet, t.TempDir(), bundle)
		if code != 1 || !strings.Contains(said, want) {
			t.Errorf("%q: ended with %d and said:\n%s", text, code, said)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(bundle); len(entries) != 1 || string(b) != "old" {
		t.Errorf("left %v, %q, %v", entries, b, err)
	}
}

func TestBTFUsage(t *testing.T) {
	for _, args := range []string{
		"btf nonsense", "btf find x", "btf find -o xml", "btf find --distro-version 10", "btf fetch", "btf pack", "btf pack a", "btf pack a b c",
		"btf list -o table", "trace --distro-version 10",
	} {
		t.Run(args, func(t *testing.T) { refused(t, 2, strings.Fields(args)...) })
	}
}
