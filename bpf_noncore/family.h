/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who is whose parent, followed from the making and the end of processes. It needs no kernel type,
 * and runs only where the parent cannot be read from task_struct.
 *
 * The parent of a process changes only when the parent's last thread has ended. So what was true
 * when the child was made stays so as long as the parent has an entry here, and is not known then.
 */
#ifndef EVERYEXEC_FAMILY_H
#define EVERYEXEC_FAMILY_H

#include "record.h"

/* Births of processes that were there before we came; the loader uses it too. */
#define BORN_BEFORE 1

/* The threads of a process that was there before we came cannot be counted. */
#define THREADS_UNKNOWN 0xffffffff

/* A process that lives. */
struct relative {
	__u64 birth;        /* ktime_ns: tells it from another one of the same pid */
	__u64 parent_birth; /* 0: the parent is not known */
	__u32 parent;       /* tgid */
	__u32 threads;
};

/* By tgid. LRU: an entry thrown out makes a parent unknown, not wrong. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by the loader */
	__type(key, __u32);
	__type(value, struct relative);
} relatives SEC(".maps");

/* Where the payload of task_newtask holds what is read, by its format file. */
struct family_config {
	__u32 pid;
	__u32 clone_flags;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct family_config);
} family_config SEC(".maps");

#define CLONE_PARENT 0x00008000
#define CLONE_THREAD 0x00010000

/* Notes a process that was there before we came. */
static __always_inline void note_elder(__u32 tgid)
{
	struct relative elder = {};

	elder.birth = BORN_BEFORE;
	elder.threads = THREADS_UNKNOWN;
	bpf_map_update_elem(&relatives, &tgid, &elder, BPF_NOEXIST);
}

/* Runs in the thread that makes another one, before that runs. */
SEC("tracepoint/task/task_newtask")
int new_task(char *ctx)
{
	struct family_config *c = bpf_map_lookup_elem(&family_config, ZERO_KEY);
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct relative child = {};
	struct relative *maker;
	__u64 flags;
	__u32 pid;

	if (!c || bpf_probe_read_kernel(&pid, sizeof(pid), ctx + c->pid) ||
	    bpf_probe_read_kernel(&flags, sizeof(flags), ctx + c->clone_flags))
		return 0;
	maker = bpf_map_lookup_elem(&relatives, &tgid);
	if (!maker) {
		note_elder(tgid);
		maker = bpf_map_lookup_elem(&relatives, &tgid);
	}
	if (!maker)
		return 0;
	if (flags & CLONE_THREAD) {
		if (maker->threads != THREADS_UNKNOWN)
			__sync_fetch_and_add(&maker->threads, 1);
		return 0;
	}
	child.birth = bpf_ktime_get_ns();
	child.threads = 1;
	if (flags & CLONE_PARENT) {
		child.parent = maker->parent;
		child.parent_birth = maker->parent_birth;
	} else {
		child.parent = tgid;
		child.parent_birth = maker->birth;
	}
	bpf_map_update_elem(&relatives, &pid, &child, BPF_ANY);
	return 0;
}

/*
 * Runs in a thread that ends, before its children get another parent. The leader may end before
 * the others do, or because another thread executes a program: the count tells. Where there is
 * none, the leader's end counts, which is never too late.
 */
SEC("tracepoint/sched/sched_process_exit")
int end_task(void *ctx)
{
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	__u32 tgid = pid_tgid >> 32;
	struct relative *r = bpf_map_lookup_elem(&relatives, &tgid);

	if (!r)
		return 0;
	if (r->threads == THREADS_UNKNOWN) {
		if ((__u32)pid_tgid == tgid)
			bpf_map_delete_elem(&relatives, &tgid);
		return 0;
	}
	__sync_fetch_and_add(&r->threads, -1);
	if (!r->threads)
		bpf_map_delete_elem(&relatives, &tgid);
	return 0;
}

/* Sets the parent of the current process if it is certain. */
static __always_inline void follow_parent(struct exec_header *h)
{
	struct relative *r = bpf_map_lookup_elem(&relatives, &h->pid);
	struct relative *parent;
	__u32 ppid;

	if (!r || !r->parent_birth)
		return;
	ppid = r->parent;
	parent = bpf_map_lookup_elem(&relatives, &ppid);
	if (parent && parent->birth == r->parent_birth)
		set_ppid(h, ppid, EXEC_SOURCE_FORK);
}

#endif
