// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/everyexec/everyexec/bpf"
)

// coreNeeds is what our own programs relocate against.
func coreNeeds(t testing.TB) *Needs {
	t.Helper()
	needs, err := ReadNeeds(bpf.CoreObject())
	if err != nil {
		t.Fatal(err)
	}
	return needs
}

// tinyKernel makes the BTF of a kernel with nothing but what our programs and the trust checks
// look at. tgid tells one from the other.
func tinyKernel(t testing.TB, arch string, tgid uint32) []byte {
	t.Helper()
	return wire(t, tinyTypes(arch, tgid)...)
}

func tinyTypes(arch string, tgid uint32) []btf.Type {
	long := &btf.Int{Name: "unsigned long", Size: 8}
	pid := &btf.Typedef{Name: "pid_t", Type: &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}}
	mm := &btf.Struct{Name: "mm_struct", Size: 64, Members: []btf.Member{
		{Type: &btf.Struct{Size: 64, Members: []btf.Member{
			{Name: "unused", Type: long},
			{Name: "arg_start", Type: long, Offset: 64},
			{Name: "arg_end", Type: long, Offset: 128},
		}}},
	}}
	task := &btf.Struct{Name: "task_struct", Size: 4096}
	task.Members = []btf.Member{
		{Name: "mm", Type: &btf.Pointer{Target: mm}, Offset: 64},
		{Name: "pid", Type: pid, Offset: btf.Bits(tgid-4) * 8},
		{Name: "tgid", Type: pid, Offset: btf.Bits(tgid) * 8},
		{Name: "real_parent", Type: &btf.Pointer{Target: task}, Offset: btf.Bits(tgid+4) * 8},
	}
	binprm := &btf.Struct{Name: "linux_binprm", Size: 128, Members: []btf.Member{
		{Name: "filename", Type: &btf.Pointer{Target: &btf.Const{Type: &btf.Int{Name: "char", Size: 1}}}, Offset: 512},
	}}
	regs := &btf.Struct{Name: "pt_regs", Size: 8, Members: []btf.Member{{Name: "r15", Type: long}}}
	if arch == "aarch64" {
		regs = &btf.Struct{Name: "user_pt_regs", Size: 8, Members: []btf.Member{{Name: "pstate", Type: long}}}
	}
	return []btf.Type{task, mm, binprm, regs}
}

func wire(t testing.TB, types ...btf.Type) []byte {
	t.Helper()
	b, err := btf.NewBuilder(types, nil)
	if err != nil {
		t.Fatal(err)
	}
	out, err := b.Marshal(nil, &btf.MarshalOptions{Order: binary.LittleEndian})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func xzOf(t testing.TB, b []byte) []byte {
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

func zstdOf(t testing.TB, b []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(b, nil)
}

// entry is one member of a tar.
type entry struct {
	tar.Header
	body []byte
}

func regular(name string, body []byte) entry {
	return entry{tar.Header{Name: name, Mode: 0o644, Size: int64(len(body))}, body}
}

func tarOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(e.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// archived packs BTF as btfhub-archive does.
func archived(t testing.TB, release string, b []byte) []byte {
	t.Helper()
	return xzOf(t, tarOf(t, regular(release+".btf", b)))
}

func put(t testing.TB, name string, b []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}
