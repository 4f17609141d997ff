/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
#include "engine/rfs.h"

#include <stddef.h>
#include <urcu-qsbr.h>

void rfs_record(const struct rfs *rfs, uint32_t hash, uint32_t cpu)
{
	/* (E) pairs with (F): the mask is this table's. */
	uint32_t *table = __atomic_load_n(&rfs->sock_flow, __ATOMIC_ACQUIRE);
	uint32_t *entry, val;

	if (!hash || !table)
		return;
	entry = &table[hash & rfs->mask];
	val = (hash & ~rfs->cpu_mask) | cpu;
	/*
	 * The entry is read for every packet on the receiving CPUs: a store that changes
	 * nothing would steal its line.
	 */
	if (__atomic_load_n(entry, __ATOMIC_RELAXED) != val)
		__atomic_store_n(entry, val, __ATOMIC_RELAXED);
}

void rfs_pause(struct rfs *rfs)
{
	__atomic_store_n(&rfs->sock_flow, NULL, __ATOMIC_RELAXED);
	synchronize_rcu();
}

void rfs_resume(struct rfs *rfs, uint32_t *sock_flow, uint32_t mask)
{
	rfs->mask = mask;
	/* (F) pairs with (E). */
	__atomic_store_n(&rfs->sock_flow, sock_flow, __ATOMIC_RELEASE);
}
