// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// btfCache is where everyexec keeps the BTF that it downloads as root, and so looks for it unasked.
const btfCache = "/var/cache/everyexec"

// placeBTF puts the BTF that came with the guest where everyexec finds it: under the release of the kernel, which the host
// cannot know before the boot.
func placeBTF(from, cache, release string) error {
	data, err := os.ReadFile(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(cache, release+".btf"), data, 0o644)
}

// hasBTF says whether the kernel carries its own type information.
func hasBTF() string {
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		return "no"
	}
	return "yes"
}
