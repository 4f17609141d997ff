// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* What follows what in a flow of TCP. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gro_fixture.h"

static void follows(struct gro_spec *s)
{
	(void)s;
}

static void with_psh(struct gro_spec *s)
{
	s->flags |= GRO_PSH;
}

static void with_fin(struct gro_spec *s)
{
	s->flags |= GRO_FIN;
}

static void with_syn(struct gro_spec *s)
{
	s->flags |= GRO_SYN;
}

static void with_rst(struct gro_spec *s)
{
	s->flags |= GRO_RST;
}

static void with_urg(struct gro_spec *s)
{
	s->flags |= GRO_URG;
}

static void with_ece(struct gro_spec *s)
{
	s->flags |= GRO_ECE;
}

static void with_cwr(struct gro_spec *s)
{
	s->flags |= GRO_CWR;
}

static void with_ae(struct gro_spec *s)
{
	s->flags |= GRO_AE;
}

static void reserved(struct gro_spec *s)
{
	s->flags |= 0x200;
}

static void without_ack(struct gro_spec *s)
{
	s->flags = 0;
}

static void other_ack(struct gro_spec *s)
{
	s->ack++;
}

static void other_ack_high(struct gro_spec *s)
{
	s->ack ^= 0x80000000;
}

static void other_window(struct gro_spec *s)
{
	s->window ^= 1;
}

static void urgent_pointer(struct gro_spec *s)
{
	s->urgent = 99;
}

static void gap(struct gro_spec *s)
{
	s->seq++;
}

static void overlap(struct gro_spec *s)
{
	s->seq--;
}

static void again(struct gro_spec *s)
{
	s->seq = 1000;
}

static void short_one(struct gro_spec *s)
{
	s->len--;
}

static void one_byte(struct gro_spec *s)
{
	s->len = 1;
}

static void empty(struct gro_spec *s)
{
	s->len = 0;
}

static void long_one(struct gro_spec *s)
{
	s->len++;
}

static void other_options(struct gro_spec *s)
{
	s->opt[11] ^= 1;
}

static void fewer_options(struct gro_spec *s)
{
	s->opt_len = 8;
}

static void more_options(struct gro_spec *s)
{
	s->opt_len = 16;
}

static void bad_csum(struct gro_spec *s)
{
	s->bad_csum = true;
}

static void doff_small(struct gro_spec *s)
{
	s->doff = 4;
}

static void doff_large(struct gro_spec *s)
{
	s->doff = 15;
}

static void other_sport(struct gro_spec *s)
{
	s->sport ^= 1;
}

static void other_dport(struct gro_spec *s)
{
	s->dport ^= 0x100;
}

static const struct gro_case cases[] = {
	{ "follows", follows, true },
	{ "with psh", with_psh, true },
	{ "with fin", with_fin, true },
	{ "with syn", with_syn, false },
	{ "with rst", with_rst, false },
	{ "with urg", with_urg, false },
	{ "with ece", with_ece, false },
	{ "with cwr", with_cwr, false },
	{ "with ae", with_ae, false },
	{ "reserved", reserved, false },
	{ "without ack", without_ack, false },
	{ "other ack", other_ack, false },
	{ "other ack high", other_ack_high, false },
	{ "other window", other_window, false },
	{ "urgent pointer", urgent_pointer, true },
	{ "gap", gap, false },
	{ "overlap", overlap, false },
	{ "again", again, false },
	{ "short one", short_one, true },
	{ "one byte", one_byte, true },
	{ "empty", empty, false },
	{ "long one", long_one, false },
	{ "other options", other_options, false },
	{ "fewer options", fewer_options, false },
	{ "more options", more_options, false },
	{ "bad csum", bad_csum, false },
	{ "doff small", doff_small, false },
	{ "doff large", doff_large, false },
	{ "other sport", other_sport, false },
	{ "other dport", other_dport, false },
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
	for (int n = 0; n < 10; n++) {
		push(f, &a);
		push(f, &b);
		follow(&a);
		follow(&b);
	}
	flush(f);
	assert_int_equal(f->outs.nr, 2);
	check_gives_back(f);
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
