// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"cmp"
	"encoding/json"
	"io"
	"slices"
)

// KernelBTF names a kernel for which a BTF is to be shipped, and how many hosts want it.
type KernelBTF struct {
	Release   string `json:"release"`
	Arch      string `json:"arch"`
	Distro    string `json:"distro"`
	VersionID string `json:"version_id"`
	Hosts     int    `json:"hosts"`
}

// missingBTF lists the kernels to ship a BTF for, those with most hosts first.
func missingBTF(rows []Row) []KernelBTF {
	hosts := make(map[KernelBTF]int)
	for _, r := range rows {
		if r.ShipBTF {
			hosts[KernelBTF{Release: r.Release, Arch: r.Arch, Distro: r.Distro, VersionID: r.VersionID}] += r.Hosts
		}
	}
	list := make([]KernelBTF, 0, len(hosts))
	for k, n := range hosts {
		k.Hosts = n
		list = append(list, k)
	}
	slices.SortFunc(list, func(a, b KernelBTF) int {
		return cmp.Or(
			cmp.Compare(b.Hosts, a.Hosts),
			cmp.Compare(a.Release, b.Release),
			cmp.Compare(a.Arch, b.Arch),
			cmp.Compare(a.Distro, b.Distro),
			cmp.Compare(a.VersionID, b.VersionID),
		)
	})
	return list
}

// WriteMissingBTF writes the list of kernels that `everyexec btf pack --for` reads.
func (s *Summary) WriteMissingBTF(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Schema  int         `json:"schema"`
		Kernels []KernelBTF `json:"kernels"`
	}{1, s.MissingBTF})
}
