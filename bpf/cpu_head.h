/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * cpu_head.h - how far the packets for each CPU's kernel stack have come: written by
 * cpumap.bpf.c there, read by steer.bpf.c. By CPU; user space sets the sizes.
 */
#ifndef SLUICE_CPU_HEAD_H
#define SLUICE_CPU_HEAD_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <sluice/steer.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sluice_cpu_head);
} cpu_head SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} cpu_lost SEC(".maps");

#endif
