// SPDX-License-Identifier: Apache-2.0

// Package fleet sums up many reports of `everyexec check -o json`: which kernel gets which
// variant, what is missing where, and what to ship to get the rest.
//
// Reports come from machines that nobody vouches for. So every size is bounded, every string that
// takes part in a file name or a table is held against what it may contain, and what cannot be
// used is named and counted while the rest goes on. Memory grows with the number of hosts (a name
// and a time for each) and of distinct kernels, not with the size of the reports.
package fleet
