// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
)

// shapeCases are about what the arguments look like.
var shapeCases = []torturing{
	{"plain", withArgs("one", "two")},
	{"no further argument", withArgs()},
	{"empty arguments", withArgs("", "", "x", "")},
	{"spaces", withArgs(" ", "a b", "  lead", "trail  ", "\t")},
	{"quotes", withArgs(`"`, `'`, "`", `a"b'c`, `\"`, `$HOME`, `\`)},
	{"newlines", withArgs("a\nb", "\n", "\r\n", "end\n")},
	{"terminal escapes", withArgs("\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\u009b2J", "\x7f\b\x01")},
	{"invalid UTF-8", withArgs("\xff\xfe", "a\x80b", "\xed\xa0\x80", "\xc3", "\xf4\x90\x80\x80", "\xc0\x80")},
	{"valid UTF-8", withArgs("é", "日本語", "🐝", "\ufffd", "\u202e", "\u2028")},
	{"literal escapes", withArgs(`\x41`, `\\x41`, `\x5cx41`, `\xZZ`, `\X41`, `\u0041`, `\x`, "\\\xff", "\\x\xff")},
	{"JSON's own characters", withArgs(`{"a":[1,null]}`, `<&>`, `\n`, "\u0000"[:0])},
	{"argv[0] is not the path", renamed("-login shell")},
	{"argv[0] is empty", renamed("")},
	{"no argv[0]", noArguments},
	{"argv is NULL", nullArgv},
	{"1,000 arguments", manyArgs(1000, "%d")},
	{"4,000 empty arguments", manyArgs(4000, "%.0d")},
	{"1,000 long arguments", manyArgs(1000, "argument-number-%020d")},
	{"one argument of 128 KiB", longArg(131071)},
	{"arguments of exactly a record", exactArgs(recordArgs)},
	{"arguments of one byte more", exactArgs(recordArgs + 1)},
	{"a big environment", bigEnvironment},
}

func withArgs(args ...string) func(*stage) {
	return func(s *stage) {
		path := s.target()
		s.run(path, append([]string{path}, args...), spawnOptions{})
	}
}

func renamed(argv0 string) func(*stage) {
	return func(s *stage) { s.run(s.target(), []string{argv0, "x"}, spawnOptions{}) }
}

func manyArgs(n int, format string) func(*stage) {
	var args []string
	for i := range n {
		args = append(args, fmt.Sprintf(format, i))
	}
	return withArgs(args...)
}

func longArg(n int) func(*stage) {
	return withArgs("before", strings.Repeat("0123456789abcdef", n/16+1)[:n], "after")
}

// exactArgs makes the arguments as long as n bytes in all, few enough for any record.
func exactArgs(n int) func(*stage) {
	return func(s *stage) {
		path := s.target()
		s.run(path, []string{path, strings.Repeat("z", n-len(path)-2)}, spawnOptions{})
	}
}

// noArguments executes with an argv that has no element; since 5.18 the kernel adds an
// empty one to the new image.
func noArguments(s *stage) {
	path := s.target()
	s.wantEmpty(s.spawn(path, nil, spawnOptions{}), path)
}

// nullArgv executes with no argv at all.
func nullArgv(s *stage) {
	path := s.target()
	p := newProgram(native())
	p.execRaw(p.str(path), 0)
	s.wantEmpty(s.launch(p, spawnOptions{}), path)
}

// wantEmpty wants an exec without arguments, by a process that reports after it. What the
// new image has, the kernel says.
func (s *stage) wantEmpty(p *proc, path string) {
	s.identity(p)
	w := s.started(p, path, []string{})
	image, err := cmdline(p.pid)
	s.must(err)
	w.image = image
	s.want(w)
	s.finish(p)
}

// bigEnvironment has strings right behind the arguments, which must not be shown.
func bigEnvironment(s *stage) {
	path := s.target()
	p := newProgram(native())
	argv := p.vector([]string{path, "last"})
	var env []string
	for i := range 500 {
		env = append(env, fmt.Sprintf("SECRET_%d=%s", i, strings.Repeat("s", 20)))
	}
	p.call("execve", p.str(path), argv, p.vector(env))
	p.exitErrno()
	l := s.launch(p, spawnOptions{})
	s.identity(l)
	s.want(s.started(l, path, []string{path, "last"}))
	s.finish(l)
}
