// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"strings"
	"testing"
)

func TestCompileError(t *testing.T) {
	for _, c := range []struct{ name, output, want string }{
		{"nothing", "\n", ": exit status 1"},
		{
			"clang", "In file included from a.h:1:\n/virtual/main.c:3:1: error: unknown type name 'foo'\nfoo bar;\n^\n1 error generated.\n",
			": exit status 1: /virtual/main.c:3:1: error: unknown type name 'foo'; 1 error generated.",
		},
		{"no line tells", "one\ntwo\nthree\nfour\nfive\n", ": exit status 1: one; two; three; four"},
		{"many", strings.Repeat("x.c:1:1: error: no\n", 20), ": exit status 1" + ": x.c:1:1: error: no" + strings.Repeat("; x.c:1:1: error: no", 3)},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := &compileError{c.output, errors.New("exit status 1")}
			if got, want := err.Error(), "libbcc could not build the program"+c.want; got != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}
