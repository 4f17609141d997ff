/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * track.h - what became of the sequence numbers of each flow. A flow is
 * (run, flow, port): two runs of the generator, or two ports, are never mixed up.
 *
 *   seen    bit seq % TRACK_WINDOW: seq was received    next: highest seq + 1
 *           [next - TRACK_WINDOW, next)
 *
 * A datagram below next is a duplicate if its bit is set, else it was reordered.
 * One below the window cannot be told apart and counts as reordered. One thread;
 * memory grows with the flows, up to TRACK_FLOWS.
 */
#ifndef SLUICE_CLI_TRACK_H
#define SLUICE_CLI_TRACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACK_FLOWS 1000000u
/* Wider than any reordering that RSS, RPS or a ring can cause is not needed to tell it from a
 * duplicate. */
#define TRACK_WINDOW 256u

struct track_flow {
	uint32_t run;
	uint32_t flow;
	uint16_t port;
	uint16_t used;
	uint32_t pad;
	uint64_t next;
	uint64_t distinct;
	uint64_t seen[TRACK_WINDOW / 64];
};

struct track {
	struct track_flow *slot;	/* open addressing, a power of two */
	uint32_t size;
	uint32_t flows;
	uint64_t reordered;
	uint64_t duplicates;
	uint64_t untracked; /* of flows beyond TRACK_FLOWS or beyond memory, or with an impossible
			       seq */
};

/* 0 or -ENOMEM. */
int track_init(struct track *t);
/* Records one datagram; seq as on the wire, 32 bits that wrap. */
void track_add(struct track *t, uint32_t run, uint32_t flow, uint16_t port, uint32_t seq);
/* Sum over the flows of highest seq + 1 - distinct received. */
uint64_t track_lost(const struct track *t);
void track_free(struct track *t);

#endif
