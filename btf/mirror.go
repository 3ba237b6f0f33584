// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// Mirror is a web server with the layout of btfhub-archive.
type Mirror struct {
	URL string
	// InsecureHTTP allows http:// beyond this machine, where anybody on the way may change what
	// arrives.
	InsecureHTTP bool
	// SHA256, in hexadecimal, is what the file must have. Empty: what the mirror's own list says,
	// FILE.sha256 beside the file or SHA256SUMS at the root, if it has one.
	SHA256 string
	// Progress, if not nil, is told how many bytes have come, of how many (-1: not known).
	Progress func(done, total int64)

	retryWait time.Duration // before the first retry; 0: the default
	stall     time.Duration // without a byte until the attempt is given up; 0: the default
}

const (
	attempts     = 4
	retryWait    = 500 * time.Millisecond // doubled each time
	stallTimeout = 30 * time.Second
	fetchTimeout = 10 * time.Minute // for everything
	maxRedirects = 5
	maxSums      = 16 << 20
	userAgent    = "everyexec"
)

// errNotThere is a 404: other names are worth trying, the same again is not.
var errNotThere = errors.New("404 not found")

// retryError wraps what may be better at the next attempt.
type retryError struct{ error }

func (e retryError) Unwrap() error { return e.error }

// refusedError is about an address that we do not go to.
type refusedError string

func (e refusedError) Error() string { return string(e) }

// Download says where a file came from and where it is now.
type Download struct {
	URL  string
	Path string // in the cache
}

// Fetch downloads the archive of the query's kernel into the cache. What arrives is kept only if
// it passes every check. Where it fails, the download's URL says at what.
func (q Query) Fetch(ctx context.Context) (Download, error) {
	m := *q.Mirror
	base, err := url.Parse(m.URL)
	if err != nil || base.Host == "" {
		return Download{URL: "mirror"}, fmt.Errorf("%q is no URL: expected https://host/path", m.URL)
	}
	at := Download{URL: base.Redacted()}
	if err := m.allowed(base); err != nil {
		return at, err
	}
	dirs := spellings(q.Distro, q.Arch)
	switch {
	case q.CacheDir == "":
		return at, errors.New("no directory to download to: name one with --btf-cache")
	case !validName(q.Release):
		return at, fmt.Errorf("%q is no kernel release", q.Release)
	case len(dirs) == 0:
		return at, errors.New("the distribution is not known: name it with --distro and --distro-version")
	}

	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	client := m.client()
	defer client.CloseIdleConnections()
	for _, dir := range dirs {
		name := path.Join(dir, q.Release+archiveForm)
		file := Download{
			URL:  base.JoinPath(name).Redacted(),
			Path: filepath.Join(q.CacheDir, filepath.FromSlash(name)),
		}
		err := m.retry(ctx, func() error {
			return store(file.Path, func(f *os.File) error {
				return m.download(ctx, client, base, name, f, q)
			})
		})
		if !errors.Is(err, errNotThere) {
			return file, err
		}
	}
	return at, fmt.Errorf("no file for %s in %s", q.Release, strings.Join(dirs, ", "))
}

// allowed keeps downloads to connections that nobody can change on the way.
func (m Mirror) allowed(u *url.URL) error {
	switch {
	case u.Scheme == "https":
		return nil
	case u.Scheme != "http":
		return refusedError(u.Redacted() + " is neither https nor http")
	case m.InsecureHTTP || u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback():
		return nil
	default:
		return refusedError(u.Redacted() + " is not encrypted: use https, or allow it with --btf-insecure-http")
	}
}

func (m Mirror) client() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone() // proxy settings, dial and TLS timeouts
	transport.ResponseHeaderTimeout = m.stallTime()
	transport.DisableCompression = true // sizes and hashes are those of the file
	return &http.Client{
		Transport: transport,
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return errors.New("too many redirects")
			}
			return m.allowed(req.URL)
		},
	}
}

func (m Mirror) stallTime() time.Duration {
	if m.stall > 0 {
		return m.stall
	}
	return stallTimeout
}

// retry repeats what may be better next time, at growing distances.
func (m Mirror) retry(ctx context.Context, try func() error) error {
	wait := m.retryWait
	if wait == 0 {
		wait = retryWait
	}
	for n := 1; ; n++ {
		err := try()
		var again retryError
		if !errors.As(err, &again) || ctx.Err() != nil {
			return err
		}
		if n == attempts {
			return fmt.Errorf("%w (tried %d times)", err, n)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait + rand.N(wait)):
			wait *= 2
		}
	}
}

