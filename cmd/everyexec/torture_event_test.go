// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// traced is one JSON line of the tracer.
type traced struct {
	Time          time.Time         `json:"time"`
	Type          string            `json:"type"`
	PID           *int              `json:"pid"`
	TID           *int              `json:"tid"`
	PPID          *int              `json:"ppid"`
	UID           *int              `json:"uid"`
	GID           *int              `json:"gid"`
	Comm          *string           `json:"comm"`
	Filename      *string           `json:"filename"`
	Args          *[]string         `json:"args"`
	ArgsTruncated bool              `json:"args_truncated"`
	Ret           *int              `json:"ret"`
	Errno         string            `json:"errno"`
	CgroupID      *uint64           `json:"cgroup_id"`
	ContainerID   *string           `json:"container_id"`
	Variant       string            `json:"variant"`
	Sources       map[string]string `json:"sources"`
	Missing       map[string]string `json:"missing"`

	line string
}

// keys are the names that every line has; a failed exec has "errno" too.
var keys = []string{
	"args", "args_truncated", "cgroup_id", "comm", "container_id", "filename", "gid", "missing",
	"pid", "ppid", "ret", "sources", "tid", "time", "type", "uid", "variant",
}

// parseLine reads a line and gives back the bytes that were escaped in it.
func parseLine(line string) (traced, error) {
	e := traced{line: line}
	if !utf8.ValidString(line) {
		return e, fmt.Errorf("not UTF-8: %q", line)
	}
	var names map[string]json.RawMessage
	if err := json.Unmarshal([]byte(line), &names); err != nil {
		return e, fmt.Errorf("%w: %q", err, line)
	}
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		return e, fmt.Errorf("%w: %q", err, line)
	}
	want := keys
	if e.Type == "exec_failed" {
		want = slices.Sorted(slices.Values(append([]string{"errno"}, keys...)))
	}
	if got := slices.Sorted(maps.Keys(names)); !slices.Equal(got, want) {
		return e, fmt.Errorf("has the names %v, not %v: %s", got, want, line)
	}
	for _, s := range []*string{e.Comm, e.Filename} {
		if s != nil {
			*s = unescape(*s)
		}
	}
	if e.Args != nil {
		for i, arg := range *e.Args {
			(*e.Args)[i] = unescape(arg)
		}
	}
	return e, nil
}

var escaped = regexp.MustCompile(`\\x[0-9a-f]{2}`)

// unescape gives back the bytes of which an escaped text was made: \xNN is the byte NN.
func unescape(s string) string {
	return escaped.ReplaceAllStringFunc(s, func(e string) string {
		b, err := strconv.ParseUint(e[2:], 16, 8)
		if err != nil {
			panic(err) // the expression lets only hexadecimal digits through
		}
		return string([]byte{byte(b)})
	})
}

