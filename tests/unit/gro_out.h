/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * gro_out.h - what came out of GRO, the kernel's or ours: packets in their order,
 * each with its bytes and what it says of itself.
 */
#ifndef TEST_GRO_OUT_H
#define TEST_GRO_OUT_H

#include <stdbool.h>
#include <stdlib.h>

#include "frames.h"

#define GRO_OUT_MAX 192
#define GRO_OUT_BYTES 66000

enum gro_out_type { GRO_OUT_SINGLE, GRO_OUT_TCP4, GRO_OUT_TCP6, GRO_OUT_UDP };

/* What is known of the transport checksum. */
enum gro_out_csum { GRO_CSUM_UNKNOWN, GRO_CSUM_RIGHT, GRO_CSUM_PARTIAL };

struct gro_out {
	enum gro_out_type type;
	enum gro_out_csum csum;
	uint16_t gso_size;	/* 0: not merged */
	bool ecn;		/* TCP with CWR in it */
	bool fixed_id;		/* ours only */
	uint16_t segs;		/* ours only */
	uint32_t len;
	uint8_t *data;
};

struct gro_outs {
	unsigned int nr;
	struct gro_out out[GRO_OUT_MAX];
	uint8_t *bytes;
};

static inline bool gro_outs_init(struct gro_outs *o)
{
	o->nr = 0;
	o->bytes = malloc((size_t)GRO_OUT_MAX * GRO_OUT_BYTES);
	for (unsigned int i = 0; o->bytes && i < GRO_OUT_MAX; i++)
		o->out[i].data = o->bytes + (size_t)i * GRO_OUT_BYTES;
	return o->bytes;
}

static inline void gro_outs_free(struct gro_outs *o)
{
	free(o->bytes);
}

/* Where the transport header of a merged packet is: its headers were found to be sound. */
static inline uint32_t gro_out_l4(const struct gro_out *out)
{
	uint32_t l3 = 12, at;
	uint8_t next;

	while (get16(out->data + l3) == 0x8100 || get16(out->data + l3) == 0x88a8)
		l3 += 4;
	l3 += 2;
	if (out->data[l3] >> 4 == 4)
		return l3 + 20;
	next = out->data[l3 + 6];
	for (at = l3 + 40; next == 0 || next == 43 || next == 60; at += 8 + 8u * out->data[at + 1])
		next = out->data[at];
	return at;
}

/* Of a merged packet: the first byte of what was put together. */
static inline uint32_t gro_out_payload(const struct gro_out *out)
{
	uint32_t l4 = gro_out_l4(out);

	return out->type == GRO_OUT_UDP ? l4 + 8 : l4 + (out->data[l4 + 12] >> 4) * 4u;
}

static inline unsigned int gro_out_segs(const struct gro_out *out)
{
	if (!out->gso_size)
		return 1;
	return (out->len - gro_out_payload(out) + out->gso_size - 1) / out->gso_size;
}

static inline bool gro_out_equal(const struct gro_out *a, const struct gro_out *b)
{
	return a->type == b->type && a->csum == b->csum && a->gso_size == b->gso_size &&
	       a->ecn == b->ecn && a->len == b->len && !memcmp(a->data, b->data, a->len);
}

#endif
