/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
#include "engine/pkt.h"

#include <errno.h>
#include <stdlib.h>

int pkt_pool_init(struct pkt_pool *pool, unsigned int size)
{
	*pool = (struct pkt_pool){ .size = size };
	pool->all = calloc(size, sizeof(*pool->all));
	pool->free = calloc(size, sizeof(*pool->free));
	if (!pool->all || !pool->free) {
		pkt_pool_destroy(pool);
		return -ENOMEM;
	}
	while (pool->nr_free < size) {
		pool->free[pool->nr_free] = &pool->all[size - 1 - pool->nr_free];
		pool->nr_free++;
	}
	return 0;
}

void pkt_pool_destroy(struct pkt_pool *pool)
{
	free(pool->all);
	free(pool->free);
	*pool = (struct pkt_pool){ 0 };
}
