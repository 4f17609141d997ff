// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* What follows what among datagrams, and whose. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gro_fixture.h"

static const struct gro_case cases[] = {
	{ "follows", FIELD(urgent), '^', 0, true },
	{ "short one", FIELD(len), '+', -1, true },
	{ "one byte", FIELD(len), '=', 1, true },
	{ "empty", FIELD(len), '=', 0, false },
	{ "long one", FIELD(len), '+', 1, false },
	{ "bad csum", FIELD(bad_csum), '=', true, false },
	{ "no csum", FIELD(no_csum), '=', true, false },
	{ "said shorter", FIELD(udp_len), '=', -1, false },
	{ "said longer", FIELD(udp_len), '=', 1, false },
	{ "other sport", FIELD(sport), '^', 1, false },
	{ "other dport", FIELD(dport), '+', 1, false },
	{ "other port not asked", FIELD(dport), '=', GRO_PORT_OTHER, false },
};

static void test_follows(void **state)
{
	struct gro_spec s = spec_udp(100), v6 = spec_v6(s);

	CHECK_CASES(*state, &s, cases);
	CHECK_CASES(*state, &v6, cases);
}

/* Only for sockets that asked; a port of nobody is like one that did not. */
static void test_asked(void **state)
{
	static const uint16_t ports[] = { GRO_PORT_ASKED, GRO_PORT_OTHER, 9 };
	struct fixture *f = *state;

	for (int i = 0; i < 6; i++) {
		struct gro_spec s = spec_udp(100);

		s = i & 1 ? spec_v6(s) : s;
		s.dport = ports[i / 2];
		restart(f);
		for (int n = 0; n < 4; n++, follow(&s))
			push(f, &s);
		flush(f);
		assert_int_equal(f->outs.nr, i / 2 ? 4 : 1);
		check_gives_back(f);
	}
}

/* A shorter one is the last; the next starts anew. */
static void test_short_is_last(void **state)
{
	struct gro_spec s = spec_udp(100);
	struct fixture *f = *state;

	for (int n = 0; n < 6; n++, follow(&s)) {
		s.len = n == 3 ? 40 : 100;
		push(f, &s);
		assert_int_equal(f->outs.nr, n < 3 ? 0 : 1);
	}
	flush(f);
	assert_int_equal(f->outs.out[0].segs, 4);
	assert_int_equal(f->outs.out[1].segs, 2);
	check_gives_back(f);
}

/* A longer one begins another packet, which sets the size. */
static void test_longer_begins(void **state)
{
	struct gro_spec s = spec_udp(50);
	struct fixture *f = *state;

	for (int n = 0; n < 4; n++, follow(&s)) {
		s.len = n < 2 ? 50 : 60;
		push(f, &s);
	}
	flush(f);
	assert_int_equal(f->outs.nr, 2);
	assert_int_equal(f->outs.out[0].gso_size, 50);
	assert_int_equal(f->outs.out[1].gso_size, 60);
	check_gives_back(f);
}

static void test_count(void **state)
{
	struct gro_spec s = spec_udp(8);
	struct fixture *f = *state;

	for (int n = 0; n < 100; n++, follow(&s))
		push(f, &s);
	assert_int_equal(f->outs.nr, 1);
	assert_int_equal(f->outs.out[0].segs, 64);
	flush(f);
	assert_int_equal(f->outs.out[1].segs, 36);
}

static void test_merged_header(void **state)
{
	struct gro_spec s = spec_udp(100);
	struct fixture *f = *state;
	const uint8_t *uh = f->outs.out[0].data + FRAME_L3 + 20;
	uint8_t tail[4] = { 0, 17, 0, 0 };

	for (int n = 0; n < 3; n++, follow(&s))
		push(f, &s);
	flush(f);
	assert_int_equal(get16(uh + 4), 308);
	put16(tail + 2, 308);
	assert_int_equal(get16(uh + 6), ref_sum(ref_sum(0, uh - 8, 8), tail, 4));
	assert_int_equal(f->outs.out[0].type, GRO_OUT_UDP);
}

/* Two flows of the same ports, one of TCP, side by side. */
static void test_tcp_apart(void **state)
{
	struct gro_spec u = spec_udp(100), t = spec_tcp(100);
	struct fixture *f = *state;

	push_in_turns(f, u, t);
	assert_int_equal(f->outs.nr, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_FIXTURE(test_follows),
		IN_FIXTURE(test_asked),
		IN_FIXTURE(test_short_is_last),
		IN_FIXTURE(test_longer_begins),
		IN_FIXTURE(test_count),
		IN_FIXTURE(test_merged_header),
		IN_FIXTURE(test_tcp_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
