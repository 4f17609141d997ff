// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* inbox.c - see inbox.h. */
#include <stdlib.h>
#include <sys/mman.h>

#include "cli/inbox.h"
#include "lib/lib.h"

struct inbox {
	struct lane lane;	/* the library's, the reading end */
	uint8_t *memory;
	size_t len;
};

struct inbox *inbox_new(uint32_t size)
{
	struct inbox *in = calloc(1, sizeof(*in));

	if (!in)
		return NULL;
	/* Head, ring, control page. Pages that no record reaches are never there. */
	in->len = 2 * SLUICE_LANE_HEAD + (size_t)size;
	in->memory = mmap(NULL, in->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	if (in->memory == MAP_FAILED) {
		free(in);
		return NULL;
	}
	in->lane.head = (void *)in->memory;
	in->lane.ring = in->memory + SLUICE_LANE_HEAD;
	in->lane.ctl = (void *)(in->memory + SLUICE_LANE_HEAD + size);
	in->lane.size = size;
	return in;
}

void inbox_free(struct inbox *in)
{
	if (!in)
		return;
	munmap(in->memory, in->len);
	free(in);
}

void *inbox_head(struct inbox *in)
{
	return in->memory;
}

struct sluice_lane_ctl *inbox_ctl(struct inbox *in)
{
	return in->lane.ctl;
}

const struct sluice_rec *inbox_next(struct inbox *in)
{
	const struct sluice_rec *rec;
	uint64_t next;

	rec = lib_lane_at(&in->lane, &in->lane.pos, &next);
	if (rec)
		in->lane.pos = next;
	return rec;
}

void inbox_release(struct inbox *in)
{
	lib_lane_publish(&in->lane);
}
