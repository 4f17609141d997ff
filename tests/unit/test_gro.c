// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* What GRO holds, for how long, and that nothing is lost in it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gro_fixture.h"

#define STREAMS 4000

/* One packet of flow number n: all alike but for the source port. */
static void push_flow(struct fixture *f, unsigned int n, uint32_t hash)
{
	struct gro_spec s = spec_tcp(4);

	s.sport = (uint16_t)(1000 + n);
	f->g.hash = hash;
	push(f, &s);
}

static unsigned int out_sport(const struct fixture *f, unsigned int i)
{
	return get16(f->outs.out[i].data + gro_out_l4(&f->outs.out[i]));
}

static void test_holds_eight(void **state)
{
	struct fixture *f = *state;

	for (unsigned int n = 0; n < 8; n++)
		push_flow(f, n, 0);
	assert_int_equal(f->outs.nr, 0);
	assert_int_equal(f->g.gro.held, 8);
	/* The ninth makes the oldest go, and so on. */
	for (unsigned int n = 8; n < 11; n++) {
		push_flow(f, n, 0);
		assert_int_equal(f->outs.nr, n - 7);
		assert_int_equal(out_sport(f, n - 8), 1000 + n - 8);
	}
	assert_int_equal(f->g.gro.held, 8);
	/* That a flow goes on does not make it younger. */
	push_flow(f, 11, 0);
	assert_int_equal(out_sport(f, 3), 1003);
	flush(f);
	assert_int_equal(f->outs.nr, 12);
	for (unsigned int i = 0; i < 12; i++)
		assert_int_equal(out_sport(f, i), 1000 + i);
}

static void test_buckets(void **state)
{
	struct fixture *f = *state;

	for (unsigned int n = 0; n < 64; n++)
		push_flow(f, n, n / 8 + 8);
	assert_int_equal(f->outs.nr, 0);
	assert_int_equal(f->g.gro.held, 64);
	push_flow(f, 64, 3);
	assert_int_equal(f->outs.nr, 1);
	assert_int_equal(out_sport(f, 0), 1000 + 8 * 3);
	/* Let go by bucket, in each the oldest first. */
	flush(f);
	assert_int_equal(f->outs.nr, 65);
	assert_int_equal(out_sport(f, 1), 1000);
	assert_int_equal(out_sport(f, 1 + 8 * 3), 1000 + 8 * 3 + 1);
	assert_int_equal(out_sport(f, 1 + 8 * 3 + 7), 1064);
	assert_int_equal(out_sport(f, 64), 1063);
}

/* Another hash, another flow, whatever the headers say. */
static void test_hash_differs(void **state)
{
	struct fixture *f = *state;
	struct gro_spec s = spec_tcp(100);

	push(f, &s);
	f->g.hash = GRO_BUCKETS;
	follow(&s);
	push(f, &s);
	flush(f);
	assert_int_equal(f->outs.nr, 2);
}

static void test_flush_by_age(void **state)
{
	struct fixture *f = *state;
	struct gro_spec s = spec_tcp(100);

	f->g.gro.now = 10;
	push(f, &s);
	f->g.gro.now = 20;
	push_flow(f, 5, 0);
	gro_flush(&f->g.gro, 9);
	assert_int_equal(f->outs.nr, 0);
	/* Its age is that of its first packet. */
	follow(&s);
	push(f, &s);
	gro_flush(&f->g.gro, 19);
	assert_int_equal(f->outs.nr, 1);
	assert_int_equal(f->outs.out[0].segs, 2);
	assert_int_equal(f->g.gro.held, 1);
	gro_flush(&f->g.gro, 20);
	assert_int_equal(f->outs.nr, 2);
}

static void test_clock_set_back(void **state)
{
	struct fixture *f = *state;

	f->g.gro.now = 1000;
	push_flow(f, 1, 0);
	f->g.gro.now = 500;
	gro_flush(&f->g.gro, 400);
	assert_int_equal(f->outs.nr, 1);
}

static void test_waiting(void **state)
{
	struct fixture *f = *state;
	struct gro_spec s = spec_tcp(100);
	uint32_t oldest = 77;

	assert_int_equal(gro_waiting(&f->g.gro, &oldest), 0);
	assert_int_equal(oldest, 77);
	for (uint32_t seq = 0xfffffffe; seq != 3; seq++) {
		f->g.seq = seq;
		push(f, &s);
		follow(&s);
	}
	f->g.seq = 3;
	push_flow(f, 1, 5);
	assert_int_equal(gro_waiting(&f->g.gro, &oldest), 6);
	assert_int_equal(oldest, 0xfffffffe);
	flush(f);
	assert_int_equal(gro_waiting(&f->g.gro, &oldest), 0);
}

