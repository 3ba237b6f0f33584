// SPDX-License-Identifier: Apache-2.0

package output

import (
	"fmt"
	"strconv"
	"time"

	"github.com/everyexec/everyexec/event"
)

// Table writes lines for people, in the columns of execsnoop.
type Table struct {
	Clock   bool      // a column with the wall-clock time
	Since   time.Time // a column with the seconds since then, unless zero
	UID     bool      // a column with the uid
	Quote   bool      // arguments quoted for a shell
	MaxArgs int       // at most so many arguments; 0: all that were captured
}

// The widths of the columns; a longer value pushes the line to the right.
const (
	widthComm = 16
	widthID   = 7
	widthRet  = 4
)

// Header returns the line of column names.
func (t Table) Header() []byte {
	var dst []byte
	if t.Clock {
		dst = appendPadded(dst, []byte("TIME"), 8)
	}
	if !t.Since.IsZero() {
		dst = appendPadded(dst, []byte("TIME(s)"), 8)
	}
	if t.UID {
		dst = appendPadded(dst, []byte("UID"), widthID)
	}
	dst = appendPadded(dst, []byte("PCOMM"), widthComm)
	dst = appendPadded(dst, []byte("PID"), widthID)
	dst = appendPadded(dst, []byte("PPID"), widthID)
	dst = appendPadded(dst, []byte("RET"), widthRet)
	return append(dst, "ARGS\n"...)
}

// Append appends a line.
func (t Table) Append(dst []byte, x *Exec) []byte {
	var cell [64]byte
	if t.Clock {
		dst = appendPadded(dst, x.Time.Local().AppendFormat(cell[:0], "15:04:05"), 8)
	}
	if !t.Since.IsZero() {
		dst = appendPadded(dst, fmt.Appendf(cell[:0], "%.3f", x.Time.Sub(t.Since).Seconds()), 8)
	}
	number := func(f event.Fields, n int64, width int) {
		value := []byte{'-'}
		if x.Known.Has(f) {
			value = strconv.AppendInt(cell[:0], n, 10)
		}
		dst = appendPadded(dst, value, width)
	}
	if t.UID {
		number(event.UID, int64(x.UID), widthID)
	}
	comm := []byte{'-'}
	if x.Known.Has(event.Comm) {
		comm = appendPrintable(cell[:0], x.Comm)
	}
	dst = appendPadded(dst, comm, widthComm)
	number(event.PID, int64(x.PID), widthID)
	number(event.PPID, int64(x.PPID), widthID)
	number(event.Ret, int64(x.Ret), widthRet)
	dst = t.appendArgs(dst, x)
	return append(dst, '\n')
}

func (t Table) appendArgs(dst []byte, x *Exec) []byte {
	if !x.Known.Has(event.Args) {
		return append(dst, '-')
	}
	n := 0
	for arg := range x.Args() {
		if n > 0 {
			dst = append(dst, ' ')
		}
		if t.MaxArgs > 0 && n == t.MaxArgs {
			return append(dst, "..."...)
		}
		if t.Quote {
			dst = appendShellQuoted(dst, arg)
		} else {
			dst = appendPrintable(dst, arg)
		}
		n++
	}
	if x.Truncated.Has(event.Args) {
		dst = append(dst, "..."...)
	}
	return dst
}

// appendPadded appends a cell and the spaces that fill it up, one at least.
func appendPadded(dst, cell []byte, width int) []byte {
	dst = append(dst, cell...)
	for i := len(cell); i < width; i++ {
		dst = append(dst, ' ')
	}
	return append(dst, ' ')
}
