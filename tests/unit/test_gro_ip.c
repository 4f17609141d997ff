// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* What tells flows apart, and ends one, in the headers of IP and below. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gro_fixture.h"

static void nothing(struct gro_spec *s)
{
	(void)s;
}

static void id_gap(struct gro_spec *s)
{
	s->id++;
}

static void id_back(struct gro_spec *s)
{
	s->id -= 2;
}

static void id_same(struct gro_spec *s)
{
	s->id--;
}

static void other_ttl(struct gro_spec *s)
{
	s->ttl--;
}

static void other_tos(struct gro_spec *s)
{
	s->tos = 1;
}

static void other_df(struct gro_spec *s)
{
	s->frag = 0;
}

static void more_fragments(struct gro_spec *s)
{
	s->frag |= 0x2000;
}

static void fragment_offset(struct gro_spec *s)
{
	s->frag |= 1;
}

static void reserved_bit(struct gro_spec *s)
{
	s->frag |= 0x8000;
}

static void ip_options(struct gro_spec *s)
{
	s->ip_options = true;
}

static void bad_ip_csum(struct gro_spec *s)
{
	s->bad_ip_csum = true;
}

static void longer_than_said(struct gro_spec *s)
{
	s->ip_len = -1;
}

static void shorter_than_said(struct gro_spec *s)
{
	s->ip_len = 1;
}

static void padded(struct gro_spec *s)
{
	s->pad = 6;
}

static void cut(struct gro_spec *s)
{
	s->cut = 1;
}

static void other_source(struct gro_spec *s)
{
	s->saddr[3] ^= 1;
}

static void other_destination(struct gro_spec *s)
{
	s->daddr[3] ^= 1;
}

static const struct gro_case cases4[] = {
	{ "nothing", nothing, true },
	{ "id gap", id_gap, false },
	{ "id back", id_back, false },
	{ "id same", id_same, true },
	{ "other ttl", other_ttl, false },
	{ "other tos", other_tos, false },
	{ "other df", other_df, false },
	{ "more fragments", more_fragments, false },
	{ "fragment offset", fragment_offset, false },
	{ "reserved bit", reserved_bit, false },
	{ "ip options", ip_options, false },
	{ "bad ip csum", bad_ip_csum, false },
	{ "longer than said", longer_than_said, false },
	{ "shorter than said", shorter_than_said, false },
	{ "padded", padded, false },
	{ "cut", cut, false },
	{ "other source", other_source, false },
	{ "other destination", other_destination, false },
};

static void nothing6(struct gro_spec *s)
{
	s->id = 7;
}

static void other_hop_limit(struct gro_spec *s)
{
	s->ttl--;
}

static void other_class_high(struct gro_spec *s)
{
	s->tos = 0x80;
}

static void other_class_low(struct gro_spec *s)
{
	s->tos = 0x01;
}

static void other_label(struct gro_spec *s)
{
	s->label ^= 1;
}

static void other_label_high(struct gro_spec *s)
{
	s->label ^= 0x80000;
}

static void longer_than_said6(struct gro_spec *s)
{
	s->ip_len = -1;
}

static void shorter_than_said6(struct gro_spec *s)
{
	s->ip_len = 1;
}

static void padded6(struct gro_spec *s)
{
	s->pad = 1;
}

static void cut6(struct gro_spec *s)
{
	s->cut = 1;
}

static void other_source6(struct gro_spec *s)
{
	s->saddr[0] ^= 1;
}

static void other_destination6(struct gro_spec *s)
{
	s->daddr[15] ^= 1;
}

static const struct gro_case cases6[] = {
	{ "nothing6", nothing6, true },
	{ "other hop limit", other_hop_limit, false },
	{ "other class high", other_class_high, false },
	{ "other class low", other_class_low, false },
	{ "other label", other_label, false },
	{ "other label high", other_label_high, false },
	{ "longer than said6", longer_than_said6, false },
	{ "shorter than said6", shorter_than_said6, false },
	{ "padded6", padded6, false },
	{ "cut6", cut6, false },
	{ "other source6", other_source6, false },
	{ "other destination6", other_destination6, false },
};

static void test_ip4(void **state)
{
	struct gro_spec tcp = spec_tcp(100), udp = spec_udp(100);

	CHECK_CASES(*state, &tcp, cases4);
	CHECK_CASES(*state, &udp, cases4);
}

static void test_ip6(void **state)
{
	struct gro_spec tcp = spec_v6(spec_tcp(100)), udp = spec_v6(spec_udp(100));

	CHECK_CASES(*state, &tcp, cases6);
	CHECK_CASES(*state, &udp, cases6);
}

/* n packets whose IDs go by step; how many of them are in the first one that comes out. */
static unsigned int merged_by_ids(struct fixture *f, uint16_t first, uint16_t frag,
				  const uint16_t *ids, unsigned int n)
{
	struct gro_spec s = spec_tcp(10);

	restart(f);
	s.frag = frag;
	for (unsigned int i = 0; i < n; i++, follow(&s)) {
		s.id = (uint16_t)(first + ids[i]);
		push(f, &s);
	}
	flush(f);
	check_gives_back(f);
	return f->outs.out[0].segs;
}

