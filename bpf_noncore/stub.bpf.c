//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The stub: tracepoint payloads and helpers only. It knows no kernel type. */

#define EXEC_PROGRAM EXEC_PROGRAM_STUB
#define KEEP_ARGS 1

#include "record.h"

/* The parent is known to task_struct alone. */
static __always_inline void read_task(struct exec_header *h)
{
}

#include "syscall.h"

SEC("tracepoint/sched/sched_process_exec")
int exec(void *ctx)
{
	struct exec_record *r = bpf_map_lookup_elem(&scratch, ZERO_KEY);
	struct kept_call *kept;
	__u64 key;

	if (!r)
		return 0;
	fill_header(&r->h, EXEC_KIND_EXEC);
	read_exec_payload(ctx, r);
	read_task(&r->h);

	/* The call was entered under the tid of the thread that is now the leader. */
	key = (__u64)r->h.pid << 32 | r->h.tid;
	kept = bpf_map_lookup_elem(&calls, &key);
	if (kept)
		take_kept_args(r, kept);
	output(ctx, r);
	bpf_map_delete_elem(&calls, &key);
	return 0;
}

char __license[] SEC("license") = "Dual BSD/GPL";
