// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
)

func pageOf(t *testing.T, s *Summary) string {
	t.Helper()
	var b strings.Builder
	if err := s.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPageEscapes(t *testing.T) {
	got := pageOf(t, read(evil(t)+evil(t)[:50]+"\n"))
	for _, foreign := range []string{"<img", "<i>", "<u>", "<script> ", `"'`} {
		if strings.Contains(got, foreign) {
			t.Errorf("%q is in the page", foreign)
		}
	}
	if n := strings.Count(got, "</script>"); n != 1 {
		t.Errorf("%d scripts end, want 1", n)
	}
}

func TestPageGivesEachFormatItsValues(t *testing.T) {
	for name, s := range map[string]*Summary{
		"sample": sample(t),
		"empty":  read(""),
		"one":    read(reportOf(t, "a", withoutBTF, 0)),
	} {
		if _, after, bad := strings.Cut(pageOf(t, s), "%!"); bad {
			t.Errorf("%s: %%!%.60s", name, after)
		}
	}
}

func TestPageOnAFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	if err := read("").WriteHTML(full); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %v, want %v", err, syscall.ENOSPC)
	}
}
