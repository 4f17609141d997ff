/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * rps.h - from a flow hash to the worker that is wanted for it, by the rules of Linux's
 * get_rps_cpu: the CPU where the flow was last consumed, if rps_sock_flow knows it
 * and a worker serves it; else a CPU of the queue's rps_map, by hash. Whether the flow
 * may go there yet is dev_flow.h's.
 */
#ifndef SLUICE_RPS_H
#define SLUICE_RPS_H

#include <sluice/steer.h>

#include "maps.h"

/* A CPU, and the worker that serves it: >= SLUICE_MAX_WORKERS when there is none. */
struct rps_target {
	__u32 cpu;
	__u32 worker;
};

static __always_inline void rps_set_cpu(struct rps_target *t, __u32 cpu)
{
	const __u32 *w = bpf_map_lookup_elem(&cpu_worker, &cpu);

	t->cpu = cpu;
	t->worker = w ? *w : SLUICE_NO_WORKER;
}

/* The CPU where the flow was last consumed, SLUICE_NO_CPU: not known. */
static __always_inline __u32 rps_sock_cpu(__u32 hash)
{
	__u32 slot = hash & sock_flow_mask, pair = slot / 2, ident;
	const struct sock_flow_pair *p = bpf_map_lookup_elem(&rps_sock_flow, &pair);

	if (!p)
		return SLUICE_NO_CPU;
	/* An empty entry would match the few hashes that look like it. */
	ident = p->entry[slot % 2];
	if (ident == SLUICE_NO_CPU || (ident ^ hash) & ~cpu_mask)
		return SLUICE_NO_CPU;
	return ident & cpu_mask;
}

/* The CPU of the queue's mask, SLUICE_NO_CPU: none. */
static __always_inline __u32 rps_map_cpu(__u32 hash, __u32 queue)
{
	const struct sluice_rps_map *map = bpf_map_lookup_elem(&rps_map, &queue);
	__u32 i;

	if (!map)
		return SLUICE_NO_CPU;
	i = (__u32)((__u64)hash * map->len >> 32);
	if (!map->len || i >= SLUICE_RPS_MAX)
		return SLUICE_NO_CPU;
	return map->cpus[i];
}

/* rfs: the queue has an rps_dev_flow; without, there is no RFS, as in Linux. */
static __always_inline void rps_wanted(struct rps_target *t, __u32 hash, __u32 queue, int rfs)
{
	if (rfs && sock_flow_mask) {
		rps_set_cpu(t, rps_sock_cpu(hash));
		if (t->worker < SLUICE_MAX_WORKERS)
			return;
	}
	rps_set_cpu(t, rps_map_cpu(hash, queue));
}

#endif
