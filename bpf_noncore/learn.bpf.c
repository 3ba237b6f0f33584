//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The probe by which the loader learns where this kernel keeps what the stub needs. It shows
 * memory and knows no type: what the bytes mean is found out in user space.
 *
 * A thread of the loader bears a name that no other has, and each system call of it that a program
 * here is attached to is an order to show something. Its children have that name too until they
 * execute a program, which the probe notes.
 */

#include "kernel.h"

#define SHOWN_MAX 4096
#define NAME_WORDS 2 /* TASK_COMM_LEN */
#define CONTEXT_LEN 128

/* What the loader wants. */
struct learn_order {
	__u64 name[NAME_WORDS]; /* of the thread that gives orders, and of those to note */
	__u64 pid_tgid;         /* of the thread that gives orders; 0: whoever bears the name */
	__u64 address;          /* kernel memory to show */
	__u32 length;           /* 1..SHOWN_MAX */
	__u32 serial;           /* comes back in the answer */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct learn_order);
} order SEC(".maps");

/* What was shown, and the thread that gave the order. */
struct learn_answer {
	__u64 pid_tgid;
	__u64 task;
	__u32 serial;
	__u32 faulted; /* 1: the memory could not be read */
	char bytes[SHOWN_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct learn_answer);
} answer SEC(".maps");

/* Other threads of that name, by tgid << 32 | tid. */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u64);
	__type(value, __u64); /* the task_struct */
} sightings SEC(".maps");

#define ZERO_KEY (&(__u32){ 0 })

/* Returns the order if the current thread bears the name. */
static __always_inline struct learn_order *current_order(void)
{
	struct learn_order *o = bpf_map_lookup_elem(&order, ZERO_KEY);
	__u64 name[NAME_WORDS] = {};

	if (!o || bpf_get_current_comm(name, sizeof(name)))
		return 0;
	if (name[0] != o->name[0] || name[1] != o->name[1])
		return 0;
	return o;
}

static __always_inline void note(__u64 pid_tgid)
{
	__u64 task = bpf_get_current_task();

	bpf_map_update_elem(&sightings, &pid_tgid, &task, BPF_ANY);
}

static __always_inline void show(struct learn_order *o, const void *from, __u64 len)
{
	struct learn_answer *a = bpf_map_lookup_elem(&answer, ZERO_KEY);
	__u64 pid_tgid = bpf_get_current_pid_tgid();

	if (o->pid_tgid && o->pid_tgid != pid_tgid) {
		note(pid_tgid);
		return;
	}
	if (!a)
		return;
	/* 1..SHOWN_MAX, provably for the verifier of 4.14. */
	len = (len - 1) & (SHOWN_MAX - 1);
	asm volatile("" : "+r"(len));
	len += 1;
	a->pid_tgid = pid_tgid;
	a->task = bpf_get_current_task();
	a->serial = o->serial;
	a->faulted = bpf_probe_read_kernel(a->bytes, len, from) != 0;
}

/* A thread gets another name, by prctl(PR_SET_NAME) or as it executes a program. */
SEC("tracepoint/task/task_rename")
int show_memory(void *ctx)
{
	struct learn_order *o = current_order();

	if (o)
		show(o, (void *)o->address, o->length);
	return 0;
}

/* The same from 4.17 on: it needs no payload, and is detached with no wait. */
SEC("raw_tracepoint/task_rename")
int show_memory_raw(void *ctx)
{
	struct learn_order *o = current_order();

	if (o)
		show(o, (void *)o->address, o->length);
	return 0;
}

/* execve and execveat, at entry and exit: show the context that programs there get. */
SEC("tracepoint/syscalls/sys_enter_execve")
int show_context(void *ctx)
{
	struct learn_order *o = current_order();

	if (o)
		show(o, ctx, CONTEXT_LEN);
	return 0;
}

char __license[] SEC("license") = "Dual BSD/GPL";
