// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"bufio"
	"fmt"
	"html"
)

// markup is HTML of our own. Without a conversion only constants become markup, so a foreign
// string is not taken for it by mistake.
//
// This does without html/template, which calls methods by names that are known only at run time:
// the linker then keeps all methods of all types, 2 MiB of this program.
type markup string

// page writes a page, in parts. An error stays with out and comes back when it is flushed.
type page struct {
	out *bufio.Writer
}

// put writes a format with a value for each %s, in text or in a quoted attribute. All values but
// markup are escaped.
func (p page) put(format markup, values ...any) {
	for i, v := range values {
		if _, ours := v.(markup); !ours {
			values[i] = html.EscapeString(fmt.Sprint(v))
		}
	}
	fmt.Fprintf(p.out, string(format), values...)
}
