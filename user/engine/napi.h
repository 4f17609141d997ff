/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * napi.h - one source of packets polled by one worker: Linux's napi_struct.
 *
 * Ownership: belongs to its worker; only the worker's thread calls these. The
 * counters may be read by any thread (stat.h).
 *
 * Books, in packets as they came: received = delivered + handed + the sum of drop[] + what is
 * held right now, less what is away. The backlog's instance receives what others have handed.
 */
#ifndef SLUICE_ENGINE_NAPI_H
#define SLUICE_ENGINE_NAPI_H

#include <stdbool.h>
#include <stdint.h>

#include <sluice/drop.h>

#include "engine/gro.h"
#include "engine/pkt.h"
#include "engine/source.h"

/*
 * Packets taken in one poll, Linux's NAPI_POLL_WEIGHT: amortises the locks and ring updates, and
 * still fits a cache.
 */
#define NAPI_WEIGHT 64

struct napi_stat {
	uint64_t received;
	uint64_t bytes;
	uint64_t delivered;
	uint64_t handed;	/* to another worker (backlog.h) */
	uint64_t drop[SLUICE_DROPS];
	uint64_t no_meta;	/* came without rx_meta */
	uint64_t csum_partial;	/* accepted with the checksum of a local sender */
};

struct napi {
	struct source *src;	/* NULL: the backlog's */
	struct worker *worker;
	uint16_t queue;
	uint32_t target;	/* index in flow_head */
	uint32_t seq;		/* of the last packet taken */
	bool leaving;		/* head is moved by whoever takes the worker away */
	bool scheduled;		/* on the worker's poll list, or to be polled again */
	uint32_t held;		/* packets taken, not yet delivered or dropped, or not yet back */
	uint32_t nr_away;	/* of these, with other workers */
	struct pkt *away_first;	/* by sequence number */
	struct pkt *away_last;
	unsigned int nr_done;	/* frames to recycle */
	uint64_t *done;
	struct gro gro;
	struct napi_stat stat;
};

/*
 * Goes on from where flow_head is. -ENOMEM. The source stays the caller's. max_held: the size of
 * the worker's packet pool.
 */
int napi_init(struct napi *napi, struct worker *worker, struct source *src, uint16_t queue,
	      unsigned int max_held);
void napi_destroy(struct napi *napi);

/* Takes and processes up to budget packets, at most NAPI_WEIGHT; returns how many. */
unsigned int napi_poll(struct napi *napi, unsigned int budget);

/* Returns finished frames to the source and moves flow_head, once per poll. */
void napi_complete(struct napi *napi);

/*
 * Nothing up to seq is under way any more: processed, or lost in the ring. Only while the
 * worker does not run, or is held (worker.h).
 */
void napi_settle(struct napi *napi, uint32_t seq);

/*
 * The two ends of a packet: each counts it, a merged one as what it was, and drops the caller's
 * use of it. Not for clones: the packet that was received has one fate.
 */
void pkt_delivered(struct pkt *pkt);
void pkt_drop(struct pkt *pkt, enum sluice_drop reason);

/* A packet on its way through another worker (backlog.h): before, there, and after. */
void napi_hand_over(struct pkt *pkt);
void napi_take_over(struct napi *backlog, struct pkt *pkt);
void napi_take_back(struct pkt *pkt);

#endif