func TestUnescape(t *testing.T) {
	for text, want := range map[string]string{
		`plain`:         "plain",
		`\xff\x00`:      "\xff\x00",
		`\x5cx41`:       `\x41`,
		`\\x5cx41`:      `\\x41`,
		`\X41 \n \ end`: `\X41 \n \ end`,
	} {
		if got := unescape(text); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// wanted is an exec that happened, told by those who know: the kernel's answers to the
// process itself and to its parent, and what was passed to the call.
type wanted struct {
	failed   bool
	pid, tid int
	ppid     int
	uid, gid int
	comm     string
	filename string
	passed   []string // the argv of the call
	image    []string // the new program's arguments, where they differ from those passed
	ret      int
	errno    string
	cgroup   uint64

	badFilename bool // the pointer to the filename is wrong
	badArgs     bool // a pointer in or to argv is wrong
	orphan      bool // its parent has ended before the call
	untouched   bool // the strings' memory was not resident before the call
	compat      bool // through the 32-bit system call
}

func (w wanted) kind() string {
	if w.failed {
		return "exec_failed"
	}
	return "exec"
}

func (w wanted) String() string {
	return fmt.Sprintf("%s of %.80q %.200q by pid %d tid %d ppid %d", w.kind(), w.filename, w.passed, w.pid, w.tid, w.ppid)
}

// differences says what is wrong with an event.
func differences(w wanted, v variant, e traced) []string {
	var wrong []string
	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }

	missing := maps.Clone(e.Missing)
	if e.ArgsTruncated && missing["args"] == "truncated" {
		delete(missing, "args") // a value is there, so it may or may not be said here too
	}
	known := func(field string, isNull bool, reason string) bool {
		got, said := missing[field]
		delete(missing, field)
		switch {
		case reason != "" && !isNull:
			complain("%s is not null, although unknown (%s)", field, reason)
		case reason != got:
			complain("%s: missing says %q, not %q", field, got, reason)
		case isNull != said:
			complain("%s: null %t, but missing %t", field, isNull, said)
		}
		return reason == "" && !isNull
	}
	number := func(field string, got *int, want int) {
		if known(field, got == nil, v.unknown[field]) && *got != want {
			complain("%s is %d, not %d", field, *got, want)
		}
	}
	text := func(field string, got *string, want, reason string) {
		if known(field, got == nil, reason) && *got != want {
			complain("%s is %.300q, not %.300q", field, *got, want)
		}
	}

	if e.Type != w.kind() {
		complain("type is %q, not %q", e.Type, w.kind())
	}
	if e.Variant != v.product() {
		complain("variant is %q, not %q", e.Variant, v.product())
	}
	if want := w.sources(v, e); !maps.Equal(e.Sources, want) {
		complain("sources are %v, not %v", e.Sources, want)
	}
	number("pid", e.PID, w.pid)
	number("tid", e.TID, w.tid)
	ppidReason := v.unknown["ppid"]
	if w.orphan && v.ppid == followed {
		ppidReason = "variant"
	}
	if known("ppid", e.PPID == nil, ppidReason) && *e.PPID != w.ppid {
		complain("ppid is %d, not %d", *e.PPID, w.ppid)
	}
	number("uid", e.UID, w.uid)
	number("gid", e.GID, w.gid)
	number("ret", e.Ret, w.ret)
	text("comm", e.Comm, cut(w.comm, 15), v.unknown["comm"])
	reason := v.unknown["filename"]
	if w.badFilename {
		reason = "fault"
	}
	text("filename", e.Filename, w.filename, reason)
	// Whether the suite runs in a container is not for the suite to say.
	known("container_id", e.ContainerID == nil, missing["container_id"])
	if known("cgroup_id", e.CgroupID == nil, v.unknown["cgroup_id"]) && *e.CgroupID != w.cgroup {
		complain("cgroup_id is %d, not %d", *e.CgroupID, w.cgroup)
	}
	if e.Errno != w.errno {
		complain("errno is %q, not %q", e.Errno, w.errno)
	}

	reason, mayFault := w.argsReason(v)
	if mayFault && e.Args == nil {
		reason = "fault"
	}
	if known("args", e.Args == nil, reason) {
		if problem := w.argsProblem(v, *e.Args, e.ArgsTruncated); problem != "" {
			complain("%s", problem)
		}
	}
	for field, reason := range missing {
		complain("missing has %s: %s, which should be known", field, reason)
	}
	return wrong
}

// sources are where the values that an event has come from.
func (w wanted) sources(v variant, e traced) map[string]string {
	sources := map[string]string{}
	if e.PPID != nil {
		sources["ppid"] = v.ppid
	}
	if e.Args != nil {
		sources["args"] = "mm"
	}
	if e.Args != nil && w.fromArgv(v) {
		sources["args"] = "argv"
		if _, mayFault := w.argsReason(v); mayFault && e.Sources["args"] == "proc" {
			sources["args"] = "proc"
		}
	}
	return sources
}

// fromArgv: the arguments are those that were passed, read from the caller's memory.
func (w wanted) fromArgv(v variant) bool { return w.failed || v.argv }

// argsReason says why the arguments must be unknown, or whether they may be.
func (w wanted) argsReason(v variant) (reason string, mayFault bool) {
	switch {
	case v.unknown["args"] != "":
		return v.unknown["args"], false
	case !w.fromArgv(v):
		return "", false
	case w.badArgs:
		return "fault", false
	case w.compat:
		return "variant", false
	}
	return "", w.untouched || !w.failed && (agesPages || w.spansPages())
}

// spansPages: Go's os.StartProcess lays argv out in zeroed memory and does not write the strings'
// NULs. One that begins a page leaves that page untouched, and a read at sys_enter fails there.
func (w wanted) spansPages() bool {
	size := 0
	for _, arg := range w.passed {
		size += len(arg) + 1
	}
	return size > os.Getpagesize()
}

// agesPages: to an arm64 CPU that does not keep the access flag itself, a page that a fork
// has passed on is as if it had never been touched.
const agesPages = runtime.GOARCH == "arm64"

// argsProblem holds arguments against the true ones, as far as a record can hold them.
func (w wanted) argsProblem(v variant, got []string, truncated bool) string {
	want := w.passed
	if !w.fromArgv(v) && w.image != nil {
		want = w.image
	}
	limit := imageArgs
	if w.fromArgv(v) {
		limit = passedArgs
	}
	all := joinArgs(want)
	whole := len(all) <= recordArgs
	if slices.Equal(got, want) && !truncated && whole {
		return ""
	}
	if whole && len(want) <= limit {
		return fmt.Sprintf("args are %d, truncated %t, %.500q; not %d, %.500q", len(got), truncated, got, len(want), want)
	}

	shown := strings.TrimSuffix(joinArgs(got), "\x00") // the last may have been cut
	switch {
	case !truncated:
		return fmt.Sprintf("args_truncated is false, but %d of %d bytes are shown", len(shown), len(all))
	case !strings.HasPrefix(all, shown):
		return fmt.Sprintf("args are %.500q, not the beginning of %.500q", got, want)
	case len(shown) > recordArgs:
		return fmt.Sprintf("%d bytes in %d args, more than a record holds", len(shown), len(got))
	case len(got) < limit && len(shown) < recordArgs-2: // a cut that falls on a NUL hides it
		return fmt.Sprintf("only %d bytes in %d args, where a record holds more", len(shown), len(got))
	}
	return ""
}

// joinArgs lays arguments out as in memory.
func joinArgs(args []string) string {
	var b strings.Builder
	for _, arg := range args {
		b.WriteString(arg)
		b.WriteByte(0)
	}
	return b.String()
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
