/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * source.h - where a napi instance gets its packets from: an AF_XDP socket
 * (xsk.c) or memory (mem.c: tests, fuzzing, benchmarks).
 *
 * Ownership: a frame belongs to the source until peek() hands it out, then to
 * the engine until recycle() gives it back. Single consumer: only the worker
 * that polls the napi instance calls these.
 */
#ifndef SLUICE_ENGINE_SOURCE_H
#define SLUICE_ENGINE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sluice/drop.h>

struct source;

/* One received frame. */
struct rx_desc {
	uint8_t *data;	/* first byte of the frame; NULL: there is none, and drop says why */
	uint32_t len;	/* bytes at data */
	uint32_t room;	/* writable bytes before data, where rx_meta may stand */
	uint64_t frame;	/* what recycle() wants back */
	enum sluice_drop drop;
};

struct source_ops {
	/* Takes up to n frames; returns how many. desc[0..ret) are valid, the others untouched. */
	unsigned int (*peek)(struct source *src, struct rx_desc *desc, unsigned int n);
	/*
	 * Gives n frames back, in any order. Never fails. Some may have to wait in the source
	 * for their turn; they are tried again with each call, also with one of n = 0.
	 */
	void (*recycle)(struct source *src, const uint64_t *frame, unsigned int n);
	/* True when peek() would return something. No side effects, may be called at any rate. */
	bool (*pending)(const struct source *src);
};

struct source {
	const struct source_ops *ops;
	int fd;		/* readable when frames arrive; -1: only pending() tells */
};

#endif
