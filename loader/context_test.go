// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestFindWords(t *testing.T) {
	context := make([]byte, contextLen)
	for i, v := range []uint64{7, 59, 0, 7, 8, 9, 7, 8} {
		put64(context, i*8, v)
	}
	for _, c := range []struct {
		name  string
		words []uint64
		want  uint32
		found bool
	}{
		{"three", []uint64{7, 8, 9}, 24, true},
		{"not the first 8 bytes", []uint64{7}, 24, true},
		{"cut by the end", []uint64{0, 0, 0, 0, 0, 0, 0, 0, 1}, 0, false},
		{"not there", []uint64{8, 7}, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := findWords(context, c.words...)
			if got != c.want || (err == nil) != c.found {
				t.Errorf("got %d, %v; want %d, %t", got, err, c.want, c.found)
			}
		})
	}
}

// TestMeasuredContextWins runs the stub by measured offsets where the usual ones are wrong.
func TestMeasuredContextWins(t *testing.T) {
	needsSyscallTracepoints(t)
	right := usualContext
	usualContext = syscallContext{enterArgs: 40, exitRet: 48}
	t.Cleanup(func() { usualContext = right })

	var log bytes.Buffer
	tracer, err := Open(t.Context(), Options{Variant: Stub, NoLearn: true, Fails: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if verified, reason := tracer.Verified(); !verified {
		t.Errorf("not verified: %s", reason)
	}
	if err := tracer.Close(); err != nil {
		t.Error(err)
	}
	if strings.Contains(log.String(), "usual offsets") {
		t.Errorf("nothing was measured: %s", log.String())
	}
}

// TestWrongContextIsNoticed shows that the test before would fail by the usual offsets.
func TestWrongContextIsNoticed(t *testing.T) {
	needsSyscallTracepoints(t)
	dir, err := openTracefs()
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	f := probe(dir, nil)
	p := stubPlan(f, Options{})
	prog, err := loadProgram(t.Context(), &p, f, dir, syscallContext{enterArgs: 40, exitRet: 48})
	if err != nil {
		t.Fatal(err)
	}
	defer prog.close()
	tracer, err := newTracer(&p, prog, Options{}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	defer tracer.Close()
	if err := prog.attach(&p, dir); err != nil {
		t.Fatal(err)
	}
	if err := tracer.verify(t.Context()); err == nil {
		t.Error("arguments from wrong offsets were taken for right")
	}
}

func needsSyscallTracepoints(t *testing.T) {
	t.Helper()
	needsRoot(t)
	dir, err := openTracefs()
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if probe(dir, nil).SyscallTracepoints.Result != Yes {
		t.Skip("this kernel has no syscall tracepoints")
	}
}
