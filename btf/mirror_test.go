// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const tinyFile = "debian/10/x86_64/" + tinyRelease + ".btf.tar.xz"

// TestMain lets clients trust the certificate of httptest.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		server := httptest.NewTLSServer(nil)
		defer server.Close()
		f, err := os.CreateTemp("", "everyexec-test-*.pem")
		if err != nil {
			panic(err)
		}
		defer os.Remove(f.Name())
		if err := errors.Join(pem.Encode(f, &pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), f.Close()); err != nil {
			panic(err)
		}
		os.Setenv("SSL_CERT_FILE", f.Name())
		return m.Run()
	}())
}

func serveTree(t testing.TB, dir string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(server.Close)
	return server
}

// serve answers for the tiny kernel's file with answer, and 404 for everything else.
func serve(t testing.TB, answer http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/"+tinyFile {
			http.NotFound(w, r)
			return
		}
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return server
}

func fetchQuery(t testing.TB, url string) Query {
	q := debian10(t)
	q.CacheDir = t.TempDir()
	q.Mirror = &Mirror{URL: url, retryWait: time.Millisecond}
	return q
}

// files lists everything below a directory, hidden files included.
func files(t testing.TB, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.Walk(dir, func(name string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			names = append(names, strings.TrimPrefix(name, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func tinyArchive(t testing.TB) []byte {
	return archived(t, tinyRelease, tinyKernel(t, "x86_64", 1268))
}

func TestFetch(t *testing.T) {
	tree := t.TempDir()
	put(t, filepath.Join(tree, tinyFile), tinyArchive(t))
	for _, c := range []struct {
		name   string
		server *httptest.Server
	}{
		{"http on loopback", serveTree(t, tree)},
		{"https", httptest.NewTLSServer(http.FileServer(http.Dir(tree)))},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer c.server.Close()
			q := fetchQuery(t, c.server.URL+"/")
			var done, total int64
			q.Mirror.Progress = func(d, of int64) { done, total = d, of }
			got, err := q.Fetch(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if want := (Download{c.server.URL + "/" + tinyFile, filepath.Join(q.CacheDir, tinyFile)}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if size := int64(len(tinyArchive(t))); done != size || total != size {
				t.Errorf("progress ended at %d of %d, want %d", done, total, size)
			}
			q.Mirror = nil
			if found := firstFound(t, q); found == nil || found.Place != PlaceCache {
				t.Errorf("afterwards found %v", found)
			}
		})
	}
}

func TestFetchEscapesNames(t *testing.T) {
	tree := t.TempDir()
	release := "4.19.0+deb~1"
	put(t, filepath.Join(tree, "debian/10/x86_64", release+".btf.tar.xz"), archived(t, release, tinyKernel(t, "x86_64", 1268)))
	q := fetchQuery(t, serveTree(t, tree).URL)
	q.Release = release
	if _, err := q.Fetch(context.Background()); err != nil {
		t.Error(err)
	}
}

// Whatever a mirror does, there is a clear error and no file, and the search goes on.
func TestFetchRefuses(t *testing.T) {
	good := tinyArchive(t)
	send := func(b []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.Write(b) }
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
		tries  int32
	}{
		"404":             {http.NotFound, "no file for 4.19.0-27-amd64 in debian/10/x86_64", 1},
		"403":             {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, "403", 1},
		"500":             {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "500", attempts},
		"captive portal":  {send([]byte("<html>Welcome to the hotel</html>")), "HTML", 1},
		"nothing":         {send(nil), "empty file", 1},
		"truncated":       {send(good[:len(good)-40]), "damaged", 1},
		"random bytes":    {send([]byte("\x01\x02\x03\x04")), "no BTF", 1},
		"another kernel":  {send(archived(t, "4.19.0-28-amd64", tinyKernel(t, "x86_64", 1268))), "and not", 1},
		"another machine": {send(archived(t, tinyRelease, tinyKernel(t, "aarch64", 1268))), "for aarch64", 1},
		"too large": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(maxPacked+1))
		}, "more than the", 1},
		"endless": {func(w http.ResponseWriter, r *http.Request) {
			for b := make([]byte, 1<<20); ; {
				if _, err := w.Write(b); err != nil {
					return
				}
			}
		}, "more than the", 1},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(good)))
			w.Write(good[:100])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, "the connection was cut after", attempts},
		"redirect away from loopback": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://192.0.2.1/x", http.StatusFound)
		}, "not encrypted", 1},
		"redirect to a file": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		}, "neither https nor http", 1},
		"redirect in a circle": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		}, "too many redirects", 1},
	} {
		t.Run(name, func(t *testing.T) {
			var tries atomic.Int32
			q := fetchQuery(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
				tries.Add(1)
				c.answer(w, r)
			}).URL)
			got := allFound(t, q)
			if len(got) != 2 || !strings.HasPrefix(got[1], "url http://127.0.0.1") || !strings.Contains(got[1], c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if n := tries.Load(); name != "redirect in a circle" && n != c.tries {
				t.Errorf("tried %d times, want %d", n, c.tries)
			}
			if left := files(t, q.CacheDir); len(left) > 0 {
				t.Errorf("left behind %q", left)
			}
		})
	}
}

