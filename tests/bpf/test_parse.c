// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* What the parser lets through, and under which verdict it ends the rest. */
#include "scene.h"

static void test_redirect(void **state)
{
	struct spec s4 = spec4(), s6 = spec6();

	assert_int_equal(verdict(*state, &s4), V(REDIRECT));
	assert_int_equal(verdict(*state, &s6), V(REDIRECT));
	s4.payload = s6.payload = 0;
	assert_int_equal(verdict(*state, &s4), V(REDIRECT));
	assert_int_equal(verdict(*state, &s6), V(REDIRECT));
}

static void test_mac(void **state)
{
	static const __u8 others[][6] = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
					  { 0x01, 0x00, 0x5e, 0x00, 0x00, 0x01 },
					  { 0x33, 0x33, 0x00, 0x00, 0x00, 0x01 } };
	struct fixture *f = *state;
	struct spec s = spec4();

	for (unsigned int i = 0; i < 3; i++) {
		memcpy(s.dmac, others[i], sizeof(s.dmac));
		assert_int_equal(verdict(f, &s), V(PASS_MAC));
	}
	for (unsigned int i = 0; i < 6; i++) {
		s = spec4();
		s.dmac[i] ^= 0x10;
		assert_int_equal(verdict(f, &s), V(PASS_MAC));
	}
	/* The device's address changed while running. */
	memcpy(f->skel->bss->dev_mac, s.dmac, sizeof(s.dmac));
	assert_int_equal(verdict(f, &s), V(REDIRECT));
	s = spec4();
	assert_int_equal(verdict(f, &s), V(PASS_MAC));
}

static enum sluice_verdict tagged(const struct fixture *f, unsigned int tags, __u16 tpid,
				  __u16 tci, __u16 inner)
{
	struct spec s = spec4();

	s.tags = tags;
	s.tpid[0] = tpid;
	s.tci[0] = tci;
	s.tpid[1] = inner;
	return verdict(f, &s);
}

static void test_vlan(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(tagged(f, 1, 0x8100, 0, 0), V(REDIRECT));
	assert_int_equal(tagged(f, 1, 0x8100, 0xf000, 0), V(REDIRECT));
	assert_int_equal(tagged(f, 1, 0x8100, 5, 0), V(PASS_VLAN));
	f->vlan[5] = 7;
	assert_int_equal(tagged(f, 1, 0x8100, 5, 0), V(REDIRECT));
	assert_int_equal(tagged(f, 1, 0x8100, 0xb005, 0), V(REDIRECT));
	assert_int_equal(tagged(f, 1, 0x8100, 6, 0), V(PASS_VLAN));
	assert_int_equal(tagged(f, 1, 0x8100, 4095, 0), V(PASS_VLAN));
	assert_int_equal(tagged(f, 1, 0x88a8, 5, 0), V(PASS_VLAN));
	assert_int_equal(tagged(f, 1, 0x88a8, 0, 0), V(PASS_VLAN));
	assert_int_equal(tagged(f, 2, 0x8100, 5, 0x8100), V(PASS_VLAN));
	assert_int_equal(tagged(f, 2, 0x8100, 0, 0x8100), V(PASS_VLAN));
	assert_int_equal(tagged(f, 2, 0x8100, 5, 0x88a8), V(PASS_VLAN));
	f->vlan[5] = 0;
	assert_int_equal(tagged(f, 1, 0x8100, 5, 0), V(PASS_VLAN));
}

static void test_proto(void **state)
{
	static const __u16 types[] = { 0x0806, 0x88cc, 0x0060, 0x8864 };
	struct spec s = spec4();

	for (unsigned int i = 0; i < 4; i++) {
		struct frame p = frame_build(&s);

		put16(p.b + 12, types[i]);
		assert_int_equal(verdict_of(*state, p.b, p.len, 0), V(PASS_PROTO));
	}
}

static void test_header4(void **state)
{
	struct spec s = spec4();
	const unsigned int whole = 20 + 8 + s.payload;

	for (unsigned int b = 0; b < 256; b++)
		assert_int_equal(patched(*state, &s, 0, (__u8)b),
				 b == 0x45 ? V(REDIRECT) : V(PASS_HEADER));
	for (unsigned int len = 0; len < 256; len++)
		assert_int_equal(patched(*state, &s, 3, (__u8)len),
				 len >= 28 && len <= whole ? V(REDIRECT) : V(PASS_HEADER));
	assert_int_equal(patched(*state, &s, 2, 1), V(PASS_HEADER));
}

static void test_header6(void **state)
{
	struct spec s = spec6();
	const unsigned int whole = 8 + s.payload;

	for (unsigned int b = 0; b < 256; b++)
		assert_int_equal(patched(*state, &s, 0, (__u8)b),
				 b >> 4 == 6 ? V(REDIRECT) : V(PASS_HEADER));
	for (unsigned int len = 0; len < 256; len++)
		assert_int_equal(patched(*state, &s, 5, (__u8)len),
				 len >= 8 && len <= whole ? V(REDIRECT) : V(PASS_HEADER));
	assert_int_equal(patched(*state, &s, 4, 1), V(PASS_HEADER));
}

static void test_frag(void **state)
{
	struct spec s4 = spec4(), s6 = spec6();

	assert_int_equal(patched(*state, &s4, 6, 0x00), V(REDIRECT));
	assert_int_equal(patched(*state, &s4, 6, 0x40), V(REDIRECT));
	assert_int_equal(patched(*state, &s4, 6, 0x80), V(REDIRECT));
	for (unsigned int bit = 0; bit < 13; bit++)
		assert_int_equal(patched(*state, &s4, bit < 8 ? 7 : 6, (__u8)(1u << bit % 8)),
				 V(PASS_FRAG));
	assert_int_equal(patched(*state, &s4, 6, 0x20), V(PASS_FRAG));
	assert_int_equal(patched(*state, &s6, 6, 44), V(PASS_FRAG));
	/* A last fragment may be shorter than a UDP header. */
	s4.payload = 0;
	struct frame p = frame_build(&s4);

	put16(p.b + p.l3 + 2, 24);
	put16(p.b + p.l3 + 6, 100);
	assert_int_equal(verdict_of(*state, p.b, p.len - 4, 0), V(PASS_FRAG));
}

static void test_l4(void **state)
{
	for (int version = 4; version <= 6; version += 2) {
		struct spec s = spec_of(version);

		for (unsigned int proto = 0; proto < 256; proto++) {
			if (proto == IPPROTO_UDP || (version == 6 && proto == IPPROTO_FRAGMENT))
				continue;
			assert_int_equal(patched(*state, &s, version == 6 ? 6 : 9, (__u8)proto),
					 V(PASS_L4));
		}
	}
}

/* No prefix of a valid frame is taken, and none does harm. */
static void test_truncated(void **state)
{
	for (int version = 4; version <= 6; version += 2) {
		for (unsigned int tags = 0; tags <= 1; tags++) {
			struct spec s = spec_of(version);
			struct frame p;

			s.tags = tags;
			s.tpid[0] = 0x8100;
			p = frame_build(&s);
			for (__u32 len = 14; len < p.len; len++)
				assert_int_equal(verdict_of(*state, p.b, len, 0), V(PASS_HEADER));
			assert_int_equal(verdict_of(*state, p.b, p.len, 0), V(REDIRECT));
			/* Ethernet pads short frames. */
			assert_int_equal(verdict_of(*state, p.b, p.len + 18, 0), V(REDIRECT));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(redirect), T(mac), T(vlan), T(proto), T(header4), T(header6), T(frag), T(l4),
		T(truncated),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
