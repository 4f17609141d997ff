/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * mem.h - a source (source.h) over frames in memory: the engine without a
 * kernel, for captures, tests, fuzzing and instruction counts. One thread.
 */
#ifndef SLUICE_ENGINE_MEM_H
#define SLUICE_ENGINE_MEM_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/source.h"

#define MEM_FRAME_SIZE 4096
/* Before each frame, as XDP_PACKET_HEADROOM. */
#define MEM_HEADROOM 256

struct mem_source {
	struct source src;
	uint8_t *area;
	size_t stride;		/* bytes of area per frame */
	uint32_t *len;		/* by frame */
	uint32_t *queue;	/* ring of received frames */
	uint32_t *free;		/* stack */
	bool *out;		/* by frame: with the engine */
	uint8_t *drop;		/* by frame: enum sluice_drop; SLUICE_DROPS: none */
	uint32_t frames;
	uint32_t head, tail;
	uint32_t nr_free;
};

/* frames: a power of two. -EINVAL, -ENOMEM. */
int mem_source_init(struct mem_source *mem, uint32_t frames);
/* For frames of up to max bytes, a multiple of 64; memory is used as far as they fill it. */
int mem_source_init_max(struct mem_source *mem, uint32_t frames, uint32_t max);
void mem_source_destroy(struct mem_source *mem);

/*
 * "Receives" a frame: copies len bytes. meta: 16 bytes of struct
 * sluice_rx_meta to stand before it, or NULL. -ENOBUFS: no frame is free;
 * -EMSGSIZE: longer than MEM_FRAME_SIZE - MEM_HEADROOM, or than max.
 */
int mem_source_push(struct mem_source *mem, const void *data, uint32_t len, const void *meta);

/*
 * The same without a copy: mem_source_get() lends a free frame to be filled at *data, and
 * mem_source_add() "receives" it. drop: why the engine shall count it and look no
 * further; SLUICE_DROPS: it is whole. -ENOBUFS: no frame is free, nothing is written.
 */
int mem_source_get(struct mem_source *mem, uint32_t *frame, uint8_t **data);
void mem_source_add(struct mem_source *mem, uint32_t frame, uint32_t len, enum sluice_drop drop);

#endif