func TestFetchStalls(t *testing.T) {
	released := make(chan struct{})
	q := fetchQuery(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.Write([]byte("x"))
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
		case <-released:
		}
	}).URL)
	t.Cleanup(func() { close(released) })
	q.Mirror.stall = 50 * time.Millisecond
	_, err := q.Fetch(context.Background())
	if err == nil || err.Error() != "no byte for 50ms (tried 4 times)" {
		t.Errorf("got %v", err)
	}
	if left := files(t, q.CacheDir); len(left) > 0 {
		t.Errorf("left behind %q", left)
	}
}

func TestFetchRecovers(t *testing.T) {
	good := tinyArchive(t)
	var tries atomic.Int32
	q := fetchQuery(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		switch tries.Add(1) {
		case 1:
			w.WriteHeader(503)
		case 2:
			w.Header().Set("Content-Length", fmt.Sprint(len(good)))
			w.Write(good[:len(good)/2])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		default:
			w.Write(good)
		}
	}).URL)
	if _, err := q.Fetch(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := tries.Load(); n != 3 {
		t.Errorf("tried %d times", n)
	}
}

func TestFetchIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	q := fetchQuery(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("x"))
		w.(http.Flusher).Flush()
		cancel()
		<-r.Context().Done()
	}).URL)
	if _, err := q.Fetch(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if left := files(t, q.CacheDir); len(left) > 0 {
		t.Errorf("left behind %q", left)
	}
}

func TestFetchSums(t *testing.T) {
	good := tinyArchive(t)
	sum := sha256.Sum256(good)
	right := hex.EncodeToString(sum[:])
	wrong := strings.Repeat("0", 64)
	for name, c := range map[string]struct {
		files map[string]string
		flag  string
		want  string
	}{
		"none":                      {nil, "", ""},
		"right flag":                {nil, strings.ToUpper(right), ""},
		"wrong flag":                {nil, wrong, "SHA-256 is " + right},
		"right file beside it":      {map[string]string{tinyFile + ".sha256": right + "  " + filepath.Base(tinyFile) + "\n"}, "", ""},
		"right bare sum":            {map[string]string{tinyFile + ".sha256": right + "\n"}, "", ""},
		"wrong file beside it":      {map[string]string{tinyFile + ".sha256": wrong + "\n"}, "", "should be " + wrong},
		"right list":                {map[string]string{"SHA256SUMS": wrong + "  other\n" + right + " *./" + tinyFile + "\n"}, "", ""},
		"wrong list":                {map[string]string{"SHA256SUMS": wrong + "  " + tinyFile + "\n"}, "", "should be " + wrong},
		"list without it":           {map[string]string{"SHA256SUMS": wrong + "  ubuntu/" + filepath.Base(tinyFile) + "\n"}, "", ""},
		"list that is a web page":   {map[string]string{"SHA256SUMS": "<html>"}, "", ""},
		"the flag beats the list":   {map[string]string{"SHA256SUMS": wrong + "  " + tinyFile + "\n"}, right, ""},
		"the nearer beats the list": {map[string]string{"SHA256SUMS": wrong + "  " + tinyFile + "\n", tinyFile + ".sha256": right}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			tree := t.TempDir()
			put(t, filepath.Join(tree, tinyFile), good)
			for name, text := range c.files {
				put(t, filepath.Join(tree, name), []byte(text))
			}
			q := fetchQuery(t, serveTree(t, tree).URL)
			q.Mirror.SHA256 = c.flag
			_, err := q.Fetch(context.Background())
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if kept := files(t, q.CacheDir); (len(kept) == 1) != (c.want == "") {
				t.Errorf("kept %q", kept)
			}
		})
	}
}

