// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// Place is a kind of place where BTF may lie.
type Place string

// The places, in the order in which they are searched.
const (
	PlaceFile         Place = "file"          // named by the user
	PlaceDir          Place = "dir"           // a tree in the layout of btfhub-archive
	PlaceDebugSymbols Place = "debug-symbols" // what distributions install
	PlaceBundle       Place = "bundle"        // made by [Pack], a file or embedded
	PlaceCache        Place = "cache"         // what was downloaded before
	PlaceURL          Place = "url"           // a mirror
)

// Query says which kernel's BTF is wanted and where it may come from.
type Query struct {
	Release string // of uname(2), matched exactly
	Arch    string // machine of uname(2): "x86_64", "aarch64"
	Distro  Distro // may be unknown
	Needs   *Needs // what the BTF must hold

	File     string   // tried first if not empty
	Dirs     []string // trees in the layout of btfhub-archive, or directories of loose files
	Bundle   string   // a bundle beside the embedded one
	CacheDir string   // empty: no cache and no downloads
	Mirror   *Mirror  // nil: nothing is downloaded
}

// BTF is a kernel's BTF that passed every check but the last: whether the programs see the right
// values with it.
type BTF struct {
	Place Place
	Path  string // file or URL; "embedded" for the embedded bundle
	wire  []byte
}

// Spec returns the types for a relocation. It holds no more than the query's needs name.
func (b *BTF) Spec() (*btf.Spec, error) {
	return btf.LoadSpecFromReader(bytes.NewReader(b.wire))
}

// String names it for messages: "bundle /opt/fleet.bundle".
func (b *BTF) String() string {
	return string(b.Place) + " " + b.Path
}

// Tried is one place that was searched, and what came of it.
type Tried struct {
	Place  Place  `json:"place"`
	Path   string `json:"path"`
	Found  bool   `json:"found"`
	Result string `json:"result"`
}

// String is one line for people: "dir /srv/btf: no file for 5.4.0-1029-aws".
func (t Tried) String() string {
	return fmt.Sprintf("%s %s: %s", t.Place, t.Path, t.Result)
}

// Search looks for one kernel's BTF and keeps account of it. Create it with [NewSearch].
type Search struct {
	query      Query
	trail      []Tried
	rejected   error // of what was yielded last
	rejections int
	symbols    string // root of the debug symbols, "/" but in tests
}

// NewSearch prepares a search. Nothing is touched yet.
func NewSearch(q Query) *Search {
	return &Search{query: q, symbols: "/"}
}

// Found searches place by place, and yields what can be trusted so far. Whoever cannot use what
// was yielded calls [Search.Reject] and goes on. Nothing is read before it is asked for.
func (s *Search) Found(ctx context.Context) iter.Seq[*BTF] {
	return func(yield func(*BTF) bool) {
		if !validName(s.query.Release) || !validName(s.query.Arch) {
			s.note(PlaceFile, s.query.File, fmt.Errorf("release %q or architecture %q is no name", s.query.Release, s.query.Arch))
			return
		}
		try := func(place Place, path string, load func() ([]byte, error)) bool {
			return s.try(yield, place, path, load)
		}
		for _, look := range []func(context.Context, tryFunc) bool{
			s.file, s.dirs, s.debugSymbols, s.bundles, s.cache, s.mirror,
		} {
			if ctx.Err() != nil || !look(ctx, try) {
				return
			}
		}
	}
}

// tryFunc loads one BTF and hands it on. It returns false when the search is over.
type tryFunc func(place Place, path string, load func() ([]byte, error)) bool

func (s *Search) try(yield func(*BTF) bool, place Place, path string, load func() ([]byte, error)) bool {
	whole, err := load()
	if err != nil {
		s.note(place, path, err)
		return true
	}
	wire, err := s.query.trust(whole)
	if err != nil {
		s.note(place, path, err)
		return true
	}
	s.trail = append(s.trail, Tried{Place: place, Path: path, Found: true, Result: "found"})
	s.rejected = nil
	last := &s.trail[len(s.trail)-1]
	more := yield(&BTF{Place: place, Path: path, wire: wire})
	if s.rejected != nil {
		last.Found, last.Result = false, "rejected: "+s.rejected.Error()
	}
	return more
}

// Reject says why what was yielded last cannot be used.
func (s *Search) Reject(reason error) {
	s.rejected = reason
	s.rejections++
}

// Trail lists every place searched so far, in order.
func (s *Search) Trail() []Tried {
	return s.trail
}

// Named says whether the query names any place itself.
func (q Query) Named() bool {
	return q.File != "" || len(q.Dirs) > 0 || q.Bundle != "" || q.Mirror != nil
}

