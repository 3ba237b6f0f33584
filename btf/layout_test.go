// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSpellings(t *testing.T) {
	for _, c := range []struct {
		d    Distro
		arch string
		want []string
	}{
		{Distro{ID: "ubuntu", VersionID: "18.04"}, "x86_64", []string{"ubuntu/18.04/x86_64", "ubuntu/18.04/amd64"}},
		{Distro{ID: "openEuler", VersionID: "20.03"}, "aarch64", []string{"openEuler/20.03/arm64", "openEuler/20.03/aarch64"}},
		{Distro{ID: "rhel", VersionID: "8.5"}, "s390x", []string{"rhel/8/s390x", "rhel/8.5/s390x"}},
		{Distro{ID: "centos", VersionID: "8"}, "s390x", []string{"centos/8/s390x"}},
		{Distro{ID: "ol", VersionID: "7.9"}, "s390x", []string{"ol/7/s390x", "ol/7.9/s390x", "oracle/7/s390x", "oracle/7.9/s390x"}},
		{Distro{ID: "amzn", VersionID: "2018.03"}, "s390x", []string{"amzn/1/s390x", "amzn/2018/s390x", "amzn/2018.03/s390x"}},
		{Distro{ID: "amzn", VersionID: "2"}, "s390x", []string{"amzn/2/s390x"}},
		{Distro{ID: "debian", VersionID: "10"}, "s390x", []string{"debian/10/s390x", "debian/buster/s390x"}},
		{Distro{ID: "debian", Codename: "trixie"}, "s390x", []string{"debian/trixie/s390x"}},
		{Distro{ID: "kylin", VersionID: "V10"}, "s390x", []string{"kylin/V10/s390x"}},
		{Distro{ID: "arch"}, "s390x", nil},
		{Distro{}, "x86_64", nil},
		{Distro{ID: "..", VersionID: "1"}, "x86_64", nil},
		{Distro{ID: "x", VersionID: "../.."}, "x86_64", nil},
	} {
		if diff := cmp.Diff(c.want, spellings(c.d, c.arch)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.d, diff)
		}
	}
}

func TestLocate(t *testing.T) {
	for name, want := range map[string]location{
		"ubuntu/18.04/x86_64/5.4.0-1029-aws.btf.tar.xz": {distro: "ubuntu", version: "18.04", arch: "x86_64", release: "5.4.0-1029-aws"},
		"a/b/centos/8/arm64/4.18.0.btf.xz":              {distro: "centos", version: "8", arch: "arm64", release: "4.18.0"},
		"4.18.0.btf":                                    {release: "4.18.0"},
		"heap/4.18.0+.btf.zst":                          {release: "4.18.0+"},
		"arm64/4.18.0.btf":                              {release: "4.18.0", arch: "arm64"},
		"README.md":                                     {},
		".btf":                                          {},
		"x/.4.18.0.btf.tar.xz.1.part":                   {},
	} {
		got, ok := locate(name)
		if ok {
			want.path = name
		}
		if ok != (want.release != "") || ok && got != want {
			t.Errorf("%s: got %+v, %v", name, got, ok)
		}
	}
}

func TestMachine(t *testing.T) {
	for spelling, want := range map[string]string{"arm64": "aarch64", "amd64": "x86_64", "aarch64": "aarch64", "riscv64": "riscv64", "": ""} {
		if got := Machine(spelling); got != want {
			t.Errorf("Machine(%q) = %q, want %q", spelling, got, want)
		}
	}
}
