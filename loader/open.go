// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/perf"

	"github.com/everyexec/everyexec/event"
)

// Open probes the kernel, takes the best variant that the options allow, and starts tracing.
//
// It returns an *UnavailableError if the variant or a field that was asked for cannot be had,
// and an *UnusableError if nothing can trace here. Falling to a lesser variant is logged as a
// warning with its reason and remedy.
func Open(ctx context.Context, o Options) (*Tracer, error) {
	o = o.withDefaults()
	tracefs, tracefsErr := openTracefs()
	if tracefs != nil {
		defer tracefs.Close()
	}
	facts := probe(tracefs, tracefsErr)

	var fallen error // why the best variant could not run
	var lacking event.Fields
	for _, p := range choose(facts, o.Fails) {
		if o.Variant != Auto && o.Variant != p.variant {
			continue
		}
		if p.fatal {
			return nil, &UnusableError{p.obstacle.reason, p.obstacle.remedy}
		}
		p = studied(ctx, p, facts, tracefs, o)
		t, err := attempt(ctx, &p, facts, tracefs, o)
		if err == nil {
			// The kernel's BTF, some five MB, is not needed any more.
			debug.FreeOSMemory()
			return t, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if missing := o.Require &^ p.fields; missing != 0 {
			lacking = missing
		}
		if fallen == nil {
			fallen = err
		}
		if o.Variant == Auto {
			logFall(o.Logger, p.variant, err)
		}
	}
	return nil, refusal(o, lacking, fallen)
}

// attempt starts one variant, if its plan has no obstacle and delivers what is required.
func attempt(ctx context.Context, p *plan, f *Facts, t *tracefs, o Options) (*Tracer, error) {
	if p.obstacle != nil {
		return nil, p.obstacle
	}
	if missing := o.Require &^ p.fields; missing != 0 {
		return nil, &obstacle{
			reason: fmt.Sprintf("variant %s does not deliver %s", p.variant, missing),
			remedy: "require less, or make a better variant possible (see: everyexec check)",
		}
	}
	return startVariant(ctx, p, f, t, o)
}

// startVariant starts a variant whose plan has no obstacle, in the way that is its own.
func startVariant(ctx context.Context, p *plan, f *Facts, t *tracefs, o Options) (*Tracer, error) {
	switch p.variant {
	case CoreExternal:
		return startExternal(ctx, p, f, t, o)
	case Stub:
		return startStub(ctx, p, f, t, o)
	}
	return start(ctx, p, f, t, o)
}

// start loads, attaches and verifies one variant. The perf buffers are there before the programs
// are attached, so that no event is lost in between.
func start(ctx context.Context, p *plan, f *Facts, fs *tracefs, o Options) (*Tracer, error) {
	measured, release := contextOf(p, f, fs, o)
	defer release()
	prog, err := loadProgram(ctx, p, f, fs, measured)
	if err != nil {
		return nil, logRejection(o, p.variant, err)
	}
	t, err := newTracer(p, prog, o)
	if err != nil {
		return nil, errors.Join(err, prog.close())
	}
	if err := prog.attach(p, fs); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	if o.NoVerify {
		t.unverified = "verification was switched off"
		return t, nil
	}
	if err := t.verify(ctx); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// newTracer opens the perf buffers of a program.
func newTracer(p *plan, prog *program, o Options) (*Tracer, error) {
	reader, err := perf.NewReader(prog.coll.Maps[mapEvents], o.Buffer)
	if err != nil {
		return nil, fmt.Errorf("open a perf buffer of %d KiB for each CPU: %w", o.Buffer>>10, explainPerf(err))
	}
	return &Tracer{plan: *p, program: prog, reader: reader, logger: o.Logger, selfTest: o.SelfTest}, nil
}

// logRejection logs what the verifier or the compiler says in full: a rejection is an error of
// ours, and what the compiler takes amiss is in headers that we do not know.
func logRejection(o Options, v Variant, err error) error {
	var rejected *ebpf.VerifierError
	if errors.As(err, &rejected) {
		o.Logger.Error("the kernel's verifier rejected a program; please report this",
			"variant", v, "verifier", fmt.Sprintf("%+v", rejected))
	}
	var compile *compileError
	if errors.As(err, &compile) {
		o.Logger.Debug("all that libbcc printed", "variant", v, "output", compile.output)
	}
	return err
}

func refusal(o Options, lacking event.Fields, cause error) error {
	reason, remedy := explain(cause)
	switch {
	case o.Variant != Auto:
		return &UnavailableError{o.Variant, lacking, reason, remedy}
	case lacking != 0:
		return &UnavailableError{Auto, lacking, reason, remedy}
	}
	return &UnusableError{reason, remedy}
}
