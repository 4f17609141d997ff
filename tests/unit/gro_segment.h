/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * gro_segment.h - the way back: a merged packet into the frames that it was made of, as
 * Linux's GSO does it (skb_segment, tcp_gso_segment, inet_gso_segment,
 * __udp_gso_segment), and the property that makes GRO right: what came out, taken
 * apart, is what went in.
 *
 * One thing does not come back, in Linux neither: an urgent pointer where URG is not
 * set. It is taken from the frame that is compared with.
 */
#ifndef TEST_GRO_SEGMENT_H
#define TEST_GRO_SEGMENT_H

#include "gro_out.h"
#include "gro_stream.h"

static inline uint32_t gro_get32(const uint8_t *p)
{
	return get16(p) << 16 | get16(p + 2);
}

static inline uint32_t gro_out_l3(const struct gro_out *out)
{
	uint32_t l3 = 12;

	while (get16(out->data + l3) == 0x8100 || get16(out->data + l3) == 0x88a8)
		l3 += 4;
	return l3 + 2;
}

static inline void gro_segment_csum(struct frame *f, uint32_t l3, uint32_t l4, bool udp)
{
	uint8_t *check = f->b + l4 + (udp ? 6 : 16), tail[4] = { 0, udp ? 17 : 6 };
	uint32_t len = f->len - l4, sum;

	put16(tail + 2, len);
	put16(check, 0);
	sum = f->b[l3] >> 4 == 4 ? ref_sum(0, f->b + l3 + 12, 8) : ref_sum(0, f->b + l3 + 8, 32);
	sum = 0xffff - ref_sum(ref_sum(sum, tail, 4), f->b + l4, len);
	put16(check, udp && !sum ? 0xffff : sum);
}

/* Segment i of n. urgent: what its urgent pointer is to be. */
static inline void gro_segment(const struct gro_out *out, unsigned int i, unsigned int n,
			       unsigned int urgent, struct frame *f)
{
	uint32_t l3 = gro_out_l3(out), l4 = gro_out_l4(out), hlen = gro_out_payload(out);
	uint32_t at = hlen + i * out->gso_size, len = out->len - at;
	bool udp = out->type == GRO_OUT_UDP;

	len = len < out->gso_size ? len : out->gso_size;
	memcpy(f->b, out->data, hlen);
	memcpy(f->b + hlen, out->data + at, len);
	f->len = hlen + len;
	if (f->b[l3] >> 4 == 4) {
		put16(f->b + l3 + 2, f->len - l3);
		put16(f->b + l3 + 4, (get16(f->b + l3 + 4) + (out->fixed_id ? 0 : i)) & 0xffff);
		put16(f->b + l3 + 10, 0);
		put16(f->b + l3 + 10, 0xffff - ref_sum(0, f->b + l3, 20));
	} else {
		put16(f->b + l3 + 4, f->len - l3 - 40);
	}
	if (udp) {
		put16(f->b + l4 + 4, f->len - l4);
	} else {
		gro_put32(f->b + l4 + 4, gro_get32(f->b + l4 + 4) + i * out->gso_size);
		put16(f->b + l4 + 18, urgent);
		if (i + 1 < n)
			f->b[l4 + 13] &= (uint8_t)~(GRO_FIN | GRO_PSH);
	}
	gro_segment_csum(f, l3, l4, udp);
}

/* 0 has two representations in a checksum, and both are right. */
static inline void gro_same_zero(uint8_t *made, const uint8_t *is)
{
	if ((!get16(is) && get16(made) == 0xffff) || (get16(is) == 0xffff && !get16(made)))
		memcpy(made, is, 2);
}

/* Is segment i of n this frame? */
static inline bool gro_segment_is(const struct gro_out *out, unsigned int i, unsigned int n,
				  const struct frame *f)
{
	uint32_t l4;
	struct frame made;

	if (!out->gso_size)
		return out->len == f->len && !memcmp(out->data, f->b, f->len);
	l4 = gro_out_l4(out);
	if (f->len < l4 + 20 && out->type != GRO_OUT_UDP)
		return false;
	gro_segment(out, i, n, out->type == GRO_OUT_UDP ? 0 : get16(f->b + l4 + 18), &made);
	if (made.len != f->len)
		return false;
	if (f->b[gro_out_l3(out)] >> 4 == 4)
		gro_same_zero(made.b + gro_out_l3(out) + 10, f->b + gro_out_l3(out) + 10);
	gro_same_zero(made.b + l4 + (out->type == GRO_OUT_UDP ? 6 : 16),
		      f->b + l4 + (out->type == GRO_OUT_UDP ? 6 : 16));
	return !memcmp(made.b, f->b, f->len);
}

/* Every frame came out exactly once, as it was. */
static inline bool gro_gives_back(const struct gro_stream *st, const struct gro_outs *o)
{
	bool back[GRO_STREAM_MAX] = { false };
	unsigned int missing = st->nr;

	for (unsigned int i = 0; i < o->nr; i++) {
		const struct gro_out *out = &o->out[i];
		unsigned int n = gro_out_segs(out), k = 0;

		if (out->segs != n)
			return false;
		for (unsigned int s = 0; s < n; s++, k++) {
			/* They came in this order, though not one right after the other. */
			while (k < st->nr && (back[k] || !gro_segment_is(out, s, n, &st->frame[k])))
				k++;
			if (k == st->nr)
				return false;
			back[k] = true;
			missing--;
		}
	}
	return !missing;
}

#endif
