// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func sampleOffsets(t *testing.T) *Offsets {
	t.Helper()
	version, err := kernelVersion()
	if err != nil {
		t.Fatal(err)
	}
	tgid, parent, first := Offset(1268), Offset(1280), Offset(0)
	return &Offsets{Version: version, Arch: uname().Arch, TGID: &tgid, RealParent: &parent, ArgStart: &first, Processes: 3}
}

func TestCache(t *testing.T) {
	for _, c := range []struct {
		name   string
		spoil  func(t *testing.T, dir string, o *Offsets)
		found  bool
		warned string // part of what is logged
	}{
		{"right", func(*testing.T, string, *Offsets) {}, true, ""},
		{"damaged", func(t *testing.T, dir string, o *Offsets) {
			change(t, dir, func(text []byte) []byte { return bytes.Replace(text, []byte("1268"), []byte("1264"), 1) })
		}, false, "damaged"},
		{"cut", func(t *testing.T, dir string, o *Offsets) {
			change(t, dir, func(text []byte) []byte { return text[:len(text)/2] })
		}, false, "damaged"},
		{"empty", func(t *testing.T, dir string, o *Offsets) {
			change(t, dir, func([]byte) []byte { return nil })
		}, false, "damaged"},
		{"another kernel's", func(t *testing.T, dir string, o *Offsets) {
			path := offsetsPath(dir, o.Version)
			o.Version = "Linux version 1.0"
			if err := writeOffsets(path, o); err != nil {
				t.Fatal(err)
			}
		}, false, "another kernel"},
		{"another architecture's", func(t *testing.T, dir string, o *Offsets) {
			o.Arch = "vax"
			if err := writeOffsets(offsetsPath(dir, o.Version), o); err != nil {
				t.Fatal(err)
			}
		}, false, "another kernel"},
		{"out of range", func(t *testing.T, dir string, o *Offsets) {
			far := Offset(taskLen)
			o.MM = &far
			if err := writeOffsets(offsetsPath(dir, o.Version), o); err != nil {
				t.Fatal(err)
			}
		}, false, "out of range"},
		{"a directory", func(t *testing.T, dir string, o *Offsets) {
			path := offsetsPath(dir, o.Version)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(path, 0o755); err != nil {
				t.Fatal(err)
			}
		}, false, "cannot be used"},
		{"none", func(t *testing.T, dir string, o *Offsets) {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			l := slog.New(slog.NewTextHandler(&log, nil))
			dir, o := filepath.Join(t.TempDir(), "new"), sampleOffsets(t)
			remember(dir, o, l)
			want := *o
			want.Cached = true
			c.spoil(t, dir, o)
			got := recall(dir, l)
			if !c.found {
				if got != nil {
					t.Errorf("recalled %s", got)
				}
			} else if diff := cmp.Diff(&want, got); diff != "" {
				t.Error(diff)
			}
			if c.warned == "" && log.Len() > 0 || !strings.Contains(log.String(), c.warned) {
				t.Errorf("logged %q, want %q", log.String(), c.warned)
			}
		})
	}
}

func change(t *testing.T, dir string, f func([]byte) []byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "offsets", "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("there are %d files, %v", len(files), err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files[0], f(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestCacheCannotBeWritten shows that it is no error. A file in the directory's place stops root too.
func TestCacheCannotBeWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(dir, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	remember(dir, sampleOffsets(t), slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if !strings.Contains(log.String(), "cannot be cached") {
		t.Errorf("logged %q", log.String())
	}
}

func FuzzParseOffsets(f *testing.F) {
	f.Add([]byte(`{"sha256":"","offsets":{}}`))
	f.Add([]byte(`{"sha256":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","offsets":{}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		o, err := parseOffsets(text)
		if (o == nil) == (err == nil) {
			t.Errorf("offsets %v, error %v", o, err)
		}
	})
}
