// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tinyTree is an archive with kernels that share a BTF, kernels that do not, and bad files.
func tinyTree(t testing.TB) string {
	t.Helper()
	tree := t.TempDir()
	x86 := tinyKernel(t, "x86_64", 1268)
	for name, b := range map[string][]byte{
		"debian/10/x86_64/4.19.0-26-amd64.btf.tar.xz": archived(t, "4.19.0-26-amd64", x86),
		"debian/10/x86_64/4.19.0-27-amd64.btf.tar.xz": archived(t, "4.19.0-27-amd64", x86),
		"debian/10/arm64/4.19.0-27-arm64.btf.tar.xz":  archived(t, "4.19.0-27-arm64", tinyKernel(t, "aarch64", 1400)),
		"centos/8/x86_64/4.18.0-1.el8.btf.tar.xz":     archived(t, "4.18.0-1.el8", tinyKernel(t, "x86_64", 2000)),
		"rhel/8/x86_64/4.18.0-1.el8.btf.tar.xz":       archived(t, "4.18.0-1.el8", tinyKernel(t, "x86_64", 2008)),
		"oracle/8/x86_64/4.18.0-2.el8.btf.tar.xz":     archived(t, "4.18.0-2.el8", x86),
		"rhel/8/x86_64/4.18.0-2.el8.btf.tar.xz":       archived(t, "4.18.0-2.el8", x86),
		// Left out:
		"bad/1/x86_64/1.0.btf.tar.xz":  xzOf(t, tarOf(t)),
		"bad/1/x86_64/1.1.btf.tar.xz":  archived(t, "1.2", x86),
		"bad/1/arm64/1.3.btf.tar.xz":   archived(t, "1.3", x86),
		"bad/1/x86_64/1.4.btf":         []byte("<html>"),
		"bad/1/x86_64/README":          nil,
		"debian/10/x86_64/SHA256SUMS":  nil,
		"loose/4.19.0-1-amd64.btf":     x86,
		"bad/1/x86_64/1.5.btf.tar.xz~": nil,
	} {
		put(t, filepath.Join(tree, name), b)
	}
	return tree
}

func TestPack(t *testing.T) {
	tree := tinyTree(t)
	name := filepath.Join(t.TempDir(), "b")
	var calls, last, total int
	packed := pack(t, name, tree, PackOptions{Needs: coreNeeds(t), Progress: func(done, of int) {
		calls++
		last, total = done, of
	}})
	if packed.Kernels != 7 || calls != 11 || last != 11 || total != 11 {
		t.Errorf("packed %d, progress %d calls, %d of %d", packed.Kernels, calls, last, total)
	}
	var skipped []string
	for _, s := range packed.Skipped {
		skipped = append(skipped, s.Path+": "+s.Err.Error())
	}
	want := []string{
		"bad/1/arm64/1.3.btf.tar.xz: BTF of a kernel for x86_64, this one is aarch64",
		"bad/1/x86_64/1.0.btf.tar.xz: an empty archive",
		"bad/1/x86_64/1.1.btf.tar.xz: the archive holds \"1.2.btf\" and not \"1.1.btf\"",
		"bad/1/x86_64/1.4.btf: " + errHTML.Error(),
	}
	if diff := cmp.Diff(want, skipped); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}

	items, err := Query{Bundle: name}.List()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, i := range items {
		lines = append(lines, fmt.Sprint(i.Distro, " ", i.Version, " ", i.Arch, " ", i.Release))
		file, err := os.ReadFile(filepath.Join(tree, i.Distro, i.Version, strings.Replace(i.Arch, "aarch64", "arm64", 1), i.Release+".btf.tar.xz"))
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(file); i.SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: SHA-256 %s, want %x", i.Release, i.SHA256, sum)
		}
	}
	want = []string{
		"centos 8 x86_64 4.18.0-1.el8", "debian 10 aarch64 4.19.0-27-arm64", "debian 10 x86_64 4.19.0-26-amd64",
		"debian 10 x86_64 4.19.0-27-amd64", "oracle 8 x86_64 4.18.0-2.el8", "rhel 8 x86_64 4.18.0-1.el8", "rhel 8 x86_64 4.18.0-2.el8",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}
}

func TestPackIsReproducible(t *testing.T) {
	tree := tinyTree(t)
	var first []byte
	for range 5 {
		var b bytes.Buffer
		if _, err := Pack(context.Background(), &b, tree, PackOptions{Needs: coreNeeds(t)}); err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = b.Bytes()
		}
		if !bytes.Equal(first, b.Bytes()) {
			t.Fatal("the same tree made another bundle")
		}
	}
}

