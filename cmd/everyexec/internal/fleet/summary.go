// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"cmp"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/everyexec/everyexec/loader"
)

// SummarySchema is the version of the JSON form of [Summary].
const SummarySchema = 1

// Summary is what `everyexec fleet -o json` prints.
type Summary struct {
	Schema       int         `json:"schema"`
	Reports      int         `json:"reports"`       // read and understood
	OlderReports int         `json:"older_reports"` // of those, left out for a newer one of the same host
	MostRepeated *Repeated   `json:"most_repeated"` // null when every host reported once
	Damaged      Damaged     `json:"damaged"`
	Oldest       *time.Time  `json:"oldest"` // of the reports that count; null when there are none
	Newest       *time.Time  `json:"newest"`
	Hosts        int         `json:"hosts"`
	Kernels      int         `json:"kernels"`
	Now          Tally       `json:"now"`
	Shipped      Tally       `json:"shipped"`    // the same once the missing BTFs are shipped
	Unverified   int         `json:"unverified"` // hosts whose variant was not proved by a test exec
	Rows         []Row       `json:"rows"`       // worst verdict first, then most hosts
	MissingBTF   []KernelBTF `json:"missing_btf"`
}

// Repeated names the host that reported most often. Several machines of one name look like that.
type Repeated struct {
	Host    string `json:"host"`
	Reports int    `json:"reports"`
}

// Tally counts hosts by verdict and by variant; "none" counts those on which nothing can trace.
type Tally struct {
	Full     int            `json:"full"`
	Degraded int            `json:"degraded"`
	Unusable int            `json:"unusable"`
	Variants map[string]int `json:"variants"`
}

// Row is one kernel and what its hosts get. Hosts of one kernel that get different things, or for
// different reasons, are in different rows.
type Row struct {
	Hosts     int             `json:"hosts"`
	Release   string          `json:"release"`
	Arch      string          `json:"arch"`
	Distro    string          `json:"distro"`
	VersionID string          `json:"version_id"`
	Variant   *loader.Variant `json:"variant"` // null when nothing can trace
	Verdict   loader.Verdict  `json:"verdict"`
	Verified  bool            `json:"verified"`
	Missing   []string        `json:"missing"`    // fields
	ShipBTF   bool            `json:"ship_btf"`   // the kernel has no BTF, and none was found for it
	Reason    string          `json:"reason"`     // what else stands in the way, empty if nothing
	Remedy    string          `json:"remedy"`     // what helps against that
	Shipped   After           `json:"shipped"`    // once the missing BTFs are shipped
	HostNames []string        `json:"host_names"` // sorted; empty where the verdict is full
}

// After is what the hosts of a row get later.
type After struct {
	Variant *loader.Variant `json:"variant"`
	Verdict loader.Verdict  `json:"verdict"`
}

// summary sums up what was taken in.
func (f *fleet) summary() *Summary {
	s := &Summary{
		Schema:       SummarySchema,
		Reports:      f.reports,
		OlderReports: f.older,
		Damaged:      f.damaged,
		Hosts:        len(f.hosts),
		Now:          newTally(),
		Shipped:      newTally(),
	}
	if s.Damaged.First == nil {
		s.Damaged.First = []Damage{}
	}
	s.sumHosts(f.hosts)
	s.Rows = rowsOf(f.hosts)
	for _, row := range s.Rows {
		s.Now.add(row.Variant, row.Verdict, row.Hosts)
		s.Shipped.add(row.Shipped.Variant, row.Shipped.Verdict, row.Hosts)
		if row.Variant != nil && !row.Verified {
			s.Unverified += row.Hosts
		}
	}
	s.Kernels = countKernels(s.Rows)
	s.MissingBTF = missingBTF(s.Rows)
	return s
}

