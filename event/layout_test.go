// SPDX-License-Identifier: Apache-2.0

package event_test

import (
	"bytes"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"

	"github.com/everyexec/everyexec/bpf"
	"github.com/everyexec/everyexec/bpf_noncore"
	"github.com/everyexec/everyexec/event"
)

// objects are all committed objects that write records.
var objects = map[string]func() (*ebpf.CollectionSpec, error){
	"core": bpf.LoadCore,
	"stub": bpf_noncore.LoadStub,
}

// TestLayout holds the decoder's offsets against the BTF inside the objects.
func TestLayout(t *testing.T) {
	for name, load := range objects {
		t.Run(name, func(t *testing.T) {
			spec, err := load()
			if err != nil {
				t.Fatal(err)
			}
			var header *btf.Struct
			if err := spec.Types.TypeByName("exec_header", &header); err != nil {
				t.Fatal(err)
			}
			if int(header.Size) != event.HeaderLen {
				t.Errorf("header has %d bytes, the decoder thinks %d", header.Size, event.HeaderLen)
			}
			seen := 0
			for _, m := range header.Members {
				want, ok := event.Offsets[m.Name]
				if !ok {
					if m.Name != "reserved" {
						t.Errorf("the decoder does not know %s", m.Name)
					}
					continue
				}
				seen++
				if got := int(m.Offset.Bytes()); got != want {
					t.Errorf("%s lies at %d, the decoder thinks %d", m.Name, got, want)
				}
			}
			if seen != len(event.Offsets) {
				t.Errorf("the object has %d of the decoder's %d fields", seen, len(event.Offsets))
			}
		})
	}
}

// TestConstants holds Go's constants against those of the C header, which clang keeps out of the BTF.
func TestConstants(t *testing.T) {
	text, err := os.ReadFile("../bpf/exec.h")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{
		"LAYOUT_VERSION": event.Version, "FILENAME_MAX": event.FilenameMax, "ARGS_MAX": event.ArgsMax, "COMM_MAX": event.CommMax,
		"KIND_EXEC": int(event.Exec), "KIND_EXEC_FAILED": int(event.ExecFailed),
		"PROGRAM_CORE": int(event.ProgramCore), "PROGRAM_BCC": int(event.ProgramBCC), "PROGRAM_STUB": int(event.ProgramStub),
		"SOURCE_NONE": int(event.SourceNone), "SOURCE_TASK": int(event.SourceTask), "SOURCE_LEARNED": int(event.SourceLearned),
		"SOURCE_FORK": int(event.SourceFork), "SOURCE_MM": int(event.SourceMM), "SOURCE_ARGV": int(event.SourceArgv),
		"SOURCE_PROC": int(event.SourceProc),
	}
	for _, f := range event.All.Names() {
		field, _ := event.ParseField(f)
		want["FIELD_"+strings.ToUpper(f)] = int(field)
	}

	got := make(map[string]int)
	definition := regexp.MustCompile(`(?m)^(?:#define |\t)EXEC_([A-Z_]+) (?:= )?(?:1 << )?([0-9]+)\b`)
	for _, m := range definition.FindAllSubmatch(text, -1) {
		n, err := strconv.Atoi(string(m[2]))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(m[0], []byte("<<")) {
			n = 1 << n
		}
		got[string(m[1])] = n
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
