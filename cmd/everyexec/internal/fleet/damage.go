// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"fmt"

	"github.com/everyexec/everyexec/cmd/everyexec/internal/terminal"
)

// maxNamed is how many damaged reports are named. The others are counted.
const maxNamed = 100

// Damage names one report, or one file, that could not be used.
type Damage struct {
	File  string `json:"file"`
	Line  int    `json:"line"` // from 1 on; 0 where it is about the file as a whole
	Error string `json:"error"`
}

func (d Damage) String() string {
	if d.Line == 0 {
		return d.File + ": " + d.Error
	}
	return fmt.Sprintf("%s:%d: %s", d.File, d.Line, d.Error)
}

// Damaged counts what could not be used, and names the first of it.
type Damaged struct {
	Count int      `json:"count"`
	First []Damage `json:"first"` // at most 100
}

func (d *Damaged) add(file string, line int, err error) {
	d.Count++
	if len(d.First) >= maxNamed {
		return
	}
	d.First = append(d.First, Damage{
		File:  terminal.Clean(file, 4096),
		Line:  line,
		Error: terminal.Clean(err.Error(), maxReason),
	})
}