func TestFetchGoesNowhereElse(t *testing.T) {
	for url, want := range map[string]string{
		"http://mirror.example/btf":          "not encrypted: use https, or allow it with --btf-insecure-http",
		"http://user:secret@mirror.example/": "http://user:xxxxx@mirror.example/ is not encrypted",
		"http://127.0.0.1.mirror.example/":   "not encrypted",
		"ftp://mirror.example/":              "neither https nor http",
		"file:///etc":                        "no URL",
		"mirror.example/btf":                 "no URL",
		"":                                   "no URL",
		"https://[":                          "no URL",
	} {
		_, err := fetchQuery(t, url).Fetch(context.Background())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want %q", url, err, want)
		}
	}
	for _, url := range []string{"http://localhost:1/", "http://127.0.0.2/", "http://[::1]/", "https://x/"} {
		if err := (Mirror{}).allowed(mustParse(t, url)); err != nil {
			t.Error(err)
		}
	}
	if err := (Mirror{InsecureHTTP: true}).allowed(mustParse(t, "http://mirror.example")); err != nil {
		t.Error(err)
	}
}

func mustParse(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestFetchNeedsToKnow(t *testing.T) {
	server := serve(t, http.NotFound)
	for want, change := range map[string]func(*Query){
		"--btf-cache":          func(q *Query) { q.CacheDir = "" },
		"--distro":             func(q *Query) { q.Distro = Distro{} },
		"is no kernel release": func(q *Query) { q.Release = "../x" },
	} {
		q := fetchQuery(t, server.URL)
		change(&q)
		if _, err := q.Fetch(context.Background()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestFetchDistrustsCertificates(t *testing.T) {
	// The certificate is for example.com and 127.0.0.1, not for localhost.
	var tries atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { tries.Add(1) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	q := fetchQuery(t, strings.Replace(server.URL, "127.0.0.1", "localhost", 1))
	if _, err := q.Fetch(context.Background()); err == nil || !strings.Contains(err.Error(), "certificate") || strings.Contains(err.Error(), "tried") {
		t.Errorf("got %v", err)
	}
	if tries.Load() > 0 {
		t.Error("a request went to a server that cannot be trusted")
	}
}

func TestFetchThroughProxy(t *testing.T) {
	if os.Getenv("EVERYEXEC_TEST_PROXY") == "" {
		// The settings are read once in a process, so another one is needed.
		good := tinyArchive(t)
		var asked atomic.Value
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, ".xz") {
				http.NotFound(w, r)
				return
			}
			asked.Store(r.URL.String())
			w.Write(good)
		}))
		defer proxy.Close()
		out, err := rerun(t, "EVERYEXEC_TEST_PROXY=1", "HTTP_PROXY="+proxy.URL, "http_proxy="+proxy.URL, "NO_PROXY=", "no_proxy=")
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if got := asked.Load(); got != "http://mirror.example/"+tinyFile {
			t.Errorf("the proxy was asked for %v", got)
		}
		return
	}
	q := fetchQuery(t, "http://mirror.example")
	q.Mirror.InsecureHTTP = true
	if _, err := q.Fetch(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestTwoFetchAtOnce(t *testing.T) {
	good := tinyArchive(t)
	const n = 8
	var together sync.WaitGroup
	together.Add(n)
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Write(good[:10])
		w.(http.Flusher).Flush()
		together.Done()
		together.Wait() // all are in the middle of the file
		w.Write(good[10:])
	})
	q := fetchQuery(t, server.URL)
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			if _, err := q.Fetch(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := files(t, q.CacheDir); len(got) != 1 || got[0] != tinyFile {
		t.Errorf("left %q", got)
	}
	if found := firstFound(t, q); found == nil || found.Place != PlaceCache {
		t.Errorf("found %v", found)
	}
}

func TestFetchToAFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small disk needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=16k"); err != nil {
		t.Skipf("mount a small tmpfs: %v", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	var tries atomic.Int32
	q := fetchQuery(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		tries.Add(1)
		w.Write(make([]byte, 1<<20))
	}).URL)
	q.CacheDir = dir
	_, err := q.Fetch(context.Background())
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
	if n := tries.Load(); n != 1 {
		t.Errorf("tried %d times", n)
	}
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("left behind %q", left)
	}
}

func TestStoreSweeps(t *testing.T) {
	dir := t.TempDir()
	dead := put(t, filepath.Join(dir, ".x.btf.tar.xz.1.part"), []byte("half"))
	alive := put(t, filepath.Join(dir, ".x.btf.tar.xz.2.part"), []byte("half"))
	other := put(t, filepath.Join(dir, "mine.part"), nil)
	old := time.Now().Add(-2 * partMaxAge)
	for _, name := range []string{dead, other} {
		if err := os.Chtimes(name, old, old); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(dir, "x.btf.tar.xz")
	if err := store(name, func(f *os.File) error { _, err := f.WriteString("whole"); return err }); err != nil {
		t.Fatal(err)
	}
	got := files(t, dir)
	want := []string{filepath.Base(alive), "mine.part", "x.btf.tar.xz"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("left %q, want %q", got, want)
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info, err)
	}
}
