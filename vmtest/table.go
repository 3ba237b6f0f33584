// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// tableHead begins docs/kernels.md; the rows follow.
const tableHead = `# Kernels that everyexec was proved on

` + "`make vmtest`" + ` boots each of these kernels in QEMU, runs the torture suite through every variant that works there, and writes
this file. What must come out on which kernel stands in ` + "`vmtest/kernels.json`" + `; [vmtest.md](vmtest.md) says how to try a
kernel of your own. "Unknown" are the fields that the variant which ` + "`auto`" + ` chooses does not deliver; they print as unknown, never
wrong. "Passed" are the suite's cases for each variant and each mode of the stub,
with those skipped in brackets.

`

// columns of the table. The first is the key.
var columns = []string{"kernel", "release", "arch", "source", "BTF", "`auto` runs", "unknown", "passed", "verdict", "date"}

// table is docs/kernels.md taken apart: for each kernel its cells.
type table map[string][]string

func readTable(path string) (table, error) {
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return table{}, nil
	}
	if err != nil {
		return nil, err
	}
	return parseTable(string(text)), nil
}

func parseTable(text string) table {
	rows := table{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		inner, ok := strings.CutPrefix(line, "| ")
		if !ok || strings.HasPrefix(line, "| ---") {
			continue
		}
		cells := strings.Split(strings.TrimSuffix(inner, " |"), " | ")
		if len(cells) == len(columns) && cells[0] != columns[0] {
			rows[cells[0]] = cells
		}
	}
	return rows
}

// write gives the table the order of the list and drops kernels that are no longer in it.
func (t table) write(path string, kernels []kernel) error {
	return os.WriteFile(path, []byte(t.text(kernels)), 0o644)
}

func (t table) text(kernels []kernel) string {
	var b strings.Builder
	b.WriteString(tableHead)
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat(" --- |", len(columns)))
	for _, k := range kernels {
		if row, ok := t[k.Name]; ok {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		}
	}
	if pending := t.pending(kernels); len(pending) > 0 {
		fmt.Fprintf(&b, "\nIn the list, and not proved yet: %s.\n", strings.Join(pending, ", "))
	}
	return b.String()
}

// pending names the kernels that have no row yet.
func (t table) pending(kernels []kernel) (names []string) {
	for _, k := range kernels {
		if _, ok := t[k.Name]; !ok {
			names = append(names, k.Name)
		}
	}
	return names
}

// put sets a kernel's row from what was found.
func (t table) put(a account, date string) {
	cells := []string{a.kernel.Name, a.release, a.kernel.Arch, a.image.source, a.btf, a.auto(), a.unknown(), a.passed(), a.verdict(), date}
	for i, c := range cells {
		cells[i] = strings.NewReplacer("|", "/", "\n", " ").Replace(c)
	}
	t[a.kernel.Name] = cells
}

// outOfStep says in what the table differs from the list.
func (t table) outOfStep(kernels []kernel) (wrong []string) {
	listed := map[string]bool{}
	for _, k := range kernels {
		listed[k.Name] = true
		row, ok := t[k.Name]
		if !ok {
			if !k.Pending {
				wrong = append(wrong, "no row for "+k.Name)
			}
			continue
		}
		want := map[string]string{"arch": k.Arch, "`auto` runs": k.expect.auto(), "unknown": k.expect.unknown(), "verdict": "verified"}
		for i, name := range columns {
			if w, ok := want[name]; ok && row[i] != w {
				wrong = append(wrong, fmt.Sprintf("%s: %s is %q, and should be %q", k.Name, name, row[i], w))
			}
		}
	}
	for name := range t {
		if !listed[name] {
			wrong = append(wrong, "a row for "+name+", which is not in the list")
		}
	}
	slices.Sort(wrong)
	return wrong
}
