// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"strings"
	"testing"
)

func TestParseOSRelease(t *testing.T) {
	for _, c := range []struct {
		text string
		want Distro
	}{
		{"ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n", Distro{"debian", "12", "bookworm"}},
		{"ID=\"centos\"\nVERSION_ID=\"8\"\n", Distro{"centos", "8", ""}},
		{"ID='ol'\nVERSION_ID='7.9'", Distro{"ol", "7.9", ""}},
		{"ID=amzn\r\nVERSION_ID=2018.03\r\n", Distro{"amzn", "2018.03", ""}},
		{"ID=\"openEuler\"\nVERSION_ID=\"20.03\"\nID_LIKE=x", Distro{"openEuler", "20.03", ""}},
		{"# ID=no\n  ID=kylin\nVERSION_ID=\"V10\"\n", Distro{"kylin", "V10", ""}},
		{"ID=one\nID=two\n", Distro{"two", "", ""}}, // as a shell reads it
		{"ID=\"a\\$b\"\n", Distro{"a$b", "", ""}},
		{"VERSION_ID=1\n", Distro{"linux", "1", ""}},
		{"", Distro{"linux", "", ""}},
		{"ID=\"half\n", Distro{}},
		{"ID=../../etc\n", Distro{}},
		{"ID=\"a b\"\n", Distro{}},
		{"ID=x\nVERSION_ID=\"..\"\n", Distro{}},
		{"ID=" + strings.Repeat("x", 1<<20), Distro{}},
	} {
		got, err := ParseOSRelease(strings.NewReader(c.text))
		if (err != nil) != (c.want == Distro{}) || got != c.want {
			t.Errorf("%.60q: got %+v, %v, want %+v", c.text, got, err, c.want)
		}
	}
}
