// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// kernelSourceVariable names a kernel's source tree, for libbcc as for us.
const kernelSourceVariable = "BCC_KERNEL_SOURCE"

// headersArchive is where a kernel with CONFIG_IKHEADERS carries its own headers (5.2).
const headersArchive = "/sys/kernel/kheaders.tar.xz"

// Every tree of headers has these two; Debian spreads them over two trees.
const (
	writtenHeader   = "include/linux/kconfig.h"
	generatedHeader = "include/generated/autoconf.h"
)

// releaseHeader names the kernel that a tree is for, in most trees.
const releaseHeader = "include/generated/utsrelease.h"

var releaseDefinition = regexp.MustCompile(`(?m)^#define UTS_RELEASE "([^"]+)"`)

// headers is where the headers of the running kernel lie.
type headers struct {
	source  string // the tree with the headers that people wrote
	build   string // the tree with those that the kernel's build generated, mostly the same
	archive bool   // neither: libbcc unpacks headersArchive
}

func (h *headers) String() string {
	switch {
	case h.archive:
		return headersArchive
	case h.source == h.build:
		return h.build
	}
	return h.build + " and " + h.source
}

// findHeaders looks for the headers of a kernel release in all the places by convention, below
// root ("" but in tests). A tree that is given by BCC_KERNEL_SOURCE is the only place then. The
// error says of each place what is missing there.
func findHeaders(root, release, given string) (*headers, error) {
	if given != "" {
		h, err := headersIn(root, release, root+given)
		if err != nil {
			return nil, fmt.Errorf("%s=%w", kernelSourceVariable, err)
		}
		return h, nil
	}
	modules := root + "/lib/modules/" + release
	h, err := headersIn(root, release, modules+"/build", modules+"/source")
	if err == nil {
		return h, nil
	}
	missing := []error{err}
	for _, dir := range []string{"/usr/src/linux-headers-", "/usr/src/kernels/"} {
		if h, err = headersIn(root, release, root+dir+release); err == nil {
			return h, nil
		}
		missing = append(missing, err)
	}
	if exists(root + headersArchive) {
		return &headers{archive: true}, nil
	}
	missing = append(missing, fmt.Errorf("%s: does not exist (CONFIG_IKHEADERS)", headersArchive))
	return nil, joinLine(missing)
}

// headersIn looks at one tree, whose other half may be named by its Makefile or by convention.
func headersIn(root, release, build string, halves ...string) (*headers, error) {
	shown := strings.TrimPrefix(build, root)
	if !exists(build) {
		return nil, fmt.Errorf("%s: does not exist", shown)
	}
	if !exists(filepath.Join(build, generatedHeader)) {
		return nil, fmt.Errorf("%s: has no %s", shown, generatedHeader)
	}
	if other := releaseOf(build); other != "" && other != release {
		return nil, fmt.Errorf("%s: is for kernel %s", shown, other)
	}
	halves = append([]string{build}, halves...)
	if half, ok := includedTree(build); ok {
		halves = append(halves, root+half)
	}
	for _, source := range halves {
		if exists(filepath.Join(source, writtenHeader)) {
			return &headers{source: source, build: build}, nil
		}
	}
	return nil, fmt.Errorf("%s: has no %s", shown, writtenHeader)
}

// releaseOf returns the kernel release that a tree is for, or "" if it does not say.
func releaseOf(build string) string {
	text, err := os.ReadFile(filepath.Join(build, releaseHeader))
	if err != nil {
		return ""
	}
	if m := releaseDefinition.FindSubmatch(text); m != nil {
		return string(m[1])
	}
	return ""
}

// includedTree returns the tree whose Makefile is all that a tree's own Makefile includes, as in
// Debian's linux-headers-VERSION-FLAVOUR.
func includedTree(build string) (string, bool) {
	text, err := os.ReadFile(filepath.Join(build, "Makefile"))
	if err != nil {
		return "", false
	}
	tree, ok := strings.CutPrefix(strings.TrimSpace(string(text)), "include ")
	if !ok || strings.Contains(tree, "\n") {
		return "", false
	}
	return strings.CutSuffix(tree, "/Makefile")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// joinLine joins errors into one line.
func joinLine(errs []error) error {
	var texts []string
	for _, err := range errs {
		texts = append(texts, err.Error())
	}
	return errors.New(strings.Join(texts, ", "))
}

// probeHeaders looks for the headers that variant bcc compiles against.
func probeHeaders(k Kernel, d Distro) Probe {
	p := Probe{Name: "kernel headers", Source: "/lib/modules, /usr/src, " + headersArchive}
	given := os.Getenv(kernelSourceVariable)
	h, err := findHeaders("", k.Release, given)
	if err != nil {
		p.Result = No
		p.Detail = fmt.Sprintf("no headers of kernel %s: %v", k.Release, err)
		p.Remedy = installHeaders(k.Release, d)
		if given != "" {
			p.Remedy = "unset " + kernelSourceVariable + ", and " + p.Remedy
		}
		return p
	}
	p.Result, p.Detail = Yes, h.String()
	return p
}

// installHeaders says how a distribution brings the headers of a kernel release.
func installHeaders(release string, d Distro) string {
	flavour := release[strings.LastIndex(release, "-")+1:]
	switch d.ID {
	case "debian", "ubuntu", "raspbian", "linuxmint", "pop", "kali":
		return "run: apt-get install linux-headers-" + release
	case "fedora", "rhel", "centos", "rocky", "almalinux", "amzn":
		return "run: dnf install kernel-devel-" + release
	case "ol":
		if strings.Contains(release, "uek") {
			return "run: dnf install kernel-uek-devel-" + release
		}
		return "run: dnf install kernel-devel-" + release
	case "sles", "opensuse-leap", "opensuse-tumbleweed":
		return fmt.Sprintf("run: zypper install kernel-%s-devel", flavour)
	case "alpine":
		return fmt.Sprintf("run: apk add linux-%s-dev", flavour)
	case "arch":
		if flavour == "lts" || flavour == "zen" || flavour == "hardened" {
			return fmt.Sprintf("run: pacman -S linux-%s-headers", flavour)
		}
		return "run: pacman -S linux-headers"
	}
	return fmt.Sprintf("install the package with the headers of this very kernel "+
		"(linux-headers-%s or kernel-devel-%[1]s), or set %s to their tree", release, kernelSourceVariable)
}
