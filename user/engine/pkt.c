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

bool pkt_cut(struct pkt *pkt, uint32_t len)
{
	uint32_t head = pkt_headlen(pkt), left;

	if (pkt_len(pkt) < len)
		return false;
	left = len > head ? len - head : 0;
	pkt->tail -= len < head ? head - len : 0;
	pkt->frag_len = left;
	/* Empty ones stay: their frames go back with the packet. */
	for (struct pkt *frag = pkt->frag_list; frag; frag = frag->next) {
		if (pkt_headlen(frag) > left)
			frag->tail = frag->data + left;
		left -= pkt_headlen(frag);
	}
	return true;
}

bool pkt_append(struct pkt *pkt, struct pkt *last, struct pkt *frag)
{
	if (pkt_cloned(pkt) || pkt_cloned(frag) || frag->users != 1 || frag->frag_list)
		return false;
	frag->next = NULL;
	if (last == pkt)
		pkt->frag_list = frag;
	else
		last->next = frag;
	pkt->frag_len += pkt_headlen(frag);
	return true;
}

/* What the stages found out from the headers, which only the first packet still has. */
static void copy_flow(struct pkt *to, const struct pkt *from)
{
	to->hash = from->hash;
	to->ifindex = from->ifindex;
	to->protocol = from->protocol;
	to->vlan_proto = from->vlan_proto;
	to->vlan_tci = from->vlan_tci;
	to->sport = from->sport;
	to->dport = from->dport;
	to->version = from->version;
	to->tos = from->tos;
	to->ttl = from->ttl;
	to->l4_proto = from->l4_proto;
	to->saddr = from->saddr;
	to->daddr = from->daddr;
	to->csum = PKT_CSUM_UNNECESSARY;
}

struct pkt *pkt_split(struct pkt *pkt)
{
	struct pkt *list = pkt->frag_list;

	for (struct pkt *frag = list; frag; frag = frag->next)
		copy_flow(frag, pkt);
	pkt->frag_list = NULL;
	pkt->frag_len = 0;
	pkt->gso_size = 0;
	pkt->gso_segs = 1;
	pkt->gso_type = PKT_GSO_NONE;
	return list;
}

void pkt_copy_frags(const struct pkt *pkt, uint8_t *to)
{
	for (const struct pkt *frag = pkt->frag_list; frag; frag = frag->next) {
		memcpy(to, frag->data, pkt_headlen(frag));
		to += pkt_headlen(frag);
	}
}

uint32_t pkt_truesize(const struct pkt *pkt)
{
	uint32_t size = (uint32_t)(sizeof(*pkt) + (size_t)(pkt->end - pkt->head));

	for (const struct pkt *frag = pkt->frag_list; frag; frag = frag->next)
		size += (uint32_t)(sizeof(*frag) + (size_t)(frag->end - frag->head));
	return size;
}

struct pkt *pkt_clone(struct pkt_pool *pool, struct pkt *pkt)
{
	struct pkt *clone;

	if (pkt->frag_list || !pool->nr_free)
		return NULL;
	clone = pool->free[--pool->nr_free];
	*clone = *pkt;
	clone->next = NULL;
	clone->users = 1;
	clone->datarefs = 0;
	clone->origin = pkt->origin ? pkt->origin : pkt;
	clone->origin->datarefs++;
	return clone;
}

static void data_put(struct pkt_pool *pool, struct pkt *pkt, void (*gone)(struct pkt *pkt))
{
	gone(pkt);
	pool->free[pool->nr_free++] = pkt;
}

void pkt_free_shared(struct pkt_pool *pool, struct pkt *pkt, void (*gone)(struct pkt *pkt))
{
	struct pkt *owner = pkt->origin ? pkt->origin : pkt;

	if (--pkt->users)
		return;
	if (pkt != owner)
		pool->free[pool->nr_free++] = pkt;
	if (--owner->datarefs)
		return;
	for (struct pkt *frag = owner->frag_list, *next; frag; frag = next) {
		next = frag->next;
		data_put(pool, frag, gone);
	}
	data_put(pool, owner, gone);
}
