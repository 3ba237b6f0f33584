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
	"time"
)

// debianKeyring is what Debian's archives are signed with; the package debian-archive-keyring has it.
const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// listsAge is how long package lists are good for.
const listsAge = 24 * time.Hour

// apt asks for packages of one suite and architecture with directories of its own: this machine's apt, its sources and
// its packages are left as they are.
type apt struct {
	dir   string
	suite string
	arch  string
}

// openApt brings the package lists up to date.
func openApt(ctx context.Context, dir, suite, arch string, archives []string) (*apt, error) {
	a := &apt{dir: filepath.Join(dir, suite+"-"+arch), suite: suite, arch: arch}
	if err := a.configure(ctx, archives); err != nil {
		return nil, fmt.Errorf("apt for %s: %w", suite, err)
	}
	stamp := filepath.Join(a.dir, "updated")
	if s, err := os.Stat(stamp); err == nil && time.Since(s.ModTime()) < listsAge {
		return a, nil
	}
	if _, err := a.run(ctx, "", "apt-get", "update", "--error-on=any"); err != nil {
		return nil, fmt.Errorf("package lists of %s: %w", suite, err)
	}
	return a, os.WriteFile(stamp, nil, 0o644)
}

func (a *apt) configure(ctx context.Context, archives []string) error {
	for _, d := range []string{"state/lists/partial", "cache/archives/partial", "none"} {
		if err := os.MkdirAll(filepath.Join(a.dir, d), 0o755); err != nil {
			return err
		}
	}
	mirror, security, err := mirrors(ctx)
	if err != nil {
		return err
	}
	var sources strings.Builder
	for _, name := range archives {
		uri := mirror
		if strings.HasSuffix(name, "-security") {
			uri = security
		}
		fmt.Fprintf(&sources, "deb [arch=%s signed-by=%s] %s %s main\n", a.arch, debianKeyring, uri, name)
	}
	files := map[string]string{
		"sources.list": sources.String(),
		"state/status": "",
		"apt.conf": fmt.Sprintf(`Dir::State "%[1]s/state";
Dir::State::status "%[1]s/state/status";
Dir::Cache "%[1]s/cache";
Dir::Etc::sourcelist "%[1]s/sources.list";
Dir::Etc::sourceparts "%[1]s/none";
Dir::Etc::preferencesparts "%[1]s/none";
APT::Architecture "%[2]s";
APT::Architectures { "%[2]s"; };
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::Retries "3";
`, a.dir, a.arch),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// mirrors gives the addresses of Debian's archive and its security archive that this machine's own apt uses.
func mirrors(ctx context.Context) (mirror, security string, err error) {
	if mirror = os.Getenv("DEBIAN_MIRROR"); mirror != "" {
		mirror = strings.TrimSuffix(mirror, "/")
		return mirror, mirror + "-security", nil
	}
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI)").Output()
	if err != nil {
		return "", "", fmt.Errorf("apt-get indextargets: %w", err)
	}
	for uri := range strings.FieldsSeq(string(out)) {
		switch uri = strings.TrimSuffix(uri, "/"); {
		case strings.HasSuffix(uri, "/debian-security"):
			security = uri
		case strings.HasSuffix(uri, "/debian"):
			mirror = uri
		}
	}
	switch {
	case mirror == "":
		return "", "", errors.New("this machine's apt has no Debian mirror; name one in DEBIAN_MIRROR, as http://HOST/debian")
	case security == "":
		security = mirror + "-security"
	}
	return mirror, security, nil
}

func (a *apt) run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "APT_CONFIG="+filepath.Join(a.dir, "apt.conf"), "LC_ALL=C")
	return output(cmd)
}

// output runs a command and puts the end of what it said into the error.
func output(cmd *exec.Cmd) (string, error) {
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err == nil {
		return string(out), nil
	}
	return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, lastLines(strings.TrimSpace(said.String()+string(out)), 8))
}

// debian names one package in one version.
type debian struct{ name, version string }

func (d debian) String() string { return d.name + " " + d.version }

// versions gives what the suite has of a package, newest first. The mirror may have lost the newest: security archives do.
func (a *apt) versions(ctx context.Context, name string) ([]debian, error) {
	out, err := a.run(ctx, "", "apt-cache", "madison", name)
	if err != nil {
		return nil, err
	}
	var all []debian
	for line := range strings.Lines(out) {
		if cells := strings.Split(line, "|"); len(cells) == 3 {
			all = append(all, debian{name, strings.TrimSpace(cells[1])})
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has no package %s", a.suite, name)
	}
	return all, nil
}

// kernelDependency finds in a Depends line the package that brings the kernel nearer: from the one that stands for a
// flavour to that of a version and, since 7.x, on to the one with the image alone.
var kernelDependency = regexp.MustCompile(`\b(linux-(?:image|binary)-\d[^ ,]*) \(= ([^)]+)\)`)

// imagePackage follows dependencies to the package that holds the image.
func (a *apt) imagePackage(ctx context.Context, d debian) (debian, error) {
	const deepest = 4
	for range deepest {
		out, err := a.run(ctx, "", "apt-cache", "show", d.name+"="+d.version)
		if err != nil {
			return d, err
		}
		next := kernelDependency.FindStringSubmatch(field(out, "Depends"))
		if next == nil {
			return d, nil
		}
		d = debian{next[1], next[2]}
	}
	return d, fmt.Errorf("%s: dependencies lead nowhere", d)
}

// field gives a field of a package's description.
func field(description, name string) string {
	for line := range strings.Lines(description) {
		if value, ok := strings.CutPrefix(line, name+": "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// download fetches a package into dir and gives the file's path. apt checks its signature and hash.
func (a *apt) download(ctx context.Context, d debian, dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if _, err := a.run(ctx, dir, "apt-get", "-q", "download", d.name+"="+d.version); err != nil {
		return "", fmt.Errorf("package %s cannot be had: %w", d, err)
	}
	escaped := strings.ReplaceAll(d.version, ":", "%3a")
	found, err := filepath.Glob(filepath.Join(dir, d.name+"_"+escaped+"_*.deb"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("package %s: apt-get download left %q", d, found)
	}
	return found[0], nil
}

// unpack takes a package apart. Nothing of it is run.
func unpack(ctx context.Context, deb, dir string) error {
	_, err := output(exec.CommandContext(ctx, "dpkg-deb", "-x", deb, dir))
	return err
}

func lastLines(text string, n int) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
