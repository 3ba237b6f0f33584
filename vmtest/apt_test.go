// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

func TestKernelDependency(t *testing.T) {
	for _, c := range []struct{ depends, name, version string }{
		{"linux-image-5.10.0-46-amd64 (= 5.10.262-1)", "linux-image-5.10.0-46-amd64", "5.10.262-1"},
		{"linux-base-amd64 (= 7.3.4-1~bpo13+1), linux-image-7.3.4+deb13-amd64 (= 7.3.4-1~bpo13+1)", "linux-image-7.3.4+deb13-amd64", "7.3.4-1~bpo13+1"},
		{"linux-base-7.3.4+deb13-amd64 (= 7.3.4-1), linux-binary-7.3.4+deb13-amd64 (= 7.3.4-1), linux-modules-7.3.4+deb13-amd64 (= 7.3.4-1)", "linux-binary-7.3.4+deb13-amd64", "7.3.4-1"},
		{"kmod, linux-base (>= 4.3~), initramfs-tools (>= 0.120+deb8u2) | linux-initramfs-tool", "", ""},
	} {
		description := "Package: x\nPre-Depends: linux-base\nDepends: " + c.depends + "\n"
		m := kernelDependency.FindStringSubmatch(field(description, "Depends"))
		switch {
		case m == nil && c.name != "":
			t.Errorf("%s: found none", c.depends)
		case m != nil && (m[1] != c.name || m[2] != c.version):
			t.Errorf("%s: found %q", c.depends, m)
		}
	}
}

func TestMirrorFromEnvironment(t *testing.T) {
	t.Setenv("DEBIAN_MIRROR", "http://mirror.example/debian/")
	mirror, security, err := mirrors(t.Context())
	if err != nil || mirror != "http://mirror.example/debian" || security != "http://mirror.example/debian-security" {
		t.Errorf("got %q, %q, %v", mirror, security, err)
	}
}
