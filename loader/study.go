// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"context"
	"errors"
	"fmt"

	"github.com/everyexec/everyexec/event"
)

// studied returns the plan of the stub anew, once what costs effort and is wanted for the stub
// alone has been found out. Other plans, and one that cannot run, it returns as they are.
func studied(ctx context.Context, p plan, f *Facts, fs *tracefs, o Options) plan {
	if p.variant != Stub || p.obstacle != nil {
		return p
	}
	if o.NoForkTracking {
		f.ForkTracepoints.Result = Unknown
		f.ForkTracepoints.Detail = "not used: fork tracking is switched off"
	}
	f.learnOrRecall(ctx, fs, o)
	return stubPlan(f, o)
}

func stubPlan(f *Facts, o Options) plan {
	plans := choose(f, o.Fails)
	return plans[len(plans)-1]
}

// learnOrRecall takes the offsets from the cache, if a test exec will prove them, or learns them.
func (f *Facts) learnOrRecall(ctx context.Context, fs *tracefs, o Options) {
	if o.NoLearn {
		f.Learning.Result, f.Learning.Detail = Unknown, "not tried: learning is switched off"
		return
	}
	if !o.NoVerify {
		if offsets := recall(o.CacheDir, o.Logger); offsets != nil {
			f.learned(offsets)
			return
		}
	}
	f.learnAnew(ctx, fs, o)
}

func (f *Facts) learnAnew(ctx context.Context, fs *tracefs, o Options) {
	offsets, err := learn(ctx, fs, f.RawTracepoints.Result == Yes, o)
	if err != nil {
		f.Offsets = nil
		f.Learning.Result, f.Learning.Detail = No, err.Error()
		o.Logger.Warn("the kernel's offsets could not be learned", "reason", err)
		return
	}
	f.learned(offsets)
}

func (f *Facts) learned(offsets *Offsets) {
	f.Offsets = offsets
	f.Learning.Result = Yes
	f.Learning.Detail = fmt.Sprintf("%s (%s)", offsets, offsets.Proof())
}

// startStub starts the stub. Offsets that a test exec proves wrong are dropped, or learned anew if
// they were from the cache; those that it proves right are kept for later runs.
func startStub(ctx context.Context, p *plan, f *Facts, fs *tracefs, o Options) (*Tracer, error) {
	for {
		t, err := start(ctx, p, f, fs, o)
		if err == nil {
			if t.verified {
				remember(o.CacheDir, f.Offsets, o.Logger)
			}
			return t, nil
		}
		if ctx.Err() != nil || !f.unlearn(ctx, fs, err, o) {
			return nil, err
		}
		*p = stubPlan(f, o)
		if missing := o.Require &^ p.fields; missing != 0 {
			return nil, err
		}
	}
}

// unlearn draws the conclusion from an error of a start: it reports whether something learned may
// be the cause, and is not believed any more.
func (f *Facts) unlearn(ctx context.Context, fs *tracefs, cause error, o Options) bool {
	if f.Offsets == nil {
		return false
	}
	if f.Offsets.Cached {
		o.Logger.Warn("cached offsets are wrong, learning anew", "reason", cause)
		f.learnAnew(ctx, fs, o)
		return true
	}
	var wrong *wrongFieldError
	switch {
	case errors.As(cause, &wrong) && wrong.field == event.PPID && f.Offsets.PPID():
		f.Offsets.RealParent = nil
	case errors.As(cause, &wrong) && wrong.field == event.Args && f.Offsets.Args():
		f.Offsets.ArgStart, f.Offsets.ArgEnd = nil, nil
	case errors.Is(cause, errNotSeen) && f.Offsets.Filename():
		f.Offsets.EnvEnd = nil
	default:
		return false
	}
	o.Logger.Warn("a learned offset is wrong, going on without", "reason", cause)
	f.learned(f.Offsets)
	return true
}
