/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The programs of the variants that know the kernel's types.
 *
 * A program that includes this file declares task_struct, mm_struct and linux_binprm, and defines
 *   READ_FIELD(dst, src, field)  reads src->field into *dst; 0, or a negative error
 */
#ifndef EVERYEXEC_TASK_H
#define EVERYEXEC_TASK_H

#include "record.h"

static __always_inline void read_task(struct exec_header *h)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct *parent;
	int ppid;

	if (READ_FIELD(&parent, task, real_parent) || READ_FIELD(&ppid, parent, tgid))
		h->faulted |= EXEC_FIELD_PPID;
	else
		set_ppid(h, ppid, EXEC_SOURCE_TASK);
}

/* The kernel has just written the arguments to the new stack, one behind the other. */
static __always_inline void read_new_image(struct exec_record *r)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	unsigned long start, end;
	struct mm_struct *mm;

	if (READ_FIELD(&mm, task, mm) || READ_FIELD(&start, mm, arg_start) ||
	    READ_FIELD(&end, mm, arg_end) || end < start) {
		r->h.faulted |= EXEC_FIELD_ARGS;
		return;
	}
	r->h.args_full_len = end - start;
	copy_args(r, (void *)start, end - start, 1, EXEC_SOURCE_MM);
}

/*
 * sched_process_exec as a raw tracepoint, from 4.17 on. It needs no tracefs, and it also sees
 * paths of over 2,000 bytes, for which kernels before 5.16 drop the ordinary tracepoint's payload
 * and do not run its program at all (PERF_MAX_TRACE_SIZE).
 */
SEC("raw_tracepoint/sched_process_exec")
int exec_raw(__u64 *args)
{
	struct exec_record *r = bpf_map_lookup_elem(&scratch, ZERO_KEY);
	struct linux_binprm *bprm = (void *)args[2];
	const char *filename;

	if (!r)
		return 0;
	fill_header(&r->h, EXEC_KIND_EXEC);
	set_tid(&r->h, args[1]);
	read_task(&r->h);
	if (READ_FIELD(&filename, bprm, filename))
		r->h.faulted |= EXEC_FIELD_FILENAME;
	else
		set_filename(&r->h, bpf_probe_read_kernel_str(r->tail, EXEC_FILENAME_MAX + 1, filename));
	read_new_image(r);
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
	read_new_image(r);
	output(ctx, r);
	return 0;
}

#endif
