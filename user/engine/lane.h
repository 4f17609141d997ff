/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * lane.h - the producing end of a lane (include/sluice/lane.h has the shared
 * layout and the ordering rules).
 *
 * Ownership: the daemon maps the memory and hands it over at lane_init(); the
 * lane never frees it. Threads: a batch is lane_lock/trylock, lane_put() any
 * number of times, lane_commit(), lane_unlock(); multi producer through that
 * lock. The consumer is another process and is not trusted: what it writes is
 * read once, checked, and a breach marks the lane broken.
 */
#ifndef SLUICE_ENGINE_LANE_H
#define SLUICE_ENGINE_LANE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <sluice/lane.h>

#include "engine/pkt.h"
#include "engine/rfs.h"

/* Where a record ends and whose flow it was, until the client has consumed it. */
struct lane_mark {
	uint32_t hash;
	uint32_t end;	/* low 32 bits of the position behind the record */
};

struct lane {
	struct sluice_lane_head *head;
	struct sluice_lane_ctl *ctl;
	uint8_t *ring;
	uint64_t producer;	/* position of the next record, not yet committed */
	uint64_t consumer;	/* last checked value of ctl->consumer */
	uint32_t size;
	struct lane_mark *mark;	/* ring of size / SLUICE_REC_ALIGN entries */
	uint32_t mark_head;	/* next to write */
	uint32_t mark_tail;	/* oldest not yet recorded */
	uint64_t delivered;
	uint64_t drops;
	uint64_t wakeups;
	uint32_t cpu;		/* last checked value of ctl->cpu */
	const struct rfs *rfs;	/* where consumption is recorded; outlives the lane */
	int wake_fd;		/* AF_UNIX socket; a byte wakes the client */
	bool broken;
	pthread_mutex_t lock;
};

/*
 * Builds a lane over zeroed memory: head (SLUICE_LANE_HEAD bytes) is followed
 * by the ring of size bytes. size must be a power of two in
 * [SLUICE_LANE_MIN, SLUICE_LANE_MAX]: else -EINVAL. -ENOMEM.
 */
int lane_init(struct lane *lane, void *head, struct sluice_lane_ctl *ctl, uint32_t size,
	      int wake_fd, const struct rfs *rfs);
void lane_destroy(struct lane *lane);

static inline bool lane_trylock(struct lane *lane)
{
	return pthread_mutex_trylock(&lane->lock) == 0;
}

static inline void lane_lock(struct lane *lane)
{
	pthread_mutex_lock(&lane->lock);
}

static inline void lane_unlock(struct lane *lane)
{
	pthread_mutex_unlock(&lane->lock);
}

/*
 * Copies the packet's payload (data..tail) with its addresses into the ring.
 * 0; -ENOBUFS: no room, counted in head->drops; -EPIPE: the lane is broken.
 * The packet stays the caller's. Not visible to the client before lane_commit().
 */
int lane_put(struct lane *lane, const struct pkt *pkt, uint64_t tstamp);

/*
 * Room for a record of len bytes, which the caller fills in, kind and len included, or NULL and
 * *err: -ENOBUFS and -EPIPE as of lane_put().
 */
struct sluice_rec *lane_reserve(struct lane *lane, uint32_t len, int *err);

/*
 * Publishes what was put, records where the client consumed what it has
 * consumed since (rfs.h), and wakes the client if it asked. 0; -EPIPE when the client
 * broke the rules: the caller must have it disconnected.
 */
int lane_commit(struct lane *lane);
/* The same for a consumer that is not to be woken, and whose flows are nobody's (tap.h). */
int lane_commit_quiet(struct lane *lane);

#endif
