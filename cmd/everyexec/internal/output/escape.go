// SPDX-License-Identifier: Apache-2.0

package output

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// appendJSONString appends b as a JSON string. A byte that is not part of valid UTF-8 becomes the
// text \xNN; so that this can be undone, a backslash that is followed by x becomes \x5c.
func appendJSONString(dst, b []byte) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(b); {
		c := b[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(dst, '\\', '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
			} else {
				dst = append(dst, b[i:i+size]...)
			}
			i += size
			continue
		}
		i++
		switch {
		case c == '\\' && i < len(b) && b[i] == 'x':
			dst = append(dst, `\\x5c`...)
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c < ' ' || c == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// appendPrintable appends b with everything escaped that could move a cursor, colour a terminal
// or hide text: control and format characters, odd spaces, invalid UTF-8.
func appendPrintable(dst, b []byte) []byte {
	for i := 0; i < len(b); {
		r, size := utf8.DecodeRune(b[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			dst = append(dst, '\\', 'x', hexDigits[b[i]>>4], hexDigits[b[i]&15])
		case unicode.IsPrint(r):
			dst = append(dst, b[i:i+size]...)
		default:
			dst = appendEscaped(dst, b[i:i+size])
		}
		i += size
	}
	return dst
}

// appendEscaped writes the bytes of one character so that both people and $'...' read them.
func appendEscaped(dst, b []byte) []byte {
	switch b[0] {
	case '\n':
		return append(dst, '\\', 'n')
	case '\t':
		return append(dst, '\\', 't')
	case '\r':
		return append(dst, '\\', 'r')
	}
	for _, c := range b {
		dst = append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
	}
	return dst
}

// appendShellQuoted appends b so that a POSIX shell, or bash where control characters need
// $'...', reads it as one word.
func appendShellQuoted(dst, b []byte) []byte {
	switch quoting(b) {
	case quoteNone:
		return append(dst, b...)
	case quoteSingle:
		dst = append(dst, '\'')
		dst = append(dst, strings.ReplaceAll(string(b), `'`, `'\''`)...)
		return append(dst, '\'')
	}
	dst = append(dst, "$'"...)
	for i := 0; i < len(b); {
		r, size := utf8.DecodeRune(b[i:])
		switch {
		case r == '\'' || r == '\\':
			dst = append(dst, '\\', b[i])
		case (r == utf8.RuneError && size == 1) || !unicode.IsPrint(r):
			dst = appendEscaped(dst, b[i:i+size])
		default:
			dst = append(dst, b[i:i+size]...)
		}
		i += size
	}
	return append(dst, '\'')
}

type quoteStyle int

const (
	quoteNone quoteStyle = iota
	quoteSingle
	quoteDollar
)

func quoting(b []byte) quoteStyle {
	style := quoteNone
	if len(b) == 0 {
		style = quoteSingle
	}
	for i := 0; i < len(b); {
		r, size := utf8.DecodeRune(b[i:])
		if (r == utf8.RuneError && size == 1) || !unicode.IsPrint(r) {
			return quoteDollar
		}
		if !plainInShell(r) {
			style = quoteSingle
		}
		i += size
	}
	return style
}

func plainInShell(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_@%+=:,./-", r)
}
