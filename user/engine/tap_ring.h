/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * tap_ring.h - a tap (tap.h) that copies frames into shared memory, one ring per worker
 * (include/sluice/tap.h).
 *
 * Each ring has one producer, its worker, and so no lock. What a frame costs is a copy of
 * snaplen bytes at most, or, where the ring is full, one look at the reader's position.
 *
 * Ownership: memory of the rings as of lane.h. Threads: init and destroy by the control thread,
 * while the tap is not registered.
 */
#ifndef SLUICE_ENGINE_TAP_RING_H
#define SLUICE_ENGINE_TAP_RING_H

#include <stdbool.h>
#include <stdint.h>

#include <sluice/tap.h>

#include "engine/lane.h"
#include "engine/tap.h"

struct tap_ring {
	struct tap tap;
	uint32_t snaplen;
	bool broken;		/* the reader broke the rules of a ring; written by any worker */
	unsigned int nr;
	unsigned int max;
	struct lane *lane;	/* by worker */
};

/* A tap for max workers, without rings. -EINVAL: stage or snaplen; -ENOMEM. */
int tap_ring_init(struct tap_ring *tr, uint32_t stage, uint32_t snaplen, unsigned int max);
/*
 * The ring of the next worker, before the tap is registered; of those that have none nothing is
 * seen. As lane_init().
 */
int tap_ring_add(struct tap_ring *tr, void *head, struct sluice_lane_ctl *ctl, uint32_t size);
/* Also of one that is zeroed. */
void tap_ring_destroy(struct tap_ring *tr);

/* Copies made, and not made. Any thread. */
void tap_ring_stat(const struct tap_ring *tr, uint64_t *copied, uint64_t *lost);

#endif
