// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	cbtf "github.com/cilium/ebpf/btf"
	"github.com/ulikunitz/xz"
	"golang.org/x/sys/unix"

	"github.com/everyexec/everyexec/btf"
)

// withoutBTF is the product on a kernel that seems to have no BTF.
func withoutBTF() productOptions {
	return productOptions{role: roleNoBTF, sys: &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}}
}

// ownKernel is where an archive would have this machine's kernel.
func ownKernel(t *testing.T) (dir, release, machine string) {
	t.Helper()
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		t.Fatal(err)
	}
	distro, _, err := btf.HostDistro()
	if err != nil {
		distro = btf.Distro{ID: "linux"}
	}
	if distro.VersionID == "" {
		distro.VersionID = "none"
	}
	release, machine = unix.ByteSliceToString(uts.Release[:]), unix.ByteSliceToString(uts.Machine[:])
	return filepath.Join(distro.ID, distro.VersionID, machine), release, machine
}

// ownBTF is this kernel's BTF; a test that needs it is skipped where there is none.
func ownBTF(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile(kernelBTF + "/vmlinux")
	if err != nil {
		t.Skipf("this kernel has no BTF that could be had from elsewhere: %v", err)
	}
	return b
}

// inArchive packs files into a .tar.xz.
func inArchive(t *testing.T, heads []tar.Header, body []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, head := range heads {
		if head.Typeflag != tar.TypeReg {
			body = nil
		}
		head.Size = int64(len(body))
		if err := w.WriteHeader(&head); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return xzOf(t, out.Bytes())
}

func archiveOf(t *testing.T, name string, body []byte) []byte {
	t.Helper()
	return inArchive(t, []tar.Header{{Name: name, Typeflag: tar.TypeReg}}, body)
}

// archiveTree is an archive of one kernel, and the path of its file.
func archiveTree(t *testing.T, packed []byte) (tree, file string) {
	t.Helper()
	dir, release, _ := ownKernel(t)
	tree = workDir(t)
	file = filepath.Join(tree, dir, release+".btf.tar.xz")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, packed, 0o644); err != nil {
		t.Fatal(err)
	}
	return tree, file
}

// succeeds runs a command of the product to its end and returns what it printed.
func succeeds(t *testing.T, o productOptions, args ...string) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	o.stdout = w
	p := start(t, o, args...)
	w.Close()
	out := collect(r)
	if code := p.end(t); code != 0 {
		t.Fatalf("everyexec %q ended with %d:\n%s", args, code, p.stderr)
	}
	await(t, "the end of the output", func() bool { return isClosed(out.ended) })
	return out.String()
}

// TestExternalBTF has the torture suite pass with the kernel's own BTF hidden, and the same BTF
// in each place where it may come from.
func TestExternalBTF(t *testing.T) {
	needs(t)
	if os.Getenv(quietEnv) != "" {
		t.Skip("a guest has no distribution, by which a mirror is searched")
	}
	_, release, _ := ownKernel(t)
	tree, file := archiveTree(t, archiveOf(t, release+".btf", ownBTF(t)))
	dir := workDir(t)

	bundle := filepath.Join(dir, "one.bundle")
	succeeds(t, productOptions{}, "btf", "pack", tree, bundle)
	server := httptest.NewServer(http.FileServer(http.Dir(tree)))
	defer server.Close()
	cache, fresh, none := filepath.Join(dir, "cache"), filepath.Join(dir, "fresh"), filepath.Join(dir, "none")
	fetched := succeeds(t, productOptions{}, "btf", "fetch", "--btf-url", server.URL, "--btf-cache", cache)

	for _, c := range []struct {
		name  string
		flags []string
		from  string
	}{
		{"file", []string{"--btf", file, "--btf-cache", none}, "file " + file},
		{"dir", []string{"--btf-dir", tree, "--btf-cache", none}, "dir " + file},
		{"bundle", []string{"--btf-bundle", bundle, "--btf-cache", none}, "bundle " + bundle},
		{"cache", []string{"--btf-cache", cache}, "cache " + fetched},
		{"url", []string{"--btf-url", server.URL, "--btf-cache", fresh}, "url " + server.URL + strings.TrimPrefix(file, tree)},
	} {
		t.Run(c.name, func(t *testing.T) {
			needs(t)
			started := trace(t, withoutBTF(), c.flags...)
			said := started.awaitLog(t, "that it traces", func(line string) bool { return strings.Contains(line, startedWord) })
			started.stop(t)
			for _, want := range []string{"variant=core-external", c.from, "verified=true"} {
				if !strings.Contains(said, want) {
					t.Errorf("does not say %q: %s", want, said)
				}
			}
			tortureWith(t, onThisKernel(t, "core-external"), false, withoutBTF(), c.flags...)
		})
	}
}

