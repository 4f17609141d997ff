// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * cpumap.bpf.c - what steer.bpf.c has redirected to a CPU, seen there.
 *
 *   cpumap     runs on that CPU for each packet before the kernel's stack has it: notes how
 *              far the packets of its queue have come, and takes rx_meta off, which would
 *              keep GRO from merging
 *   sleeping   the kernel's thread for that CPU goes to sleep: its queue is empty and GRO
 *              holds nothing, so all that it was given is with its sockets
 *   enqueued   packets that found the thread's queue full: the kernel drops them after the
 *              redirect, when nobody else can see it
 *
 * Each element of cpu_head has one writer, its CPU. Losses need no repair: the next packet
 * that arrives moves head past them.
 */
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <sluice/steer.h>

#include "cpu_head.h"

/* cpu_map of the program that redirects. */
const volatile __s32 cpu_map_id = 0;

static __always_inline void head_note(struct sluice_cpu_head *head,
				      const struct sluice_rx_meta *meta)
{
	__u32 queue = meta->queue;

	if (queue < SLUICE_MAX_QUEUES)
		*(volatile __u32 *)&head->queue[queue] = meta->seq;
}

SEC("xdp/cpumap")
int cpumap(struct xdp_md *ctx)
{
	const struct sluice_rx_meta *meta = (void *)(long)ctx->data_meta;
	const void *data = (const void *)(long)ctx->data;
	__u32 cpu = bpf_get_smp_processor_id();
	struct sluice_cpu_head *head = bpf_map_lookup_elem(&cpu_head, &cpu);

	if (!head)
		return XDP_PASS;
	head->received++;
	/* (B) pairs with (A) in cpu.h: task before queue; the exchange orders the two. */
	if (!head->task)
		__sync_lock_test_and_set(&head->task, bpf_get_current_task());
	if ((const void *)(meta + 1) > data || meta->magic != SLUICE_RX_MAGIC)
		return XDP_PASS;
	head_note(head, meta);
	bpf_xdp_adjust_meta(ctx, sizeof(*meta));
	return XDP_PASS;
}

struct task_struct;

SEC("tp_btf/sched_switch")
int BPF_PROG(sleeping, _Bool preempt, struct task_struct *prev)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct sluice_cpu_head *head = bpf_map_lookup_elem(&cpu_head, &cpu);

	/* Preempted, it may have packets in hand. */
	if (head && head->task == (__u64)prev && !preempt)
		*(volatile __u64 *)&head->task = 0;
	return 0;
}

SEC("tp_btf/xdp_cpumap_enqueue")
int BPF_PROG(enqueued, int map_id, unsigned int processed, unsigned int drops, int to_cpu)
{
	__u32 cpu = (__u32)to_cpu;
	__u64 *lost;

	if (!drops || map_id != cpu_map_id)
		return 0;
	lost = bpf_map_lookup_elem(&cpu_lost, &cpu);
	if (lost)
		__sync_fetch_and_add(lost, drops);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
