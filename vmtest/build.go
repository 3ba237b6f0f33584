// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

//go:embed config/*.config
var configs embed.FS

// getBuilt builds a kernel unless the store has it.
func (s *store) getBuilt(ctx context.Context, k kernel) (image, error) {
	b := k.Build
	a, err := s.apt(ctx, b.Suite, "amd64")
	if err != nil {
		return image{}, err
	}
	versions, err := a.versions(ctx, b.Source)
	if err != nil {
		return image{}, err
	}
	source := versions[0]
	config, err := b.config(k.Name)
	if err != nil {
		return image{}, err
	}
	key := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%t", config, b.Patch, b.BTF))
	dir := filepath.Join(s.dir, "kernels", fmt.Sprintf("%s_%s_%x", source.name, source.version, key[:6]))
	im := image{path: filepath.Join(dir, "bzImage"), source: fmt.Sprintf("built from %s, config %s", source, strings.Join(b.Config, "+"))}
	if b.BTF {
		im.btf = filepath.Join(dir, "vmlinux.btf")
	}
	if exists(im.path) {
		return im, nil
	}
	s.log("building %s from %s", k.Name, source)
	return im, fill(dir, func(tmp string) error {
		tree, err := s.tree(ctx, a, source, b.Patch)
		if err != nil {
			return err
		}
		return tree.build(ctx, config, b.BTF, tmp)
	})
}

// config puts the parts of a configuration together. Each kernel gets a release of its own, as BTF is found by release.
func (b *build) config(name string) (string, error) {
	var text strings.Builder
	for _, part := range b.Config {
		data, err := configs.ReadFile("config/" + part + ".config")
		if err != nil {
			return "", err
		}
		text.Write(data)
	}
	version := strings.TrimPrefix(b.Source, "linux-source-")
	fmt.Fprintf(&text, "CONFIG_LOCALVERSION=\"%s\"\n", strings.TrimPrefix(name, version))
	return text.String(), nil
}

// tree is an unpacked kernel source with the directory that it is built in. Kernels that differ in their configuration
// only are built one after the other in the same directory, which spares most of the work.
type tree struct{ source, out string }

func (s *store) tree(ctx context.Context, a *apt, source debian, patch string) (*tree, error) {
	dir := filepath.Join(s.dir, "build", source.name+"_"+source.version+"_"+strings.TrimSuffix(patch, ".patch.xz"))
	t := &tree{source: filepath.Join(dir, "source"), out: filepath.Join(dir, "out")}
	if exists(t.source) {
		return t, nil
	}
	deb, err := s.sourcePackage(ctx, a, source)
	if err != nil {
		return nil, err
	}
	return t, fill(dir, func(tmp string) error {
		if err := unpack(ctx, deb, filepath.Join(tmp, "deb")); err != nil {
			return err
		}
		script := `mkdir source && tar -xJf deb/usr/src/"$1".tar.xz -C source --strip-components=1`
		if patch != "" {
			script += ` && xzcat deb/usr/src/"$2" | patch -s -p1 -d source`
		}
		cmd := exec.CommandContext(ctx, "sh", "-c", script+" && rm -r deb", "sh", source.name, patch)
		cmd.Dir = tmp
		_, err := output(cmd)
		return err
	})
}

func (s *store) sourcePackage(ctx context.Context, a *apt, source debian) (string, error) {
	dir := filepath.Join(s.dir, "sources")
	deb := filepath.Join(dir, fmt.Sprintf("%s_%s_all.deb", source.name, source.version))
	if exists(deb) {
		return deb, nil
	}
	s.log("downloading %s", source)
	return a.download(ctx, source, dir)
}

// build configures and compiles, and leaves bzImage, config and perhaps vmlinux.btf in dir.
func (t *tree) build(ctx context.Context, config string, btf bool, dir string) error {
	fragment := filepath.Join(dir, "fragment")
	if err := os.WriteFile(fragment, []byte(config), 0o644); err != nil {
		return err
	}
	if err := os.MkdirAll(t.out, 0o755); err != nil {
		return err
	}
	if err := t.make(ctx, "KCONFIG_ALLCONFIG="+fragment, "allnoconfig"); err != nil {
		return err
	}
	got, err := os.ReadFile(filepath.Join(t.out, ".config"))
	if err != nil {
		return err
	}
	if missing := notTaken(config, string(got)); len(missing) > 0 {
		return fmt.Errorf("the kernel's configuration did not take %s: something that they depend on is missing", strings.Join(missing, ", "))
	}
	if err := t.make(ctx, "bzImage"); err != nil {
		return err
	}
	if btf {
		cmd := exec.CommandContext(ctx, "pahole", "-J", "--btf_encode_detached="+filepath.Join(dir, "vmlinux.btf"), filepath.Join(t.out, "vmlinux"))
		if _, err := output(cmd); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "config"), got, 0o644); err != nil {
		return err
	}
	return copyFile(filepath.Join(dir, "bzImage"), filepath.Join(t.out, "arch/x86/boot/bzImage"))
}

func (t *tree) make(ctx context.Context, args ...string) error {
	args = append([]string{"-s", "-C", t.source, "O=" + t.out, fmt.Sprintf("-j%d", runtime.NumCPU())}, args...)
	cmd := exec.CommandContext(ctx, "make", args...)
	cmd.Env = append(os.Environ(), "KBUILD_BUILD_USER=vmtest", "KBUILD_BUILD_HOST=everyexec")
	_, err := output(cmd)
	return err
}

// notTaken gives the settings that were asked for and did not come out. A later line overrides an earlier one.
func notTaken(asked, got string) []string {
	settings := strings.Split(got, "\n")
	last := map[string]string{}
	for line := range strings.Lines(asked) {
		line = strings.TrimSpace(line)
		if name := settingName(line); name != "" {
			last[name] = line
		}
	}
	var missing []string
	for name, line := range last {
		if strings.HasPrefix(line, "#") {
			if slices.ContainsFunc(settings, func(s string) bool { return strings.HasPrefix(s, name+"=") }) {
				missing = append(missing, line)
			}
		} else if !slices.Contains(settings, line) {
			missing = append(missing, line)
		}
	}
	slices.Sort(missing)
	return missing
}

func settingName(line string) string {
	if off, ok := strings.CutSuffix(line, " is not set"); ok {
		return strings.TrimPrefix(off, "# ")
	}
	name, _, ok := strings.Cut(line, "=")
	if !ok || !strings.HasPrefix(name, "CONFIG_") {
		return ""
	}
	return name
}

func copyFile(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}
