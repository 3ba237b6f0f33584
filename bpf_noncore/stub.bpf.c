//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The stub: tracepoint payloads and helpers only. It knows no kernel type; what it reads of
 * task_struct lies at offsets that the loader learned on the running kernel.
 */

#define EXEC_PROGRAM EXEC_PROGRAM_STUB
#define KEEP_ARGS 1

#include "record.h"
#include "family.h"

/* Bits of `known`: any offset may be 0. */
enum learned {
	LEARNED_PPID = 1 << 0,     /* tgid, real_parent */
	LEARNED_ARGS = 1 << 1,     /* mm, arg_start, arg_end */
	LEARNED_FILENAME = 1 << 2, /* mm, env_end */
};

/* Where task_struct and mm_struct hold their members. */
struct learned_offsets {
	__u32 known;
	__u32 tgid;
	__u32 real_parent;
	__u32 mm;
	__u32 arg_start;
	__u32 arg_end;
	__u32 env_end;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct learned_offsets);
} learned SEC(".maps");

/* Reads a member; returns 0 on success. */
#define READ(dst, base, offset) bpf_probe_read_kernel(dst, sizeof(*(dst)), (char *)(base) + (offset))

static __always_inline void read_task(struct exec_header *h)
{
	struct learned_offsets *o = bpf_map_lookup_elem(&learned, ZERO_KEY);
	__u64 parent;
	__u32 ppid;

	if (!o)
		return;
	if (!(o->known & LEARNED_PPID)) {
		follow_parent(h);
		return;
	}
	if (READ(&parent, bpf_get_current_task(), o->real_parent) || READ(&ppid, parent, o->tgid))
		h->faulted |= EXEC_FIELD_PPID;
	else
		set_ppid(h, ppid, EXEC_SOURCE_LEARNED);
}

/* The kernel has just written the arguments to the new stack, one behind the other. */
static __always_inline void read_new_image(struct exec_record *r)
{
	struct learned_offsets *o = bpf_map_lookup_elem(&learned, ZERO_KEY);
	__u64 mm, start, end;

	if (!o)
		return;
	if (READ(&mm, bpf_get_current_task(), o->mm) || READ(&start, mm, o->arg_start) ||
	    READ(&end, mm, o->arg_end) || end < start) {
		r->h.faulted |= EXEC_FIELD_ARGS;
		return;
	}
	r->h.args_full_len = end - start;
	copy_args(r, (void *)start, end - start, 1, EXEC_SOURCE_MM);
}

/* It has put the filename there first, so that the environment ends where it begins. */
static __always_inline void read_new_filename(struct exec_record *r)
{
	struct learned_offsets *o = bpf_map_lookup_elem(&learned, ZERO_KEY);
	__u64 mm, name;

	if (!o)
		return;
	if (READ(&mm, bpf_get_current_task(), o->mm) || READ(&name, mm, o->env_end)) {
		r->h.faulted |= EXEC_FIELD_FILENAME;
		return;
	}
	set_filename(&r->h, bpf_probe_read_user_str(r->tail, EXEC_FILENAME_MAX + 1, (void *)name));
}

#include "syscall.h"

/* Takes the arguments from where they are known, and ends the call that was entered. */
static __always_inline void end_call(struct exec_record *r)
{
	struct learned_offsets *o = bpf_map_lookup_elem(&learned, ZERO_KEY);
	/* The call was entered under the tid of the thread that is now the leader. */
	__u64 key = (__u64)r->h.pid << 32 | r->h.tid;
	struct kept_call *kept = bpf_map_lookup_elem(&calls, &key);

	if (o && o->known & LEARNED_ARGS)
		read_new_image(r);
	else if (kept)
		take_kept_args(r, kept);
	if (!kept)
		return;
	note_unread(&r->h);
	bpf_map_delete_elem(&calls, &key);
}

/* Where the filename can be read without the payload, as the core program does from 4.17 on. */
SEC("raw_tracepoint/sched_process_exec")
int exec_raw(__u64 *args)
{
	struct exec_record *r = bpf_map_lookup_elem(&scratch, ZERO_KEY);

	if (!r)
		return 0;
	fill_header(&r->h, EXEC_KIND_EXEC);
	set_tid(&r->h, args[1]);
	read_task(&r->h);
	read_new_filename(r);
	end_call(r);
	output(args, r);
	return 0;
}

SEC("tracepoint/sched/sched_process_exec")
int exec(void *ctx)
{
	struct exec_record *r = bpf_map_lookup_elem(&scratch, ZERO_KEY);

	if (!r)
		return 0;
	fill_header(&r->h, EXEC_KIND_EXEC);
	read_exec_payload(ctx, r);
	read_task(&r->h);
	end_call(r);
	output(ctx, r);
	return 0;
}

char __license[] SEC("license") = "Dual BSD/GPL";