// Rejected says whether anything was found that could not be used.
func (s *Search) Rejected() bool {
	return s.rejections > 0
}

// Err sums up a search that found nothing, or nothing that could be used.
func (s *Search) Err() error {
	kernel := fmt.Sprintf("no BTF for kernel %s (%s, %s)", s.query.Release, s.query.Arch, s.query.Distro)
	if len(s.trail) == 0 {
		return errors.New(kernel)
	}
	var parts []string
	noSymbols := false
	for _, t := range s.trail {
		if t.Place == PlaceDebugSymbols && t.Result == notThere {
			noSymbols = true
			continue
		}
		parts = append(parts, t.String())
	}
	if noSymbols {
		parts = append(parts, "no debug symbols installed")
	}
	return fmt.Errorf("%s: %s", kernel, strings.Join(parts, "; "))
}

const notThere = "not there"

func (s *Search) note(place Place, path string, err error) {
	result := err.Error()
	if errors.Is(err, fs.ErrNotExist) {
		result = notThere
	}
	s.trail = append(s.trail, Tried{Place: place, Path: path, Result: result})
}

// trust holds BTF against what is known of the kernel, and returns what is needed of it.
func (q Query) trust(whole []byte) ([]byte, error) {
	r, err := parseRaw(whole)
	if err != nil {
		return nil, err
	}
	if arch := archOf(r); arch != "" && arch != q.Arch {
		return nil, fmt.Errorf("BTF of a kernel for %s, this one is %s", arch, q.Arch)
	}
	return minimise(r, q.Needs)
}

// file is the one that the user named. Its name may be anything but that of another kernel.
func (s *Search) file(_ context.Context, try tryFunc) bool {
	name := s.query.File
	if name == "" {
		return true
	}
	return try(PlaceFile, name, func() ([]byte, error) {
		l, ok := locate(filepath.Base(name))
		if ok && l.release != s.query.Release && strings.Contains("0123456789", l.release[:1]) {
			return nil, fmt.Errorf("named for kernel %s, this one is %s", l.release, s.query.Release)
		}
		return readFile(func() (*os.File, error) { return os.OpenFile(name, openFlags, 0) }, s.query.inner())
	})
}

// inner is the name of the file in this kernel's archive.
func (q Query) inner() string {
	return q.Release + ".btf"
}

func (s *Search) dirs(_ context.Context, try tryFunc) bool {
	for _, dir := range s.query.Dirs {
		if !s.tree(PlaceDir, dir, try) {
			return false
		}
	}
	return true
}

func (s *Search) cache(_ context.Context, try tryFunc) bool {
	if s.query.CacheDir == "" {
		return true
	}
	return s.tree(PlaceCache, s.query.CacheDir, try)
}

// symbolFiles is where distributions put a kernel's debug symbols; libbpf searches the same.
var symbolFiles = []string{
	"boot/vmlinux-%s",
	"lib/modules/%[1]s/vmlinux-%[1]s",
	"lib/modules/%s/build/vmlinux",
	"usr/lib/modules/%s/kernel/vmlinux",
	"usr/lib/debug/boot/vmlinux-%s",
	"usr/lib/debug/boot/vmlinux-%s.debug",
	"usr/lib/debug/lib/modules/%s/vmlinux",
}

func (s *Search) debugSymbols(_ context.Context, try tryFunc) bool {
	for _, form := range symbolFiles {
		name := filepath.Join(s.symbols, fmt.Sprintf(form, s.query.Release))
		if !try(PlaceDebugSymbols, name, func() ([]byte, error) {
			return readFile(func() (*os.File, error) { return os.OpenFile(name, openFlags, 0) }, s.query.inner())
		}) {
			return false
		}
	}
	return true
}

func (s *Search) bundles(_ context.Context, try tryFunc) bool {
	if name := s.query.Bundle; name != "" {
		if !try(PlaceBundle, name, func() ([]byte, error) { return s.query.readBundleFile(name) }) {
			return false
		}
	}
	if len(embedded) == 0 {
		return true
	}
	return try(PlaceBundle, embeddedName, func() ([]byte, error) {
		return s.query.readBundle(bytes.NewReader(embedded), int64(len(embedded)))
	})
}

// embeddedName is the path of the bundle in the binary.
const embeddedName = "embedded"

func (s *Search) mirror(ctx context.Context, try tryFunc) bool {
	if s.query.Mirror == nil {
		return true
	}
	file, err := s.query.Fetch(ctx)
	if err != nil {
		s.note(PlaceURL, file.URL, err)
		return true
	}
	return try(PlaceURL, file.URL, func() ([]byte, error) {
		return readFile(func() (*os.File, error) { return os.OpenFile(file.Path, openFlags, 0) }, s.query.inner())
	})
}
