/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * cpu.h - packets that a rule leaves to the kernel, but on a CPU of our choice: where the flow
 * is consumed (RFS), else by the queue's rps_map; any CPU that has an entry in cpu_map.
 *
 * The switch rule guards every change of CPU as dev_flow.h does for workers. When a packet
 * has gone through the stack is known less exactly than when a worker is done with it:
 * struct sluice_cpu_head says how.
 *
 * In generic mode the kernel shows rx_meta to nobody behind a CPUMAP: none is written, and only
 * whether the thread sleeps, or silence, keeps a flow where it is. Order is not promised there.
 *
 * Entries of rps_dev_flow that a worker's packets need are left alone, since their order is
 * a promise: a flow which shares such an entry goes where it is wanted, unguarded, while the
 * entry is busy. A worker's packet takes an entry from these without asking.
 */
#ifndef SLUICE_CPU_H
#define SLUICE_CPU_H

#include <sluice/steer.h>

#include "dev_flow.h"
#include "maps.h"
#include "rps.h"

struct cpu_flow_view {
	struct sluice_dev_flow *flow;	/* to be asked and kept up to date; NULL: none */
	int stay;			/* an entry of the former table, found busy */
	int rfs;			/* the queue has a table */
};

/*
 * A program can ask a CPUMAP only by redirecting. That is not final: of several
 * redirects of one packet the last one counts.
 */
static __always_inline int cpu_redirect(__u32 cpu)
{
	return cpu < SLUICE_MAX_CPUS && bpf_redirect_map(&cpu_map, cpu, XDP_PASS) == XDP_REDIRECT;
}

static __always_inline int cpu_flow_silent(const struct sluice_dev_flow *flow)
{
	__u16 silent = SLUICE_CPU_STAMP(bpf_ktime_get_coarse_ns()) - flow->stamp;

	return silent >= SLUICE_CPU_SILENT;
}

/* Packets for a CPU that went by this entry may still be on their way to their sockets. */
static __always_inline int cpu_flow_busy(const struct sluice_dev_flow *flow, __u32 queue)
{
	__u32 cpu = (__u32)flow->target - SLUICE_TARGET_CPU;
	const struct sluice_cpu_head *head;
	__s32 past;

	/* Below SLUICE_TARGET_CPU it is a worker: out of range here. */
	if (cpu >= SLUICE_MAX_CPUS || queue >= SLUICE_MAX_QUEUES || !cpu_redirect(cpu))
		return 0;
	head = bpf_map_lookup_elem(&cpu_head, &cpu);
	if (!head)
		return 0;
	/* (A) pairs with (B) in cpumap.bpf.c: queue before task. */
	past = generic_mode ? 0 : (__s32)(*(const volatile __u32 *)&head->queue[queue] -
					  flow->last_qtail);
	if (past >= SLUICE_CPU_SETTLED)
		return 0;
	return past < 0 || (*(const volatile __u64 *)&head->task && !cpu_flow_silent(flow));
}

static __always_inline void cpu_flow_get(struct cpu_flow_view *v, __u32 queue, __u32 hash)
{
	struct sluice_dev_flow *flow;
	__u32 table = queue * 2;
	__u64 ctl;

	if (queue >= SLUICE_MAX_QUEUES)
		return;
	ctl = *(volatile __u64 *)&dev_flow_ctl[queue];
	v->rfs = SLUICE_DEV_FLOW_ENTRIES(ctl) != 0;
	if (unlikely(SLUICE_DEV_FLOW_FORMER(ctl))) {
		flow = dev_flow_entry(table + !SLUICE_DEV_FLOW_CURRENT(ctl),
				      SLUICE_DEV_FLOW_FORMER(ctl), hash);
		if (flow && cpu_flow_busy(flow, queue)) {
			v->flow = flow;
			v->stay = 1;
			return;
		}
		if (flow && !dev_flow_busy(flow, queue))
			flow->target = SLUICE_NO_CPU;
	}
	if (!v->rfs)
		return;
	flow = dev_flow_entry(table + SLUICE_DEV_FLOW_CURRENT(ctl), SLUICE_DEV_FLOW_ENTRIES(ctl),
			      hash);
	if (flow && !dev_flow_busy(flow, queue))
		v->flow = flow;
}

static __always_inline __u32 cpu_wanted(__u32 hash, __u32 queue, int rfs)
{
	if (rfs && sock_flow_mask) {
		__u32 cpu = rps_sock_cpu(hash);

		if (cpu_redirect(cpu))
			return cpu;
	}
	return rps_map_cpu(hash, queue);
}

/* The CPU that may be had instead of the one that is wanted. */
static __always_inline __u32 cpu_flow_guard(const struct cpu_flow_view *v, __u32 queue, __u32 cpu)
{
#ifndef TEST_NO_SWITCH_RULE
	if (v->flow->target != SLUICE_TARGET_CPU + cpu &&
	    (v->stay || cpu_flow_busy(v->flow, queue)))
		return (__u32)v->flow->target - SLUICE_TARGET_CPU;
#endif
	return cpu;
}

/* A packet goes to the CPU as number seq. */
static __always_inline void cpu_flow_record(struct sluice_dev_flow *flow, __u32 hash, __u32 cpu,
					    __u32 seq)
{
	const struct rps_target to = { .cpu = cpu, .worker = SLUICE_TARGET_CPU + cpu };

	dev_flow_record(flow, hash, &to, seq);
	flow->stamp = SLUICE_CPU_STAMP(bpf_ktime_get_coarse_ns());
}

#endif
