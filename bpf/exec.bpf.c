//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The CO-RE program: kernel fields are read by relocations against the kernel's BTF. */

#define EXEC_PROGRAM EXEC_PROGRAM_CORE
#define KEEP_ARGS 0
#define READ_FIELD BPF_CORE_READ_INTO

#include "record.h"
#include <bpf/bpf_core_read.h>

struct mm_struct {
	unsigned long arg_start, arg_end;
} __attribute__((preserve_access_index));

struct task_struct {
	int tgid;
	struct task_struct *real_parent;
	struct mm_struct *mm;
} __attribute__((preserve_access_index));

struct linux_binprm {
	const char *filename;
} __attribute__((preserve_access_index));

#include "task.h"
#include "syscall.h"

char __license[] SEC("license") = "Dual BSD/GPL";
