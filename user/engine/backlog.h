/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * backlog.h - packets handed from one worker to another (Linux: netif_rx,
 * enqueue_to_backlog, process_backlog, skb_flow_limit, dev_cpu_dead), for what only
 * finds out behind the ring where it belongs.
 *
 *   worker A                                    worker B
 *   napi, netif --- netif_rx ---> [input] --> [process] --> netif_deliver --> lane
 *     ^                                                          |
 *     +-- frame, pkt <--- [returned] <------- [done] <-----------+ once the lanes are committed
 *
 * input and returned are stacks that any worker pushes on with one compare-and-swap, and
 * that their owner takes as a whole and turns round: nobody waits for a preempted
 * producer, and packets of one producer keep their order.
 *
 * Ownership: a packet, its data and its frame are B's from netif_rx() until B pushes
 * it back; struct and frame belong to A's pool and source all the while, and only A's
 * hands give them back. Until then flow_head of its (queue, worker) stays below it.
 * It must have no second user and no clone. Books: A counts it as handed, B as received in
 * the backlog's own napi instance, and then as delivered or dropped.
 *
 * Wake-up: as a lane's (sluice/lane.h). B, before it sleeps: armed = 1, then (E) look at input
 * and returned again. A, at the end of its batch, for each stack that it found empty: its push,
 * then (F) load armed; if 1, exchange it with 0 and, if it was 1, write to kick_fd. E pairs with
 * F: all four are sequentially consistent, so one of the two sees the other's store
 * (tests/model/backlog_wake.pml).
 */
#ifndef SLUICE_ENGINE_BACKLOG_H
#define SLUICE_ENGINE_BACKLOG_H

#include <stdbool.h>
#include <stdint.h>

#include <sluice/steer.h>

#include "engine/napi.h"
#include "engine/pkt.h"

struct worker;

/*
 * Linux's netdev_max_backlog. Too low, and bursts are lost; too high, and the packets of a
 * stalled worker keep the frames of all others: half of a worker's packets.
 */
#define BACKLOG_MAX 1000
/* Linux's FLOW_LIMIT_HISTORY and netdev_flow_limit_table_len. */
#define BACKLOG_HISTORY 128
#define BACKLOG_LIMIT_LEN 4096
#define BACKLOG_LIMIT_LEN_MAX 65536

/* struct sd_flow_limit; written by every producer. */
struct backlog_limit {
	uint32_t mask;
	uint32_t head;				/* of history, counts for ever */
	uint32_t history[BACKLOG_HISTORY];	/* bucket + 1; 0: none yet */
	uint32_t bucket[];			/* how often it is in history */
};

struct backlog {
	/* Any worker. */
	struct pkt *input;
	uint32_t queued;		/* on input, or about to be */
	uint32_t triggered;		/* another worker has found it empty */
	uint64_t dropped;		/* for being full, or by the flow limit */
	uint64_t flow_limited;
	uint8_t pad[88];		/* a line and its neighbour, which come together */
	struct pkt *returned;
	uint32_t armed;			/* 1: the owner sleeps, or is about to */
	uint8_t pad2[116];
	/* The owner. */
	struct napi napi;		/* of what was handed to us; has no source */
	struct pkt *process;		/* oldest first */
	uint32_t processing;		/* on process */
	struct pkt *done;		/* to be pushed back */
	uint32_t max;
	struct backlog_limit *limit;	/* RCU; NULL: off */
	struct worker *wake[SLUICE_MAX_WORKERS];	/* those of wake_mask */
	uint64_t wake_mask;		/* stacks that we found empty: bit per index */
};

/* -ENOMEM. */
int backlog_init(struct worker *worker);
void backlog_destroy(struct worker *worker);

/*
 * Linux's flow limit, from when the backlog is half full: len buckets, a power of two up to
 * BACKLOG_LIMIT_LEN_MAX, else -EINVAL; 0: off. -ENOMEM. Control thread; returns when the old
 * table is unused.
 */
int backlog_set_limit(struct worker *worker, uint32_t len);

/*
 * Hands pkt to `to`, which may be worker itself: protocol set, data at the network header.
 * Consumes pkt. False: dropped, for SLUICE_DROP_BACKLOG or SLUICE_DROP_FLOW_LIMIT. `to` is told at
 * the end of the batch. Multi producer; by the worker that has pkt.
 */
bool netif_rx(struct worker *worker, struct worker *to, struct pkt *pkt);

/* process_backlog: up to quota packets; returns how many. Fewer: it was empty. The owner. */
unsigned int backlog_poll(struct worker *worker, unsigned int quota);

/* After the lanes were committed: pushes back what is done, and wakes who must know. The owner. */
void backlog_complete(struct worker *worker);

/* Takes back what others have pushed on returned. True: something. The owner. */
bool backlog_reap(struct worker *worker);

/* Something is there to poll, or to reap. No side effects. */
static inline bool backlog_pending(const struct backlog *b)
{
	return b->process || __atomic_load_n(&b->input, __ATOMIC_RELAXED) ||
	       __atomic_load_n(&b->returned, __ATOMIC_RELAXED);
}

static inline bool backlog_has_input(const struct backlog *b)
{
	return b->process || __atomic_load_n(&b->input, __ATOMIC_RELAXED);
}

/* True: the owner may sleep; else something has come. Ends with backlog_disarm(). */
bool backlog_arm(struct backlog *b);
void backlog_disarm(struct backlog *b);

/*
 * dev_cpu_dead: moves what waits in `from`, whose thread has ended, to `to`, in order and
 * regardless of its limit. Control thread. During the call nobody may hand
 * packets to `from`, nor to `to` packets that follow one of those: the workers are held, or flows
 * move only afterwards.
 */
void backlog_migrate(struct worker *from, struct worker *to);

/*
 * For workers whose threads have all ended (nr of them, in any order): processes what they have
 * handed to each other, and gives every frame back. Control thread.
 */
void backlog_settle(struct worker *const *worker, unsigned int nr);

#endif
