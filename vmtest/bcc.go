// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// A guest that runs variant bcc is another kind: its programs are dynamic, so it has the libraries of this machine that
// they need, libbcc and the compiler among them, and the headers of its kernel.

// kind names the programs that a kernel's guest runs.
func (k kernel) kind() string {
	if k.bcc() {
		return k.Arch + "-bcc"
	}
	return k.Arch
}

// memory is what a guest has: the compiler takes some, and so do the libraries and headers in the initramfs.
func (v *vm) memory() string {
	if v.tree != "" {
		return "2048M"
	}
	return guestMemory
}

var libraryPath = regexp.MustCompile(`/[^ ]+`)

// libraries gives the shared libraries that a program of this machine needs, and its dynamic linker.
func libraries(ctx context.Context, program string) ([]string, error) {
	out, err := output(exec.CommandContext(ctx, "ldd", program))
	if err != nil {
		return nil, err
	}
	if strings.Contains(out, "not found") {
		return nil, fmt.Errorf("ldd %s: a library is missing; run: make deps", program)
	}
	return libraryPath.FindAllString(out, -1), nil
}

// commonHeaders finds in a Depends line the package with the headers that all flavours share.
var commonHeaders = regexp.MustCompile(`\b(linux-headers-\d[^ ,]*-common[^ ,]*) \(= ([^)]+)\)`)

// headers brings the headers of a packaged kernel into the store.
func (s *store) headers(ctx context.Context, a *apt, image debian) (string, error) {
	release := strings.TrimSuffix(strings.TrimPrefix(image.name, "linux-image-"), "-unsigned")
	flavour := debian{"linux-headers-" + release, image.version}
	dir := filepath.Join(s.dir, "headers", flavour.name+"_"+flavour.version)
	if exists(dir) {
		return dir, nil
	}
	description, err := a.run(ctx, "", "apt-cache", "show", flavour.name+"="+flavour.version)
	if err != nil {
		return "", err
	}
	common := commonHeaders.FindStringSubmatch(field(description, "Depends"))
	if common == nil {
		return "", fmt.Errorf("package %s depends on no common headers", flavour)
	}
	s.log("downloading %s", flavour)
	return dir, fill(dir, func(tmp string) error {
		for _, d := range []debian{flavour, {common[1], common[2]}} {
			deb, err := a.download(ctx, d, tmp)
			if err != nil {
				return err
			}
			if err := errors.Join(unpack(ctx, deb, tmp), os.Remove(deb)); err != nil {
				return err
			}
		}
		return nil
	})
}