func TestPackOnly(t *testing.T) {
	tree := tinyTree(t)
	name := filepath.Join(t.TempDir(), "b")
	packed := pack(t, name, tree, PackOptions{Needs: coreNeeds(t), Only: []Kernel{
		{Release: "4.19.0-27-arm64", Arch: "arm64"}, {Release: "4.19.0-26-amd64"}, {Release: "4.19.0-27-amd64", Arch: "aarch64"}, {Release: "6.1"},
	}})
	if packed.Kernels != 2 || len(packed.Skipped) != 0 {
		t.Errorf("packed %+v", packed)
	}
	if len(packed.Missing) != 2 || packed.Missing[0].Release != "4.19.0-27-amd64" || packed.Missing[1].Release != "6.1" {
		t.Errorf("missing %+v", packed.Missing)
	}
	if _, err := Pack(context.Background(), &bytes.Buffer{}, t.TempDir(), PackOptions{Needs: coreNeeds(t)}); err == nil {
		t.Error("an empty tree was packed")
	}
}

func TestBundleLookup(t *testing.T) {
	bundle := filepath.Join(t.TempDir(), "b")
	pack(t, bundle, tinyTree(t), PackOptions{Needs: coreNeeds(t)})
	for name, c := range map[string]struct {
		release, arch string
		distro        Distro
		want          string
	}{
		"by distribution":                   {"4.18.0-1.el8", "x86_64", Distro{ID: "rhel", VersionID: "8.4"}, "rejected: wrong"},
		"unique":                            {"4.19.0-27-amd64", "x86_64", Distro{ID: "alpine"}, "rejected: wrong"},
		"the same BTF twice":                {"4.18.0-2.el8", "x86_64", Distro{ID: "alpine"}, "rejected: wrong"},
		"two BTFs, neither ours":            {"4.18.0-1.el8", "x86_64", Distro{ID: "rocky", VersionID: "8.4"}, "several BTFs for 4.18.0-1.el8, and none of them of rocky 8.4"},
		"another release":                   {"4.19.0-27-amd6", "x86_64", Distro{ID: "debian", VersionID: "10"}, "no BTF for 4.19.0-27-amd6"},
		"another architecture":              {"4.19.0-27-amd64", "aarch64", Distro{ID: "debian", VersionID: "10"}, "no BTF for 4.19.0-27-amd64"},
		"a release that holds a tab":        {"4.19.0-27-amd64\tx86_64", "x86_64", Distro{}, "no name"},
		"the architecture's other spelling": {"4.19.0-27-arm64", "aarch64", Distro{ID: "debian", VersionID: "10"}, "rejected: wrong"},
	} {
		q := Query{Release: c.release, Arch: c.arch, Distro: c.distro, Needs: coreNeeds(t), Bundle: bundle}
		if got := allFound(t, q); len(got) != 1 || !strings.Contains(got[0], c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}

	// What came out must be that distribution's: centos has tgid elsewhere.
	q := Query{Release: "4.18.0-1.el8", Arch: "x86_64", Distro: Distro{ID: "centos", VersionID: "8"}, Needs: coreNeeds(t), Bundle: bundle}
	r, err := parseRaw(tinyKernel(t, "x86_64", 2000))
	if err != nil {
		t.Fatal(err)
	}
	want, err := minimise(r, q.Needs)
	if err != nil {
		t.Fatal(err)
	}
	if found := firstFound(t, q); found == nil || !bytes.Equal(found.wire, want) {
		t.Errorf("found %v with another BTF", found)
	}
}

func TestBundleOfAnotherVersion(t *testing.T) {
	bundle := filepath.Join(t.TempDir(), "b")
	less := &Needs{coreNeeds(t).list[1:]}
	pack(t, bundle, tinyTree(t), PackOptions{Needs: less})
	q := debian10(t)
	q.Bundle = bundle
	if got := allFound(t, q); len(got) != 1 || !strings.Contains(got[0], "packed for another everyexec, without linux_binprm.filename") {
		t.Errorf("got %q", got)
	}
	q.Needs = less
	if got := allFound(t, q); len(got) != 1 || !strings.Contains(got[0], "rejected: wrong") {
		t.Errorf("got %q", got)
	}
}

// bundleOf makes a bundle by hand.
func bundleOf(t testing.TB, manifest string, btfs []byte) []byte {
	t.Helper()
	frames := [][]byte{zstdOf(t, []byte(manifest)), zstdOf(t, btfs)}
	b := binary.LittleEndian.AppendUint32([]byte(bundleMagic), bundleFormat)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(frames[0])))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(frames[1])))
	return append(append(b, frames[0]...), frames[1]...)
}