/* The second packet decides whether they count or stand still, whatever DF says. */
static void test_ids(void **state)
{
	static const uint16_t count[] = { 0, 1, 2, 3 }, still[] = { 0, 0, 0, 0 },
			      stops[] = { 0, 1, 1 }, starts[] = { 0, 0, 1 }, two[] = { 0, 2 },
			      back[] = { 0, 1, 0 };
	struct fixture *f = *state;

	for (int df = 0; df < 2; df++) {
		uint16_t frag = df ? 0x4000 : 0;

		assert_int_equal(merged_by_ids(f, 5, frag, count, 4), 4);
		assert_false(f->outs.out[0].fixed_id);
		assert_int_equal(merged_by_ids(f, 0xfffe, frag, count, 4), 4);
		assert_int_equal(merged_by_ids(f, 5, frag, still, 4), 4);
		assert_true(f->outs.out[0].fixed_id);
		assert_int_equal(merged_by_ids(f, 5, frag, stops, 3), 2);
		assert_int_equal(merged_by_ids(f, 5, frag, starts, 3), 2);
		assert_int_equal(merged_by_ids(f, 5, frag, two, 2), 1);
		assert_int_equal(merged_by_ids(f, 5, frag, back, 3), 2);
	}
}

/* Lengths and checksums of the merged packet are what a receiver would compute. */
static void test_headers(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 4; i++) {
		struct gro_spec s = i & 1 ? spec_tcp(100) : spec_udp(100);
		const struct gro_out *out = f->outs.out;
		const uint8_t *ip = out->data + FRAME_L3;

		s = i & 2 ? spec_v6(s) : s;
		restart(f);
		for (int n = 0; n < 5; n++, follow(&s))
			push(f, &s);
		flush(f);
		assert_int_equal(f->outs.nr, 1);
		assert_int_equal(out->gso_size, 100);
		assert_int_equal(out->segs, 5);
		assert_int_equal(out->csum, GRO_CSUM_PARTIAL);
		if (i & 2) {
			assert_int_equal(get16(ip + 4), out->len - FRAME_L3 - 40);
		} else {
			assert_int_equal(get16(ip + 2), out->len - FRAME_L3);
			assert_int_equal(ref_sum(0, ip, 20), 0xffff);
			assert_int_equal(get16(ip + 4), 100);
		}
		check_gives_back(f);
	}
}

/* Both have these extension headers; then one of them has others. */
static void test_extensions(void **state)
{
	static const struct { uint8_t first, len, ext[24]; } chains[] = {
		{ 0, 8, { 0xff, 0, 1, 4 } },
		{ 60, 16, { 0xff, 1, 1, 12 } },
		{ 43, 8, { 0xff, 0, 0, 0 } },
		{ 0, 24, { 60, 0, 1, 4, 0, 0, 0, 0, 0xff, 1, 1, 12 } },
	};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < 4; i++) {
		struct gro_spec s = spec_v6(spec_tcp(100)), next;

		s.ext_first = chains[i].first;
		s.ext_len = chains[i].len;
		memcpy(s.ext, chains[i].ext, chains[i].len);
		next = s;
		follow(&next);
		push_two(f, &s, &next);
		assert_int_equal(f->outs.nr, 1);
		/* Another byte in them, none of them, none before. */
		next.ext[s.ext_len - 1] ^= 1;
		push_two(f, &s, &next);
		assert_int_equal(f->outs.nr, 2);
		next.ext_len = 0;
		push_two(f, &s, &next);
		assert_int_equal(f->outs.nr, 2);
		push_two(f, &next, &s);
		assert_int_equal(f->outs.nr, 2);
	}
}

/* Headers that Linux does not step over, or whose length is a lie. */
static void test_extensions_refused(void **state)
{
	struct gro_spec s = spec_v6(spec_tcp(100)), next;
	struct fixture *f = *state;

	s.ext_len = 8;
	for (unsigned int kind = 0; kind < 256; kind++) {
		bool known = kind == 0 || kind == 43 || kind == 60;

		s.ext_first = (uint8_t)kind;
		memcpy(s.ext, (const uint8_t[8]){ 0xff }, 8);
		next = s;
		follow(&next);
		restart(f);
		push(f, &s);
		push(f, &next);
		flush(f);
		/* A header of TCP or UDP in its place makes no sense either. */
		assert_int_equal(f->outs.nr, known ? 1 : 2);
	}
}

