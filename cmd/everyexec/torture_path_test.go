// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// pathCases are about how the file is named and what it is.
var pathCases = []torturing{
	{"a path of 4,095 bytes", longPath},
	{"a path of 4,095 bytes, most of them dots", dottedPath},
	{"a relative path", relative("./target")},
	{"a relative path without a slash", relative("target")},
	{"a relative path upwards", relative("../../../../../../../../")},
	{"a symlink", symlink},
	{"a symlink to a symlink, relative", symlinkChain},
	{"a hard link", hardLink},
	{"a name longer than comm", named("a-name-longer-than-comm-holds")},
	{"a name of 15 bytes", named("exactly-fifteen")},
	{"a name with spaces and newlines", named("a b\nc\td ")},
	{"a name that is not UTF-8", named("\xff\xfename\x80")},
	{"a name that comm cuts inside a character", named("fourteen-bytes\u00e9x")},
	{"a name with a literal escape", named(`\x41\\x42`)},
	{"a script", script},
	{"a script with an option", scriptOption},
	{"a nested script", nestedScript},
	{"fexecve", fexecve},
	{"fexecve of a memfd", fexecveMemfd},
	{"fexecve of a script", fexecveScript},
	{"execveat below a directory", execveatBelow},
	{"execveat with an absolute path", execveatAbsolute},
}

func runPath(s *stage, path string) { s.run(path, []string{path, "x"}, spawnOptions{}) }

const pathMax = 4095 // bytes, without the NUL

func longPath(s *stage) {
	dir := s.dir
	for len(dir)+202 < pathMax {
		dir += "/" + strings.Repeat("d", 200)
	}
	s.must(os.MkdirAll(dir, 0o755))
	name := strings.Repeat("n", pathMax-len(dir)-1)
	if len(name) > 255 {
		half := len(name) / 2
		dir += "/" + name[:half]
		s.must(os.Mkdir(dir, 0o755))
		name = name[half+1:]
	}
	path := dir + "/" + name
	s.must(writeExecutable(path, reporting(native()).file(), 0o755))
	if len(path) != pathMax {
		s.fail("the path has ", len(path), " bytes")
	}
	runPath(s, path)
}

func dottedPath(s *stage) {
	s.target()
	path := s.dir + "/"
	for len(path)+len("./target") <= pathMax {
		path += "./"
	}
	path += strings.Repeat("/", pathMax-len(path)-len("target")) + "target"
	runPath(s, path)
}

// relative executes from the case's directory; a path that only goes upwards comes down
// again to the target.
func relative(path string) func(*stage) {
	return func(s *stage) {
		full := path
		target := s.target()
		if strings.HasSuffix(path, "/") {
			full = path + strings.TrimPrefix(target, "/")
		}
		s.run(full, []string{full, "x"}, spawnOptions{dir: s.dir})
	}
}

func symlink(s *stage) {
	link := filepath.Join(s.dir, "link")
	s.must(os.Symlink(s.target(), link))
	runPath(s, link)
}

func symlinkChain(s *stage) {
	s.target()
	s.must(os.Symlink("target", filepath.Join(s.dir, "inner")))
	s.must(os.Symlink("inner", filepath.Join(s.dir, "outer")))
	s.run("./outer", []string{"./outer"}, spawnOptions{dir: s.dir})
}

func hardLink(s *stage) {
	link := filepath.Join(s.dir, "hard")
	s.must(os.Link(s.target(), link))
	runPath(s, link)
}

func named(name string) func(*stage) {
	return func(s *stage) { runPath(s, s.file(name, reporting(native()))) }
}

// runScript executes a script and wants the arguments that its interpreter gets.
func runScript(s *stage, path string, image []string) {
	argv := []string{"argv[0], which nobody gets", "first", "second"}
	p := s.spawn(path, argv, spawnOptions{})
	w := s.started(p, path, argv)
	w.image = append(image, argv[1:]...)
	s.want(w)
	s.check(p)
}

func script(s *stage) {
	interpreter := s.target()
	path := s.write("script", []byte("#!"+interpreter+"\n"), 0o755)
	runScript(s, path, []string{interpreter, path})
}

func scriptOption(s *stage) {
	interpreter := s.target()
	path := s.write("script", []byte("#! "+interpreter+" -e and more \nrest\n"), 0o755)
	runScript(s, path, []string{interpreter, "-e and more", path})
}

func nestedScript(s *stage) {
	interpreter := s.target()
	inner := s.write("inner", []byte("#!"+interpreter+" -i\n"), 0o755)
	outer := s.write("outer", []byte("#!"+inner+" -o\n"), 0o755)
	runScript(s, outer, []string{interpreter, "-i", inner, "-o", outer})
}

const atEmptyPath = 0x1000

// executeFD executes what extraFD is open at.
func executeFD(s *stage, file *os.File, name string, flags int, want func(*wanted)) {
	defer file.Close()
	argv := []string{"by descriptor", "x"}
	p := newProgram(native())
	p.call("execveat", extraFD, p.str(name), p.vector(argv), p.vector(nil), flags)
	p.exitErrno()
	l := s.launch(p, spawnOptions{extra: file})
	s.identity(l)
	w := s.started(l, "/dev/fd/5", argv)
	// What the kernel takes for a name when there is none has changed in 6.14.
	comm, err := command(l.pid)
	s.must(err)
	w.comm = comm
	want(&w)
	s.want(w)
	s.finish(l)
}

func (s *stage) open(path string) *os.File {
	f, err := os.Open(path)
	s.must(err)
	return f
}

func fexecve(s *stage) {
	executeFD(s, s.open(s.target()), "", atEmptyPath, func(*wanted) {})
}

func fexecveMemfd(s *stage) {
	fd, err := unix.MemfdCreate("torture", unix.MFD_CLOEXEC)
	s.must(err)
	file := os.NewFile(uintptr(fd), "memfd")
	_, err = file.Write(reporting(native()).file())
	s.must(err)
	// Executing a file that is open for writing would fail, so it is opened once more.
	readable := s.open("/proc/self/fd/" + itoa(fd))
	file.Close()
	executeFD(s, readable, "", atEmptyPath, func(*wanted) {})
}

func fexecveScript(s *stage) {
	interpreter := s.target()
	path := s.write("script", []byte("#!"+interpreter+"\n"), 0o755)
	executeFD(s, s.open(path), "", atEmptyPath, func(w *wanted) {
		w.image = []string{interpreter, "/dev/fd/5", "x"}
	})
}

func execveatBelow(s *stage) {
	s.target()
	executeFD(s, s.open(s.dir), "target", 0, func(w *wanted) {
		w.filename, w.comm = "/dev/fd/5/target", "target"
	})
}

func execveatAbsolute(s *stage) {
	target := s.target()
	executeFD(s, s.open("/"), target, 0, func(w *wanted) {
		w.filename, w.comm = target, "target"
	})
}
