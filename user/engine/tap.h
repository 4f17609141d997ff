/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * tap.h - who looks at packets as they pass (Linux: ptype_all), at one of three places:
 *
 *   ring --> TAP_RX --> GRO --> TAP_GRO --> netif, ip, udp --> TAP_L4 --> lane
 *
 * A tap copies what it wants and keeps nothing; it has no say in what becomes of the
 * packet. What a copy costs is bounded by the tap's snap length, and whoever reads
 * the copies is never waited for.
 *
 * Ownership: the tap is its registrant's, from tap_add() until tap_del() returns.
 * Threads: see() and commit() are called by every worker, so what they write is by
 * worker; tap_add and tap_del by the control thread.
 */
#ifndef SLUICE_ENGINE_TAP_H
#define SLUICE_ENGINE_TAP_H

#include <stdint.h>
#include <urcu-qsbr.h>

#include "engine/pkt.h"

struct worker;

enum tap_stage {
	TAP_RX,		/* as it came from the ring */
	TAP_GRO,	/* as GRO has left it */
	TAP_L4,		/* for a socket: trimmed to what its headers say */
	TAP_STAGES
};

struct tap {
	enum tap_stage stage;
	/* The frame begins at pkt->mac. */
	void (*see)(struct tap *tap, struct worker *worker, const struct pkt *pkt);
	/* The worker's batch has ended. Also called when it has seen nothing. */
	void (*commit)(struct tap *tap, struct worker *worker);
	struct tap *next;
};

/* All zero: no taps. */
struct taps {
	struct tap *stage[TAP_STAGES];
};

/* -EEXIST: it is there. */
int tap_add(struct taps *taps, struct tap *tap);
/* Returns when no worker uses it any more. -ENOENT: it is not there. */
int tap_del(struct taps *taps, struct tap *tap);

void tap_see_all(struct tap *first, struct worker *worker, const struct pkt *pkt);

static inline void tap_see(const struct taps *taps, enum tap_stage stage, struct worker *worker,
			   const struct pkt *pkt)
{
	struct tap *first = rcu_dereference(taps->stage[stage]);

	if (__builtin_expect(first != NULL, 0))
		tap_see_all(first, worker, pkt);
}

/* At the end of a batch in which worker->tapped was set. */
void tap_commit(struct worker *worker);

#endif
