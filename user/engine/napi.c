/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
#include "engine/napi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/backlog.h"
#include "engine/dissect.h"
#include "engine/engine.h"
#include "engine/gro_bypass.h"
#include "engine/netif.h"
#include "engine/sock.h"
#include "engine/stat.h"
#include "engine/tap.h"
#include "engine/worker.h"

/* How many packets ahead the first lines are fetched: about the time of a cache miss in packets. */
#define NAPI_PREFETCH 4

/*
 * Held packets that are searched for the oldest one: they are in several lists. Too low, and flows
 * stay where they are while lanes are contended; too high, and that makes each poll dearer.
 */
#define NAPI_LOOK_MAX 256

static void napi_gro_done(void *ctx, struct pkt *pkt)
{
	const struct napi *napi = ctx;

	netif_receive(napi->worker, pkt);
}

static bool napi_udp_asked(void *ctx, const struct pkt *pkt)
{
	const struct napi *napi = ctx;

	return udp_gro_asked(napi->worker->engine, pkt);
}

static const struct gro_ops napi_gro_ops = {
	.receive = napi_gro_done,
	.udp_asked = napi_udp_asked,
};

int napi_init(struct napi *napi, struct worker *worker, struct source *src, uint16_t queue,
	      unsigned int max_held)
{
	*napi = (struct napi){
		.src = src,
		.worker = worker,
		.queue = queue,
		.target = queue * SLUICE_MAX_WORKERS + worker->index,
	};
	gro_init(&napi->gro, &napi_gro_ops, napi);
	if (worker->engine->flow_head)
		napi->seq = worker->engine->flow_head[napi->target];
	napi->done = calloc(max_held, sizeof(*napi->done));
	return napi->done ? 0 : -ENOMEM;
}

void napi_destroy(struct napi *napi)
{
	free(napi->done);
	napi->done = NULL;
}

/* The frame goes back with the last user of its bytes. */
static void napi_frame_done(struct pkt *pkt)
{
	struct napi *napi = pkt->napi;

	napi->done[napi->nr_done++] = pkt->frame;
	napi->held--;
}

/* Of a merged one, each of its structs in turn: the first, its fragments, NULL. */
static struct pkt *pkt_after(const struct pkt *first, const struct pkt *p)
{
	return p == first ? first->frag_list : p->next;
}

/* Each struct of a merged one on its own: so they are on their home's list. */
static void backlog_done(struct pkt *pkt)
{
	struct backlog *b = pkt->napi->worker->backlog;

	for (struct pkt *p = pkt, *after; p; p = after) {
		after = pkt_after(pkt, p);
		p->next = b->done;
		b->done = p;
		b->napi.held--;
	}
	pkt->frag_list = NULL;
	pkt->frag_len = 0;
}

static inline __attribute__((always_inline)) void pkt_done(struct pkt *pkt)
{
	if (__builtin_expect(!pkt->napi->src, 0))
		backlog_done(pkt);
	else
		pkt_free(&pkt->napi->worker->pool, pkt, napi_frame_done);
}

void pkt_delivered(struct pkt *pkt)
{
	stat_add(&pkt->napi->stat.delivered, pkt->gso_segs);
	pkt_done(pkt);
}

void pkt_drop(struct pkt *pkt, enum sluice_drop reason)
{
	stat_add(&pkt->napi->stat.drop[reason], pkt->gso_segs);
	stat_add(&pkt->napi->worker->stat.dropped, pkt->gso_segs);
	pkt_done(pkt);
}

/* Numbers come nearly in order. */
static void away_insert(struct napi *napi, struct pkt *pkt)
{
	struct pkt *before = napi->away_last;

	while (before && (int32_t)(pkt->seq - before->seq) < 0)
		before = before->away_prev;
	pkt->away_prev = before;
	pkt->away_next = before ? before->away_next : napi->away_first;
	*(before ? &before->away_next : &napi->away_first) = pkt;
	*(pkt->away_next ? &pkt->away_next->away_prev : &napi->away_last) = pkt;
	__atomic_store_n(&napi->nr_away, napi->nr_away + 1, __ATOMIC_RELAXED);
}

static void away_remove(struct napi *napi, struct pkt *pkt)
{
	*(pkt->away_prev ? &pkt->away_prev->away_next : &napi->away_first) = pkt->away_next;
	*(pkt->away_next ? &pkt->away_next->away_prev : &napi->away_last) = pkt->away_prev;
	__atomic_store_n(&napi->nr_away, napi->nr_away - 1, __ATOMIC_RELAXED);
}

void napi_hand_over(struct pkt *pkt)
{
	struct napi *napi = pkt->napi;

	stat_add(&napi->stat.handed, pkt->gso_segs);
	for (struct pkt *p = pkt; p; p = pkt_after(pkt, p)) {
		if (napi->src) {
			p->home = napi;
			away_insert(napi, p);
		} else {
			napi->held--;
		}
	}
}

void napi_take_over(struct napi *backlog, struct pkt *pkt)
{
	for (struct pkt *p = pkt; p; p = pkt_after(pkt, p)) {
		p->napi = backlog;
		backlog->held++;
	}
}

void napi_take_back(struct pkt *pkt)
{
	pkt->napi = pkt->home;
	away_remove(pkt->napi, pkt);
	pkt_free(&pkt->napi->worker->pool, pkt, napi_frame_done);
}

