// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra/doc"
)

var update = flag.Bool("update", false, "write the man pages anew")

const manDir = "../../docs/man"

// TestManPages makes the man pages from the help texts and holds those in docs against them.
func TestManPages(t *testing.T) {
	needsSources(t)
	dir := t.TempDir()
	if *update {
		dir = manDir
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	root := newRootCommand()
	root.DisableAutoGenTag = true
	// A fixed date, as the pages would change by themselves each month.
	date := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	header := &doc.GenManHeader{Section: "1", Source: "everyexec", Manual: "everyexec", Date: &date}
	if err := doc.GenManTree(root, header, dir); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(readAll(t, manDir), readAll(t, dir)); diff != "" {
		t.Errorf("the help has changed; run: make man\n%s", diff)
	}
}

// needsSources skips what reads the repository: the suite also runs where there is none.
func needsSources(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("../../go.mod"); err != nil {
		t.Skip("the sources are not here")
	}
}

func readAll(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(dir + "/*.1")
	if err != nil {
		t.Fatal(err)
	}
	pages := make(map[string]string)
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		pages[filepath.Base(f)] = string(text)
	}
	if len(pages) == 0 {
		t.Errorf("no man page in %s", dir)
	}
	return pages
}
