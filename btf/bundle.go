// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// A bundle is a header, a manifest and the minimised BTFs, each of the latter two a zstd frame:
//
//	0   magic "everyexec-btf" and 3 NULs
//	16  format version, 32 bits, little-endian as all numbers here
//	20  bytes of the manifest's frame
//	24  bytes of the BTFs' frame
//	28  manifest, BTFs, and nothing more
//
// The manifest is lines of fields separated by tabs:
//
//	need    task_struct.tgid
//	kernel  RELEASE  ARCH  DISTRO  VERSION  SHA-256  OFFSET  SIZE
//
// first all needs, then all kernels, sorted. SHA-256 is of the file that was packed, offset and
// size lie in the unpacked BTFs; kernels whose minimised BTF is the same share it.
const (
	bundleMagic      = "everyexec-btf\x00\x00\x00"
	bundleFormat     = 1
	bundleHeaderSize = 28

	maxManifest   = 64 << 20 // unpacked
	maxBundleBTFs = 64 << 20 // unpacked
	maxFrame      = 64 << 20
)

// Kernel is one entry of a bundle's manifest.
type Kernel struct {
	Release string
	Arch    string // machine of uname(2)
	Distro  string // as the archive spells it
	Version string
	SHA256  string // of the file that was packed, in hexadecimal

	offset, size int // in the unpacked BTFs
}

// Bundle is an opened bundle. Opening reads the manifest; the BTFs are read when asked for.
type Bundle struct {
	needs    map[string]bool
	manifest []byte // the kernel lines
	btfs     *io.SectionReader
}

// OpenBundle reads the header and the manifest of a bundle.
func OpenBundle(r io.ReaderAt, size int64) (*Bundle, error) {
	var head [bundleHeaderSize]byte
	if _, err := r.ReadAt(head[:], 0); err != nil || string(head[:16]) != bundleMagic {
		return nil, errors.New("not a bundle made by everyexec btf pack")
	}
	if version := binary.LittleEndian.Uint32(head[16:]); version != bundleFormat {
		return nil, fmt.Errorf("a bundle of format %d, this everyexec reads %d: pack it again", version, bundleFormat)
	}
	manifestSize := int64(binary.LittleEndian.Uint32(head[20:]))
	btfsSize := int64(binary.LittleEndian.Uint32(head[24:]))
	if bundleHeaderSize+manifestSize+btfsSize != size {
		return nil, errors.New("damaged bundle: it is cut off or has something behind it")
	}
	manifest, err := readFrame(io.NewSectionReader(r, bundleHeaderSize, manifestSize), maxManifest)
	if err != nil {
		return nil, fmt.Errorf("damaged bundle: manifest: %w", err)
	}
	b := &Bundle{
		needs: make(map[string]bool),
		btfs:  io.NewSectionReader(r, bundleHeaderSize+manifestSize, btfsSize),
	}
	for bytes.HasPrefix(manifest, []byte("need\t")) {
		line, rest, _ := bytes.Cut(manifest, []byte("\n"))
		b.needs[string(line[len("need\t"):])] = true
		manifest = rest
	}
	b.manifest = manifest
	return b, nil
}

func readFrame(frame *io.SectionReader, limit uint64) ([]byte, error) {
	if frame.Size() > maxFrame {
		return nil, errBomb
	}
	packed := make([]byte, frame.Size())
	if _, err := io.ReadFull(frame, packed); err != nil {
		return nil, err
	}
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(limit))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.DecodeAll(packed, nil)
}

// lines calls visit for each kernel line, until it returns false.
func (b *Bundle) lines(visit func(line []byte) bool) {
	for rest := b.manifest; len(rest) > 0; {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
		if !visit(line) {
			return
		}
	}
}

// Kernels lists what the bundle holds, sorted by distribution, version, architecture and release.
func (b *Bundle) Kernels() ([]Kernel, error) {
	var all []Kernel
	var err error
	b.lines(func(line []byte) bool {
		var k Kernel
		if k, err = parseKernel(string(line)); err != nil {
			return false
		}
		all = append(all, k)
		return true
	})
	return all, err
}

