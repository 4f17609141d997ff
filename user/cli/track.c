// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* track.c - lost, reordered and duplicated, per flow. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/track.h"

#define TRACK_START 1024u

int track_init(struct track *t)
{
	*t = (struct track){ .size = TRACK_START };
	t->slot = calloc(t->size, sizeof(*t->slot));
	return t->slot ? 0 : -ENOMEM;
}

void track_free(struct track *t)
{
	free(t->slot);
	t->slot = NULL;
}

static uint32_t slot_hash(uint32_t run, uint32_t flow, uint16_t port)
{
	uint64_t h = ((uint64_t)run << 32 | flow) ^ ((uint64_t)port << 17);

	h *= 0x9e3779b97f4a7c15ull;
	return (uint32_t)(h >> 32);
}

/* The flow's slot, or the empty one where it belongs. */
static struct track_flow *slot_find(struct track_flow *slot, uint32_t size, uint32_t run,
				    uint32_t flow, uint16_t port)
{
	uint32_t i = slot_hash(run, flow, port);

	for (;; i++) {
		struct track_flow *f = &slot[i & (size - 1)];

		if (!f->used || (f->flow == flow && f->run == run && f->port == port))
			return f;
	}
}

/* Keeps the table at most half full. */
static int grow(struct track *t)
{
	uint32_t size = t->size * 2;
	struct track_flow *slot;

	if (t->flows < t->size / 2)
		return 0;
	slot = calloc(size, sizeof(*slot));
	if (!slot)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->size; i++) {
		const struct track_flow *f = &t->slot[i];

		if (f->used)
			*slot_find(slot, size, f->run, f->flow, f->port) = *f;
	}
	free(t->slot);
	t->slot = slot;
	t->size = size;
	return 0;
}

static struct track_flow *flow_get(struct track *t, uint32_t run, uint32_t flow, uint16_t port,
				   uint32_t seq)
{
	struct track_flow *f = slot_find(t->slot, t->size, run, flow, port);

	if (f->used)
		return f;
	if (t->flows == TRACK_FLOWS || grow(t))
		return NULL;
	f = slot_find(t->slot, t->size, run, flow, port);
	*f = (struct track_flow){ .run = run, .flow = flow, .port = port, .used = 1, .next = seq };
	t->flows++;
	return f;
}

static uint64_t *seen_word(struct track_flow *f, uint64_t seq)
{
	return &f->seen[seq % TRACK_WINDOW / 64];
}

static uint64_t seen_bit(uint64_t seq)
{
	return 1ull << (seq % 64);
}

static void advance(struct track_flow *f, uint64_t seq)
{
	if (seq - f->next >= TRACK_WINDOW)
		memset(f->seen, 0, sizeof(f->seen));
	else
		for (uint64_t s = f->next; s < seq; s++)
			*seen_word(f, s) &= ~seen_bit(s);
	*seen_word(f, seq) |= seen_bit(seq);
	f->next = seq + 1;
	f->distinct++;
}

void track_add(struct track *t, uint32_t run, uint32_t flow, uint16_t port, uint32_t wire)
{
	struct track_flow *f = flow_get(t, run, flow, port, wire);
	int32_t ahead;
	uint64_t seq;

	if (!f) {
		t->untracked++;
		return;
	}
	ahead = (int32_t)(wire - (uint32_t)f->next);
	if (ahead >= 0) {
		advance(f, f->next + (uint32_t)ahead);
		return;
	}
	/* Below sequence 0: the generator never sent that. */
	if ((uint64_t)-(int64_t)ahead > f->next) {
		t->untracked++;
		return;
	}
	seq = f->next + (uint64_t)(int64_t)ahead;
	if (f->next - seq <= TRACK_WINDOW) {
		if (*seen_word(f, seq) & seen_bit(seq)) {
			t->duplicates++;
			return;
		}
		*seen_word(f, seq) |= seen_bit(seq);
	}
	t->reordered++;
	f->distinct++;
}

uint64_t track_lost(const struct track *t)
{
	uint64_t lost = 0;

	for (uint32_t i = 0; i < t->size; i++)
		if (t->slot[i].used && t->slot[i].next > t->slot[i].distinct)
			lost += t->slot[i].next - t->slot[i].distinct;
	return lost;
}
