// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/everyexec/everyexec/bpf"
)

// archiveEnv names a tree with published BTFs, which are other people's and so not in the
// repository. Any tree with the layout of btfhub-archive serves.
const archiveEnv = "EVERYEXEC_BTF_ARCHIVE"

// realArchive returns the files of that tree, or skips the test.
func realArchive(t *testing.T) (string, []location) {
	t.Helper()
	dir := os.Getenv(archiveEnv)
	if dir == "" {
		t.Skipf("no published BTFs here: set %s to a tree with the layout of btfhub-archive", archiveEnv)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var files []location
	if err := walkTree(root, func(l location) { files = append(files, l) }); err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("no BTF in %s=%s", archiveEnv, dir)
	}
	return dir, files
}

func readReal(t *testing.T, name, release string) []byte {
	t.Helper()
	b, err := readFile(func() (*os.File, error) { return os.Open(name) }, release+".btf")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRealRelocations(t *testing.T) {
	dir, files := realArchive(t)
	for _, l := range files {
		t.Run(l.release, func(t *testing.T) {
			whole := readReal(t, filepath.Join(dir, l.path), l.release)
			small := sameRelocations(t, bpf.CoreObject(), whole)
			r, err := parseRaw(whole)
			if err != nil {
				t.Fatal(err)
			}
			if got := archOf(r); got == "" || l.arch != "" && got != Machine(l.arch) {
				t.Errorf("architecture %q, the path says %q", got, l.arch)
			}
			t.Logf("%d bytes, minimised %d", len(whole), len(small))
		})
	}
}

// bpftool's own minimised BTF must lead to the same instructions.
func TestRealReferee(t *testing.T) {
	dir, files := realArchive(t)
	if _, err := exec.LookPath("bpftool"); err != nil {
		t.Skip("no bpftool here")
	}
	object := put(t, filepath.Join(t.TempDir(), "core.o"), bpf.CoreObject())
	for _, l := range files {
		t.Run(l.release, func(t *testing.T) {
			tmp := t.TempDir()
			whole := put(t, filepath.Join(tmp, "whole.btf"), readReal(t, filepath.Join(dir, l.path), l.release))
			theirs := filepath.Join(tmp, "theirs.btf")
			if out, err := exec.Command("bpftool", "gen", "min_core_btf", whole, theirs, object).CombinedOutput(); err != nil {
				t.Fatalf("bpftool: %v: %s", err, out)
			}
			b, err := os.ReadFile(theirs)
			if err != nil {
				t.Fatal(err)
			}
			r, err := parseRaw(readReal(t, whole, l.release))
			if err != nil {
				t.Fatal(err)
			}
			ours, err := minimise(r, coreNeeds(t))
			if err != nil {
				t.Fatal(err)
			}
			want, got := relocated(t, bpf.CoreObject(), b), relocated(t, bpf.CoreObject(), ours)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("relocations differ (-bpftool +ours):\n%s", diff)
			}
		})
	}
}

// Each file is found under what its kernel and distribution would say of themselves.
func TestRealFind(t *testing.T) {
	dir, files := realArchive(t)
	for _, l := range files {
		if l.arch == "" {
			continue // a loose file
		}
		t.Run(l.release, func(t *testing.T) {
			q := Query{
				Release: l.release, Arch: Machine(l.arch), Needs: coreNeeds(t), Dirs: []string{dir},
				Distro: Distro{ID: l.distro, VersionID: l.version},
			}
			if got := firstFound(t, q); got == nil || got.Path != filepath.Join(dir, l.path) {
				t.Errorf("found %v", got)
			}
			q.Distro = Distro{ID: "elsewhere", VersionID: "1"}
			if got := firstFound(t, q); got == nil || got.Path != filepath.Join(dir, l.path) {
				t.Errorf("os-release of a container: found %v", got)
			}
			q.Arch = "riscv64"
			if got := firstFound(t, q); got != nil {
				t.Errorf("another architecture: found %v", got)
			}
		})
	}
}

func TestRealPack(t *testing.T) {
	dir, files := realArchive(t)
	bundle := filepath.Join(t.TempDir(), "all.bundle")
	packed := pack(t, bundle, dir, PackOptions{Needs: coreNeeds(t)})
	files = slices.DeleteFunc(files, func(l location) bool { return l.distro == "" })
	if packed.Kernels != len(files) || len(packed.Skipped) > 0 {
		t.Errorf("packed %d of %d, left out %v", packed.Kernels, len(files), packed.Skipped)
	}
	for _, l := range files {
		q := Query{
			Release: l.release, Arch: Machine(l.arch), Needs: coreNeeds(t), Bundle: bundle,
			Distro: Distro{ID: l.distro, VersionID: l.version},
		}
		found := firstFound(t, q)
		if found == nil {
			t.Errorf("%s is not in the bundle", l.path)
			continue
		}
		whole := readReal(t, filepath.Join(dir, l.path), l.release)
		want, got := relocated(t, bpf.CoreObject(), whole), relocated(t, bpf.CoreObject(), found.wire)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: relocations differ (-whole +bundle):\n%s", l.path, diff)
		}
	}
}

// The running kernel's own BTF is the one real file that most machines have.
func TestOwnKernel(t *testing.T) {
	whole, err := os.ReadFile("/sys/kernel/btf/vmlinux")
	if os.IsNotExist(err) {
		t.Skip("this kernel has no BTF")
	}
	if err != nil {
		t.Fatal(err)
	}
	sameRelocations(t, bpf.CoreObject(), whole)
}
