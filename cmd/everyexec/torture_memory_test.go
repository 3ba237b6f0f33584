// SPDX-License-Identifier: Apache-2.0

package main

// memoryCases are about strings on pages that nobody has touched before the call, so that
// they are not resident when it begins. The ELF loader only maps a program's data; each
// string lies so far from the others that no fault brings in a second one.
var memoryCases = []torturing{
	{"strings never touched", neverTouched("execve")},
	{"strings never touched, execveat", neverTouched("execveat")},
}

func neverTouched(call string) func(*stage) {
	return func(s *stage) {
		target := s.target()
		argv := []string{target, "cold"}
		p, path, vector := coldStrings(target, argv)
		if call == "execveat" {
			p.call(call, -1, path, vector, p.vector(nil), 0)
		} else {
			p.call(call, path, vector, p.vector(nil))
		}
		p.exitErrno()
		l := s.launch(p, spawnOptions{})
		w := s.started(l, target, argv)
		w.untouched = true
		s.want(w)
		s.check(l)
	}
}

// coldStrings lays a path and an argv out, each string and the array on pages of its own.
func coldStrings(name string, argv []string) (p *program, path, vector uint64) {
	p = newProgram(native())
	p.untouched = true
	p.gap()
	path = p.str(name)
	var pointers []uint64
	for _, arg := range argv {
		p.gap()
		pointers = append(pointers, p.str(arg))
	}
	p.gap()
	vector = p.pointers(append(pointers, 0)...)
	p.gap()
	return p, path, vector
}
