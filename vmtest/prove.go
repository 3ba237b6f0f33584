// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/everyexec/everyexec/vmtest/guest"
)

// binaries are the programs of a guest.
type binaries struct {
	test      string   // the torture suite, which is also the init
	everyexec string   // what users get
	libraries []string // that both need
}

// compile builds the programs of each kind of guest that is needed.
func (h *harness) compile(ctx context.Context, accounts []account) error {
	dir, err := os.MkdirTemp("", "vmtest-bin-")
	if err != nil {
		return err
	}
	h.dir = dir
	for _, a := range accounts {
		k := a.kernel
		if _, ok := h.binaries[k.kind()]; ok || a.missing != nil {
			continue
		}
		b, err := compileGuest(ctx, k, filepath.Join(dir, k.kind()))
		if err != nil {
			return err
		}
		h.binaries[k.kind()] = b
	}
	return nil
}

// compileGuest builds one kind of guests' programs into files of which the names have this begin.
func compileGuest(ctx context.Context, k kernel, begin string) (binaries, error) {
	b := binaries{test: begin + "-test", everyexec: begin + "-everyexec"}
	if err := goTool(ctx, k, "test", "-c", "-o", b.test); err != nil {
		return b, err
	}
	if err := goTool(ctx, k, "build", "-ldflags=-s -w", "-o", b.everyexec); err != nil {
		return b, err
	}
	var err error
	if k.bcc() {
		b.libraries, err = libraries(ctx, b.everyexec)
	}
	return b, err
}

func goTool(ctx context.Context, k kernel, args ...string) error {
	cgo := "CGO_ENABLED=0"
	if k.bcc() {
		cgo = "CGO_ENABLED=1"
		args = append(args, "-tags=bcc")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./cmd/everyexec")...)
	cmd.Env = append(os.Environ(), cgo, "GOOS=linux", "GOARCH="+k.Arch)
	_, err := output(cmd)
	return err
}

// prove boots a kernel and judges it. Of a listed kernel it is known which variants the suite is to run through; of
// another one `check` must say so first, which takes a boot of its own.
func (h *harness) prove(ctx context.Context, a *account) {
	start := time.Now()
	defer func() { a.took = time.Since(start) }()
	e := a.kernel.expect
	steps := probeSteps()
	if e != nil {
		steps = append(steps, workSteps(e.Variants)...)
		steps = append(steps, suiteSteps(e.Variants, e.Suite, h.run)...)
	}
	if a.kernel.bcc() {
		steps = slower(steps)
	}
	var j judgement
	t := h.boot(ctx, a, &j, steps)
	if t == nil {
		a.results = j.results
		return
	}
	a.release, a.btf = t.facts["release"], btfSource(t, a.image)
	a.report = j.judgeCheck(t, e)
	if a.report != nil {
		j.judgeTraces(t, a.report, e)
	}
	if e != nil {
		j.judgeWork(t, e)
	}
	if e == nil && a.report != nil {
		steps = suiteSteps(usable(a.report), nil, h.run)
		if len(steps) > 0 {
			t = h.boot(ctx, a, &j, steps)
		}
	}
	if t != nil && len(steps) > 0 && steps[len(steps)-1].Name == suiteStep {
		j.judgeSuite(t)
	}
	a.results = j.results
	if !a.failed() {
		os.Remove(a.log)
	}
}

// boot runs steps in a guest, and notes when it did not come to their end.
func (h *harness) boot(ctx context.Context, a *account, j *judgement, steps []guest.Step) *transcript {
	a.log = filepath.Join(h.logs, a.kernel.Name+".log")
	v := vm{
		arch: a.kernel.Arch, kernel: a.image.path, append: h.append, accel: h.accel,
		binary: h.binaries[a.kernel.kind()], btf: a.image.btf, tree: a.image.tree,
		orders: guest.Orders{Steps: steps}, bootTime: bootTime,
	}
	t, err := v.boot(ctx, a.log)
	j.judgeBoot(a.kernel.Arch, t, err)
	return t
}

// btfSource says where a kernel's BTF comes from, in the table's words.
func btfSource(t *transcript, im image) string {
	switch {
	case t.facts["btf"] == "yes":
		return "its own"
	case im.btf != "":
		return fmt.Sprintf("file %s", filepath.Base(im.btf))
	}
	return "none"
}
