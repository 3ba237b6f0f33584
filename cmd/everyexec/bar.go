// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// bar is a progress bar on a terminal, and nothing anywhere else.
type bar struct {
	w     io.Writer // nil: no terminal
	unit  string
	drawn time.Time
}

const (
	barWidth    = 40
	barInterval = 100 * time.Millisecond
)

func newBar(w io.Writer, unit string) *bar {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &bar{}
	}
	return &bar{w: w, unit: unit}
}

// show draws the bar anew; a total below 1 is not known.
func (b *bar) show(done, total int64) {
	if b.w == nil || done != total && time.Since(b.drawn) < barInterval {
		return
	}
	b.drawn = time.Now()
	if total < 1 {
		fmt.Fprintf(b.w, "\r\x1b[K%d %s", done, b.unit)
		return
	}
	full := int(barWidth * min(done, total) / total)
	fmt.Fprintf(b.w, "\r\x1b[K[%s%s] %d/%d %s", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), done, total, b.unit)
}

// clear leaves an empty line for what comes next.
func (b *bar) clear() {
	if b.w != nil {
		fmt.Fprint(b.w, "\r\x1b[K")
	}
}
