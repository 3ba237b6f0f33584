// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"path"
	"strings"
)

// Forms of a BTF file in an archive, the cheapest to read first. A mirror has the archive's own.
const archiveForm = ".btf.tar.xz"

var fileForms = []string{".btf", archiveForm, ".btf.xz", ".btf.zst"}

// debianCodenames: archives hold Debian's releases by number and by name.
var debianCodenames = map[string]string{
	"8": "jessie", "9": "stretch", "10": "buster", "11": "bullseye",
	"12": "bookworm", "13": "trixie", "14": "forky",
}

// spellings lists the directories, "<distro>/<version>/<arch>", under which an archive in the
// layout of btfhub-archive may keep the kernels of a distribution, the most usual first.
func spellings(d Distro, arch string) []string {
	if !validName(d.ID) {
		return nil
	}
	ids := []string{d.ID}
	if d.ID == "ol" {
		ids = append(ids, "oracle")
	}
	var dirs []string
	for _, id := range ids {
		for _, version := range spellVersion(d) {
			for _, a := range spellArch(arch) {
				dirs = append(dirs, path.Join(id, version, a))
			}
		}
	}
	return dirs
}

// spellVersion lists the names of a version, the most usual first.
func spellVersion(d Distro) []string {
	major, minor, dotted := strings.Cut(d.VersionID, ".")
	switch {
	case d.ID == "amzn" && dotted && minor != "" && len(major) == 4:
		return validNames("1", major, d.VersionID) // Amazon Linux 1 called itself 2018.03
	case (d.ID == "rhel" || d.ID == "centos" || d.ID == "ol") && dotted:
		return validNames(major, d.VersionID)
	case d.ID == "debian":
		name := d.Codename
		if known := debianCodenames[d.VersionID]; known != "" {
			name = known
		}
		return validNames(d.VersionID, name)
	default:
		return validNames(d.VersionID)
	}
}

func validNames(names ...string) []string {
	var list []string
	for _, name := range names {
		if validName(name) {
			list = append(list, name)
		}
	}
	return list
}

// location is what the path of a file in an archive says about it.
type location struct {
	path    string // slash-separated, below the root
	distro  string
	version string
	arch    string // as in the path; empty in an unpacked heap of files
	release string
}

// locate reads a path, or returns false if it is not that of a BTF.
func locate(name string) (location, bool) {
	l := location{path: name}
	dir, file := path.Split(name)
	for _, form := range fileForms {
		if release, ok := strings.CutSuffix(file, form); ok {
			l.release = release
			break
		}
	}
	if !validName(l.release) {
		return l, false
	}
	parts := strings.Split(strings.Trim(dir, "/"), "/")
	if n := len(parts); n >= 3 {
		l.distro, l.version, l.arch = parts[n-3], parts[n-2], parts[n-1]
	} else if machine := Machine(parts[n-1]); archSpellings[machine] != nil {
		l.arch = parts[n-1]
	}
	return l, true
}
