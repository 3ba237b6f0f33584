// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// debian10 is the kernel that the tests look for.
func debian10(t testing.TB) Query {
	return Query{
		Release: tinyRelease, Arch: "x86_64", Needs: coreNeeds(t),
		Distro: Distro{ID: "debian", VersionID: "10"},
	}
}

func search(t testing.TB, q Query) *Search {
	t.Helper()
	s := NewSearch(q)
	s.symbols = t.TempDir()
	return s
}

func firstFound(t testing.TB, q Query) *BTF {
	t.Helper()
	for b := range search(t, q).Found(context.Background()) {
		return b
	}
	return nil
}

// allFound rejects everything that is found and returns the trail without the debug symbols.
func allFound(t testing.TB, q Query) []string {
	t.Helper()
	s := search(t, q)
	for range s.Found(context.Background()) {
		s.Reject(errors.New("wrong"))
	}
	var trail []string
	for _, tried := range s.Trail() {
		if tried.Place != PlaceDebugSymbols || tried.Result != "not there" {
			trail = append(trail, tried.String())
		}
	}
	return trail
}

func pack(t testing.TB, bundle, dir string, o PackOptions) Packed {
	t.Helper()
	var b bytes.Buffer
	packed, err := Pack(context.Background(), &b, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	put(t, bundle, b.Bytes())
	return packed
}

func TestPlacesInOrder(t *testing.T) {
	dir := t.TempDir()
	b := tinyKernel(t, "x86_64", 1268)
	tree := filepath.Join(dir, "tree")
	at := "debian/10/x86_64/" + tinyRelease + ".btf.tar.xz"
	put(t, filepath.Join(tree, at), archived(t, tinyRelease, b))
	q := debian10(t)
	q.File = put(t, filepath.Join(dir, "my.btf"), b)
	q.Dirs = []string{filepath.Join(dir, "empty"), tree}
	q.Bundle = filepath.Join(dir, "b.bundle")
	pack(t, q.Bundle, tree, PackOptions{Needs: q.Needs})
	q.CacheDir = filepath.Join(dir, "cache")
	put(t, filepath.Join(q.CacheDir, at), archived(t, tinyRelease, b))
	server := serveTree(t, tree)
	q.Mirror = &Mirror{URL: server.URL}

	s := search(t, q)
	vmlinux := put(t, filepath.Join(s.symbols, "usr/lib/debug/boot/vmlinux-"+tinyRelease), elfOf(".BTF", b))
	var places []string
	for found := range s.Found(context.Background()) {
		places = append(places, found.String())
		if _, err := found.Spec(); err != nil {
			t.Error(err)
		}
		s.Reject(errors.New("ppid came back as 7, want 1"))
	}
	want := []string{
		"file " + q.File,
		"dir " + filepath.Join(tree, at),
		"debug-symbols " + vmlinux,
		"bundle " + q.Bundle,
		"cache " + filepath.Join(q.CacheDir, at),
		"url " + server.URL + "/" + at,
	}
	if diff := cmp.Diff(want, places); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	err := s.Err().Error()
	for _, place := range append(want, "dir "+q.Dirs[0]+": not there", "rejected: ppid came back as 7") {
		if !strings.Contains(err, place) {
			t.Errorf("the error does not tell of %q: %s", place, err)
		}
	}
	if !s.Rejected() {
		t.Error("nothing was rejected")
	}
}

func TestSearchStopsWhenAsked(t *testing.T) {
	dir := t.TempDir()
	q := debian10(t)
	q.File = put(t, filepath.Join(dir, "my.btf"), tinyKernel(t, "x86_64", 1268))
	q.Dirs = []string{dir}
	s := search(t, q)
	for range s.Found(context.Background()) {
		break
	}
	want := []Tried{{PlaceFile, q.File, true, "found"}}
	if diff := cmp.Diff(want, s.Trail()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFileIsNotAnotherKernels(t *testing.T) {
	dir := t.TempDir()
	b := tinyKernel(t, "x86_64", 1268)
	for name, want := range map[string]string{
		"vmlinux.btf":                    "rejected: wrong",
		"whatever":                       "rejected: wrong",
		tinyRelease + ".btf":             "rejected: wrong",
		"4.19.0-28-amd64.btf":            "named for kernel 4.19.0-28-amd64, this one is 4.19.0-27-amd64",
		"4.19.0-27-amd64-dbg.btf.tar.xz": "named for kernel",
	} {
		q := debian10(t)
		q.File = put(t, filepath.Join(dir, name), b)
		if got := allFound(t, q); len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestFileThatIsNone(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		fifo: "not a regular file", dir: "not a regular file", "/dev/zero": "not a regular file", dir + "/none": "not there",
	} {
		q := debian10(t)
		q.File = name
		if got := allFound(t, q); len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestTree(t *testing.T) {
	b := tinyKernel(t, "x86_64", 1268)
	arm := tinyKernel(t, "aarch64", 1268)
	const form = tinyRelease + ".btf.tar.xz"
	for name, c := range map[string]struct {
		files map[string][]byte
		query func(*Query)
		want  []string // paths below the tree and results
	}{
		"as the distribution says": {
			files: map[string][]byte{"debian/10/x86_64/" + form: archived(t, tinyRelease, b), "ubuntu/20.04/x86_64/" + form: nil},
			want:  []string{"/debian/10/x86_64/" + form + ": rejected: wrong"},
		},
		"by code name": {
			files: map[string][]byte{"debian/buster/x86_64/" + form: archived(t, tinyRelease, b)},
			want:  []string{"/debian/buster/x86_64/" + form + ": rejected: wrong"},
		},
		"unpacked, all forms": {
			files: map[string][]byte{
				"debian/10/x86_64/" + tinyRelease + ".btf":     b,
				"debian/10/x86_64/" + tinyRelease + ".btf.xz":  xzOf(t, b),
				"debian/10/x86_64/" + tinyRelease + ".btf.zst": zstdOf(t, b),
			},
			want: []string{
				"/debian/10/x86_64/" + tinyRelease + ".btf: rejected: wrong",
				"/debian/10/x86_64/" + tinyRelease + ".btf.xz: rejected: wrong",
				"/debian/10/x86_64/" + tinyRelease + ".btf.zst: rejected: wrong",
			},
		},
		"a heap": {
			files: map[string][]byte{tinyRelease + ".btf": b, "4.19.0-28-amd64.btf": b},
			want:  []string{"/" + tinyRelease + ".btf: rejected: wrong"},
		},
		"os-release misleads, the file is unique": {
			files: map[string][]byte{"ubuntu/20.04/x86_64/" + form: archived(t, tinyRelease, b), "ubuntu/20.04/arm64/" + form: nil},
			want:  []string{"/ubuntu/20.04/x86_64/" + form + ": rejected: wrong"},
		},
		"os-release misleads, the file is not unique": {
			files: map[string][]byte{"centos/8/x86_64/" + form: nil, "rhel/8/x86_64/" + form: nil},
			want:  []string{": several files for " + tinyRelease + ", and none where debian 10 would have it: name one of centos/8/x86_64/" + form + ", rhel/8/x86_64/" + form + " with --btf, or the distribution with --distro and --distro-version"},
		},
		"only near matches": {
			files: map[string][]byte{"debian/10/x86_64/4.19.0-27-amd64-dbg.btf.tar.xz": nil, "debian/10/x86_64/4.19.0-2-amd64.btf": nil},
			want:  []string{": no file for " + tinyRelease},
		},
		"only another architecture": {
			files: map[string][]byte{"debian/10/arm64/" + form: archived(t, tinyRelease, arm)},
			want:  []string{": files for " + tinyRelease + " are for another architecture than x86_64"},
		},
		"another architecture in this one's place": {
			files: map[string][]byte{"debian/10/x86_64/" + form: archived(t, tinyRelease, arm)},
			want:  []string{"/debian/10/x86_64/" + form + ": BTF of a kernel for aarch64, this one is x86_64"},
		},
		"arm64 under both spellings": {
			files: map[string][]byte{"debian/10/arm64/" + form: archived(t, tinyRelease, arm), "debian/10/aarch64/" + form: archived(t, tinyRelease, arm)},
			query: func(q *Query) { q.Arch = "aarch64" },
			want:  []string{"/debian/10/arm64/" + form + ": rejected: wrong", "/debian/10/aarch64/" + form + ": rejected: wrong"},
		},
		"an empty archive": {
			files: map[string][]byte{"debian/10/x86_64/" + form: xzOf(t, tarOf(t))},
			want:  []string{"/debian/10/x86_64/" + form + ": an empty archive"},
		},
		"a release that is a path": {
			files: map[string][]byte{"debian/10/x86_64/" + form: nil},
			query: func(q *Query) { q.Release = "../" + tinyRelease },
			want:  []string{"no name"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tree := t.TempDir()
			for name, b := range c.files {
				put(t, filepath.Join(tree, name), b)
			}
			q := debian10(t)
			q.Dirs = []string{tree}
			if c.query != nil {
				c.query(&q)
			}
			got := allFound(t, q)
			if len(got) != len(c.want) {
				t.Fatalf("got %q, want %q", got, c.want)
			}
			for i := range got {
				if !strings.HasSuffix(strings.TrimPrefix(got[i], "dir "+tree), c.want[i]) {
					t.Errorf("got %q, want %q", got[i], c.want[i])
				}
			}
		})
	}
}

func TestTreeLinks(t *testing.T) {
	dir := t.TempDir()
	secret := put(t, filepath.Join(dir, "secret.btf"), tinyKernel(t, "x86_64", 1268))
	tree := filepath.Join(dir, "tree")
	inside := put(t, filepath.Join(tree, "store", "one"), tinyKernel(t, "x86_64", 1268))
	link := filepath.Join(tree, "debian/10/x86_64", tinyRelease+".btf")
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]string{
		secret:                      "escapes",
		"../../../../secret.btf":    "escapes",
		"../../../store/one":        "rejected: wrong",
		"../../../store/none":       "not there",
		filepath.Base(link):         "too many levels",
		strings.Clone(inside + "x"): "escapes",
	} {
		os.Remove(link)
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		q := debian10(t)
		q.Dirs = []string{tree}
		if got := allFound(t, q); len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("link to %s: got %q, want %q", target, got, want)
		}
	}
}
