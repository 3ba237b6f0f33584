// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"
)

const tinyRelease = "4.19.0-27-amd64"

func read(b []byte) ([]byte, error) {
	return readBTF(bytes.NewReader(b), int64(len(b)), tinyRelease+".btf")
}

// elfOf is a vmlinux with one section besides the names.
func elfOf(name string, content []byte) []byte {
	names := "\x00" + name + "\x00.shstrtab\x00"
	le := binary.LittleEndian
	b := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 9)...)
	b = le.AppendUint16(b, 2)  // ET_EXEC
	b = le.AppendUint16(b, 62) // EM_X86_64
	b = le.AppendUint32(b, 1)
	for range 2 {
		b = le.AppendUint64(b, 0)
	}
	b = le.AppendUint64(b, uint64(64+len(content)+len(names))) // section headers
	b = le.AppendUint32(b, 0)
	for _, v := range []uint16{64, 0, 0, 64, 3, 2} {
		b = le.AppendUint16(b, v)
	}
	b = append(append(b, content...), names...)
	section := func(name, kind uint32, offset, size int) {
		b = le.AppendUint32(b, name)
		b = le.AppendUint32(b, kind)
		for _, v := range []uint64{0, 0, uint64(offset), uint64(size), 0, 0, 0} {
			b = le.AppendUint64(b, v)
		}
		b = le.AppendUint64(b, 0)[:len(b)]
	}
	section(0, 0, 0, 0)
	section(1, 1, 64, len(content))
	section(uint32(2+len(name)), 3, 64+len(content), len(names))
	return b
}

func TestReadForms(t *testing.T) {
	whole := tinyKernel(t, "x86_64", 1268)
	inner := tinyRelease + ".btf"
	for name, b := range map[string][]byte{
		"raw":             whole,
		"tar.xz":          archived(t, tinyRelease, whole),
		"tar.xz, ./ name": xzOf(t, tarOf(t, regular("./"+inner, whole))),
		"tar.zst":         zstdOf(t, tarOf(t, regular(inner, whole))),
		"xz":              xzOf(t, whole),
		"zst":             zstdOf(t, whole),
		"ELF":             elfOf(".BTF", whole),
		"ELF in xz":       xzOf(t, elfOf(".BTF", whole)),
		"ELF in tar.xz":   archived(t, tinyRelease, elfOf(".BTF", whole)),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(b)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, whole) {
				t.Error("something else came out")
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	whole := tinyKernel(t, "x86_64", 1268)
	good := archived(t, tinyRelease, whole)
	inner := tinyRelease + ".btf"
	noise := make([]byte, 4096)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	link := func(kind byte, to string) entry {
		return entry{tar.Header{Name: inner, Typeflag: kind, Linkname: to}, nil}
	}
	huge := tarOf(t, regular(inner, whole))
	copy(huge[124:136], "77777777777\x00") // a size of 8 GiB
	fixTarSum(huge)

	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"nothing":               {nil, "empty file"},
		"random bytes":          {noise, "no BTF and no archive"},
		"random bytes in xz":    {xzOf(t, noise), "no BTF and no archive"},
		"HTML":                  {[]byte("\n<!DOCTYPE html><html><title>Login</title>"), "HTML"},
		"HTML in xz":            {xzOf(t, []byte("<html>")), "HTML"},
		"text":                  {[]byte("404 page not found\n"), "no BTF"},
		"truncated xz":          {good[:len(good)/2], "damaged"},
		"only the magic":        {good[:6], "damaged"},
		"a flipped bit":         {flip(good, len(good)/2), "damaged"},
		"truncated zst":         {zstdOf(t, whole)[:100], "damaged"},
		"empty tar":             {xzOf(t, tarOf(t)), "empty archive"},
		"empty xz":              {xzOf(t, nil), "empty archive"},
		"empty file in the tar": {xzOf(t, tarOf(t, regular(inner, nil))), "is empty"},
		"truncated tar":         {xzOf(t, tarOf(t, regular(inner, whole))[:700]), "damaged"},
		"another name":          {archived(t, "5.4.0-1-amd64", whole), "5.4.0-1-amd64.btf\" and not"},
		"../":                   {xzOf(t, tarOf(t, regular("../"+inner, whole))), "and not"},
		"an absolute path":      {xzOf(t, tarOf(t, regular("/etc/"+inner, whole))), "and not"},
		"a symlink":             {xzOf(t, tarOf(t, link(tar.TypeSymlink, "/etc/shadow"))), "no regular file"},
		"a hard link":           {xzOf(t, tarOf(t, link(tar.TypeLink, "x"))), "no regular file"},
		"a device":              {xzOf(t, tarOf(t, link(tar.TypeChar, ""))), "no regular file"},
		"a directory":           {xzOf(t, tarOf(t, link(tar.TypeDir, ""))), "no regular file"},
		"a second file":         {xzOf(t, tarOf(t, regular(inner, whole), regular("README", whole))), "\"README\" and not"},
		"the same twice":        {xzOf(t, tarOf(t, regular(inner, whole), regular(inner, whole))), "twice"},
		"a size of 8 GiB":       {xzOf(t, huge), "more than a BTF can be"},
		"ELF without BTF":       {elfOf(".text", whole), "without BTF"},
		"ELF cut off":           {elfOf(".BTF", whole)[:80], "damaged"},
		"ELF with other BTF":    {elfOf(".BTF", noise), "no BTF"},
		"BTF in BTF's place":    {archived(t, tinyRelease, archived(t, tinyRelease, whole)), "no BTF"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := read(c.b)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
			if b != nil && err != nil && len(b) > maxUnpacked {
				t.Errorf("kept %d bytes", len(b))
			}
		})
	}
}

func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

func fixTarSum(b []byte) {
	copy(b[148:156], "        ")
	sum := 0
	for _, c := range b[:512] {
		sum += int(c)
	}
	for i := range 6 {
		b[153-i] = '0' + byte(sum>>(3*i)&7)
	}
	b[154] = 0
}

func TestBombs(t *testing.T) {
	// Streams can follow one another, so ten GiB need not be packed to be unpacked.
	part := xzOf(t, make([]byte, 8<<20))
	tenGiB := bytes.Repeat(part, 10<<30/(8<<20))
	head := tarOf(t, regular(tinyRelease+".btf", nil))[:512]
	copy(head[124:136], "00777777777\x00") // 128 MiB - 1, still allowed
	fixTarSum(head)
	for name, b := range map[string][]byte{
		"tar.xz of 10 GiB": append(xzOf(t, head), tenGiB...),
		"xz of 10 GiB":     append(xzOf(t, []byte("\x9f\xeb\x01\x00")), tenGiB...),
		"zst":              append(zstdOf(t, []byte("\x9f\xeb")), zstdOf(t, make([]byte, 256<<20))...),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := read(b); err == nil || !strings.Contains(err.Error(), "unpacks to more") {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := readBTF(bytes.NewReader(part), maxPacked+1, ""); err == nil || !strings.Contains(err.Error(), "compressed") {
		t.Errorf("got %v for a file too large to look into", err)
	}
}
