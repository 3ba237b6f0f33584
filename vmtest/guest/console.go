// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"unsafe"
)

// console writes marked lines, each with one write.
type console struct {
	mu sync.Mutex
	w  io.Writer
}

func (c *console) mark(m Mark, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text = strings.ReplaceAll(text, "\n", " ")
	fmt.Fprintf(c.w, "%s %s\n", m, text)
}

// lines gives a writer whose every line comes out with the mark before it.
func (c *console) lines(m Mark) *lineWriter { return &lineWriter{c: c, mark: m} }

// maxLine bounds what is kept of a line that does not end, in bytes.
const maxLine = 1 << 20

type lineWriter struct {
	c    *console
	mark Mark
	rest []byte
	word string
	saw  func()
}

// sawWord has saw called for the first line with the word in it. To be called before the first Write.
func (l *lineWriter) sawWord(word string, saw func()) { l.word, l.saw = word, saw }

func (l *lineWriter) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte{'\n'})
		if !whole && len(l.rest) < maxLine {
			return len(p), nil
		}
		l.c.mark(l.mark, string(line))
		l.rest = rest
		if l.saw != nil && bytes.Contains(line, []byte(l.word)) {
			l.saw()
			l.saw = nil
		}
	}
}

// Close prints a last line that had no end.
func (l *lineWriter) Close() error {
	if len(l.rest) > 0 {
		l.c.mark(l.mark, string(l.rest))
		l.rest = nil
	}
	return nil
}

// klog is syslog(2).
func klog(action int, buf []byte) (int, error) {
	n, _, errno := syscall.Syscall(syscall.SYS_SYSLOG, uintptr(action), uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
