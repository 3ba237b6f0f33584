/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * execve and execveat at their syscall tracepoints: execs that failed, and the arguments for a
 * program that cannot read them from the new image.
 *
 * Attaching these costs every syscall of the machine, so it is done only when it is needed.
 *
 * A program that includes this file defines
 *   KEEP_ARGS  1: it can read argv at entry and keep it, where nothing else tells the arguments
 *   read_task(struct exec_header *): what it knows of the current task
 *   read_new_image(struct exec_record *): the arguments in the memory of a new program
 */
#ifndef EVERYEXEC_SYSCALL_H
#define EVERYEXEC_SYSCALL_H

#include "record.h"

/* The payloads as most kernels hand them to programs; the loader passes the offsets in config. */
struct syscall_enter {
	__u64 common;
	__u64 nr;
	__u64 args[6];
};

struct syscall_exit {
	__u64 common;
	__u64 nr;
	__s64 ret;
};

/* A call that has been entered: pointers into the caller's memory. */
struct call {
	__u64 filename;
	__u64 argv;
};

/* The same with its arguments, NUL-separated. */
struct kept_call {
	struct call call;
	__u32 args_len;
	__u16 truncated;
	__u16 faulted;
	char args[EXEC_ARGS_MAX];
};

/*
 * The walk along argv on one CPU, kept between tail calls. The slack takes what the last string
 * writes beyond the room there is: no old verifier believes `max - used` to be a bound.
 */
struct walk_state {
	struct kept_call kept;
	char slack[EXEC_ARGS_MAX + 8];
	__u64 next;   /* user pointer into argv */
	__s32 ret;    /* of the exec that failed */
	__u32 failed; /* 1: send a record at the end, 0: keep the arguments */
};

#ifndef MAPS_BY_FD
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct walk_state);
} walk SEC(".maps");

/*
 * Calls that have been entered and have not ended, by tgid << 32 | tid. LRU, as the end may
 * never come (arm64 before 5.15 has no sys_exit_execve on success): it must not fill up.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024); /* set by the loader, by the number of CPUs */
	__type(key, __u64);
#if KEEP_ARGS
	__type(value, struct kept_call);
#else
	__type(value, struct call);
#endif
} calls SEC(".maps");

#if KEEP_ARGS
/*
 * Processes whose arguments could not be read, by tgid, with the ktime_ns of the exec. While the
 * entry is there they have entered no other one, so that /proc/PID/cmdline tells the arguments.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024); /* set by the loader, by the number of CPUs */
	__type(key, __u32);
	__type(value, __u64);
} unread SEC(".maps");

static __always_inline void forget_unread(void)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;

	bpf_map_delete_elem(&unread, &tgid);
}

static __always_inline void note_unread(struct exec_header *h)
{
	if (h->faulted & EXEC_FIELD_ARGS)
		bpf_map_update_elem(&unread, &h->pid, &h->ktime_ns, BPF_ANY);
}
#else
static __always_inline void forget_unread(void)
{
}
#endif

int walk_argv(void *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__array(values, int(void *));
} steps SEC(".maps") = {
	.values = { [0] = (void *)&walk_argv },
};
#endif

/* The arguments that one program takes; it may call itself 32 times. */
#define WALK_STEP 48

/* Takes one argument; returns 1 when argv has ended or no more can be taken. */
static __always_inline int walk_one(struct walk_state *w, __u64 *used)
{
	__u64 arg, off = *used;
	long len;

	if (bpf_probe_read_user(&arg, sizeof(arg), (void *)w->next)) {
		w->kept.faulted = EXEC_FIELD_ARGS;
		return 1;
	}
	if (!arg)
		return 1;

	asm volatile("" : "+r"(off));
	if (off >= EXEC_ARGS_MAX) {
		w->kept.truncated = EXEC_FIELD_ARGS;
		return 1;
	}
	/* One byte more than fits: a longer result tells that the string was cut. */
	len = bpf_probe_read_user_str(w->kept.args + off, EXEC_ARGS_MAX + 1, (void *)arg);
	if (len < 0) {
		w->kept.faulted = EXEC_FIELD_ARGS;
		return 1;
	}
	off += len ? len : 1; /* 5.5 to 6.1 return 0 for an empty string */
	if (off > EXEC_ARGS_MAX) {
		w->kept.truncated = EXEC_FIELD_ARGS;
		*used = EXEC_ARGS_MAX;
		return 1;
	}
	*used = off;
	w->next += sizeof(arg);
	return 0;
}

/* Walks on by WALK_STEP arguments; returns 1 at the end. */
static __always_inline int walk_on(struct walk_state *w)
{
	__u64 used = w->kept.args_len;
	int end = 0;

#pragma unroll
	for (int i = 0; i < WALK_STEP; i++) {
		end = walk_one(w, &used);
		if (end)
			break;
	}
	w->kept.args_len = used;
	return end;
}

static __always_inline void start_walk(struct walk_state *w)
{
	w->kept.args_len = 0;
	w->kept.truncated = 0;
	w->kept.faulted = 0;
	w->next = w->kept.call.argv;
}

