/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * dev_flow.h - rps_dev_flow and the switch rule: where a flow's packets are, and when
 * it may go elsewhere (Linux: get_rps_cpu, set_rps_cpu; but here the rule holds for
 * every change of target, not only for one that RFS asks for).
 *
 * Invariant, per entry: of all packets that went by this entry, those not yet
 * processed are on its target, numbered last_qtail or less. So an entry may
 * change its target when that one's head has reached last_qtail, and no packet
 * overtakes another. Flows that share an entry share its target and its
 * last_qtail, too: each of them waits for the packets of all, which is more than
 * its own order needs and never less. That is why nothing here compares hashes.
 *
 * After a resize a flow has an entry in each of two tables. It stays with that of the
 * former one while this is busy, and takes that of the current one from then
 * on; the former entry is then unset and stays so. So all its packets under way went by one
 * entry at any time, and the invariant holds for both.
 *
 * This is about packets for workers. Those for the kernel's stack on a CPU (cpu.h) use the
 * same entries, but leave alone one that workers' packets need; one that names a CPU is unset
 * here.
 *
 * Native XDP: one writer per queue. In generic mode several CPUs may write an
 * entry at once, and order is not promised.
 */
#ifndef SLUICE_DEV_FLOW_H
#define SLUICE_DEV_FLOW_H

#include <sluice/steer.h>

#include "maps.h"
#include "rps.h"

static __always_inline struct sluice_dev_flow *dev_flow_entry(__u32 table, __u32 entries,
							      __u32 hash)
{
	void *flows = bpf_map_lookup_elem(&rps_dev_flow, &table);
	__u32 i = hash & (entries - 1);

	return flows ? bpf_map_lookup_elem(flows, &i) : NULL;
}

/* Packets for a worker that went by this entry may still be under way. */
static __always_inline int dev_flow_busy(const struct sluice_dev_flow *flow, __u32 queue)
{
	__u32 worker = flow->target, slot = queue * SLUICE_MAX_WORKERS + worker;
	const struct queue_seqs *heads;

	if (worker >= SLUICE_MAX_WORKERS || !bpf_map_lookup_elem(&xsks_map, &slot))
		return 0;
	heads = bpf_map_lookup_elem(&flow_head, &queue);
	return heads && (__s32)(*(const volatile __u32 *)&heads->worker[worker] -
				flow->last_qtail) < 0;
}

/* What a packet finds at the table. */
struct dev_flow_view {
	struct sluice_dev_flow *flow;	/* its entry; NULL where the queue has no table */
	int stay;			/* an entry of the former table, found busy */
};

static __always_inline void dev_flow_get(struct dev_flow_view *v, __u32 queue, __u32 hash)
{
	struct sluice_dev_flow *flow;
	__u32 table = queue * 2;
	__u64 ctl;

	if (queue >= SLUICE_MAX_QUEUES)
		return;
	ctl = *(volatile __u64 *)&dev_flow_ctl[queue];
	if (unlikely(SLUICE_DEV_FLOW_FORMER(ctl))) {
		flow = dev_flow_entry(table + !SLUICE_DEV_FLOW_CURRENT(ctl),
				      SLUICE_DEV_FLOW_FORMER(ctl), hash);
		if (flow && dev_flow_busy(flow, queue)) {
			v->flow = flow;
			v->stay = 1;
			return;
		}
		if (flow)
			flow->target = SLUICE_NO_CPU;
	}
	if (!SLUICE_DEV_FLOW_ENTRIES(ctl))
		return;
	v->flow = dev_flow_entry(table + SLUICE_DEV_FLOW_CURRENT(ctl),
				 SLUICE_DEV_FLOW_ENTRIES(ctl), hash);
}

/* Turns the target that is wanted into the one that may be had. */
static __always_inline void dev_flow_guard(const struct dev_flow_view *v, __u32 queue,
					   struct rps_target *t)
{
#ifndef TEST_NO_SWITCH_RULE
	if (v->flow->target != t->worker && (v->stay || dev_flow_busy(v->flow, queue))) {
		t->cpu = v->flow->cpu;
		t->worker = v->flow->target;
	}
#endif
}

/* A packet goes to t as number seq. */
static __always_inline void dev_flow_record(struct sluice_dev_flow *flow, __u32 hash,
					    const struct rps_target *t, __u32 seq)
{
	if (unlikely(flow->target != t->worker)) {
		flow->target = (__u16)t->worker;
		flow->filter = SLUICE_NO_FILTER;
	}
	flow->cpu = (__u16)t->cpu;
	flow->last_qtail = seq;
	flow->hash = hash;
}

#endif
