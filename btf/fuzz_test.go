// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
)

// What is accepted must be fit for cilium/ebpf, which is not made for hostile input.
func FuzzTrust(f *testing.F) {
	f.Add(tinyKernel(f, "x86_64", 1268))
	f.Add(tinyKernel(f, "aarch64", 1268))
	f.Add(wire(f, kindsKernel()...))
	f.Add(rawBTF("\x00a\x00", 1, info(kindTypedef, 0), 2, 1, info(kindConst, 0), 1))
	q := debian10(f)
	kinds, err := ReadNeeds(testKinds(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, needs := range []*Needs{q.Needs, kinds} {
			q.Needs = needs
			small, err := q.trust(b)
			if err != nil {
				continue
			}
			if len(small) > 64<<10 {
				t.Errorf("%d bytes are kept of %d", len(small), len(b))
			}
			spec, err := btf.LoadSpecFromReader(bytes.NewReader(small))
			if err != nil {
				t.Fatalf("what was made cannot be read: %v", err)
			}
			for typ, err := range spec.All() {
				if err != nil {
					t.Fatalf("what was made cannot be read: %v", err)
				}
				_ = typ.TypeName()
			}
		}
	})
}

func FuzzUnpack(f *testing.F) {
	whole := tinyKernel(f, "x86_64", 1268)
	for _, b := range [][]byte{
		whole, archived(f, tinyRelease, whole), xzOf(f, whole), zstdOf(f, whole), elfOf(".BTF", whole), []byte("<html>"), nil,
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := read(b)
		if err == nil && checkMagic(got) != nil {
			t.Errorf("accepted %q", got[:min(len(got), 16)])
		}
	})
}

func FuzzXZ(f *testing.F) {
	f.Add(xzOf(f, tinyKernel(f, "x86_64", 1268))[6:])
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := read(append([]byte("\xfd7zXZ\x00"), b...)); err == nil && checkMagic(got) != nil {
			t.Errorf("accepted %q", got[:min(len(got), 16)])
		}
	})
}

func FuzzTar(f *testing.F) {
	whole := tinyKernel(f, "x86_64", 1268)
	inner := tinyRelease + ".btf"
	f.Add(tarOf(f, regular(inner, whole)))
	f.Add(tarOf(f, regular("../"+inner, whole)))
	f.Add(tarOf(f, regular(inner, nil), regular(inner, nil)))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := &countingReader{r: bytes.NewReader(b)}
		got, err := readTar(&boundedReader{r: in, in: in}, inner)
		if err == nil && !bytes.Contains(b, []byte(inner)) {
			t.Errorf("accepted %d bytes of an archive without %s", len(got), inner)
		}
	})
}

func FuzzBundle(f *testing.F) {
	var good bytes.Buffer
	if _, err := Pack(context.Background(), &good, tinyTree(f), PackOptions{Needs: coreNeeds(f)}); err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes())
	q := debian10(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		listBundle("fuzz", bytes.NewReader(b), int64(len(b)))
		if whole, err := q.readBundle(bytes.NewReader(b), int64(len(b))); err == nil {
			q.trust(whole)
		}
	})
}

// The manifest on its own, as the checksums of zstd keep a fuzzer out of it.
func FuzzManifest(f *testing.F) {
	needs := "need\t" + strings.Join(coreNeeds(f).Names(), "\nneed\t") + "\n"
	f.Add(needs+Kernel{Release: tinyRelease, Arch: "x86_64", SHA256: strings.Repeat("0", 64), size: 9}.line()+"\n", []byte("BTF BTF BTF"))
	q := debian10(f)
	f.Fuzz(func(t *testing.T, manifest string, btfs []byte) {
		b := bundleOf(t, manifest, btfs)
		whole, err := q.readBundle(bytes.NewReader(b), int64(len(b)))
		if err == nil && !bytes.Contains(btfs, whole) {
			t.Errorf("read %q, which is not in it", whole)
		}
		listBundle("fuzz", bytes.NewReader(b), int64(len(b)))
	})
}

func FuzzOSRelease(f *testing.F) {
	f.Add("ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n")
	f.Add("ID='ol'\nVERSION_ID=\"7\\\"9\"")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseOSRelease(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, dir := range spellings(d, "x86_64") {
			if strings.Count(dir, "/") != 2 || strings.Contains(dir, "..") {
				t.Errorf("%+v leads to %q", d, dir)
			}
		}
	})
}

func FuzzSums(f *testing.F) {
	f.Add(strings.Repeat("0", 64)+"  a/b.btf.tar.xz\n", "a/b.btf.tar.xz")
	f.Fuzz(func(t *testing.T, list, file string) {
		if sum := findSum(list, file); sum != "" && len(sum) != 64 {
			t.Errorf("%q is no SHA-256", sum)
		}
	})
}