// lookup finds the entry for a kernel. Where several distributions have a kernel of that name,
// the one that runs here counts.
func (b *Bundle) lookup(q Query) (Kernel, error) {
	for _, name := range q.Needs.Names() {
		if !b.needs[name] {
			return Kernel{}, fmt.Errorf("packed for another everyexec, without %s: pack it again", name)
		}
	}
	var same, ours []Kernel
	var err error
	prefix := []byte("kernel\t" + q.Release + "\t" + q.Arch + "\t")
	b.lines(func(line []byte) bool {
		if !bytes.HasPrefix(line, prefix) {
			return true
		}
		var k Kernel
		if k, err = parseKernel(string(line)); err != nil {
			return false
		}
		same = append(same, k)
		if k.of(q.Distro) {
			ours = append(ours, k)
		}
		return true
	})
	if len(ours) > 0 {
		same = ours
	}
	switch {
	case err != nil:
		return Kernel{}, err
	case len(same) == 0:
		return Kernel{}, fmt.Errorf("no BTF for %s", q.Release)
	case slices.ContainsFunc(same, func(k Kernel) bool { return k.offset != same[0].offset }):
		return Kernel{}, fmt.Errorf("several BTFs for %s, and none of them of %s: name the distribution with --distro and --distro-version", q.Release, q.Distro)
	}
	return same[0], nil
}

// of says whether the archive's spelling of k's distribution can mean d.
func (k Kernel) of(d Distro) bool {
	return slices.ContainsFunc(spellings(d, k.Arch), func(dir string) bool {
		return strings.HasPrefix(dir, k.Distro+"/"+k.Version+"/")
	})
}

// read unpacks the minimised BTF of an entry.
func (b *Bundle) read(k Kernel) ([]byte, error) {
	all, err := readFrame(b.btfs, maxBundleBTFs)
	if err != nil {
		return nil, fmt.Errorf("damaged bundle: %w", err)
	}
	if k.offset > len(all) || k.size > len(all)-k.offset {
		return nil, fmt.Errorf("damaged bundle: the BTF for %s lies outside of it", k.Release)
	}
	return bytes.Clone(all[k.offset : k.offset+k.size]), nil
}

func (q Query) readBundleFile(name string) ([]byte, error) {
	f, err := os.OpenFile(name, openFlags, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return q.readBundle(f, info.Size())
}

func (q Query) readBundle(r io.ReaderAt, size int64) ([]byte, error) {
	b, err := OpenBundle(r, size)
	if err != nil {
		return nil, err
	}
	k, err := b.lookup(q)
	if err != nil {
		return nil, err
	}
	return b.read(k)
}

func (k Kernel) line() string {
	return strings.Join([]string{
		"kernel", k.Release, k.Arch, k.Distro, k.Version, k.SHA256, strconv.Itoa(k.offset), strconv.Itoa(k.size),
	}, "\t")
}

func parseKernel(line string) (Kernel, error) {
	f := strings.Split(line, "\t")
	if len(f) != 8 || f[0] != "kernel" {
		return Kernel{}, fmt.Errorf("damaged bundle: manifest line %.100q", line)
	}
	k := Kernel{Release: f[1], Arch: f[2], Distro: f[3], Version: f[4], SHA256: f[5]}
	sum, err := hex.DecodeString(k.SHA256)
	offset, err2 := strconv.ParseUint(f[6], 10, 31)
	size, err3 := strconv.ParseUint(f[7], 10, 31)
	if errors.Join(err, err2, err3) != nil || len(sum) != 32 || !validName(k.Release) || !validName(k.Arch) {
		return Kernel{}, fmt.Errorf("damaged bundle: manifest line %.100q", line)
	}
	k.offset, k.size = int(offset), int(size)
	return k, nil
}

// writeBundle writes the kernels, whose minimised BTFs stand at the same index of btfs. The same
// input makes the same bytes.
func writeBundle(w io.Writer, needs *Needs, kernels []Kernel, btfs [][]byte) error {
	var manifest, all bytes.Buffer
	for _, name := range needs.Names() {
		fmt.Fprintf(&manifest, "need\t%s\n", name)
	}
	at := make(map[string]int)
	for i, k := range kernels {
		offset, ok := at[string(btfs[i])]
		if !ok {
			offset = all.Len()
			at[string(btfs[i])] = offset
			all.Write(btfs[i])
		}
		k.offset, k.size = offset, len(btfs[i])
		manifest.WriteString(k.line() + "\n")
	}
	if manifest.Len() > maxManifest || all.Len() > maxBundleBTFs {
		return errors.New("too many kernels for one bundle: choose with --for or --release")
	}

	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	defer enc.Close()
	frames := [][]byte{enc.EncodeAll(manifest.Bytes(), nil), enc.EncodeAll(all.Bytes(), nil)}
	out := bufio.NewWriter(w)
	head := append([]byte(bundleMagic), make([]byte, bundleHeaderSize-len(bundleMagic))...)
	binary.LittleEndian.PutUint32(head[16:], bundleFormat)
	binary.LittleEndian.PutUint32(head[20:], uint32(len(frames[0])))
	binary.LittleEndian.PutUint32(head[24:], uint32(len(frames[1])))
	out.Write(head)
	out.Write(frames[0])
	out.Write(frames[1])
	return out.Flush()
}
