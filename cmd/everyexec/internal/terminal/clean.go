// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean makes s fit for one line of a terminal or a page: what is not printable (control
// characters, escapes, line ends, characters that turn the direction of writing, invalid UTF-8)
// becomes U+FFFD. At most limit runes are kept, with an ellipsis in place of the rest.
func Clean(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, s)
	return Cut(s, limit)
}

// CleanLines is Clean for a string of several lines. The limit is for each line.
func CleanLines(s string, limit int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i := range lines {
		lines[i] = Clean(lines[i], limit)
	}
	return strings.Join(lines, "\n")
}

// Cut shortens s to width runes, the last of which is an ellipsis if anything was cut off.
// width is at least 1.
func Cut(s string, width int) string {
	if len(s) <= width || utf8.RuneCountInString(s) <= width {
		return s
	}
	kept := 0
	for i := range s {
		if kept == width-1 {
			return s[:i] + "…"
		}
		kept++
	}
	return s
}
