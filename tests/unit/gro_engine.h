/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * gro_engine.h - the engine's GRO on a bench: frames in, packets out, as gro_out.h has
 * them. The sockets are those of gro_stream.h's ports, in a real table.
 */
#ifndef TEST_GRO_ENGINE_H
#define TEST_GRO_ENGINE_H

#include <net/ethernet.h>

#include "engine/engine.h"
#include "engine/gro.h"
#include "engine/gro_bypass.h"
#include "engine/sock.h"
#include "engine/udp.h"

#include "gro_out.h"
#include "gro_stream.h"

struct gro_engine {
	struct engine *engine;
	struct sock asked, other;
	struct gro gro;
	struct pkt_pool pool;
	struct frame *frame;	/* one for each packet of the pool */
	struct gro_outs *outs;	/* of the poll under way */
	bool bypass;		/* as napi does */
	uint32_t hash;		/* of every packet */
	uint32_t seq;
	enum { GRO_SHARE_NONE, GRO_SHARE_GET, GRO_SHARE_CLONE } share;
	struct pkt *shared;	/* the last packet once more, where it is shared */
	bool overflow;
};

static inline void gro_engine_gone(struct pkt *pkt)
{
	(void)pkt;
}

static inline void gro_engine_out(void *ctx, struct pkt *pkt)
{
	struct gro_engine *g = ctx;
	struct gro_out *out = &g->outs->out[g->outs->nr];

	if (g->outs->nr == GRO_OUT_MAX || pkt_len(pkt) > GRO_OUT_BYTES) {
		g->overflow = true;
	} else {
		g->outs->nr++;
		out->type = pkt->gso_size ? (enum gro_out_type)pkt->gso_type : GRO_OUT_SINGLE;
		out->csum = (enum gro_out_csum)pkt->csum;
		out->gso_size = pkt->gso_size;
		out->ecn = false;
		out->len = pkt_len(pkt);
		out->segs = pkt->gso_segs;
		out->fixed_id = pkt->gso_fixed_id;
		pkt_copy(pkt, out->data);
	}
	pkt_free(&g->pool, pkt, gro_engine_gone);
}

static inline bool gro_engine_asked(void *ctx, const struct pkt *pkt)
{
	const struct gro_engine *g = ctx;

	return udp_gro_asked(g->engine, pkt);
}

static inline bool gro_engine_port(struct gro_engine *g, unsigned int port, struct sock *sk)
{
	struct udp_entry entry[2] = { { .sk = sk },
				      { .sk = sk, .key = { .ipv6 = true, .v6only = true } } };

	return !udp_table_set(&g->engine->udp, (uint16_t)port, entry, 2);
}

static inline bool gro_engine_init(struct gro_engine *g)
{
	static const struct gro_ops ops = {
		.receive = gro_engine_out,
		.udp_asked = gro_engine_asked,
	};
	bool ok = true;

	*g = (struct gro_engine){ .engine = calloc(1, sizeof(*g->engine)), .asked.gro = true };
	g->frame = calloc(GRO_OUT_MAX, sizeof(*g->frame));
	if (!g->engine || !g->frame || pkt_pool_init(&g->pool, GRO_OUT_MAX))
		return false;
	for (unsigned int i = 0; i < GRO_PORTS; i++)
		ok = ok && gro_engine_port(g, GRO_PORT_ASKED + i, &g->asked) &&
		     gro_engine_port(g, GRO_PORT_OTHER + i, &g->other);
	gro_init(&g->gro, &ops, g);
	return ok;
}

static inline void gro_engine_destroy(struct gro_engine *g)
{
	for (unsigned int i = 0; g->engine && i < GRO_PORTS; i++) {
		udp_table_set(&g->engine->udp, (uint16_t)(GRO_PORT_ASKED + i), NULL, 0);
		udp_table_set(&g->engine->udp, (uint16_t)(GRO_PORT_OTHER + i), NULL, 0);
	}
	free(g->engine);
	free(g->frame);
	pkt_pool_destroy(&g->pool);
}

/* One frame; false: no packet is free. What comes out is added to outs. */
static inline bool gro_engine_push(struct gro_engine *g, const struct frame *f,
				   struct gro_outs *outs)
{
	struct pkt *pkt = pkt_alloc(&g->pool);
	struct frame *room;

	if (!pkt)
		return false;
	room = &g->frame[pkt - g->pool.all];
	memcpy(room->b, f->b, f->len);
	pkt->head = pkt->data = room->b;
	pkt->tail = pkt->data + f->len;
	pkt->end = room->b + sizeof(room->b);
	pkt->hash = g->hash;
	pkt->seq = g->seq;
	pkt->ifindex = 1;
	g->outs = outs;
	if (g->share != GRO_SHARE_NONE)
		g->shared = g->share == GRO_SHARE_GET ? pkt_get(pkt) : pkt_clone(&g->pool, pkt);
	if (g->bypass && gro_bypass(g->engine, pkt))
		gro_engine_out(g, pkt);
	else
		gro_receive(&g->gro, pkt);
	return true;
}

/* As many polls as it needs. False: more came out than went in, or not all packets are back. */
static inline bool gro_engine_run(struct gro_engine *g, const struct gro_stream *st,
				  struct gro_outs *outs)
{
	outs->nr = 0;
	for (unsigned int i = 0; i < st->nr; i++) {
		if (!gro_engine_push(g, &st->frame[i], outs))
			return false;
		if ((i + 1) % GRO_POLL == 0)
			gro_flush_all(&g->gro);
	}
	gro_flush_all(&g->gro);
	return !g->overflow && !g->gro.held && g->pool.nr_free == g->pool.size;
}

#endif
