// SPDX-License-Identifier: Apache-2.0

package loader

import "time"

// ReportSchema is the version of the JSON form of [Report].
const ReportSchema = 1

// Report says what one host can do and why. `everyexec check -o json` prints it and
// `everyexec fleet` reads it; its names and meanings are a promise to scripts.
type Report struct {
	Schema   int             `json:"schema"`
	Time     time.Time       `json:"time"`
	Host     string          `json:"host"`
	Kernel   Kernel          `json:"kernel"`
	Distro   Distro          `json:"distro"`
	Probes   []Probe         `json:"probes"`
	Variants []VariantReport `json:"variants"` // all four, best first
	Selected *Variant        `json:"selected"` // nil when nothing can trace
	Verdict  Verdict         `json:"verdict"`
}

// Kernel names the running kernel as uname(2) does.
type Kernel struct {
	Release string `json:"release"`
	Version string `json:"version"`
	Arch    string `json:"arch"` // the machine of uname(2): "x86_64", "aarch64"
}

// Distro names the distribution as os-release(5) does.
type Distro struct {
	ID        string `json:"id"`
	VersionID string `json:"version_id"`
}

// Result is the outcome of a probe.
type Result string

// A probe that could not be carried through is unknown, never no.
const (
	Yes     Result = "yes"
	No      Result = "no"
	Unknown Result = "unknown"
)

// Probe is one fact about the host.
type Probe struct {
	Name   string `json:"name"`
	Result Result `json:"result"`
	Detail string `json:"detail"`
	Source string `json:"source"` // what it was read from
	Remedy string `json:"remedy"` // what makes it a yes, fit to be pasted into a shell; empty where nothing is to be done
}

// Variant names one of the four builds of the BPF program.
type Variant string

// The variants, best first, and the wish to have the best of them chosen.
const (
	Auto         Variant = "auto"
	Core         Variant = "core"
	CoreExternal Variant = "core-external"
	BCC          Variant = "bcc"
	Stub         Variant = "stub"
)

// VariantReport says whether one variant can run here.
type VariantReport struct {
	Name     Variant  `json:"name"`
	Usable   bool     `json:"usable"`
	Verified bool     `json:"verified"` // loaded, attached and proved by a test exec in this run
	Fields   []string `json:"fields"`   // the JSON names of the fields that it delivers
	Reason   string   `json:"reason"`   // why it is not usable, or not verified
	Remedy   string   `json:"remedy"`
}

// Verdict sums a report up.
type Verdict string

// The verdicts, and the exit codes that `check` gives for them: 0, 3 and 4.
const (
	Full     Verdict = "full"     // every field is available
	Degraded Verdict = "degraded" // traces, but some field is missing
	Unusable Verdict = "unusable" // nothing can trace
)
