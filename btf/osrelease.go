// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Distro names a distribution as os-release(5) does.
type Distro struct {
	ID        string // "debian"
	VersionID string // "12"; empty for rolling distributions
	Codename  string // "bookworm"; may be empty
}

// String is how people read it: "debian 12".
func (d Distro) String() string {
	if d.ID == "" {
		return "unknown distribution"
	}
	return strings.TrimSpace(d.ID + " " + d.VersionID)
}

// osReleaseFiles are read in this order: a container that watches its host has the host's files
// below /host.
var osReleaseFiles = []string{
	"/host/etc/os-release", "/host/usr/lib/os-release",
	"/etc/os-release", "/usr/lib/os-release",
}

// HostDistro reads which distribution this machine runs, and says which file told it.
func HostDistro() (Distro, string, error) {
	for _, name := range osReleaseFiles {
		f, err := os.OpenFile(name, openFlags, 0)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return Distro{}, name, err
		}
		d, err := ParseOSRelease(f)
		f.Close()
		if err != nil {
			return Distro{}, name, fmt.Errorf("read %s: %w", name, err)
		}
		return d, name, nil
	}
	return Distro{}, "", errors.New("no os-release: name the distribution with --distro and --distro-version")
}

// maxOSRelease is far above any real file, which has some 20 lines.
const maxOSRelease = 64 << 10

// ParseOSRelease reads the format of os-release(5): shell assignments, the values plain or in
// single or double quotes.
func ParseOSRelease(r io.Reader) (Distro, error) {
	var d Distro
	fields := map[string]*string{"ID": &d.ID, "VERSION_ID": &d.VersionID, "VERSION_CODENAME": &d.Codename}
	lines := bufio.NewScanner(io.LimitReader(r, maxOSRelease))
	lines.Buffer(nil, maxOSRelease)
	for lines.Scan() {
		key, value, ok := strings.Cut(strings.TrimSpace(lines.Text()), "=")
		if field := fields[key]; ok && field != nil {
			*field = unquote(value)
		}
	}
	if err := lines.Err(); err != nil {
		return Distro{}, err
	}
	for key, field := range fields {
		if !validName(*field) && *field != "" {
			return Distro{}, fmt.Errorf("%s=%q is no name", key, *field)
		}
	}
	if d.ID == "" {
		d.ID = "linux" // what os-release(5) says
	}
	return d, nil
}

// unquote undoes the quoting of a shell, as far as os-release(5) allows it.
func unquote(s string) string {
	if len(s) < 2 || s[0] != s[len(s)-1] || (s[0] != '"' && s[0] != '\'') {
		return s
	}
	if s[0] == '\'' {
		return s[1 : len(s)-1]
	}
	s = s[1 : len(s)-1]
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && strings.IndexByte("\"$`\\", s[i+1]) >= 0 {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// validName says whether s can be one component of a path and of a URL: what distributions,
// versions, architectures and kernel releases are made of.
func validName(s string) bool {
	if s == "" || len(s) > 128 || s[0] == '.' {
		return false
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`/\%?#"'`, c) >= 0 {
			return false
		}
	}
	return true
}
