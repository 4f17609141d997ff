/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * rps.h - from a flow hash to a worker, by the rules of Linux's get_rps_cpu: the
 * CPU where the flow was last consumed, if rps_sock_flow knows it and a worker
 * serves it; else a CPU of the queue's rps_map, by hash.
 */
#ifndef SLUICE_RPS_H
#define SLUICE_RPS_H

#include <sluice/steer.h>

#include "maps.h"

/* SLUICE_NO_WORKER, or any value that is no worker, where the CPU has none. */
static __always_inline __u32 rps_cpu_worker(__u32 cpu)
{
	const __u32 *w = bpf_map_lookup_elem(&cpu_worker, &cpu);

	return w ? *w : SLUICE_NO_WORKER;
}

static __always_inline __u32 rps_flow_worker(__u32 hash)
{
	__u32 slot = hash & sock_flow_mask, pair = slot / 2, ident;
	const struct sock_flow_pair *p = bpf_map_lookup_elem(&rps_sock_flow, &pair);

	if (!p)
		return SLUICE_NO_WORKER;
	/* An empty entry would match the few hashes that look like it. */
	ident = p->entry[slot % 2];
	if (ident == SLUICE_NO_CPU || (ident ^ hash) & ~cpu_mask)
		return SLUICE_NO_WORKER;
	return rps_cpu_worker(ident & cpu_mask);
}

static __always_inline __u32 rps_map_worker(__u32 hash, __u32 queue)
{
	const struct sluice_rps_map *map = bpf_map_lookup_elem(&rps_map, &queue);
	__u32 i;

	if (!map)
		return SLUICE_NO_WORKER;
	i = (__u32)((__u64)hash * map->len >> 32);
	if (!map->len || i >= SLUICE_RPS_MAX)
		return SLUICE_NO_WORKER;
	return rps_cpu_worker(map->cpus[i]);
}

/* The worker for a flow, >= SLUICE_MAX_WORKERS when there is none. */
static __always_inline __u32 rps_worker(__u32 hash, __u32 queue)
{
	if (sock_flow_mask) {
		__u32 w = rps_flow_worker(hash);

		if (w < SLUICE_MAX_WORKERS)
			return w;
	}
	return rps_map_worker(hash, queue);
}

#endif
