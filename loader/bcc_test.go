// SPDX-License-Identifier: Apache-2.0

//go:build bcc

package loader

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/everyexec/everyexec/bpf"
)

// TestBCCCompileError has libbcc compile against a tree that holds no header but the two that
// mark a tree.
func TestBCCCompileError(t *testing.T) {
	tree := t.TempDir()
	write(t, tree+"/"+writtenHeader, "")
	write(t, tree+"/"+generatedHeader, "")
	job := bccJobOfAll(t)
	_, err := job.run(context.Background(), nil, &headers{source: tree, build: tree})
	var failure *compileError
	if !errors.As(err, &failure) {
		t.Fatalf("got %v, want a compileError", err)
	}
	if text := err.Error(); !strings.Contains(text, "file not found") || strings.Count(text, "\n") > 0 {
		t.Errorf("is not one line with the compiler's first: %s", text)
	}
	if !strings.Contains(failure.output, "error generated") {
		t.Errorf("does not keep all that libbcc printed: %s", failure.output)
	}
}

func TestBCCCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	job := bccJobOfAll(t)
	if _, err := job.run(ctx, nil, &headers{archive: true}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// TestBCCProgramsAreCores holds the text's programs against the object that lends its maps.
func TestBCCProgramsAreCores(t *testing.T) {
	job := bccJobOfAll(t)
	for _, p := range job.Programs {
		if !strings.Contains(job.Text, "\nint "+p.Name+"(") {
			t.Errorf("no program %s in the text", p.Name)
		}
	}
	if strings.Contains(job.Text, `#include "`) {
		t.Error("a header was not inlined")
	}
	spec, err := bpf.LoadCore()
	if err != nil {
		t.Fatal(err)
	}
	for name := range spec.Maps {
		if !strings.Contains(job.Text, "MAP(MAP_"+name+")") {
			t.Errorf("no descriptor of map %s in the text", name)
		}
	}
}

func bccJobOfAll(t *testing.T) *bccJob {
	t.Helper()
	spec, err := bpf.LoadCore()
	if err != nil {
		t.Fatal(err)
	}
	job, err := newBCCJob(spec, &Facts{})
	if err != nil {
		t.Fatal(err)
	}
	if len(job.Programs) == 0 {
		t.Fatal("no programs")
	}
	return job
}
