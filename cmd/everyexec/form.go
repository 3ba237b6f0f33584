// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/spf13/pflag"

// formFlag is how a command prints its result.
type formFlag string

const (
	formText formFlag = "text"
	formJSON formFlag = "json"
)

func (f *formFlag) register(flags *pflag.FlagSet) {
	flags.StringVarP((*string)(f), "output", "o", string(formText), "text for people, json for programs")
}

func (f formFlag) check() error {
	if f != formText && f != formJSON {
		return usagef("--output: %q is none of text, json", string(f))
	}
	return nil
}
