// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// objectMaxInsns is what a verifier before 5.2 takes for one program.
const objectMaxInsns = 4096

func TestObjectsFitOldKernels(t *testing.T) {
	for _, v := range []Variant{Core, Stub} {
		t.Run(string(v), func(t *testing.T) {
			spec, err := objectOf(v)
			if err != nil {
				t.Fatal(err)
			}
			for name, m := range spec.Maps {
				// .rodata, .data and .bss need 5.2.
				if name[0] == '.' {
					t.Errorf("there is global data in %s", name)
				}
				if m.Type == ebpf.PerCPUArray && m.ValueSize > 32<<10 {
					t.Errorf("map %s has values of %d bytes, a CPU's may have 32 KiB", name, m.ValueSize)
				}
			}
			for name, p := range spec.Programs {
				if n := len(p.Instructions); n > objectMaxInsns {
					t.Errorf("program %s has %d instructions", name, n)
				}
				for _, ins := range p.Instructions {
					if ins.IsFunctionCall() {
						t.Errorf("program %s calls a function: it wants 4.16", name)
					}
				}
				if loops(p.Instructions) {
					t.Errorf("program %s has a loop: it wants 5.3", name)
				}
			}
		})
	}
}

// loops walks the instructions as the verifier's check_cfg does: an edge to one that is still being
// explored closes a loop. A mere jump backward does not.
func loops(insns asm.Instructions) bool {
	at := make(map[asm.RawInstructionOffset]int)
	var offsets []asm.RawInstructionOffset
	for it := insns.Iterate(); it.Next(); {
		at[it.Offset] = it.Index
		offsets = append(offsets, it.Offset)
	}
	const discovered, explored = 1, 2
	state := make([]int, len(insns))
	var visit func(i int) bool
	visit = func(i int) bool {
		state[i] = discovered
		for _, next := range successors(insns, i, offsets, at) {
			if state[next] == discovered || state[next] == 0 && visit(next) {
				return true
			}
		}
		state[i] = explored
		return false
	}
	return visit(0)
}

func successors(insns asm.Instructions, i int, offsets []asm.RawInstructionOffset, at map[asm.RawInstructionOffset]int) []int {
	ins := insns[i]
	op := ins.OpCode.JumpOp()
	if !ins.OpCode.Class().IsJump() || op == asm.Call {
		return []int{i + 1}
	}
	if op == asm.Exit {
		return nil
	}
	target := at[asm.RawInstructionOffset(int64(offsets[i])+1+int64(ins.Offset))]
	if op == asm.Ja {
		return []int{target}
	}
	return []int{i + 1, target}
}

func TestLoopsFindsOne(t *testing.T) {
	looping := asm.Instructions{
		asm.Mov.Imm(asm.R0, 0),
		{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.JEq).SetSource(asm.ImmSource), Dst: asm.R0, Offset: -2},
		asm.Return(),
	}
	if !loops(looping) {
		t.Error("found no loop in a loop")
	}
}

func TestStubKnowsNoKernelType(t *testing.T) {
	relocations := func(v Variant) (n int) {
		spec, err := objectOf(v)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range spec.Programs {
			for i := range p.Instructions {
				if btf.CORERelocationMetadata(&p.Instructions[i]) != nil {
					n++
				}
			}
		}
		return n
	}
	if n := relocations(Stub); n != 0 {
		t.Errorf("the stub has %d CO-RE relocations", n)
	}
	if relocations(Core) == 0 {
		t.Error("core has no CO-RE relocation: the count does not work")
	}
}

func TestDropCall(t *testing.T) {
	insns := asm.Instructions{
		asm.FnGetCurrentCgroupId.Call(),
		asm.FnGetCurrentPidTgid.Call(),
		asm.Return(),
	}
	dropCall(insns, asm.FnGetCurrentCgroupId)
	if insns[0].OpCode.Class().IsJump() || insns[0].Dst != asm.R0 || insns[0].Constant != 0 {
		t.Errorf("the call became %v", insns[0])
	}
	if !insns[1].IsBuiltinCall() {
		t.Errorf("another call became %v", insns[1])
	}
}
