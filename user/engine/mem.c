/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
#include "engine/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/steer.h>

static struct mem_source *mem_of(struct source *src)
{
	return (struct mem_source *)((char *)src - offsetof(struct mem_source, src));
}

static uint8_t *mem_data(const struct mem_source *mem, uint32_t frame)
{
	return mem->area + frame * mem->stride + MEM_HEADROOM;
}

static unsigned int mem_peek(struct source *src, struct rx_desc *desc, unsigned int n)
{
	struct mem_source *mem = mem_of(src);
	unsigned int i;

	for (i = 0; i < n && mem->tail != mem->head; i++) {
		uint32_t frame = mem->queue[mem->tail++ & (mem->frames - 1)];
		bool whole = mem->drop[frame] == SLUICE_DROPS;

		mem->out[frame] = true;
		desc[i] = (struct rx_desc){
			.data = whole ? mem_data(mem, frame) : NULL,
			.len = mem->len[frame],
			.room = MEM_HEADROOM,
			.frame = frame,
			.drop = mem->drop[frame],
		};
	}
	return i;
}

static void mem_recycle(struct source *src, const uint64_t *frame, unsigned int n)
{
	struct mem_source *mem = mem_of(src);

	for (unsigned int i = 0; i < n; i++) {
		/*
		 * Given back twice, or never handed out: a defect of the engine that must
		 * not stay unseen.
		 */
		if (frame[i] >= mem->frames || !mem->out[frame[i]])
			abort();
		mem->out[frame[i]] = false;
		mem->free[mem->nr_free++] = (uint32_t)frame[i];
	}
}

static bool mem_pending(const struct source *src)
{
	const struct mem_source *mem = mem_of((struct source *)(uintptr_t)src);

	return mem->tail != mem->head;
}

static const struct source_ops mem_ops = {
	.peek = mem_peek,
	.recycle = mem_recycle,
	.pending = mem_pending,
};

int mem_source_init(struct mem_source *mem, uint32_t frames)
{
	return mem_source_init_max(mem, frames, MEM_FRAME_SIZE - MEM_HEADROOM);
}

int mem_source_init_max(struct mem_source *mem, uint32_t frames, uint32_t max)
{
	*mem = (struct mem_source){
		.src = { .ops = &mem_ops, .fd = -1 },
		.frames = frames,
		.stride = (size_t)max + MEM_HEADROOM,
	};
	if (!frames || (frames & (frames - 1)) || max % 64)
		return -EINVAL;
	mem->area = calloc(frames, mem->stride);
	mem->len = calloc(frames, sizeof(*mem->len));
	mem->queue = calloc(frames, sizeof(*mem->queue));
	mem->free = calloc(frames, sizeof(*mem->free));
	mem->out = calloc(frames, sizeof(*mem->out));
	mem->drop = calloc(frames, sizeof(*mem->drop));
	if (!mem->area || !mem->len || !mem->queue || !mem->free || !mem->out || !mem->drop) {
		mem_source_destroy(mem);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < frames; i++)
		mem->free[mem->nr_free++] = frames - 1 - i;
	return 0;
}

void mem_source_destroy(struct mem_source *mem)
{
	free(mem->area);
	free(mem->len);
	free(mem->queue);
	free(mem->free);
	free(mem->out);
	free(mem->drop);
	*mem = (struct mem_source){ .src.fd = -1 };
}

int mem_source_get(struct mem_source *mem, uint32_t *frame, uint8_t **data)
{
	if (!mem->nr_free)
		return -ENOBUFS;
	*frame = mem->free[--mem->nr_free];
	*data = mem_data(mem, *frame);
	return 0;
}

void mem_source_add(struct mem_source *mem, uint32_t frame, uint32_t len, enum sluice_drop drop)
{
	mem->len[frame] = len;
	mem->drop[frame] = (uint8_t)drop;
	mem->queue[mem->head++ & (mem->frames - 1)] = frame;
}

int mem_source_push(struct mem_source *mem, const void *data, uint32_t len, const void *meta)
{
	uint32_t frame;
	uint8_t *at;

	if (len > mem->stride - MEM_HEADROOM)
		return -EMSGSIZE;
	if (mem_source_get(mem, &frame, &at))
		return -ENOBUFS;
	memcpy(at, data, len);
	if (meta)
		memcpy(at - sizeof(struct sluice_rx_meta), meta, sizeof(struct sluice_rx_meta));
	mem_source_add(mem, frame, len, SLUICE_DROPS);
	return 0;
}
