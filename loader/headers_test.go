// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFindHeaders(t *testing.T) {
	const release = "6.1.0-56-amd64"
	const build, common = "/usr/src/linux-headers-6.1.0-56-amd64", "/usr/src/linux-headers-6.1.0-56-common"
	const modules = "/lib/modules/" + release
	for _, c := range []struct {
		name    string
		written string            // trees with what people wrote
		made    string            // trees with what the kernel's build generated
		links   map[string]string // from, to
		include bool              // build's Makefile includes that of common
		release string            // that build says it is for
		archive bool
		given   string
		want    headers // of paths below root
		missing []string
	}{
		{
			name: "one tree", written: build, made: build, links: map[string]string{modules + "/build": build},
			want: headers{source: modules + "/build", build: modules + "/build"},
		},
		{
			name: "Debian's two trees", written: common, made: build,
			links: map[string]string{modules + "/build": build, modules + "/source": common},
			want:  headers{source: modules + "/source", build: modules + "/build"},
		},
		{
			name: "Debian's two trees, the kernel's modules not there", written: common, made: build, include: true,
			want: headers{source: common, build: build},
		},
		{
			name: "Debian's second tree not there", made: build, include: true,
			missing: []string{modules + "/build: does not exist", build + ": has no include/linux/kconfig.h"},
		},
		{
			name: "a dangling link", links: map[string]string{modules + "/build": build}, archive: true,
			want: headers{archive: true},
		},
		{
			name: "a tree that was not built", written: build, links: map[string]string{modules + "/build": build},
			missing: []string{modules + "/build: has no include/generated/autoconf.h"},
		},
		{
			name: "Fedora's tree, the link not there", written: "/usr/src/kernels/" + release, made: "/usr/src/kernels/" + release,
			want: headers{source: "/usr/src/kernels/" + release, build: "/usr/src/kernels/" + release},
		},
		{
			name: "another kernel's", written: "/usr/src/linux-headers-6.1.0-55-amd64", made: "/usr/src/linux-headers-6.1.0-55-amd64",
			missing: []string{build + ": does not exist"},
		},
		{
			name: "another kernel's, under this one's name", written: build, made: build, release: "6.1.0-55-amd64",
			missing: []string{build + ": is for kernel 6.1.0-55-amd64"},
		},
		{
			name: "this kernel's, which says so", written: build, made: build, release: release,
			want: headers{source: build, build: build},
		},
		{
			name: "given", written: "/my /usr/src/kernels/" + release, made: "/my /usr/src/kernels/" + release, given: "/my",
			want: headers{source: "/my", build: "/my"},
		},
		{
			name: "given and not there, others are no substitute", written: build, made: build, given: "/my",
			missing: []string{"BCC_KERNEL_SOURCE=/my: does not exist"},
		},
		{
			name: "nothing",
			missing: []string{
				modules + "/build: does not exist", build + ": does not exist",
				"/usr/src/kernels/" + release + ": does not exist", "/sys/kernel/kheaders.tar.xz: does not exist",
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			for _, tree := range strings.Fields(c.written) {
				write(t, root+tree+"/include/linux/kconfig.h", "")
			}
			for _, tree := range strings.Fields(c.made) {
				write(t, root+tree+"/include/generated/autoconf.h", "")
			}
			for from, to := range c.links {
				mkdir(t, filepath.Dir(root+from))
				if err := os.Symlink(root+to, root+from); err != nil {
					t.Fatal(err)
				}
			}
			if c.include {
				write(t, root+build+"/Makefile", "include "+common+"/Makefile\n")
			}
			if c.release != "" {
				write(t, root+build+"/"+releaseHeader, "#define UTS_RELEASE \""+c.release+"\"\n")
			}
			if c.archive {
				write(t, root+headersArchive, "")
			}
			h, err := findHeaders(root, release, c.given)
			if len(c.missing) > 0 {
				if err == nil {
					t.Fatalf("found %s", h)
				}
				for _, m := range c.missing {
					if !strings.Contains(err.Error(), m) {
						t.Errorf("does not say %q: %v", m, err)
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := headers{strings.TrimPrefix(h.source, root), strings.TrimPrefix(h.build, root), h.archive}
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	mkdir(t, filepath.Dir(path))
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestInstallHeaders(t *testing.T) {
	for _, c := range []struct{ distro, release, want string }{
		{"debian", "6.1.0-56-amd64", "apt-get install linux-headers-6.1.0-56-amd64"},
		{"ubuntu", "5.15.0-91-generic", "apt-get install linux-headers-5.15.0-91-generic"},
		{"fedora", "6.8.5-301.fc40.x86_64", "dnf install kernel-devel-6.8.5-301.fc40.x86_64"},
		{"ol", "5.15.0-200.131.27.el8uek.x86_64", "dnf install kernel-uek-devel-5.15.0-200.131.27.el8uek.x86_64"},
		{"opensuse-leap", "5.14.21-150500.55.44-default", "zypper install kernel-default-devel"},
		{"alpine", "6.6.41-0-virt", "apk add linux-virt-dev"},
		{"arch", "6.10.1-arch1-1", "pacman -S linux-headers"},
		{"arch", "6.6.41-1-lts", "pacman -S linux-lts-headers"},
		{"", "4.19.1", "kernel-devel-4.19.1"},
	} {
		if got := installHeaders(c.release, Distro{ID: c.distro}); !strings.Contains(got, c.want) {
			t.Errorf("%s %s: %q does not say %q", c.distro, c.release, got, c.want)
		}
	}
}