/* Tagged frames, once or twice, are merged as the same frames without a tag are. */
static void test_vlan(void **state)
{
	struct fixture *f = *state;
	struct gro_outs plain;
	struct gro_stream st;

	assert_true(gro_outs_init(&plain));
	f->g.gro.max_size = 60000;
	for (uint64_t seed = 1; seed < 1500; seed++) {
		unsigned int tags = 1 + seed % 2;

		gro_draw(&st, seed);
		assert_true(gro_engine_run(&f->g, &st, &plain));
		for (unsigned int i = 0; i < st.nr; i++)
			for (unsigned int t = 0; t < tags; t++)
				frame_tag(&st.frame[i], seed % 3 ? 0x8100 : 0x88a8, 5 + t);
		f->g.gro.max_size += 4 * tags;
		assert_true(gro_engine_run(&f->g, &st, &f->outs));
		f->g.gro.max_size -= 4 * tags;
		assert_int_equal(f->outs.nr, plain.nr);
		for (unsigned int i = 0; i < plain.nr; i++) {
			assert_int_equal(f->outs.out[i].segs, plain.out[i].segs);
			assert_int_equal(f->outs.out[i].len, plain.out[i].len + 4 * tags);
			assert_memory_equal(f->outs.out[i].data + 12 + 4 * tags,
					    plain.out[i].data + 12, plain.out[i].len - 12);
		}
	}
	gro_outs_free(&plain);
}

/* Another VLAN, another priority, none: another flow. */
static void test_vlan_differs(void **state)
{
	static const int tags[4] = { 0x0005, 0x0006, 0x2005, -1 };
	struct fixture *f = *state;

	for (int i = 0; i < 4; i++) {
		for (int j = 0; j < 4; j++) {
			struct gro_spec s = spec_tcp(100);

			restart(f);
			for (int n = 0; n < 2; n++, follow(&s)) {
				int tag = tags[n ? j : i];
				struct frame frame;

				gro_build(&s, &frame);
				if (tag >= 0)
					frame_tag(&frame, 0x8100, (unsigned int)tag);
				push_frame(f, &frame);
			}
			flush(f);
			assert_int_equal(f->outs.nr, i == j ? 1 : 2);
		}
	}
}

static void test_vlan_nested_deep(void **state)
{
	struct fixture *f = *state;

	for (unsigned int depth = 1; depth < 20; depth++) {
		struct gro_spec s = spec_tcp(100);

		restart(f);
		for (int n = 0; n < 2; n++, follow(&s)) {
			struct frame frame;

			gro_build(&s, &frame);
			for (unsigned int t = 0; t < depth; t++)
				frame_tag(&frame, 0x8100, t);
			push_frame(f, &frame);
		}
		flush(f);
		/* With the transport, fifteen layers are one too many. */
		assert_int_equal(f->outs.nr, depth < 14 ? 1 : 2);
	}
}

/* Neither a fragment nor a header with options is looked into: the flow goes on behind it. */
static void test_passed_by(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 3; i++) {
		struct gro_spec s = spec_tcp(100);
		struct frame frame;

		restart(f);
		push(f, &s);
		follow(&s);
		gro_build(&s, &frame);
		if (i == 0)
			frame.b[FRAME_L3] = 0x46;
		else
			put16(frame.b + FRAME_L3 + 6, i == 1 ? 0x2000 : 5);
		/* Right as far as 20 bytes go, or the checksum would speak for the options. */
		frame_ip_csum(&frame);
		push_frame(f, &frame);
		assert_int_equal(f->outs.nr, 1);
		push(f, &s);
		flush(f);
		assert_int_equal(f->outs.nr, 2);
		assert_int_equal(f->outs.out[1].segs, 2);
	}
}

/* Only the version 6 is IPv6; other EtherTypes and protocols pass. */
static void test_others(void **state)
{
	struct gro_spec s = spec_v6(spec_tcp(100));
	struct fixture *f = *state;
	struct frame frame;

	gro_build(&s, &frame);
	frame.b[FRAME_L3] = 0x40;
	push_frame(f, &frame);
	frame.b[FRAME_L3] = 0x60;
	put16(frame.b + 12, 0x0806);
	push_frame(f, &frame);
	put16(frame.b + 12, 100);
	push_frame(f, &frame);
	assert_int_equal(f->outs.nr, 3);
	assert_int_equal(f->g.gro.held, 0);
	for (unsigned int proto = 0; proto < 256; proto++) {
		s = spec_tcp(100);
		gro_build(&s, &frame);
		frame.b[FRAME_L3 + 9] = (uint8_t)proto;
		frame_ip_csum(&frame);
		restart(f);
		push_frame(f, &frame);
		assert_int_equal(f->outs.nr, proto == 6 ? 0 : 1);
	}
	flush(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_FIXTURE(test_ip4),
		IN_FIXTURE(test_ip6),
		IN_FIXTURE(test_ids),
		IN_FIXTURE(test_headers),
		IN_FIXTURE(test_extensions),
		IN_FIXTURE(test_extensions_refused),
		IN_FIXTURE(test_vlan),
		IN_FIXTURE(test_vlan_differs),
		IN_FIXTURE(test_vlan_nested_deep),
		IN_FIXTURE(test_passed_by),
		IN_FIXTURE(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
