// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"
	"strings"
)

// sizeValue is a flag for a number of bytes, such as 65536, 256KiB or 1MiB.
type sizeValue int

// The sizes that a perf buffer may have: a page, and what a big machine's memory bears.
const (
	sizeMin = 4 << 10
	sizeMax = 1 << 30
)

func (v *sizeValue) String() string {
	switch n := int(*v); {
	case n%(1<<20) == 0:
		return fmt.Sprintf("%dMiB", n>>20)
	case n%(1<<10) == 0:
		return fmt.Sprintf("%dKiB", n>>10)
	default:
		return strconv.Itoa(n)
	}
}

func (v *sizeValue) Type() string { return "SIZE" }

func (v *sizeValue) Set(text string) error {
	unit := 1
	digits := text
	for suffix, bytes := range map[string]int{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if rest, ok := strings.CutSuffix(text, suffix); ok {
			digits, unit = rest, bytes
		}
	}
	n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 31)
	if err != nil {
		return fmt.Errorf("a size is a number of bytes, or of KiB, MiB, GiB")
	}
	size := int(n) * unit
	if size < sizeMin || size > sizeMax {
		return fmt.Errorf("a size lies between %dKiB and %dMiB", sizeMin>>10, sizeMax>>20)
	}
	*v = sizeValue(size)
	return nil
}
