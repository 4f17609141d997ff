/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
#include "engine/gro.h"

#include <net/ethernet.h>
#include <string.h>

#include "engine/gro_cb.h"

void gro_init(struct gro *gro, const struct gro_ops *ops, void *ctx)
{
	*gro = (struct gro){ .ops = ops, .ctx = ctx, .max_size = GRO_MAX_SIZE };
}

/* Whatever the hash says, another link-layer header is another flow. */
static void gro_prepare(const struct gro_list *list, const struct pkt *pkt)
{
	for (unsigned int i = 0; i < list->count; i++) {
		const struct pkt *p = list->held[i];

		gro_cb(p)->same_flow = p->hash == pkt->hash &&
				       !memcmp(p->data, pkt->data, ETH_HLEN);
	}
}

bool gro_merge(struct gro *gro, struct pkt *p, struct pkt *pkt)
{
	struct gro_cb *cb = gro_cb(pkt), *held = gro_cb(p);
	uint32_t max = gro->max_size < GRO_MAX_SIZE ? gro->max_size : GRO_MAX_SIZE;

	if (cb->flush || pkt_len(p) - ETH_HLEN + gro_len(pkt) >= max)
		return false;
	if (!pkt_pull(pkt, cb->off))
		return false;
	if (!pkt_append(p, held->last, pkt)) {
		pkt->data -= cb->off;
		return false;
	}
	held->last = pkt;
	p->gso_segs++;
	cb->same_flow = true;
	return true;
}

static void gro_complete(struct gro *gro, struct pkt *pkt)
{
	gro->held--;
	if (pkt->gso_segs > 1)
		gro_ip_complete(pkt);
	else
		pkt->gso_size = 0;
	gro->ops->receive(gro->ctx, pkt);
}

static void gro_remove(struct gro_list *list, const struct pkt *pkt)
{
	unsigned int i = 0;

	while (list->held[i] != pkt)
		i++;
	list->count--;
	memmove(&list->held[i], &list->held[i + 1], (list->count - i) * sizeof(list->held[0]));
}

static void gro_hold(struct gro *gro, struct gro_list *list, struct pkt *pkt)
{
	if (list->count == GRO_HELD_MAX) {
		struct pkt *oldest = list->held[0];

		gro_remove(list, oldest);
		gro_complete(gro, oldest);
	}
	gro_cb(pkt)->last = pkt;
	gro_cb(pkt)->age = gro->now;
	pkt->gso_size = (uint16_t)gro_len(pkt);
	list->held[list->count++] = pkt;
	gro->held++;
}

void gro_receive(struct gro *gro, struct pkt *pkt)
{
	struct gro_list *list = &gro->list[pkt->hash % GRO_BUCKETS];
	struct gro_cb *cb = gro_cb(pkt);
	bool merged, flush;
	struct pkt *done;

	*cb = (struct gro_cb){ .off = ETH_HLEN, .flush = pkt_cloned(pkt) || pkt->users != 1 };
	if (!gro_header(pkt, 0)) {
		gro->ops->receive(gro->ctx, pkt);
		return;
	}
	gro_prepare(list, pkt);
	done = gro_receive_type(gro, list, pkt, gro_load16(pkt->data + 2 * ETH_ALEN));
	/* Merged, it may go with the one that is done, and be nobody's after that. */
	merged = cb->same_flow;
	flush = cb->flush;
	if (done) {
		gro_remove(list, done);
		gro_complete(gro, done);
	}
	if (merged)
		return;
	if (flush)
		gro->ops->receive(gro->ctx, pkt);
	else
		gro_hold(gro, list, pkt);
}

void gro_flush(struct gro *gro, uint64_t before)
{
	for (unsigned int i = 0; i < GRO_BUCKETS; i++) {
		struct gro_list *list = &gro->list[i];

		while (list->count) {
			struct pkt *pkt = list->held[0];
			uint64_t age = gro_cb(pkt)->age;

			if (age > before && age <= gro->now)
				break;
			gro_remove(list, pkt);
			gro_complete(gro, pkt);
		}
	}
}

unsigned int gro_waiting(const struct gro *gro, uint32_t *oldest)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < GRO_BUCKETS; i++) {
		const struct gro_list *list = &gro->list[i];

		for (unsigned int j = 0; j < list->count; j++) {
			const struct pkt *pkt = list->held[j];

			if (!n || (int32_t)(pkt->seq - *oldest) < 0)
				*oldest = pkt->seq;
			n += pkt->gso_segs;
		}
	}
	return n;
}
