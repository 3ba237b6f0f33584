// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// btfhub-archive has some 20,000 files, three directories deep.
const (
	maxTreeFiles = 1 << 20
	maxTreeDepth = 8
)

// tree searches one directory for the kernel.
func (s *Search) tree(place Place, dir string, try tryFunc) bool {
	root, err := os.OpenRoot(dir) // no path and no link leads out of it
	if err != nil {
		s.note(place, dir, err)
		return true
	}
	defer root.Close()
	files, err := s.query.inTree(root)
	if err != nil {
		s.note(place, dir, err)
		return true
	}
	for _, name := range files {
		if !try(place, filepath.Join(dir, name), func() ([]byte, error) {
			return readFile(func() (*os.File, error) { return root.OpenFile(name, openFlags, 0) }, s.query.inner())
		}) {
			return false
		}
	}
	return true
}

// inTree lists the files for the kernel: those where its distribution says that they are, or
// else those of the one directory that has any for exactly this release.
func (q Query) inTree(root *os.Root) ([]string, error) {
	var files []string
	for _, dir := range append(spellings(q.Distro, q.Arch), ".") {
		for _, form := range fileForms {
			name := path.Join(dir, q.Release+form)
			if _, err := root.Stat(name); err == nil {
				files = append(files, name)
			}
		}
	}
	if len(files) > 0 {
		return files, nil
	}

	others := make(map[string]bool)
	dirs := make(map[string]bool)
	err := walkTree(root, func(l location) {
		switch {
		case l.release != q.Release:
		case l.arch != "" && Machine(l.arch) != q.Arch:
			others[l.arch] = true
		default:
			files = append(files, l.path)
			dirs[path.Dir(l.path)] = true
		}
	})
	switch {
	case err != nil:
		return nil, err
	case len(dirs) > 1:
		return nil, fmt.Errorf("several files for %s, and none where %s would have it: name one of %s with --btf, or the distribution with --distro and --distro-version",
			q.Release, q.Distro, strings.Join(files, ", "))
	case len(files) == 0 && len(others) > 0:
		return nil, fmt.Errorf("files for %s are for another architecture than %s", q.Release, q.Arch)
	case len(files) == 0:
		return nil, fmt.Errorf("no file for %s", q.Release)
	}
	slices.SortStableFunc(files, func(a, b string) int { return formRank(a) - formRank(b) })
	return files, nil
}

func formRank(name string) int {
	return slices.IndexFunc(fileForms, func(form string) bool { return strings.HasSuffix(name, form) })
}

// walkTree calls visit for each BTF below root, in the order of their paths.
func walkTree(root *os.Root, visit func(location)) error {
	n := 0
	return fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil && name == "." {
			return err
		}
		if err != nil {
			return nil // a directory that may not be read hides only what is in it
		}
		if n++; n > maxTreeFiles {
			return errors.New("too many files: not a tree of BTFs")
		}
		if entry.IsDir() {
			if strings.Count(name, "/") >= maxTreeDepth {
				return fs.SkipDir
			}
			return nil
		}
		if l, ok := locate(name); ok {
			visit(l)
		}
		return nil
	})
}
