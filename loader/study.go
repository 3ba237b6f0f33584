// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"context"
	"fmt"
)

// study adds what can be found out only with effort, and is wanted for the stub alone.
func (f *Facts) study(ctx context.Context, fs *tracefs, o Options) {
	if o.NoForkTracking {
		f.ForkTracepoints.Result = Unknown
		f.ForkTracepoints.Detail = "not used: fork tracking is switched off"
	}
	f.Learning = Probe{Name: "learned offsets", Source: "memory of test processes"}
	if o.NoLearn {
		f.Learning.Result, f.Learning.Detail = Unknown, "not tried: learning is switched off"
		return
	}
	offsets, err := learnOrRecall(ctx, fs, f.RawTracepoints.Result == Yes, o)
	if err != nil {
		f.Learning.Result, f.Learning.Detail = No, err.Error()
		o.Logger.Warn("the kernel's offsets could not be learned", "reason", err)
		return
	}
	f.Offsets = offsets
	f.Learning.Result = Yes
	f.Learning.Detail = fmt.Sprintf("%s (%s)", offsets, offsets.proof())
}

func learnOrRecall(ctx context.Context, fs *tracefs, raw bool, o Options) (*Offsets, error) {
	return learn(ctx, fs, raw, o)
}
