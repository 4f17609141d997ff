/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
#include "engine/lane.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "engine/stat.h"

int lane_init(struct lane *lane, void *head, struct sluice_lane_ctl *ctl, uint32_t size,
	      int wake_fd, const struct rfs *rfs)
{
	if (size < SLUICE_LANE_MIN || size > SLUICE_LANE_MAX || (size & (size - 1)))
		return -EINVAL;
	*lane = (struct lane){
		.head = head,
		.ctl = ctl,
		.ring = (uint8_t *)head + SLUICE_LANE_HEAD,
		.size = size,
		.wake_fd = wake_fd,
		.rfs = rfs,
		.cpu = SLUICE_NO_CPU,
	};
	lane->mark = calloc(size / SLUICE_REC_ALIGN, sizeof(*lane->mark));
	if (!lane->mark)
		return -ENOMEM;
	pthread_mutex_init(&lane->lock, NULL);
	lane->head->size = size;
	lane->head->magic = SLUICE_LANE_MAGIC;
	return 0;
}

void lane_destroy(struct lane *lane)
{
	if (!lane->mark)
		return;
	free(lane->mark);
	lane->mark = NULL;
	pthread_mutex_destroy(&lane->lock);
}

/* Every record up to the client's position was consumed on the CPU it names. */
static void lane_record_flows(struct lane *lane)
{
	uint32_t mask = lane->size / SLUICE_REC_ALIGN - 1;
	uint32_t consumer = (uint32_t)lane->consumer;

	for (; lane->mark_tail != lane->mark_head; lane->mark_tail++) {
		const struct lane_mark *mark = &lane->mark[lane->mark_tail & mask];

		if ((int32_t)(consumer - mark->end) < 0)
			break;
		if (lane->cpu <= lane->rfs->cpu_mask)
			rfs_record(lane->rfs, mark->hash, lane->cpu);
	}
}

/*
 * Takes the client's position and what it says of itself. False, and the lane is broken,
 * when it cannot be true.
 */
static bool lane_update_consumer(struct lane *lane)
{
	/* (D) pairs with (C): the client has read all that lies before it. */
	uint64_t consumer = __atomic_load_n(&lane->ctl->consumer, __ATOMIC_ACQUIRE);
	uint64_t used = lane->producer - lane->consumer;

	if (consumer - lane->consumer > used || consumer % SLUICE_REC_ALIGN) {
		lane->broken = true;
		return false;
	}
	lane->consumer = consumer;
	lane->cpu = __atomic_load_n(&lane->ctl->cpu, __ATOMIC_RELAXED);
	lane_record_flows(lane);
	return true;
}

static bool lane_room(struct lane *lane, uint32_t need)
{
	if (lane->size - (lane->producer - lane->consumer) >= need)
		return true;
	return lane_update_consumer(lane) && lane->size - (lane->producer - lane->consumer) >= need;
}

static void lane_skip(struct lane *lane, uint32_t bytes)
{
	struct sluice_rec *rec = (void *)(lane->ring + (lane->producer & (lane->size - 1)));

	rec->kind = SLUICE_REC_SKIP;
	rec->len = bytes - (uint32_t)sizeof(*rec);
	lane->producer += bytes;
}

static void lane_write(struct sluice_rec *rec, const struct pkt *pkt, uint64_t tstamp)
{
	uint32_t len = pkt_len(pkt);

	rec->len = len;
	rec->kind = SLUICE_REC_DATA;
	rec->gso_size = pkt->gso_size;
	rec->hash = pkt->hash;
	rec->ifindex = pkt->ifindex;
	rec->tstamp = tstamp;
	rec->sport = pkt->sport;
	rec->dport = pkt->dport;
	rec->version = pkt->version;
	rec->tos = pkt->tos;
	rec->ttl = pkt->ttl;
	rec->pad = 0;
	if (pkt->version == 4) {
		uint32_t saddr[4] = { pkt->saddr.w[3] }, daddr[4] = { pkt->daddr.w[3] };

		memcpy(rec->saddr, saddr, sizeof(saddr));
		memcpy(rec->daddr, daddr, sizeof(daddr));
	} else {
		memcpy(rec->saddr, &pkt->saddr, sizeof(pkt->saddr));
		memcpy(rec->daddr, &pkt->daddr, sizeof(pkt->daddr));
	}
	pkt_copy(pkt, (uint8_t *)(rec + 1));
}

/* Inline: it is on the way of every datagram. */
static inline __attribute__((always_inline)) struct sluice_rec *
lane_take(struct lane *lane, uint32_t len, uint32_t packets, int *err)
{
	uint32_t need = SLUICE_REC_SPACE(len);
	uint32_t to_end = lane->size - (uint32_t)(lane->producer & (lane->size - 1));
	uint32_t skip = need > to_end ? to_end : 0;
	struct sluice_rec *rec;

	*err = -EPIPE;
	if (lane->broken)
		return NULL;
	if (!lane_room(lane, need + skip)) {
		if (lane->broken)
			return NULL;
		stat_add(&lane->drops, packets);
		*err = -ENOBUFS;
		return NULL;
	}
	if (skip)
		lane_skip(lane, skip);
	rec = (void *)(lane->ring + (lane->producer & (lane->size - 1)));
	lane->producer += need;
	stat_add(&lane->delivered, packets);
	return rec;
}

struct sluice_rec *lane_reserve(struct lane *lane, uint32_t len, int *err)
{
	return lane_take(lane, len, 1, err);
}

int lane_put(struct lane *lane, const struct pkt *pkt, uint64_t tstamp)
{
	int err;
	struct sluice_rec *rec = lane_take(lane, pkt_len(pkt), pkt->gso_segs, &err);

	if (!rec)
		return err;
	lane_write(rec, pkt, tstamp);
	lane->mark[lane->mark_head++ & (lane->size / SLUICE_REC_ALIGN - 1)] =
		(struct lane_mark){ .hash = pkt->hash, .end = (uint32_t)lane->producer };
	return 0;
}

static void lane_wake(struct lane *lane)
{
	/*
	 * The client holds the other end and may have filled it (then a byte is
	 * there to wake it); MSG_DONTWAIT holds whatever flags it sets on the descriptor.
	 */
	if (send(lane->wake_fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
		stat_add(&lane->wakeups, 1);
	else if (errno != EAGAIN)
		__atomic_store_n(&lane->ctl->armed, 1, __ATOMIC_RELAXED);
}

static void lane_publish(struct lane *lane)
{
	__atomic_store_n(&lane->head->drops, lane->drops, __ATOMIC_RELAXED);
	__atomic_store_n(&lane->head->delivered, lane->delivered, __ATOMIC_RELAXED);
	/*
	 * (A) pairs with (B): the records are complete before the client sees them.
	 * (F) pairs with (E): the load of armed stays behind the store of producer.
	 */
	__atomic_store_n(&lane->head->producer, lane->producer, __ATOMIC_SEQ_CST);
}

int lane_commit(struct lane *lane)
{
	if (lane->broken)
		return -EPIPE;
	lane_publish(lane);
	if (__atomic_load_n(&lane->ctl->armed, __ATOMIC_SEQ_CST) &&
	    __atomic_exchange_n(&lane->ctl->armed, 0, __ATOMIC_ACQ_REL))
		lane_wake(lane);

	return lane_update_consumer(lane) ? 0 : -EPIPE;
}

int lane_commit_quiet(struct lane *lane)
{
	if (lane->broken)
		return -EPIPE;
	lane_publish(lane);
	return lane_update_consumer(lane) ? 0 : -EPIPE;
}