static void test_link_layer_differs(void **state)
{
	struct fixture *f = *state;

	for (unsigned int byte = 0; byte < 12; byte++) {
		struct gro_spec s = spec_tcp(100);
		struct frame frame;

		restart(f);
		push(f, &s);
		follow(&s);
		gro_build(&s, &frame);
		frame.b[byte] ^= 1;
		push_frame(f, &frame);
		flush(f);
		assert_int_equal(f->outs.nr, 2);
	}
}

static void test_max_size(void **state)
{
	static const uint32_t limits[] = { 1000, 40 + 300, 65536, 1u << 20 };
	struct fixture *f = *state;

	for (unsigned int i = 0; i < 4; i++) {
		uint32_t limit = limits[i] < GRO_MAX_SIZE ? limits[i] : GRO_MAX_SIZE;
		struct gro_spec s = spec_tcp(1300);

		s.len = i < 2 ? 100 : 1300;
		restart(f);
		f->g.gro.max_size = limits[i];
		for (unsigned int n = 0; n < 60; n++, follow(&s))
			push(f, &s);
		flush(f);
		/* The length must stay below, from the network header on. */
		assert_int_equal(f->outs.out[0].segs, (limit - 1 - 40) / s.len);
		assert_in_range(f->outs.out[0].len - FRAME_L3, 40, limit - 1);
		check_gives_back(f);
	}
}

/* Data that others look at is not written to, and not put behind something else. */
static void test_shared(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 4; i++) {
		struct gro_spec s = spec_tcp(100);
		struct pkt *other = NULL;

		restart(f);
		for (int n = 0; n < 2; n++, follow(&s)) {
			if (n == i % 2)
				f->g.share = i < 2 ? GRO_SHARE_CLONE : GRO_SHARE_GET;
			push(f, &s);
			if (n == i % 2)
				other = f->g.shared;
			f->g.share = GRO_SHARE_NONE;
		}
		assert_non_null(other);
		flush(f);
		assert_int_equal(f->outs.nr, 2);
		pkt_free(&f->g.pool, other, gro_engine_gone);
	}
}

/* Anything at all, even if not an Ethernet header. */
static void test_too_short(void **state)
{
	struct fixture *f = *state;
	struct gro_spec s = spec_tcp(10);
	struct frame frame;

	gro_build(&s, &frame);
	for (frame.len = 0; frame.len < 54; frame.len++) {
		restart(f);
		push_frame(f, &frame);
		assert_int_equal(f->outs.nr, 1);
		assert_int_equal(f->outs.out[0].len, frame.len);
	}
}

static void run(struct fixture *f, uint64_t seed)
{
	gro_draw(&f->st, seed);
	if (!gro_engine_run(&f->g, &f->st, &f->outs) || !gro_gives_back(&f->st, &f->outs))
		fail_msg("stream %llu", (unsigned long long)seed);
}

static void test_gives_back(void **state)
{
	struct fixture *f = *state;
	uint64_t merged = 0;

	for (uint64_t seed = 1; seed <= STREAMS; seed++) {
		f->g.hash = (uint32_t)seed * 7;
		run(f, seed);
		merged += f->st.nr - f->outs.nr;
	}
	/* Or the test would show nothing. */
	assert_true(merged > 20 * STREAMS);
}

/* What napi lets go round GRO comes out as GRO would have let it go. */
static void test_bypass(void **state)
{
	struct fixture *f = *state;
	struct gro_outs with;

	assert_true(gro_outs_init(&with));
	for (uint64_t seed = 1; seed <= STREAMS; seed++) {
		f->g.bypass = false;
		run(f, seed);
		f->g.bypass = true;
		assert_true(gro_engine_run(&f->g, &f->st, &with));
		assert_int_equal(with.nr, f->outs.nr);
		for (unsigned int i = 0; i < with.nr; i++) {
			/* What was not looked at is not known. */
			if (with.out[i].csum == GRO_CSUM_UNKNOWN)
				f->outs.out[i].csum = GRO_CSUM_UNKNOWN;
			assert_true(gro_out_equal(&with.out[i], &f->outs.out[i]));
		}
	}
	gro_outs_free(&with);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_FIXTURE(test_holds_eight),
		IN_FIXTURE(test_buckets),
		IN_FIXTURE(test_hash_differs),
		IN_FIXTURE(test_flush_by_age),
		IN_FIXTURE(test_clock_set_back),
		IN_FIXTURE(test_waiting),
		IN_FIXTURE(test_link_layer_differs),
		IN_FIXTURE(test_max_size),
		IN_FIXTURE(test_shared),
		IN_FIXTURE(test_too_short),
		IN_FIXTURE(test_gives_back),
		IN_FIXTURE(test_bypass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
