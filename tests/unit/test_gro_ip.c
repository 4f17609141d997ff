// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* What tells flows apart, and ends one, in the headers of IP and below. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gro_fixture.h"

static const struct gro_case cases4[] = {
	{ "nothing", FIELD(urgent), '^', 0, true },
	{ "id gap", FIELD(id), '+', 1, false },
	{ "id back", FIELD(id), '+', -2, false },
	{ "id same", FIELD(id), '+', -1, true },
	{ "other ttl", FIELD(ttl), '+', -1, false },
	{ "other tos", FIELD(tos), '=', 1, false },
	{ "other df", FIELD(frag), '=', 0, false },
	{ "more fragments", FIELD(frag), '|', 0x2000, false },
	{ "fragment offset", FIELD(frag), '|', 1, false },
	{ "reserved bit", FIELD(frag), '|', 0x8000, false },
	{ "ip options", FIELD(ip_options), '=', true, false },
	{ "bad ip csum", FIELD(bad_ip_csum), '=', true, false },
	{ "longer than said", FIELD(ip_len), '=', -1, false },
	{ "shorter than said", FIELD(ip_len), '=', 1, false },
	{ "padded", FIELD(pad), '=', 6, false },
	{ "cut", FIELD(cut), '=', 1, false },
	{ "other source", FIELD(saddr[3]), '^', 1, false },
	{ "other destination", FIELD(daddr[3]), '^', 1, false },
};

static const struct gro_case cases6[] = {
	{ "nothing", FIELD(id), '=', 7, true },
	{ "other hop limit", FIELD(ttl), '+', -1, false },
	{ "other class high", FIELD(tos), '=', 0x80, false },
	{ "other class low", FIELD(tos), '=', 0x01, false },
	{ "other label", FIELD(label), '^', 1, false },
	{ "other label high", FIELD(label), '^', 0x80000, false },
	{ "longer than said", FIELD(ip_len), '=', -1, false },
	{ "shorter than said", FIELD(ip_len), '=', 1, false },
	{ "padded", FIELD(pad), '=', 1, false },
	{ "cut", FIELD(cut), '=', 1, false },
	{ "other source", FIELD(saddr[0]), '^', 1, false },
	{ "other destination", FIELD(daddr[15]), '^', 1, false },
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
