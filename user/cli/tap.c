// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* tap.c - the rings of a tap, as their reader has them. */
#include "cli/tap.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/out.h"
#include "cli/query.h"

static int map_rings(struct tap_reader *t, const struct sluice_ctl_msg *msg, const int fds[2])
{
	size_t stride = SLUICE_LANE_HEAD + (size_t)msg->u.tapped.ring_bytes;

	t->rings = msg->u.tapped.rings;
	t->size = msg->u.tapped.ring_bytes;
	t->data_len = t->rings * stride;
	t->ctl_len = t->rings * sizeof(struct sluice_lane_ctl);
	t->ring = calloc(t->rings, sizeof(*t->ring));
	t->data = mmap(NULL, t->data_len, PROT_READ, MAP_SHARED, fds[0],
		       (off_t)msg->u.tapped.data_offset);
	t->ctl = mmap(NULL, t->ctl_len, PROT_READ | PROT_WRITE, MAP_SHARED, fds[1],
		      (off_t)msg->u.tapped.ctl_offset);
	if (!t->ring || t->data == MAP_FAILED || t->ctl == MAP_FAILED)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->rings; i++) {
		t->ring[i].head = (const void *)((const uint8_t *)t->data + i * stride);
		t->ring[i].ctl = (struct sluice_lane_ctl *)t->ctl + i;
	}
	return 0;
}

int tap_open(struct tap_reader *t, const char *command, const char *dev,
	     enum sluice_tap_stage stage, uint32_t snaplen, uint32_t ring_bytes)
{
	struct sluice_ctl_msg msg = {
		.type = SLUICE_CTL_TAP,
		.u.tap = { .stage = stage, .snaplen = snaplen, .ring_bytes = ring_bytes },
	};
	int fds[2], err;

	*t = (struct tap_reader){ .data = MAP_FAILED, .ctl = MAP_FAILED };
	t->sock = open_daemon(command, dev);
	if (t->sock < 0)
		return -1;
	if (ask_for_fds(command, dev, t->sock, &msg, SLUICE_CTL_TAPPED, fds, 2)) {
		tap_close(t);
		return -1;
	}
	err = map_rings(t, &msg, fds);
	close(fds[0]);
	close(fds[1]);
	if (err) {
		out_error(command, "cannot map the rings: %s", strerror(-err));
		tap_close(t);
		return -1;
	}
	return 0;
}

void tap_close(struct tap_reader *t)
{
	if (t->data != MAP_FAILED)
		munmap(t->data, t->data_len);
	if (t->ctl != MAP_FAILED)
		munmap(t->ctl, t->ctl_len);
	free(t->ring);
	if (t->sock >= 0)
		close(t->sock);
}

bool tap_look(struct tap_reader *t)
{
	bool some = false;

	for (uint32_t i = 0; i < t->rings; i++) {
		struct tap_reader_ring *r = &t->ring[i];

		/* (B) pairs with (A) of sluice/lane.h. */
		r->end = __atomic_load_n(&r->head->producer, __ATOMIC_ACQUIRE);
		some |= r->end != r->pos;
	}
	return some;
}

/* The record that the ring comes to next, or NULL. */
static const struct sluice_tap_rec *ring_peek(const struct tap_reader *t, struct tap_reader_ring *r)
{
	const uint8_t *base = (const uint8_t *)r->head + SLUICE_LANE_HEAD;

	while (r->pos != r->end) {
		const struct sluice_tap_rec *rec = (const void *)(base + (r->pos & (t->size - 1)));

		if (rec->kind == SLUICE_REC_FRAME)
			return rec;
		r->pos += SLUICE_REC_SPACE(rec->len);
	}
	return NULL;
}

const struct sluice_tap_rec *tap_next(struct tap_reader *t)
{
	const struct sluice_tap_rec *best = NULL;
	struct tap_reader_ring *from = NULL;

	for (uint32_t i = 0; i < t->rings; i++) {
		const struct sluice_tap_rec *rec = ring_peek(t, &t->ring[i]);

		if (rec && (!best || rec->tstamp < best->tstamp)) {
			best = rec;
			from = &t->ring[i];
		}
	}
	if (best)
		from->pos += SLUICE_REC_SPACE(best->len);
	return best;
}

void tap_release(struct tap_reader *t)
{
	for (uint32_t i = 0; i < t->rings; i++)
		/* (C) pairs with (D) of sluice/lane.h. */
		__atomic_store_n(&t->ring[i].ctl->consumer, t->ring[i].pos, __ATOMIC_RELEASE);
}

void tap_count(const struct tap_reader *t, uint64_t *copied, uint64_t *lost)
{
	*copied = *lost = 0;
	for (uint32_t i = 0; i < t->rings; i++) {
		*copied += __atomic_load_n(&t->ring[i].head->delivered, __ATOMIC_RELAXED);
		*lost += __atomic_load_n(&t->ring[i].head->drops, __ATOMIC_RELAXED);
	}
}