// download writes the file to f and checks it.
func (m Mirror) download(ctx context.Context, client *http.Client, base *url.URL, name string, f *os.File, q Query) error {
	sum := sha256.New()
	if err := m.get(ctx, client, base.JoinPath(name), maxPacked, io.MultiWriter(f, sum), m.Progress); err != nil {
		return err
	}
	want, err := m.wantedSum(ctx, client, base, name)
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); want != "" && got != want {
		return fmt.Errorf("SHA-256 is %s and should be %s", got, want)
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	whole, err := readBTF(f, info.Size(), q.inner())
	if err != nil {
		return err
	}
	_, err = q.trust(whole)
	return err
}

// wantedSum returns what SHA-256 the file must have, or "" if nobody says so.
func (m Mirror) wantedSum(ctx context.Context, client *http.Client, base *url.URL, name string) (string, error) {
	if m.SHA256 != "" {
		return strings.ToLower(m.SHA256), nil
	}
	lists := []struct{ list, file string }{
		{name + ".sha256", path.Base(name)},
		{"SHA256SUMS", name},
	}
	for _, l := range lists {
		var text strings.Builder
		err := m.get(ctx, client, base.JoinPath(l.list), maxSums, &text, nil)
		if errors.Is(err, errNotThere) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("get %s: %w", l.list, err)
		}
		if sum := findSum(text.String(), l.file); sum != "" {
			return sum, nil
		}
	}
	return "", nil
}

// findSum looks a file up in a list as sha256sum(1) writes it, or returns "". A sum without a
// name is that of the file.
func findSum(list, file string) string {
	for line := range strings.Lines(list) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		name = strings.TrimPrefix(strings.TrimLeft(name, " *"), "./")
		if b, err := hex.DecodeString(sum); err != nil || len(b) != sha256.Size {
			continue
		}
		if name == file || name == "" {
			return strings.ToLower(sum)
		}
	}
	return ""
}

// get downloads one URL of at most limit bytes.
func (m Mirror) get(ctx context.Context, client *http.Client, from *url.URL, limit int64, to io.Writer, progress func(done, total int64)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from.String(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", userAgent)
	resp, err := client.Do(req)
	if err != nil {
		return unlessHopeless(err)
	}
	defer resp.Body.Close()
	if err := checkStatus(resp); err != nil {
		return err
	}
	if resp.ContentLength > limit {
		return fmt.Errorf("%d bytes are more than the %d allowed", resp.ContentLength, limit)
	}

	stalled := fmt.Errorf("no byte for %v", m.stallTime())
	watch := time.AfterFunc(m.stallTime(), func() { cancel(stalled) })
	defer watch.Stop()
	body := &watchedReader{r: io.LimitReader(resp.Body, limit+1), total: resp.ContentLength, seen: func(done, total int64) {
		watch.Reset(m.stallTime())
		if progress != nil {
			progress(done, total)
		}
	}}
	_, err = io.Copy(to, body)
	switch {
	case body.err != nil && context.Cause(ctx) == stalled:
		return retryError{stalled}
	case body.err != nil:
		return retryError{fmt.Errorf("the connection was cut after %d bytes: %w", body.done, body.err)}
	case err != nil:
		return err // of the disk
	case body.done > limit:
		return fmt.Errorf("more than the %d bytes allowed", limit)
	}
	return nil
}

// unlessHopeless marks an error of connecting as worth a retry, unless the next attempt must end
// the same.
func unlessHopeless(err error) error {
	var refused refusedError
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &refused) || errors.As(err, &certificate) {
		return err
	}
	return retryError{err}
}

func checkStatus(resp *http.Response) error {
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
		return nil
	case code == http.StatusNotFound || code == http.StatusGone:
		return errNotThere
	case code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code >= 500:
		return retryError{fmt.Errorf("the server says %s", resp.Status)}
	default:
		return fmt.Errorf("the server says %s", resp.Status)
	}
}

// watchedReader tells after each read how much has come, and keeps the error of reading apart
// from that of writing.
type watchedReader struct {
	r           io.Reader
	done, total int64
	seen        func(done, total int64)
	err         error
}

func (w *watchedReader) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.done += int64(n)
	w.seen(w.done, w.total)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}
