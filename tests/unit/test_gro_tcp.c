// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* What follows what in a flow of TCP. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gro_fixture.h"

static const struct gro_case cases[] = {
	{ "follows", FIELD(urgent), '^', 0, true },
	{ "with psh", FIELD(flags), '|', GRO_PSH, true },
	{ "with fin", FIELD(flags), '|', GRO_FIN, true },
	{ "with syn", FIELD(flags), '|', GRO_SYN, false },
	{ "with rst", FIELD(flags), '|', GRO_RST, false },
	{ "with urg", FIELD(flags), '|', GRO_URG, false },
	{ "with ece", FIELD(flags), '|', GRO_ECE, false },
	{ "with cwr", FIELD(flags), '|', GRO_CWR, false },
	{ "with ae", FIELD(flags), '|', GRO_AE, false },
	{ "reserved", FIELD(flags), '|', 0x200, false },
	{ "without ack", FIELD(flags), '=', 0, false },
	{ "other ack", FIELD(ack), '+', 1, false },
	{ "other ack high", FIELD(ack), '^', 0x80000000, false },
	{ "other window", FIELD(window), '^', 1, false },
	{ "urgent pointer", FIELD(urgent), '=', 99, true },
	{ "gap", FIELD(seq), '+', 1, false },
	{ "overlap", FIELD(seq), '+', -1, false },
	{ "again", FIELD(seq), '=', 1000, false },
	{ "short one", FIELD(len), '+', -1, true },
	{ "one byte", FIELD(len), '=', 1, true },
	{ "empty", FIELD(len), '=', 0, false },
	{ "long one", FIELD(len), '+', 1, false },
	{ "other options", FIELD(opt[11]), '^', 1, false },
	{ "fewer options", FIELD(opt_len), '=', 8, false },
	{ "more options", FIELD(opt_len), '=', 16, false },
	{ "bad csum", FIELD(bad_csum), '=', true, false },
	{ "doff small", FIELD(doff), '=', 4, false },
	{ "doff large", FIELD(doff), '=', 15, false },
	{ "other sport", FIELD(sport), '^', 1, false },
	{ "other dport", FIELD(dport), '^', 0x100, false },
};

static struct gro_spec first_with_options(void)
{
	struct gro_spec s = spec_tcp(100);

	s.opt_len = 12;
	for (uint8_t i = 0; i < 12; i++)
		s.opt[i] = i;
	return s;
}

static void test_follows(void **state)
{
	struct gro_spec s = first_with_options(), v6 = spec_v6(s);

	CHECK_CASES(*state, &s, cases);
	CHECK_CASES(*state, &v6, cases);
	/* Over the end of the numbers. */
	s.seq = 0u - 50;
	CHECK_CASES(*state, &s, cases);
}

/* What the first packet says that ends it: the next one finds nothing to follow. */
static void test_first_ends(void **state)
{
	static const uint16_t flags[] = { GRO_FIN, GRO_SYN, GRO_RST, GRO_PSH, GRO_URG };
	struct fixture *f = *state;

	for (unsigned int i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		struct gro_spec s = spec_tcp(100), next = s;

		s.flags |= flags[i];
		follow(&next);
		push_two(f, &s, &next);
		assert_int_equal(f->outs.nr, 2);
		next.flags = s.flags;
		push_two(f, &s, &next);
		assert_int_equal(f->outs.nr, 2);
	}
}

/* CWR on both is still said twice. */
static void test_cwr(void **state)
{
	struct gro_spec s = spec_tcp(100), next = s;
	struct fixture *f = *state;

	follow(&next);
	s.flags |= GRO_CWR;
	push_two(f, &s, &next);
	assert_int_equal(f->outs.nr, 2);
	next.flags |= GRO_CWR;
	push_two(f, &s, &next);
	assert_int_equal(f->outs.nr, 2);
}

/* A short packet, PSH or FIN goes with what is there, and is then the end of it. */
static void test_last_goes_at_once(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 3; i++) {
		struct gro_spec s = spec_tcp(100);

		restart(f);
		push(f, &s);
		follow(&s);
		push(f, &s);
		follow(&s);
		assert_int_equal(f->outs.nr, 0);
		s.len = i ? 100 : 99;
		s.flags |= i == 1 ? GRO_PSH : i == 2 ? GRO_FIN : 0;
		push(f, &s);
		assert_int_equal(f->outs.nr, 1);
		assert_int_equal(f->outs.out[0].segs, 3);
		assert_int_equal(f->outs.out[0].data[FRAME_L3 + 20 + 13], s.flags & 0xff);
		check_gives_back(f);
	}
}

/* In order: what was held goes before what does not follow it. */
static void test_order(void **state)
{
	struct gro_spec s = spec_tcp(100);
	struct fixture *f = *state;

	push(f, &s);
	s.seq += 500;
	push(f, &s);
	assert_int_equal(f->outs.nr, 1);
	assert_int_equal(gro_get32(f->outs.out[0].data + FRAME_L3 + 24), 1000);
	/* An empty one is not held at all, but lets go what is. */
	s.seq += 100;
	s.len = 0;
	push(f, &s);
	assert_int_equal(f->outs.nr, 3);
	assert_int_equal(gro_get32(f->outs.out[1].data + FRAME_L3 + 24), 1500);
	assert_int_equal(gro_get32(f->outs.out[2].data + FRAME_L3 + 24), 1600);
}

/* As in Linux, a packet that is not sound does not end a flow. */
static void test_unsound_passes(void **state)
{
	struct gro_spec s = spec_tcp(100), bad;
	struct fixture *f = *state;

	push(f, &s);
	follow(&s);
	bad = s;
	bad.bad_csum = true;
	push(f, &bad);
	assert_int_equal(f->outs.nr, 1);
	assert_int_equal(f->outs.out[0].csum, GRO_CSUM_UNKNOWN);
	push(f, &s);
	flush(f);
	assert_int_equal(f->outs.nr, 2);
	assert_int_equal(f->outs.out[1].segs, 2);
}

/* A bare pseudo-header sum is a checksum where the sender is this machine. */
static void test_partial(void **state)
{
	struct fixture *f = *state;

	for (int ok = 0; ok < 2; ok++) {
		struct gro_spec s = spec_tcp(100);

		restart(f);
		f->g.gro.csum_partial_ok = ok;
		for (int n = 0; n < 3; n++, follow(&s)) {
			uint8_t tail[4] = { 0, 6, 0, 120 };
			struct frame frame;

			gro_build(&s, &frame);
			put16(frame.b + FRAME_L3 + 36,
			      ref_sum(ref_sum(0, frame.b + FRAME_L3 + 12, 8), tail, 4));
			push_frame(f, &frame);
		}
		flush(f);
		assert_int_equal(f->outs.nr, ok ? 1 : 3);
	}
}

static void test_ports_apart(void **state)
{
	struct gro_spec a = spec_tcp(100), b = a;
	struct fixture *f = *state;

	b.sport++;
	push_in_turns(f, a, b);
	assert_int_equal(f->outs.nr, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_FIXTURE(test_follows),
		IN_FIXTURE(test_first_ends),
		IN_FIXTURE(test_cwr),
		IN_FIXTURE(test_last_goes_at_once),
		IN_FIXTURE(test_order),
		IN_FIXTURE(test_unsound_passes),
		IN_FIXTURE(test_partial),
		IN_FIXTURE(test_ports_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
