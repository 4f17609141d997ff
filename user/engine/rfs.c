/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
#include "engine/rfs.h"

void rfs_record(const struct rfs *rfs, uint32_t hash, uint32_t cpu)
{
	uint32_t *entry, val;

	if (!hash || !rfs->sock_flow)
		return;
	entry = &rfs->sock_flow[hash & rfs->mask];
	val = (hash & ~rfs->cpu_mask) | cpu;
	/* The entry is read for every packet on the receiving CPUs: a store that changes nothing would steal its line. */
	if (__atomic_load_n(entry, __ATOMIC_RELAXED) != val)
		__atomic_store_n(entry, val, __ATOMIC_RELAXED);
}
