// SPDX-License-Identifier: Apache-2.0

// Package terminal writes for people: it decides about colour, keeps foreign strings from
// reaching a terminal raw, and fits text into columns.
package terminal

// Width is the number of columns that tables and reports fit into.
const Width = 100
