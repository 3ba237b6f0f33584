// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"strings"
	"unicode/utf8"
)

// Wrap breaks s between words into lines of at most width runes. A word that is longer than
// that stands on a line of its own, whole, since it may be a path that somebody copies.
func Wrap(s string, width int) []string {
	var lines []string
	line, columns := "", 0
	for _, word := range strings.Fields(s) {
		n := utf8.RuneCountInString(word)
		if line != "" && columns+1+n > width {
			lines = append(lines, line)
			line, columns = "", 0
		}
		if line != "" {
			line += " "
			columns++
		}
		line += word
		columns += n
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// WrapCommand breaks a shell command between words into lines of at most width runes, each but
// the last with a backslash at its end, so that a shell reads the lines as one. A command with
// quotes stays whole, since a space in quotes is not between words.
func WrapCommand(s string, width int) []string {
	if utf8.RuneCountInString(s) <= width || strings.ContainsAny(s, "'\"`#") {
		return []string{s}
	}
	lines := Wrap(s, width-len(" \\"))
	for i := range lines[:len(lines)-1] {
		lines[i] += " \\"
	}
	return lines
}

// Pad fills s up with spaces to width runes; a negative width puts them in front.
func Pad(s string, width int) string {
	n := utf8.RuneCountInString(s)
	if width < 0 {
		return strings.Repeat(" ", max(0, -width-n)) + s
	}
	return s + strings.Repeat(" ", max(0, width-n))
}
