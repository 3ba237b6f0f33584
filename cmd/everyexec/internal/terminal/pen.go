// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Pen colours text, or leaves it alone. The zero Pen is colourless.
type Pen struct{ colour bool }

// PenFor returns the Pen for w: a colourful one if w is a terminal, the environment has no
// NO_COLOR (https://no-color.org) and TERM is not dumb.
func PenFor(w io.Writer) Pen {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return Pen{}
	}
	return Pen{colour: term.IsTerminal(int(f.Fd()))}
}

// Colourful returns a Pen that always colours.
func Colourful() Pen { return Pen{colour: true} }

// Good is for what is as it should be.
func (p Pen) Good(s string) string { return p.paint("32", s) }

// Warn is for what works in part, or is not known.
func (p Pen) Warn(s string) string { return p.paint("33", s) }

// Bad is for what does not work.
func (p Pen) Bad(s string) string { return p.paint("31", s) }

// Strong is for headings.
func (p Pen) Strong(s string) string { return p.paint("1", s) }

// Faint is for what matters less.
func (p Pen) Faint(s string) string { return p.paint("2", s) }

func (p Pen) paint(code, s string) string {
	if !p.colour || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
