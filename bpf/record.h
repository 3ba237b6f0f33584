/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Putting a record together and sending it: what all programs share.
 *
 * The programs use no global variable (.rodata, .data and .bss need 5.2), no loop that is not
 * unrolled (5.3), and no helper younger than 4.14 whose call the loader cannot patch away.
 */
#ifndef EVERYEXEC_RECORD_H
#define EVERYEXEC_RECORD_H

#include "kernel.h"
#include "exec.h"

/* What the loader found out about the running kernel. */
struct exec_config {
	/* sched_process_exec's payload, by its format file: PREEMPT_RT kernels shift it. */
	__u32 exec_filename; /* offset of the __data_loc of filename */
	__u32 exec_old_pid;  /* offset of old_pid */
	/* The payload of the syscalls' tracepoints. */
	__u32 enter_args;
	__u32 exit_ret;
	__u32 fails;     /* 1: report execs that failed */
	__u32 keep_args; /* 1: keep argv at entry, if the program can */
};

#ifndef MAPS_BY_FD /* where the text is compiled on the host, for maps that are there already */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct exec_config);
} config SEC(".maps");

/* One record for each CPU: tracepoints run their programs with preemption disabled. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct exec_record);
} scratch SEC(".maps");

/*
 * The records handed to the perf buffer, whether they found room or not. Kernels before 5.1 do
 * not tell a program that its record was dropped; this, less what was read, is exact on all.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} emitted SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
} events SEC(".maps");
#endif

/*
 * Shows the verifier that n, which is so already, lies in 1..max; max is a power of two.
 * clang would fold the mask away without the barrier, and 4.14 takes no size that may be 0.
 */
#define BOUND(n, max)                                   \
	do {                                            \
		(n) = ((n) - 1) & ((max) - 1);          \
		asm volatile("" : "+r"(n));             \
		(n) += 1;                               \
	} while (0)

#define ZERO_KEY (&(__u32){ 0 })

/* Starts the record of an exec of the current task: all that helpers tell. */
static __always_inline void fill_header(struct exec_header *h, __u8 kind)
{
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	__u64 uid_gid = bpf_get_current_uid_gid();

	h->version = EXEC_LAYOUT_VERSION;
	h->kind = kind;
	h->program = EXEC_PROGRAM;
	h->ppid_source = EXEC_SOURCE_NONE;
	h->args_source = EXEC_SOURCE_NONE;
	h->reserved = 0;
	h->known = EXEC_FIELD_PID | EXEC_FIELD_UID | EXEC_FIELD_GID | EXEC_FIELD_RET;
	h->truncated = 0;
	h->faulted = 0;
	h->ret = 0;
	h->ktime_ns = bpf_ktime_get_ns();
	h->pid = pid_tgid >> 32;
	h->tid = 0;
	h->ppid = 0;
	h->uid = (__u32)uid_gid;
	h->gid = uid_gid >> 32;
	h->filename_len = 0;
	h->args_len = 0;
	h->args_full_len = 0;

	/* The loader makes this call `r0 = 0` where the helper is missing (before 4.18). */
	h->cgroup_id = bpf_get_current_cgroup_id();
	if (h->cgroup_id)
		h->known |= EXEC_FIELD_CGROUP_ID;
	if (!bpf_get_current_comm(h->comm, sizeof(h->comm)))
		h->known |= EXEC_FIELD_COMM;
}

static __always_inline void set_tid(struct exec_header *h, __u32 tid)
{
	h->tid = tid;
	h->known |= EXEC_FIELD_TID;
}

static __always_inline void set_ppid(struct exec_header *h, __u32 ppid, __u8 source)
{
	h->ppid = ppid;
	h->ppid_source = source;
	h->known |= EXEC_FIELD_PPID;
}

/* Takes the result of copying a string of at most max bytes (NUL included) to the tail's begin. */
static __always_inline void set_filename(struct exec_header *h, long len)
{
	if (len < 1) {
		h->faulted |= EXEC_FIELD_FILENAME;
		return;
	}
	if (len > EXEC_FILENAME_MAX) {
		h->truncated |= EXEC_FIELD_FILENAME;
		return;
	}
	h->filename_len = len;
	h->known |= EXEC_FIELD_FILENAME;
}

/* Copies len bytes of NUL-separated arguments behind the filename, from user or kernel memory. */
static __always_inline void copy_args(struct exec_record *r, const void *from, __u64 len, int user,
				      __u8 source)
{
	struct exec_header *h = &r->h;
	__u64 used = h->filename_len;
	long err;

	if (len > EXEC_ARGS_MAX) {
		h->truncated |= EXEC_FIELD_ARGS;
		len = EXEC_ARGS_MAX;
	}
	if (len) {
		BOUND(len, EXEC_ARGS_MAX);
		asm volatile("" : "+r"(used));
		if (used > EXEC_FILENAME_MAX)
			return;
		err = user ? bpf_probe_read_user(r->tail + used, len, from)
			   : bpf_probe_read_kernel(r->tail + used, len, from);
		if (err) {
			h->faulted |= EXEC_FIELD_ARGS;
			return;
		}
		h->args_len = len;
	}
	h->args_source = source;
	h->known |= EXEC_FIELD_ARGS;
}

/* Sends the header and those bytes of the tail that are used. */
static __always_inline void output(void *ctx, struct exec_record *r)
{
	__u64 size = sizeof(r->h) + r->h.filename_len + r->h.args_len;
	__u64 *count = bpf_map_lookup_elem(&emitted, ZERO_KEY);

	if (!count)
		return;
	*count += 1;

	asm volatile("" : "+r"(size));
	if (size > sizeof(*r))
		return;
	asm volatile("" : "+r"(size)); /* or libbcc's clang makes one comparison of the two */
	if (size < 1)
		return;
	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, r, size);
}

/* Reads tid and filename from the payload of tracepoint sched_process_exec. */
static __always_inline void read_exec_payload(char *ctx, struct exec_record *r)
{
	struct exec_config *c = bpf_map_lookup_elem(&config, ZERO_KEY);
	__u32 old_pid, loc;
	__u64 len;
	long err;

	if (!c)
		return;
	if (!bpf_probe_read_kernel(&old_pid, sizeof(old_pid), ctx + c->exec_old_pid))
		set_tid(&r->h, old_pid);
	if (bpf_probe_read_kernel(&loc, sizeof(loc), ctx + c->exec_filename))
		return;

	/* __data_loc holds the offset in its lower half, the length with the NUL in its upper. */
	len = loc >> 16;
	if (len > EXEC_FILENAME_MAX || len < 1) {
		set_filename(&r->h, len);
		return;
	}
	BOUND(len, EXEC_FILENAME_MAX);
	err = bpf_probe_read_kernel(r->tail, len, ctx + (loc & 0xffff));
	set_filename(&r->h, err ? err : len);
}

#endif
