// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Sequences of frames through GRO. Whatever comes: every packet returns, nothing is held
 * after a flush, and what came out, taken apart, is what went in.
 *
 *   input:  mode, then frames:  control, length (2, little endian), bytes
 */
#include <stdint.h>
#include <stdlib.h>

#include "../unit/gro_engine.h"
#include "../unit/gro_segment.h"
#include "input.h"

enum mode {
	MODE_BYPASS = 0x1,
	MODE_SMALL = 0x2,	/* gro_max_size of 1000 */
};

enum control {
	CTL_HASH = 0x7,		/* of the packet */
	CTL_FIX_IP = 0x8,	/* checksums are made right, or nothing would be merged */
	CTL_FIX_L4 = 0x10,
	CTL_AGAIN = 0x20,	/* the frame before, these bytes over its own */
	CTL_NEXT = 0x40,	/* with the next sequence number and ID */
	CTL_FLUSH = 0x80,	/* the poll ends here */
};

/* Offsets of the headers; false if this is no IP packet that has a transport header. */
static bool locate(struct frame *f)
{
	uint8_t proto;

	for (f->l3 = 12; f->len >= f->l3 + 6 && (get16(f->b + f->l3) == 0x8100 ||
						 get16(f->b + f->l3) == 0x88a8); f->l3 += 4)
		;
	f->l3 += 2;
	if (f->len < f->l3 + 20)
		return false;
	f->version = f->b[f->l3] >> 4;
	f->l4 = f->l3 + (f->version == 4 ? 20 : 40);
	proto = f->b[f->l3 + (f->version == 4 ? 9 : 6)];
	return (f->version == 4 || f->version == 6) && (proto == 6 || proto == 17) &&
	       f->len >= f->l4 + (proto == 6 ? 20 : 8);
}

static void go_on(struct frame *f, uint32_t payload)
{
	uint8_t *l3 = f->b + f->l3, *l4 = f->b + f->l4;

	if (f->version == 4)
		put16(l3 + 4, (get16(l3 + 4) + 1) & 0xffff);
	if (l3[f->version == 4 ? 9 : 6] == 6)
		gro_put32(l4 + 4, gro_get32(l4 + 4) + payload);
}

static void fix(struct frame *f, uint8_t control)
{
	bool udp = f->b[f->l3 + (f->version == 4 ? 9 : 6)] == 17;
	uint32_t len = f->len - f->l3;

	if (control & CTL_FIX_IP && f->version == 4) {
		put16(f->b + f->l3 + 2, len);
		frame_ip_csum(f);
	} else if (control & CTL_FIX_IP) {
		put16(f->b + f->l3 + 4, len - 40);
	}
	if (control & CTL_FIX_L4 && udp)
		put16(f->b + f->l4 + 4, f->len - f->l4);
	if (control & CTL_FIX_L4)
		gro_segment_csum(f, f->l3, f->l4, udp);
}

/* What the last frame of this flow carried, so that the next can follow it. */
static uint32_t payload_of(const struct frame *f)
{
	uint32_t hlen = f->l4 + (f->b[f->l4 + 12] >> 4) * 4u;

	return f->len > hlen ? f->len - hlen : 0;
}

static void read_frame(struct input *in, struct frame *f, uint8_t control)
{
	uint32_t len = take8(in), payload;
	struct frame before = *f;

	len |= (uint32_t)take8(in) << 8;
	len = (uint32_t)take(in, f->b, len < FRAME_MAX ? len : FRAME_MAX);
	f->len = control & CTL_AGAIN && before.len > len ? before.len : len;
	if (!locate(f))
		return;
	payload = locate(&before) && before.len >= before.l4 + 20 ? payload_of(&before) : 0;
	if (control & CTL_NEXT)
		go_on(f, payload);
	fix(f, control);
}

static void check(bool ok)
{
	if (!ok)
		abort();
}

/* The end of a poll. */
static void end(struct gro_engine *g, struct gro_stream *st, struct gro_outs *outs)
{
	gro_flush_all(&g->gro);
	check(!g->overflow && !g->gro.held && g->pool.nr_free == g->pool.size);
	check(gro_gives_back(st, outs));
	st->nr = 0;
	outs->nr = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct gro_engine g;
	static struct gro_stream st;
	static struct gro_outs outs;
	struct input in = { .p = data, .left = size };
	struct frame f = { .len = 0 };
	uint8_t mode = take8(&in);

	if (!g.engine)
		check(gro_engine_init(&g) && gro_outs_init(&outs));
	g.bypass = mode & MODE_BYPASS;
	g.gro.max_size = mode & MODE_SMALL ? 1000 : GRO_MAX_SIZE;
	for (unsigned int n = 0; in.left && n < 200; n++) {
		uint8_t control = take8(&in);

		read_frame(&in, &f, control);
		g.hash = control & CTL_HASH;
		st.frame[st.nr++] = f;
		check(gro_engine_push(&g, &f, &outs));
		if (control & CTL_FLUSH || st.nr == GRO_STREAM_MAX)
			end(&g, &st, &outs);
	}
	end(&g, &st, &outs);
	return 0;
}
