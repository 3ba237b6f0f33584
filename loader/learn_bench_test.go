// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"os"
	"slices"
	"testing"
	"time"
)

// BenchmarkLearn learns again and again; it fails if the offsets ever differ. 200 in a row:
//
//	go test ./loader -run '^$' -bench Learn -benchtime 200x
func BenchmarkLearn(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("needs root")
	}
	want := ""
	var times durations
	for b.Loop() {
		begin := time.Now()
		o, err := LearnOffsets(b.Context(), Options{})
		if err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(begin))
		if want == "" {
			want = o.String()
		}
		if o.String() != want {
			b.Fatalf("learned %s after %s", o, want)
		}
	}
	times.report(b)
}

// BenchmarkStart opens the stub, up to the point at which it is verified.
func BenchmarkStart(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("needs root")
	}
	for _, c := range []struct{ name, cache string }{{"learned", ""}, {"cached", b.TempDir()}} {
		b.Run(c.name, func(b *testing.B) {
			var times durations
			for b.Loop() {
				begin := time.Now()
				t, err := Open(b.Context(), Options{Variant: Stub, CacheDir: c.cache})
				if err != nil {
					b.Fatal(err)
				}
				times = append(times, time.Since(begin))
				if verified, reason := t.Verified(); !verified || !t.plan.offsets.PPID() || !t.plan.offsets.Args() {
					b.Fatalf("not by learned offsets: %s", reason)
				}
				if err := t.Close(); err != nil {
					b.Fatal(err)
				}
			}
			times.report(b)
		})
	}
}

type durations []time.Duration

func (d durations) report(b *testing.B) {
	slices.Sort(d)
	b.ReportMetric(float64(d[len(d)/2].Microseconds())/1000, "median-ms")
	b.ReportMetric(float64(d[len(d)-1].Microseconds())/1000, "max-ms")
}
