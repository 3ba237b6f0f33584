// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestLoadList(t *testing.T) {
	l, err := loadList()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range l.Kernels {
		if k.Build == nil {
			continue
		}
		if _, err := k.Build.config(k.Name); err != nil {
			t.Errorf("%s: %v", k.Name, err)
		}
	}
}

func TestParseListRefuses(t *testing.T) {
	const head = `{"suites":{"s":["s"]},"profiles":{"p":{"auto":"stub","variants":["stub"]},"odd":{"auto":"core","variants":["stub"]}},"kernels":[`
	const good = `{"name":"a","why":"w","package":{"suite":"s","name":"n"},"profile":"p"}`
	if _, err := parseList([]byte(head + good + `]}`)); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	for _, c := range []struct{ kernels, want string }{
		{good + `,` + good, "there twice"},
		{`{"name":"a","package":{"suite":"s","name":"n"},"profile":"p"}`, "no reason"},
		{`{"name":"a","why":"w","profile":"p"}`, "either a package or a build"},
		{`{"name":"a","why":"w","package":{"suite":"t","name":"n"},"profile":"p"}`, `suite "t"`},
		{`{"name":"a","why":"w","package":{"suite":"s","name":"n"},"profile":"q"}`, `profile "q"`},
		{`{"name":"a","why":"w","package":{"suite":"s","name":"n"},"profile":"odd"}`, `cannot choose "core"`},
		{`{"name":"a","why":"w","arch":"vax","package":{"suite":"s","name":"n"},"profile":"p"}`, `"vax"`},
		{`{"name":"a","wy":"w"}`, "unknown field"},
	} {
		_, err := parseList([]byte(head + c.kernels + `]}`))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.kernels, err, c.want)
		}
	}
}

func names(kernels []kernel) string {
	var all []string
	for _, k := range kernels {
		all = append(all, k.Name)
	}
	return strings.Join(all, " ")
}

func TestChoose(t *testing.T) {
	l := &list{Kernels: []kernel{{Name: "a", Smoke: true}, {Name: "b"}, {Name: "c", Smoke: true}}}
	for _, c := range []struct {
		names        []string
		smoke        bool
		chosen, left string
	}{
		{nil, false, "a b c", ""},
		{nil, true, "a c", "b"},
		{[]string{"b"}, false, "b", "a c"},
		{[]string{"b"}, true, "b", "a c"},
	} {
		chosen, left, err := l.choose(c.names, c.smoke)
		if err != nil || names(chosen) != c.chosen || names(left) != c.left {
			t.Errorf("%v, %v: %s, left %s, %v", c.names, c.smoke, names(chosen), names(left), err)
		}
	}
	if _, _, err := l.choose([]string{"d"}, false); err == nil {
		t.Error("a kernel that is not there was found")
	}
}
