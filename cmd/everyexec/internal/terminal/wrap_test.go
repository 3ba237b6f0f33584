// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		in    string
		width int
		want  []string
	}{
		{"", 5, nil},
		{"  a  b ", 5, []string{"a b"}},
		{"ab cd ef", 5, []string{"ab cd", "ef"}},
		{"äö ü", 4, []string{"äö ü"}},
		{"a /a/long/path b", 6, []string{"a", "/a/long/path", "b"}},
	} {
		if got := Wrap(c.in, c.width); !slices.Equal(got, c.want) {
			t.Errorf("Wrap(%q, %d) = %q, want %q", c.in, c.width, got, c.want)
		}
	}
}

func TestPad(t *testing.T) {
	for _, c := range []struct {
		in    string
		width int
		want  string
	}{
		{"ä", 3, "ä  "}, {"ä", -3, "  ä"}, {"long", 3, "long"}, {"long", -3, "long"},
	} {
		if got := Pad(c.in, c.width); got != c.want {
			t.Errorf("Pad(%q, %d) = %q, want %q", c.in, c.width, got, c.want)
		}
	}
}

func TestWrapCommandCanBePasted(t *testing.T) {
	const command = "printf %s, one two three four five six seven"
	want, err := exec.Command("sh", "-c", command).Output()
	if err != nil {
		t.Fatal(err)
	}
	for width := 12; width < 50; width++ {
		lines := WrapCommand(command, width)
		for _, l := range lines {
			if len(l) > width {
				t.Errorf("width %d: %q", width, l)
			}
		}
		got, err := exec.Command("sh", "-c", strings.Join(lines, "\n    ")).Output()
		if err != nil || string(got) != string(want) {
			t.Errorf("width %d: %q printed %q (%v), want %q", width, lines, got, err, want)
		}
	}
}

func TestWrapCommandLeavesQuotesAlone(t *testing.T) {
	const command = `sh -c 'echo  a;  echo b'`
	if got := WrapCommand(command, 5); !slices.Equal(got, []string{command}) {
		t.Errorf("got %q", got)
	}
}