/* Takes what the XDP program wrote before the packet, and erases it for the frame's next one. */
static void napi_take_meta(struct napi *napi, struct pkt *pkt)
{
	struct sluice_rx_meta meta = { 0 };
	uint8_t *at = pkt->data - sizeof(meta);

	if ((size_t)(pkt->data - pkt->head) >= sizeof(meta))
		memcpy(&meta, at, sizeof(meta));
	if (meta.magic != SLUICE_RX_MAGIC) {
		stat_add(&napi->stat.no_meta, 1);
		return;
	}
	pkt->hash = meta.hash;
	napi->seq = meta.seq;
	memset(at, 0, sizeof(meta.magic));
}

static void napi_receive(struct napi *napi, const struct rx_desc *desc)
{
	struct worker *worker = napi->worker;
	struct pkt *pkt = pkt_alloc(&worker->pool);

	pkt->napi = napi;
	pkt->frame = desc->frame;
	pkt->hash = 0;
	pkt->ifindex = worker->engine->ifindex;
	pkt->tstamp = worker->now;
	napi->held++;
	if (!desc->data) {
		pkt_drop(pkt, desc->drop);
		return;
	}
	pkt->head = desc->data - desc->room;
	pkt->data = desc->data;
	pkt->tail = desc->data + desc->len;
	pkt->end = pkt->tail;
	napi_take_meta(napi, pkt);
	if (!pkt->hash)
		pkt->hash = dissect_hash(worker->engine, desc->data, desc->len);
	pkt->seq = napi->seq;
	pkt->mac = pkt->data;
	tap_see(&worker->engine->taps, TAP_RX, worker, pkt);
	if (!napi->gro.max_size || gro_bypass(worker->engine, pkt))
		netif_receive(worker, pkt);
	else
		gro_receive(&napi->gro, pkt);
}

/*
 * At the end of every poll, as Linux does with a HZ below 1000, or on time: what is held longer
 * waits for packets that may not come, and keeps its flow from moving.
 */
static void napi_gro_flush(struct napi *napi)
{
	uint64_t timeout = __atomic_load_n(&napi->worker->engine->gro_flush_timeout,
					   __ATOMIC_RELAXED);

	if (napi->gro.held)
		gro_flush(&napi->gro, timeout ? napi->gro.now - timeout : UINT64_MAX);
}

unsigned int napi_poll(struct napi *napi, unsigned int budget)
{
	struct rx_desc desc[NAPI_WEIGHT];
	unsigned int n = budget < NAPI_WEIGHT ? budget : NAPI_WEIGHT;
	uint64_t bytes = 0;

	if (n > napi->worker->pool.nr_free)
		gro_flush_all(&napi->gro);
	if (n > napi->worker->pool.nr_free)
		n = napi->worker->pool.nr_free;
	n = napi->src->ops->peek(napi->src, desc, n);
	napi->gro.now = napi->worker->now;
	if (!n) {
		napi_gro_flush(napi);
		return 0;
	}
	napi->gro.max_size = __atomic_load_n(&napi->worker->engine->gro_max_size, __ATOMIC_RELAXED);
	napi->gro.csum_partial_ok = napi->worker->engine->csum == CSUM_PARTIAL_OK;
	for (unsigned int i = 0; i < n && i < NAPI_PREFETCH; i++)
		__builtin_prefetch(desc[i].data);
	for (unsigned int i = 0; i < n; i++) {
		if (i + NAPI_PREFETCH < n)
			__builtin_prefetch(desc[i + NAPI_PREFETCH].data);
		bytes += desc[i].len;
		napi_receive(napi, &desc[i]);
	}
	napi_gro_flush(napi);
	stat_add(&napi->stat.received, n);
	stat_add(&napi->stat.bytes, bytes);
	stat_add(&napi->worker->stat.processed, n);
	return n;
}

/*
 * How far everything is processed; false: not known, or no further than it was. Held are
 * packets that wait for the lock of a lane, those with other workers, and those in GRO, if it is
 * not flushed with each poll. Were one held elsewhere, the count would not match, and head stay
 * where it is.
 */
static bool napi_processed(const struct napi *napi, uint32_t head, uint32_t *seq)
{
	uint32_t here = napi->held - napi->nr_away, oldest = 0, in_gro = 0;
	unsigned int n, merging;

	*seq = napi->seq;
	if (!napi->held)
		return *seq != head;
	if (here > NAPI_LOOK_MAX)
		return false;
	n = here ? sock_waiting(napi->worker, napi, &oldest) : 0;
	merging = gro_waiting(&napi->gro, &in_gro);
	if (n + merging != here)
		return false;
	if (merging && (!n || (int32_t)(in_gro - oldest) < 0))
		oldest = in_gro;
	if (napi->nr_away && (!here || (int32_t)(napi->away_first->seq - oldest) < 0))
		oldest = napi->away_first->seq;
	*seq = oldest - 1;
	return (int32_t)(*seq - head) > 0;
}

void napi_complete(struct napi *napi)
{
	uint32_t *head = napi->worker->engine->flow_head, seq;

	if (napi->nr_done) {
		napi->src->ops->recycle(napi->src, napi->done, napi->nr_done);
		napi->nr_done = 0;
	}
	/* After the lanes were committed: flows move on the strength of this. */
	if (head && !__atomic_load_n(&napi->leaving, __ATOMIC_RELAXED) &&
	    napi_processed(napi, head[napi->target], &seq))
		__atomic_store_n(&head[napi->target], seq, __ATOMIC_RELEASE);
}

void napi_settle(struct napi *napi, uint32_t seq)
{
	uint32_t *head = napi->worker->engine->flow_head;

	napi->seq = seq;
	if (head)
		__atomic_store_n(&head[napi->target], seq, __ATOMIC_RELEASE);
}
