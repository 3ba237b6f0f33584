//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The program that libbcc compiles on the host, against the kernel's own headers.
 *
 * It is the body of the CO-RE program, textually included: libbcc knows one file. Maps are made
 * before it and come as descriptors, so libbcc's rewriter finds no map and rewrites nothing that
 * reads one. The loader defines
 *   MAP_config, ...     the maps' descriptors in the process that compiles
 *   SYSCALLS            1: with the programs of syscall.h
 *   HAVE_CGROUP_ID      1: the kernel has bpf_get_current_cgroup_id (4.18)
 *   HAVE_SPLIT_READS    1: the kernel has bpf_probe_read_kernel and its kin (5.5)
 */

#define BPF_LICENSE Dual BSD/GPL
#define EXEC_PROGRAM EXEC_PROGRAM_BCC
#define KEEP_ARGS 0

#include <linux/binfmts.h>
#include <linux/mm_types.h>
#include <linux/sched.h>

/* libbcc's own headers stand in for kernel.h; it puts each program into a section of its own. */
#define EVERYEXEC_KERNEL_H
#undef SEC
#define SEC(name)

#define MAPS_BY_FD
#define MAP(fd) (*(char *)bpf_pseudo_fd(1, fd)) /* BPF_PSEUDO_MAP_FD */
#define config MAP(MAP_config)
#define scratch MAP(MAP_scratch)
#define emitted MAP(MAP_emitted)
#define events MAP(MAP_events)
#define walk MAP(MAP_walk)
#define calls MAP(MAP_calls)
#define steps MAP(MAP_steps)

/*
 * With libbpf's types: libbcc's cut the size to 32 bits, and its bounds with it. In variables, as
 * libbcc 0.18 crashes over a call of anything that has no name.
 */
static long (*perf_event_output)(void *, void *, __u64, void *, __u64) = (void *)BPF_FUNC_perf_event_output;
static long (*tail_call)(void *, void *, __u32) = (void *)BPF_FUNC_tail_call;
#define bpf_perf_event_output perf_event_output
#define bpf_tail_call tail_call

#if !HAVE_CGROUP_ID
#define bpf_get_current_cgroup_id() 0
#endif
#if !HAVE_SPLIT_READS
#define bpf_probe_read_kernel bpf_probe_read
#define bpf_probe_read_user bpf_probe_read
#define bpf_probe_read_kernel_str bpf_probe_read_str
#define bpf_probe_read_user_str bpf_probe_read_str
#endif

#define READ_FIELD(dst, src, field) bpf_probe_read_kernel(dst, sizeof(*(dst)), &(src)->field)

#include "task.h"
#if SYSCALLS
#include "syscall.h"
#endif
