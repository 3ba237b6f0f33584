// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/spf13/pflag"

	"github.com/everyexec/everyexec/loader"
)

// learnFlags say what the stub may do to know the parent and the arguments.
type learnFlags struct {
	noLearn bool
	noForks bool
}

func (f *learnFlags) register(flags *pflag.FlagSet) {
	flags.BoolVar(&f.noLearn, "no-learn", false, "stub: do not learn where the kernel keeps parent and arguments")
	flags.BoolVar(&f.noForks, "no-fork-tracking", false, "stub: do not follow forks where nothing was learned; ppid is unknown then")
}

// apply tells the loader; cacheDir is where learned offsets are kept.
func (f *learnFlags) apply(o *loader.Options, cacheDir string) {
	o.NoLearn, o.NoForkTracking, o.CacheDir = f.noLearn, f.noForks, cacheDir
}