// otherKernel is a BTF whose members lie elsewhere than in any kernel.
func otherKernel(t *testing.T, registers *cbtf.Struct) []byte {
	t.Helper()
	long := &cbtf.Int{Name: "unsigned long", Size: 8}
	pointer := &cbtf.Pointer{Target: (*cbtf.Void)(nil)}
	at := func(name string, typ cbtf.Type, offset uint32) cbtf.Member {
		return cbtf.Member{Name: name, Type: typ, Offset: cbtf.Bits(8 * offset)}
	}
	b, err := cbtf.NewBuilder([]cbtf.Type{
		&cbtf.Struct{Name: "task_struct", Size: 4096, Members: []cbtf.Member{
			at("mm", pointer, 8), at("tgid", &cbtf.Int{Name: "int", Size: 4, Encoding: cbtf.Signed}, 16), at("real_parent", pointer, 24),
		}},
		&cbtf.Struct{Name: "mm_struct", Size: 512, Members: []cbtf.Member{at("arg_start", long, 8), at("arg_end", long, 16)}},
		&cbtf.Struct{Name: "linux_binprm", Size: 128, Members: []cbtf.Member{at("filename", pointer, 0)}},
		registers,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	wire, err := b.Marshal(nil, &cbtf.MarshalOptions{Order: binary.LittleEndian})
	if err != nil {
		t.Fatal(err)
	}
	return wire
}

func registers(name, member string) *cbtf.Struct {
	return &cbtf.Struct{Name: name, Size: 8, Members: []cbtf.Member{{Name: member, Type: &cbtf.Int{Name: "long", Size: 8}}}}
}

// TestWrongBTF puts what is wrong where this kernel's BTF should be: it is named, and the stub
// takes over.
func TestWrongBTF(t *testing.T) {
	needs(t)
	whole := ownBTF(t)
	_, release, machine := ownKernel(t)
	inner := release + ".btf"
	here, elsewhere := registers("pt_regs", "r15"), registers("user_pt_regs", "pstate")
	if machine == "aarch64" {
		here, elsewhere = elsewhere, here
	}
	good := archiveOf(t, inner, whole)
	for name, c := range map[string]struct {
		packed []byte
		want   string
	}{
		"another version":      {archiveOf(t, inner, otherKernel(t, here)), "verify:"},
		"another architecture": {archiveOf(t, inner, otherKernel(t, elsewhere)), "BTF of a kernel for"},
		"another release":      {archiveOf(t, "5.4.0-1-other.btf", whole), "5.4.0-1-other.btf"},
		"truncated":            {good[:len(good)/2], "damaged"},
		"empty archive":        {inArchive(t, nil, nil), "an empty archive"},
		"a path upwards":       {archiveOf(t, "../"+inner, whole), "and not"},
		"a symlink":            {inArchive(t, []tar.Header{{Name: inner, Typeflag: tar.TypeSymlink, Linkname: "/etc/shadow"}}, nil), "no regular file"},
		"a bomb":               {bombOf(t, inner), "unpacks to more than a BTF can be"},
		"random bytes":         {[]byte("\x8e\x13\x91 neither this nor that"), "no BTF and no archive"},
		"HTML":                 {[]byte("<!DOCTYPE html><title>Log in</title>"), "HTML"},
	} {
		t.Run(name, func(t *testing.T) {
			needs(t)
			tree, file := archiveTree(t, c.packed)
			tr := trace(t, withoutBTF(), "--btf-dir", tree, "--btf-cache", filepath.Join(tree, "none"))
			said := tr.awaitLog(t, "what is wrong with "+file, func(line string) bool {
				return strings.Contains(line, "level=WARN") && strings.Contains(line, "variant=core-external")
			})
			for _, want := range []string{file, c.want, "--btf-dir"} {
				if !strings.Contains(strings.ReplaceAll(said, `\"`, `"`), want) {
					t.Errorf("does not say %q: %s", want, said)
				}
			}
			tr.awaitLog(t, "that the stub traces", func(line string) bool {
				return strings.Contains(line, startedWord) && strings.Contains(line, "variant=stub")
			})
			s := play(shapeCases[0], workDir(t)+"/one")
			// What the stub makes of it is judged by the suite's own run of the stub.
			if !slices.ContainsFunc(tr.stop(t), s.owns) {
				t.Error("the stub saw nothing")
			}
		})
	}
}

// bombOf is an archive whose file goes on for ten GiB.
func bombOf(t *testing.T, inner string) []byte {
	t.Helper()
	const piece = 8 << 20
	var head bytes.Buffer
	if err := tar.NewWriter(&head).WriteHeader(&tar.Header{Name: inner, Typeflag: tar.TypeReg, Size: 120 << 20}); err != nil {
		t.Fatal(err)
	}
	// Streams of xz may follow one another.
	return append(xzOf(t, head.Bytes()), bytes.Repeat(xzOf(t, make([]byte, piece)), 10<<30/piece)...)
}

func xzOf(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := xz.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestEmbeddedBundle builds the product with a bundle inside.
func TestEmbeddedBundle(t *testing.T) {
	needs(t)
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("no Go to build with")
	}
	_, release, _ := ownKernel(t)
	tree, _ := archiveTree(t, archiveOf(t, release+".btf", ownBTF(t)))
	dir := workDir(t)
	bundle := filepath.Join(dir, "one.bundle")
	succeeds(t, productOptions{}, "btf", "pack", tree, bundle)

	source, err := filepath.Abs("../../btf/embedded.bundle")
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]map[string]string{"Replace": {source: bundle}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, text, 0o644); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "everyexec")
	build := exec.Command(goTool, "build", "-tags", "btfbundle", "-overlay", overlay, "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	check := exec.Command(binary, "check", "-o", "json", "--btf-cache", filepath.Join(dir, "none"))
	hidden := exec.Command("unshare", append([]string{"-m", "sh", "-c", "mount -t tmpfs none " + kernelBTF + ` && exec "$@"`, "sh"}, check.Args...)...)
	out, err := hidden.Output()
	if err != nil {
		t.Fatalf("check: %v\n%s", err, out)
	}
	var report struct {
		Selected string
		Probes   []struct{ Name, Result, Detail string }
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatal(err)
	}
	if report.Selected != "core-external" {
		t.Errorf("selected %q: %s", report.Selected, out)
	}
	if !slices.ContainsFunc(report.Probes, func(p struct{ Name, Result, Detail string }) bool {
		return p.Name == "external BTF" && p.Result == "yes" && p.Detail == "bundle embedded"
	}) {
		t.Errorf("no probe says where the BTF came from: %s", out)
	}
}
