// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"bufio"
	"errors"
	"io"
)

// errTooLong says that a report was longer than the splitter's limit. The next call goes on
// behind it.
var errTooLong = errors.New("too long")

// splitter cuts a stream into the texts of single reports. A report begins with a line whose
// first byte is '{' and lasts until the next such line. That holds for JSON Lines and for indented
// JSON, and it finds the next report whatever the one before looks like.
type splitter struct {
	r         *bufio.Reader
	limit     int    // longest text, in bytes
	buf       []byte // the text that next returned
	line      int    // lines read so far
	lineStart bool   // the next byte begins a line
}

func newSplitter(r io.Reader, limit int) *splitter {
	return &splitter{r: bufio.NewReaderSize(r, 64<<10), limit: limit, lineStart: true}
}

// next returns the next text and the number of the line on which it begins. The text is valid
// until the next call. The error is io.EOF after the last text, errTooLong, or what reading gave.
func (s *splitter) next() (text []byte, line int, err error) {
	s.buf = s.buf[:0]
	line = s.line + 1
	size := 0
	for {
		if s.lineStart && size > 0 && s.atReport() {
			break
		}
		piece, err := s.r.ReadSlice('\n')
		size += len(piece)
		if size <= s.limit {
			s.buf = append(s.buf, piece...)
		}
		s.lineStart = err == nil
		if s.lineStart || err == io.EOF && len(piece) > 0 {
			s.line++
		}
		if err == io.EOF && size > 0 {
			break
		}
		if err != nil && err != bufio.ErrBufferFull {
			return nil, line, err
		}
	}
	if size > s.limit {
		return nil, line, errTooLong
	}
	return s.buf, line, nil
}

func (s *splitter) atReport() bool {
	b, err := s.r.Peek(1)
	return err == nil && b[0] == '{'
}