/* Keeps as much of a call as the value of the map takes. */
static __always_inline void keep_call(struct kept_call *kept)
{
	__u64 key = bpf_get_current_pid_tgid();

	bpf_map_update_elem(&calls, &key, kept, BPF_ANY);
}

static __always_inline void take_kept_args(struct exec_record *r, struct kept_call *kept)
{
	r->h.truncated |= kept->truncated;
	r->h.faulted |= kept->faulted;
	if (!kept->faulted)
		copy_args(r, kept->args, kept->args_len, 0, EXEC_SOURCE_ARGV);
	if (!kept->truncated)
		r->h.args_full_len = r->h.args_len;
}

/*
 * Sends an exec that succeeded and that sched_process_exec did not show: before 5.16 it is not
 * run for paths of over 2,000 bytes (PERF_MAX_TRACE_SIZE). The filename went with the old image.
 */
static __always_inline void output_unseen(void *ctx, struct exec_config *c, struct kept_call *kept)
{
	struct exec_record *r = bpf_map_lookup_elem(&scratch, ZERO_KEY);

	if (!r)
		return;
	fill_header(&r->h, EXEC_KIND_EXEC);
	set_tid(&r->h, (__u32)bpf_get_current_pid_tgid());
	read_task(&r->h);
	if (c->keep_args)
		take_kept_args(r, kept);
	else
		read_new_image(r);
	output(ctx, r);
}

/* Sends a failed exec, whose argv has been walked along. */
static __always_inline void output_failed(void *ctx, struct walk_state *w)
{
	struct exec_record *r = bpf_map_lookup_elem(&scratch, ZERO_KEY);
	long len;

	if (!r)
		return;
	fill_header(&r->h, EXEC_KIND_EXEC_FAILED);
	set_tid(&r->h, (__u32)bpf_get_current_pid_tgid());
	read_task(&r->h);
	r->h.ret = w->ret;
	len = bpf_probe_read_user_str(r->tail, EXEC_FILENAME_MAX + 1, (void *)w->kept.call.filename);
	set_filename(&r->h, len ? len : 1); /* 0 for an empty one, as above */
	take_kept_args(r, &w->kept);
	output(ctx, r);
}

SEC("tracepoint/everyexec/walk_argv")
int walk_argv(void *ctx)
{
	struct walk_state *w = bpf_map_lookup_elem(&walk, ZERO_KEY);

	if (!w)
		return 0;
	/* No argv at all counts as an empty one. */
	if (w->kept.call.argv && !walk_on(w)) {
		bpf_tail_call(ctx, &steps, 0);
		w->kept.truncated = EXEC_FIELD_ARGS; /* the 32 calls are used up */
	}
	if (w->failed)
		output_failed(ctx, w);
	else
		keep_call(&w->kept);
	return 0;
}

static __always_inline int enter(char *ctx, __u32 filename_arg)
{
	struct exec_config *c = bpf_map_lookup_elem(&config, ZERO_KEY);
	struct walk_state *w = bpf_map_lookup_elem(&walk, ZERO_KEY);

	if (!c || !w)
		return 0;
	/* filename and argv lie side by side in the arguments of both syscalls. */
	if (bpf_probe_read_kernel(&w->kept.call, sizeof(w->kept.call),
				  ctx + c->enter_args + filename_arg * sizeof(__u64)))
		return 0;
	if (!KEEP_ARGS || !c->keep_args) {
		w->kept.args_len = 0;
		keep_call(&w->kept);
		return 0;
	}
	forget_unread();
	w->failed = 0;
	start_walk(w);
	bpf_tail_call(ctx, &steps, 0);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_execve")
int enter_execve(void *ctx)
{
	return enter(ctx, 0);
}

SEC("tracepoint/syscalls/sys_enter_execveat")
int enter_execveat(void *ctx)
{
	return enter(ctx, 1);
}

/* Serves sys_exit_execve and sys_exit_execveat. */
SEC("tracepoint/syscalls/sys_exit_execve")
int exit_exec(char *ctx)
{
	struct exec_config *c = bpf_map_lookup_elem(&config, ZERO_KEY);
	struct walk_state *w = bpf_map_lookup_elem(&walk, ZERO_KEY);
	__u64 key = bpf_get_current_pid_tgid();
	struct call *call = bpf_map_lookup_elem(&calls, &key);
	__s64 ret;

	if (!c || !w || !call)
		return 0;
	if (bpf_probe_read_kernel(&ret, sizeof(ret), ctx + c->exit_ret))
		return 0;
	if (KEEP_ARGS && ret >= 0)
		output_unseen(ctx, c, (void *)call);
	w->kept.call = *call;
	bpf_map_delete_elem(&calls, &key);
	if (ret >= 0 || !c->fails)
		return 0;

	/* Now the kernel has touched the pages that may not have been there at entry (bcc #2627). */
	w->ret = ret;
	w->failed = 1;
	start_walk(w);
	bpf_tail_call(ctx, &steps, 0);
	return 0;
}

#endif
