// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"strings"
	"testing"
)

// The format of sched_process_exec on an ordinary kernel, and on one with PREEMPT_RT, whose
// common fields are longer.
const (
	formatOrdinary = `name: sched_process_exec
ID: 310
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:unsigned char common_flags;	offset:2;	size:1;	signed:0;
	field:unsigned char common_preempt_count;	offset:3;	size:1;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

	field:__data_loc char[] filename;	offset:8;	size:4;	signed:0;
	field:pid_t pid;	offset:12;	size:4;	signed:1;
	field:pid_t old_pid;	offset:16;	size:4;	signed:1;

print fmt: "filename=%s pid=%d old_pid=%d", __get_str(filename), REC->pid, REC->old_pid
`
	formatRT = `format:
	field:int common_pid;	offset:4;	size:4;	signed:1;
	field:unsigned char common_preempt_lazy_count;	offset:8;	size:1;	signed:0;

	field:__data_loc char[] filename;	offset:12;	size:4;	signed:1;
	field:pid_t pid;	offset:16;	size:4;	signed:1;
	field:pid_t old_pid;	offset:20;	size:4;	signed:1;
`
)

func TestParseFormat(t *testing.T) {
	for _, c := range []struct {
		name, text       string
		filename, oldPID uint32
	}{{"ordinary", formatOrdinary, 8, 16}, {"RT", formatRT, 12, 20}} {
		t.Run(c.name, func(t *testing.T) {
			fields, err := parseFormat([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			filename, err1 := payload(fields, schedProcessExec, "filename")
			oldPID, err2 := payload(fields, schedProcessExec, "old_pid")
			if err1 != nil || err2 != nil || filename != c.filename || oldPID != c.oldPID {
				t.Errorf("got %d, %v and %d, %v; want %d and %d", filename, err1, oldPID, err2, c.filename, c.oldPID)
			}
		})
	}
}

func TestParseFormatRejects(t *testing.T) {
	for name, text := range map[string]string{
		"cut":              "\tfield:int a;",
		"no offset":        "\tfield:int a;\tsize:4;\toffset:0;",
		"not a number":     "\tfield:int a;\toffset:x;\tsize:4;",
		"an absurd offset": "\tfield:int a;\toffset:70000;\tsize:4;",
		"no name":          "\tfield:;\toffset:0;\tsize:4;",
	} {
		t.Run(name, func(t *testing.T) {
			if fields, err := parseFormat([]byte(text)); err == nil {
				t.Errorf("took it for %v", fields)
			}
		})
	}
}

func TestPayloadWantsFourBytes(t *testing.T) {
	fields := map[string]field{"filename": {offset: 8, size: 8}}
	for _, name := range []string{"filename", "absent"} {
		if _, err := payload(fields, schedProcessExec, name); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseFormat(f *testing.F) {
	f.Add([]byte(formatOrdinary))
	f.Add([]byte(formatRT))
	f.Fuzz(func(t *testing.T, text []byte) {
		fields, err := parseFormat(text)
		if err != nil {
			return
		}
		for name, fd := range fields {
			if fd.offset > 1<<16 || fd.size > 1<<16 {
				t.Errorf("%s: %+v", name, fd)
			}
		}
	})
}
