// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"archive/tar"
	"bufio"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"

	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"
)

// What a file may cost before it counts as hostile. The largest BTF published has 27 MB, the
// largest ELF that holds nothing else 49 MB, and both pack by less than 42 to 1.
const (
	maxPacked   = 64 << 20
	maxUnpacked = 128 << 20
	maxRatio    = 256
	freeRatio   = 64 << 20 // bytes unpacked before the ratio counts: an ELF begins with empty sections
	maxWindow   = 64 << 20
)

var (
	errBomb = errors.New("it unpacks to more than a BTF can be")
	errHTML = errors.New("an HTML page, no BTF: a proxy, a login page or an error page answered in its place")
)

// readFile opens a file, which may be of any form that archives and distributions use (raw BTF,
// ELF with a section .BTF, either compressed with xz or zstd, a tar of one file), and returns the
// raw BTF. inner is the only name that a tar may hold.
func readFile(open func() (*os.File, error), inner string) (b []byte, err error) {
	f, err := open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	return readBTF(f, info.Size(), inner)
}

// openFlags keep a FIFO or device in the place of a file from blocking the caller.
const openFlags = os.O_RDONLY | syscall.O_NONBLOCK | syscall.O_CLOEXEC

func readBTF(r io.ReaderAt, size int64, inner string) (b []byte, err error) {
	// The decoders below are other people's, and the file anybody's.
	defer func() {
		if p := recover(); p != nil {
			b, err = nil, fmt.Errorf("damaged: %v", p)
		}
	}()

	var magic [6]byte
	n, err := r.ReadAt(magic[:], 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch packed := io.NewSectionReader(r, 0, size); {
	case n == 0:
		return nil, errors.New("an empty file")
	case bytes.HasPrefix(magic[:], []byte("\xfd7zXZ\x00")):
		return unpack(packed, inner, newXZ)
	case bytes.HasPrefix(magic[:], []byte("\x28\xb5\x2f\xfd")):
		return unpack(packed, inner, newZstd)
	case bytes.HasPrefix(magic[:], []byte(elf.ELFMAG)):
		return readELF(r)
	case size > maxUnpacked:
		return nil, errBomb
	default:
		b := make([]byte, size)
		if _, err := io.ReadFull(packed, b); err != nil {
			return nil, err
		}
		return b, checkMagic(b)
	}
}

// A decoder unpacks a stream, and is told when it is no longer needed.
type decoder func(io.Reader) (r io.Reader, done func(), err error)

// xzReaders are used again and again, as archives ask for dictionaries of 64 MiB.
var xzReaders sync.Pool

func newXZ(r io.Reader) (io.Reader, func(), error) {
	z, used := xzReaders.Get().(*xz.Reader)
	var err error
	if used {
		err = z.Reset(r)
	} else {
		z, err = xz.NewReader(r, maxWindow)
	}
	return z, func() { xzReaders.Put(z) }, err
}

func newZstd(r io.Reader) (io.Reader, func(), error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, nil, err
	}
	return z, z.Close, nil
}

// unpack reads what a compressed file holds.
func unpack(packed *io.SectionReader, inner string, open decoder) ([]byte, error) {
	if packed.Size() > maxPacked {
		return nil, fmt.Errorf("%d bytes compressed are more than a BTF can be", packed.Size())
	}
	in := &countingReader{r: packed}
	plain, done, err := open(in)
	if err != nil {
		return nil, fmt.Errorf("damaged: %w", err)
	}
	out := bufio.NewReader(&boundedReader{r: plain, in: in})
	b, err := readPlain(out, inner)
	done() // not after a panic, which leaves a decoder in nobody knows what state
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(b, []byte(elf.ELFMAG)) {
		return readELF(bytes.NewReader(b))
	}
	return b, checkMagic(b)
}

// readPlain reads what was compressed: a tar of the file, or the file itself.
func readPlain(out *bufio.Reader, inner string) ([]byte, error) {
	const ustarAt = 257
	head, err := out.Peek(ustarAt + 5)
	if err != nil && err != io.EOF {
		return nil, damaged(err)
	}
	var b []byte
	switch {
	case len(head) > ustarAt && string(head[ustarAt:]) == "ustar":
		b, err = readTar(out, inner)
	case len(bytes.Trim(head, "\x00")) == 0:
		return nil, errors.New("an empty archive")
	default:
		b, err = io.ReadAll(out)
	}
	if err != nil {
		return nil, damaged(err)
	}
	return b, nil
}

func damaged(err error) error {
	var ours tarError
	if errors.Is(err, errBomb) || errors.As(err, &ours) {
		return err
	}
	return fmt.Errorf("damaged: %w", err)
}

// tarError says what is wrong with a tar that can be read.
type tarError string

func (e tarError) Error() string { return string(e) }

// readTar returns the one regular file of an archive. Nothing is ever written to disk under a
// name from the archive.
func readTar(r io.Reader, inner string) ([]byte, error) {
	archive := tar.NewReader(r)
	var b []byte
	for n := 0; ; n++ {
		head, err := archive.Next()
		switch {
		case err == io.EOF && n == 0:
			return nil, tarError("an empty archive")
		case err == io.EOF:
			return b, nil
		case err != nil:
			return nil, err
		case head.Typeflag != tar.TypeReg:
			return nil, tarError(fmt.Sprintf("the archive holds %q, which is no regular file", head.Name))
		case strings.TrimPrefix(head.Name, "./") != inner:
			return nil, tarError(fmt.Sprintf("the archive holds %q and not %q", head.Name, inner))
		case n > 0:
			return nil, tarError(fmt.Sprintf("the archive holds %q twice", inner))
		case head.Size > maxUnpacked:
			return nil, errBomb
		}
		if head.Size == 0 {
			return nil, tarError(fmt.Sprintf("%q in the archive is empty", inner))
		}
		b = make([]byte, head.Size)
		if _, err := io.ReadFull(archive, b); err != nil {
			return nil, err
		}
	}
}

// readELF returns the section .BTF of a vmlinux.
func readELF(r io.ReaderAt) ([]byte, error) {
	file, err := elf.NewFile(r)
	if err != nil {
		return nil, fmt.Errorf("damaged ELF: %w", err)
	}
	sec := file.Section(".BTF")
	if sec == nil || sec.Type == elf.SHT_NOBITS {
		return nil, errors.New("an ELF file without BTF: add it with pahole -J, see docs/external-btf.md")
	}
	b, err := io.ReadAll(io.LimitReader(sec.Open(), maxUnpacked+1))
	if err != nil {
		return nil, fmt.Errorf("damaged ELF section .BTF: %w", err)
	}
	if len(b) > maxUnpacked {
		return nil, errBomb
	}
	return b, checkMagic(b)
}

func checkMagic(b []byte) error {
	switch {
	case bytes.HasPrefix(b, []byte("\x9f\xeb")), bytes.HasPrefix(b, []byte("\xeb\x9f")):
		return nil
	case bytes.HasPrefix(bytes.TrimLeft(b[:min(len(b), 512)], "\ufeff \t\r\n"), []byte("<")):
		return errHTML
	default:
		return fmt.Errorf("no BTF and no archive of one: it begins with %q", b[:min(len(b), 8)])
	}
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// boundedReader ends with errBomb when too much comes out, in all or for what went in.
type boundedReader struct {
	r  io.Reader
	in *countingReader
	n  int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.n += int64(n)
	if b.n > maxUnpacked || b.n > freeRatio && b.n > maxRatio*b.in.n {
		return 0, errBomb
	}
	return n, err
}
