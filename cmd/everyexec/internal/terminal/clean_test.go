// SPDX-License-Identifier: Apache-2.0

package terminal

import "testing"

func TestClean(t *testing.T) {
	for _, c := range []struct {
		name, in string
		limit    int
		want     string
	}{
		{"plain", "no BTF: größer, 日本", 100, "no BTF: größer, 日本"},
		{"escape", "\x1b[31mred\x1b]0;title\a", 100, "\uFFFD[31mred\uFFFD]0;title\uFFFD"},
		{"C1 control", "a\u009bb", 100, "a\uFFFDb"},
		{"line ends", "a\r\nb\tc\u2028d", 100, "a\uFFFD\uFFFDb\uFFFDc\uFFFDd"},
		{"direction", "a\u202eb\u2066c", 100, "a\uFFFDb\uFFFDc"},
		{"invalid UTF-8", "a\xff\xc3", 100, "a\uFFFD\uFFFD"},
		{"exactly the limit", "äbc", 3, "äbc"},
		{"longer", "äbcd", 3, "äb…"},
		{"limit 1", "abc", 1, "…"},
	} {
		if got := Clean(c.in, c.limit); got != c.want {
			t.Errorf("%s: Clean(%q, %d) = %q, want %q", c.name, c.in, c.limit, got, c.want)
		}
	}
}

func TestCleanLinesKeepsLines(t *testing.T) {
	if got, want := CleanLines("mount x\nrun\x1b\n", 5), "moun…\nrun\uFFFD"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
