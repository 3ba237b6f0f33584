// SPDX-License-Identifier: Apache-2.0

package btf

// archSpellings are the names under which archives keep an architecture, by the machine of
// uname(2). Aqua's archive says arm64, others say aarch64.
var archSpellings = map[string][]string{
	"x86_64":  {"x86_64", "amd64"},
	"aarch64": {"arm64", "aarch64"},
}

// spellArch lists the directory names of an architecture, the most usual first.
func spellArch(arch string) []string {
	if names := archSpellings[arch]; names != nil {
		return names
	}
	return []string{arch}
}

// Machine turns any spelling of an architecture (arm64, amd64) into that of uname(2). What it
// does not know it returns unchanged.
func Machine(spelling string) string {
	for machine, names := range archSpellings {
		for _, name := range names {
			if name == spelling {
				return machine
			}
		}
	}
	return spelling
}

// archMarks are members of the saved registers that only one architecture has.
var archMarks = []struct{ arch, typ, member string }{
	{"x86_64", "pt_regs", "r15"},
	{"aarch64", "user_pt_regs", "pstate"},
	{"i686", "pt_regs", "orig_eax"},
	{"i686", "pt_regs", "xgs"},
	{"armv7l", "pt_regs", "uregs"},
	{"riscv64", "pt_regs", "orig_a0"},
	{"ppc64le", "pt_regs", "nip"},
	{"s390x", "pt_regs", "psw"},
	{"loongarch64", "pt_regs", "csr_era"},
	{"mips64", "pt_regs", "cp0_epc"},
}

// archOf tells the architecture of a kernel by its registers, or returns "".
func archOf(whole *raw) string {
	m := minimiser{raw: whole}
	for id := uint32(1); id <= whole.len(); id++ {
		t, _ := whole.typ(id)
		if !t.composite() {
			continue
		}
		for _, mark := range archMarks {
			if string(whole.text(t.name)) != mark.typ {
				continue
			}
			way, _, err := m.findMember(t, mark.member)
			if err != nil {
				return ""
			}
			if way != nil {
				return mark.arch
			}
		}
	}
	return ""
}
