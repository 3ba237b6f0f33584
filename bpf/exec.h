/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The wire layout: one record for each exec, written by every program and read by
 * package event. docs/event-layout.md describes every byte for people.
 *
 * A record is the fixed header and then `filename_len + args_len` bytes: the filename and
 * the arguments, each with its trailing NUL, and no byte more.
 */
#ifndef EVERYEXEC_EXEC_H
#define EVERYEXEC_EXEC_H

#define EXEC_LAYOUT_VERSION 1

/* Powers of two: the bounds that the oldest verifier understands are masks. */
#define EXEC_FILENAME_MAX 4096 /* PATH_MAX, its NUL included */
#define EXEC_ARGS_MAX 8192     /* NULs included */
#define EXEC_COMM_MAX 16       /* TASK_COMM_LEN */

enum exec_kind {
	EXEC_KIND_EXEC = 1,
	EXEC_KIND_EXEC_FAILED = 2,
};

enum exec_program {
	EXEC_PROGRAM_CORE = 1,
	EXEC_PROGRAM_BCC = 2,
	EXEC_PROGRAM_STUB = 3,
};

/* Bits of `known`, `truncated` and `faulted`. */
enum exec_field {
	EXEC_FIELD_PID = 1 << 0,
	EXEC_FIELD_TID = 1 << 1,
	EXEC_FIELD_PPID = 1 << 2,
	EXEC_FIELD_UID = 1 << 3,
	EXEC_FIELD_GID = 1 << 4,
	EXEC_FIELD_COMM = 1 << 5,
	EXEC_FIELD_FILENAME = 1 << 6,
	EXEC_FIELD_ARGS = 1 << 7,
	EXEC_FIELD_RET = 1 << 8,
	EXEC_FIELD_CGROUP_ID = 1 << 9,
};

/* Where ppid and args were read. */
enum exec_source {
	EXEC_SOURCE_NONE = 0,
	EXEC_SOURCE_TASK = 1,    /* task_struct, offsets from BTF or headers */
	EXEC_SOURCE_LEARNED = 2, /* task_struct, offsets learned on this kernel */
	EXEC_SOURCE_FORK = 3,    /* followed from sched_process_fork */
	EXEC_SOURCE_MM = 4,      /* the new image's arg_start..arg_end */
	EXEC_SOURCE_ARGV = 5,    /* the argv array that was passed to execve */
	EXEC_SOURCE_PROC = 6,    /* /proc/PID/cmdline, filled in by user space */
};

struct exec_header {
	__u8 version;        /* EXEC_LAYOUT_VERSION */
	__u8 kind;           /* enum exec_kind */
	__u8 program;        /* enum exec_program */
	__u8 ppid_source;    /* enum exec_source */
	__u8 args_source;    /* enum exec_source */
	__u8 reserved;       /* 0 */
	__u16 known;         /* fields that hold a value */
	__u16 truncated;     /* fields cut to what the record can hold */
	__u16 faulted;       /* fields whose memory could not be read */
	__s32 ret;           /* 0, or a negative errno */
	__u64 ktime_ns;      /* CLOCK_MONOTONIC */
	__u64 cgroup_id;     /* of the cgroup v2 hierarchy */
	__u32 pid;           /* thread group id, initial pid namespace */
	__u32 tid;           /* the thread that called execve */
	__u32 ppid;          /* real_parent->tgid */
	__u32 uid;           /* real uid, initial user namespace */
	__u32 gid;           /* real gid, initial user namespace */
	__u32 filename_len;  /* bytes in the tail, NUL included */
	__u32 args_len;      /* bytes in the tail, NULs included */
	__u32 args_full_len; /* bytes before truncation; 0: not known */
	char comm[EXEC_COMM_MAX];
};

/* The scratch space in which a record is put together. */
struct exec_record {
	struct exec_header h;
	char tail[EXEC_FILENAME_MAX + EXEC_ARGS_MAX];
};

#define EXEC_ASSERT_OFFSET(field, offset) \
	_Static_assert(__builtin_offsetof(struct exec_header, field) == offset, #field " moved")

EXEC_ASSERT_OFFSET(version, 0);
EXEC_ASSERT_OFFSET(kind, 1);
EXEC_ASSERT_OFFSET(program, 2);
EXEC_ASSERT_OFFSET(ppid_source, 3);
EXEC_ASSERT_OFFSET(args_source, 4);
EXEC_ASSERT_OFFSET(reserved, 5);
EXEC_ASSERT_OFFSET(known, 6);
EXEC_ASSERT_OFFSET(truncated, 8);
EXEC_ASSERT_OFFSET(faulted, 10);
EXEC_ASSERT_OFFSET(ret, 12);
EXEC_ASSERT_OFFSET(ktime_ns, 16);
EXEC_ASSERT_OFFSET(cgroup_id, 24);
EXEC_ASSERT_OFFSET(pid, 32);
EXEC_ASSERT_OFFSET(tid, 36);
EXEC_ASSERT_OFFSET(ppid, 40);
EXEC_ASSERT_OFFSET(uid, 44);
EXEC_ASSERT_OFFSET(gid, 48);
EXEC_ASSERT_OFFSET(filename_len, 52);
EXEC_ASSERT_OFFSET(args_len, 56);
EXEC_ASSERT_OFFSET(args_full_len, 60);
EXEC_ASSERT_OFFSET(comm, 64);
_Static_assert(sizeof(struct exec_header) == 80, "the header has no padding");
_Static_assert(__builtin_offsetof(struct exec_record, tail) == 80, "the tail follows the header");

#endif
