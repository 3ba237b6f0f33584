// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	maxReport = 1 << 20 // bytes of one report; a real one has about 20 KiB
	maxFile   = 8 << 30 // bytes of one file, or of standard input
)

// item is the text of one report and where it was found, or what was wrong there.
type item struct {
	file string
	line int // from 1 on; 0 where it is about the file as a whole
	text []byte
	err  error
}

// reader finds reports. It hands on each, in order, as an item that the receiver may keep.
type reader struct {
	emit    func(item)
	emitted int
}

func (r *reader) hand(i item) {
	r.emitted++
	r.emit(i)
}

func (r *reader) damage(file string, line int, err error) {
	var inPath *fs.PathError
	if errors.As(err, &inPath) {
		err = inPath.Err // the path is named already
	}
	r.hand(item{file: file, line: line, err: err})
}

// path reads a file, or all files below a directory except hidden ones.
func (r *reader) path(path string) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		r.damage(path, 0, err)
	case info.IsDir():
		r.dir(path)
	default:
		r.file(path)
	}
}

func (r *reader) dir(dir string) {
	before := r.emitted
	// The function turns every error into damage, so WalkDir has none left.
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		hidden := path != dir && strings.HasPrefix(filepath.Base(path), ".")
		switch {
		case err != nil:
			r.damage(path, 0, err)
		case hidden && entry.IsDir():
			return fs.SkipDir
		case !hidden && !entry.IsDir():
			r.entry(path)
		}
		return nil
	})
	if r.emitted == before {
		r.damage(dir, 0, errors.New("the directory holds no reports"))
	}
}

// entry reads a file of a directory, and nothing that could block or never end.
func (r *reader) entry(path string) {
	info, err := os.Stat(path)
	if err != nil {
		r.damage(path, 0, err)
		return
	}
	if !info.Mode().IsRegular() {
		r.damage(path, 0, errors.New("not a regular file: not read"))
		return
	}
	r.file(path)
}

func (r *reader) file(path string) {
	file, err := os.Open(path)
	if err != nil {
		r.damage(path, 0, err)
		return
	}
	defer file.Close()
	r.stream(path, file)
}

// stream reads the reports in in, JSON Lines or indented JSON one behind the other.
func (r *reader) stream(name string, in io.Reader) {
	before := r.emitted
	limited := &io.LimitedReader{R: in, N: maxFile}
	s := newSplitter(limited, maxReport)
	for {
		text, line, err := s.next()
		if err == io.EOF {
			break
		}
		if err == errTooLong {
			r.damage(name, line, fmt.Errorf("longer than %d KiB: no report", maxReport>>10))
			continue
		}
		if err != nil {
			r.damage(name, line, err)
			return
		}
		if len(bytes.TrimSpace(text)) > 0 {
			r.hand(item{file: name, line: line, text: bytes.Clone(text)})
		}
	}
	if limited.N == 0 {
		r.damage(name, s.line, fmt.Errorf("longer than %d GiB: the rest was not read", maxFile>>30))
	}
	if r.emitted == before {
		r.damage(name, 0, errors.New("empty: holds no report"))
	}
}