func TestDamagedBundles(t *testing.T) {
	var good bytes.Buffer
	if _, err := Pack(context.Background(), &good, tinyTree(t), PackOptions{Needs: coreNeeds(t)}); err != nil {
		t.Fatal(err)
	}
	b := good.Bytes()
	needs := "need\t" + strings.Join(coreNeeds(t).Names(), "\nneed\t") + "\n"
	sum := strings.Repeat("0", 64)
	entry := func(offset, size string) string {
		return needs + "kernel\t" + tinyRelease + "\tx86_64\tdebian\t10\t" + sum + "\t" + offset + "\t" + size + "\n"
	}
	newer := bytes.Clone(b)
	newer[16] = 2
	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"nothing":              {nil, "not a bundle"},
		"something else":       {bytes.Repeat([]byte("x"), 1000), "not a bundle"},
		"newer format":         {newer, "format 2, this everyexec reads 1"},
		"cut off":              {b[:len(b)-1], "cut off"},
		"something behind":     {append(bytes.Clone(b), 0), "cut off or"},
		"damaged manifest":     {flip(b, bundleHeaderSize+20), "damaged bundle: manifest"},
		"damaged BTFs":         {flip(b, len(b)-20), "damaged bundle"},
		"no frame":             {append(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint32([]byte(bundleMagic), 1), 8<<32), make([]byte, 8)...), "without linux_binprm.filename"},
		"not a number":         {bundleOf(t, entry("x", "1"), nil), "manifest line"},
		"negative":             {bundleOf(t, entry("-1", "1"), nil), "manifest line"},
		"outside":              {bundleOf(t, entry("1", "300"), make([]byte, 300)), "outside"},
		"far outside":          {bundleOf(t, entry("2147483647", "2147483647"), make([]byte, 300)), "outside"},
		"zeros for BTF":        {bundleOf(t, entry("0", "300"), make([]byte, 300)), "no BTF"},
		"too few fields":       {bundleOf(t, needs+"kernel\t"+tinyRelease+"\tx86_64\t\n", nil), "manifest line"},
		"bomb in the BTFs":     {bundleOf(t, entry("0", "300"), make([]byte, maxBundleBTFs+1)), "damaged bundle"},
		"bomb in the manifest": {bundleOf(t, entry("0", "300")+strings.Repeat(" ", maxManifest), nil), "damaged bundle"},
	} {
		t.Run(name, func(t *testing.T) {
			q := debian10(t)
			q.Bundle = put(t, filepath.Join(t.TempDir(), "b"), c.b)
			if got := allFound(t, q); len(got) != 1 || !strings.Contains(got[0], c.want) {
				t.Errorf("got %.300q, want %q", got, c.want)
			}
		})
	}
}

// thousands makes a bundle of as many kernels as an archive has, each with a BTF of its own.
func thousands(t testing.TB, n int) []byte {
	t.Helper()
	needs := coreNeeds(t)
	var kernels []Kernel
	var btfs [][]byte
	for i := range n {
		r, err := parseRaw(tinyKernel(t, "x86_64", uint32(1000+8*(i%400))))
		if err != nil {
			t.Fatal(err)
		}
		small, err := minimise(r, needs)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(binary.LittleEndian.AppendUint32(nil, uint32(i)))
		kernels = append(kernels, Kernel{
			Release: fmt.Sprintf("5.%d.0-%d-generic", i%17, 1000+i), Arch: "x86_64", Distro: "ubuntu", Version: "20.04",
			SHA256: hex.EncodeToString(sum[:]),
		})
		btfs = append(btfs, small)
	}
	var b bytes.Buffer
	if err := writeBundle(&b, needs, kernels, btfs); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func BenchmarkLookup5000(b *testing.B) {
	bundle := thousands(b, 5000)
	q := Query{Release: fmt.Sprintf("5.%d.0-%d-generic", 4500%17, 1000+4500), Arch: "x86_64", Needs: coreNeeds(b)}
	b.ReportAllocs()
	for b.Loop() {
		whole, err := q.readBundle(bytes.NewReader(bundle), int64(len(bundle)))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := q.trust(whole); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(bundle)), "bundle-bytes")
}