// sumHosts fills in what is known of the hosts one by one.
func (s *Summary) sumHosts(hosts map[string]sighting) {
	for name, seen := range hosts {
		t := time.UnixMicro(seen.time).UTC()
		if s.Oldest == nil || t.Before(*s.Oldest) {
			s.Oldest = &t
		}
		if s.Newest == nil || t.After(*s.Newest) {
			s.Newest = &t
		}
		if n := int(seen.reports); n > 1 {
			if m := s.MostRepeated; m == nil || n > m.Reports || n == m.Reports && name < m.Host {
				s.MostRepeated = &Repeated{Host: name, Reports: n}
			}
		}
	}
}

func rowsOf(hosts map[string]sighting) []Row {
	byClass := make(map[*class]*Row)
	for name, seen := range hosts {
		row := byClass[seen.class]
		if row == nil {
			row = newRow(seen.class)
			byClass[seen.class] = row
		}
		row.Hosts++
		if row.Verdict != loader.Full {
			row.HostNames = append(row.HostNames, name)
		}
	}
	rows := make([]Row, 0, len(byClass))
	for _, row := range byClass {
		slices.Sort(row.HostNames)
		rows = append(rows, *row)
	}
	slices.SortFunc(rows, compareRows)
	return rows
}

func newRow(c *class) *Row {
	row := &Row{
		Release:   c.kernel.Release,
		Arch:      c.kernel.Arch,
		Distro:    c.distro.ID,
		VersionID: c.distro.VersionID,
		Verdict:   c.verdict,
		Verified:  c.verified,
		Missing:   []string{},
		ShipBTF:   c.shipBTF,
		Reason:    c.reason,
		Remedy:    c.remedy,
		HostNames: []string{},
	}
	if c.variant != "" {
		row.Variant = &c.variant
	}
	if c.missing != "" {
		row.Missing = strings.Split(c.missing, ",")
	}
	row.Shipped = After{Variant: row.Variant, Verdict: row.Verdict}
	if c.shipBTF && !c.needs {
		external := loader.CoreExternal
		row.Shipped = After{Variant: &external, Verdict: loader.Full}
	}
	return row
}

// worst orders verdicts for people who look for trouble.
var worst = map[loader.Verdict]int{loader.Unusable: 0, loader.Degraded: 1, loader.Full: 2}

func compareRows(a, b Row) int {
	return cmp.Or(
		cmp.Compare(worst[a.Verdict], worst[b.Verdict]),
		cmp.Compare(b.Hosts, a.Hosts),
		cmp.Compare(a.Release, b.Release),
		cmp.Compare(a.Arch, b.Arch),
		cmp.Compare(a.Distro, b.Distro),
		cmp.Compare(a.VersionID, b.VersionID),
		cmp.Compare(variantName(a.Variant), variantName(b.Variant)),
		cmp.Compare(a.Reason, b.Reason),
		cmp.Compare(a.Remedy, b.Remedy),
		slices.Compare(a.Missing, b.Missing),
		slices.Compare(a.HostNames, b.HostNames),
		cmp.Compare(strconv.FormatBool(b.Verified), strconv.FormatBool(a.Verified)),
	)
}

func countKernels(rows []Row) int {
	kernels := make(map[[4]string]bool)
	for _, r := range rows {
		kernels[[4]string{r.Release, r.Arch, r.Distro, r.VersionID}] = true
	}
	return len(kernels)
}

func newTally() Tally {
	t := Tally{Variants: map[string]int{variantName(nil): 0}}
	for _, v := range allVariants {
		t.Variants[string(v)] = 0
	}
	return t
}

func (t *Tally) add(v *loader.Variant, verdict loader.Verdict, hosts int) {
	t.Variants[variantName(v)] += hosts
	switch verdict {
	case loader.Full:
		t.Full += hosts
	case loader.Degraded:
		t.Degraded += hosts
	case loader.Unusable:
		t.Unusable += hosts
	}
}

// variantName is the name that tables show.
func variantName(v *loader.Variant) string {
	if v == nil {
		return "none"
	}
	return string(*v)
}

// WriteJSON writes the summary as indented JSON.
func (s *Summary) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(s)
}
