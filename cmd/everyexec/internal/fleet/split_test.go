// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// texts returns what the splitter makes of in, each as "line:text", "line:!" for one too long.
func texts(in io.Reader, limit int) []string {
	s := newSplitter(in, limit)
	var out []string
	for {
		text, line, err := s.next()
		switch err {
		case nil:
			out = append(out, fmt.Sprintf("%d:%s", line, text))
		case errTooLong:
			out = append(out, fmt.Sprintf("%d:!", line))
		case io.EOF:
			return out
		default:
			return append(out, fmt.Sprintf("%d:%v", line, err))
		}
	}
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     []string
	}{
		{"nothing", "", nil},
		{"one line", "{1}\n", []string{"1:{1}\n"}},
		{"no line end", "{1}", []string{"1:{1}"}},
		{"lines", "{1}\n{2}\n{3}", []string{"1:{1}\n", "2:{2}\n", "3:{3}"}},
		{"indented", "{\n  1\n}\n{\n  2\n}\n", []string{"1:{\n  1\n}\n", "4:{\n  2\n}\n"}},
		{"cut off", "{1\n{2}\n", []string{"1:{1\n", "2:{2}\n"}},
		{"blank lines", "\n\n{1}\n\n{2}\n", []string{"1:\n\n", "3:{1}\n\n", "5:{2}\n"}},
		{"noise before", "Welcome\n{1}\n", []string{"1:Welcome\n", "2:{1}\n"}},
		{"too long", "{1}\n{" + strings.Repeat("x", 100) + "\n y}\n{3}\n", []string{"1:{1}\n", "2:!", "4:{3}\n"}},
		{"too long at the end", "{" + strings.Repeat("x", 100), []string{"1:!"}},
		{"just not too long", "{" + strings.Repeat("x", 19), []string{"1:{" + strings.Repeat("x", 19)}},
	} {
		if got := texts(strings.NewReader(c.in), 20); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		if got := texts(iotest.OneByteReader(strings.NewReader(c.in)), 20); !slices.Equal(got, c.want) {
			t.Errorf("%s, byte by byte: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestSplitLinesLongerThanTheBuffer(t *testing.T) {
	long := "{" + strings.Repeat("x", 200<<10) + "}\n"
	want := []string{"1:" + long, "2:{2}\n"}
	if got := texts(strings.NewReader(long+"{2}\n"), maxReport); !slices.Equal(got, want) {
		t.Errorf("got %d texts", len(got))
	}
}

func TestSplitPassesReadErrorsOn(t *testing.T) {
	in := io.MultiReader(strings.NewReader("{1}\n{2"), iotest.ErrReader(errors.New("disk on fire")))
	want := []string{"1:{1}\n", "2:disk on fire"}
	if got := texts(in, 20); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
