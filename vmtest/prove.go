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
	test      string // the torture suite, which is also the init
	everyexec string // what users get
}

// compile builds the guests' programs for each architecture that is needed.
func (h *harness) compile(ctx context.Context, accounts []account) error {
	dir, err := os.MkdirTemp("", "vmtest-bin-")
	if err != nil {
		return err
	}
	h.dir = dir
	for _, a := range accounts {
		arch := a.kernel.Arch
		if _, ok := h.binaries[arch]; ok || a.missing != nil {
			continue
		}
		b := binaries{test: filepath.Join(dir, arch+"-test"), everyexec: filepath.Join(dir, arch+"-everyexec")}
		if err := goTool(ctx, arch, "test", "-c", "-o", b.test, "./cmd/everyexec"); err != nil {
			return err
		}
		if err := goTool(ctx, arch, "build", "-ldflags=-s -w", "-o", b.everyexec, "./cmd/everyexec"); err != nil {
			return err
		}
		h.binaries[arch] = b
	}
	return nil
}

func goTool(ctx context.Context, arch string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
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
		binary: h.binaries[a.kernel.Arch], btf: a.image.btf, orders: guest.Orders{Steps: steps}, bootTime: bootTime,
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
