// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Toeplitz: the verification suite that Microsoft publishes with the RSS specification,
 * a reference bit by bit, and the XDP program against both.
 */
#include "scene.h"

#define FLOWS 20000

/* Of the verification suite. */
static const __u8 suite_key[TOEPLITZ_KEY] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

struct vector {
	const char *daddr;
	__u16 dport;
	const char *saddr;
	__u16 sport;
	__u32 addresses;	/* hash of the addresses alone */
	__u32 tcp;		/* and of the ports */
};

static const struct vector vectors[] = {
	{ "161.142.100.80", 1766, "66.9.149.187", 2794, 0x323e8fc2, 0x51ccc178 },
	{ "65.69.140.83", 4739, "199.92.111.2", 14230, 0xd718262a, 0xc626b0ea },
	{ "12.22.207.184", 38024, "24.19.198.95", 12898, 0xd2d0a5de, 0x5c2b394a },
	{ "209.142.163.6", 2217, "38.27.205.30", 48228, 0x82989176, 0xafc7327f },
	{ "202.188.127.2", 1303, "153.39.163.191", 44251, 0x5d1809c5, 0x10e828a2 },
	{ "3ffe:2501:200:3::1", 1766, "3ffe:2501:200:1fff::7", 2794, 0x2cc18cd5, 0x40207d3d },
	{ "ff02::1", 4739, "3ffe:501:8::260:97ff:fe40:efab", 14230, 0x0f0c461c, 0xdde51bbf },
	{ "fe80::200:f8ff:fe21:67cf", 38024, "3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251,
	  0x4b61e985, 0x02d1feef },
};

#define VECTORS (sizeof(vectors) / sizeof(vectors[0]))

static const struct fixture_opts suite = { .toeplitz = suite_key, .mirror = 1,
					   .fallback = SLUICE_ACT_XSK };

static struct spec spec_of_vector(const struct vector *v, __u8 proto)
{
	struct spec s = { .version = strchr(v->daddr, ':') ? 6 : 4, .proto = proto,
			  .sport = v->sport, .dport = v->dport };

	memcpy(s.dmac, own_mac, sizeof(s.dmac));
	if (s.version == 6) {
		set_v6(s.saddr, v->saddr);
		set_v6(s.daddr, v->daddr);
	} else {
		set_v4(s.saddr, v->saddr);
		set_v4(s.daddr, v->daddr);
	}
	return s;
}

static struct flow_key key_of(const struct spec *s, __u8 ports)
{
	struct flow_key k = { .version = s->version, .proto = s->proto, .ports = ports };

	memcpy(&k.saddr, s->saddr, s->version == 6 ? 16 : 4);
	memcpy(&k.daddr, s->daddr, s->version == 6 ? 16 : 4);
	if (ports) {
		k.sport = htons(s->sport);
		k.dport = htons(s->dport);
	}
	return k;
}

/* Each bit of the input that is set adds the 32 bits of the key that begin at its place. */
static __u32 ref_toeplitz(const __u8 *key, const __u8 *input, size_t len)
{
	__u32 h = 0;

	for (size_t n = 0; n < len * 8; n++) {
		if (!(input[n / 8] >> (7 - n % 8) & 1))
			continue;
		for (size_t i = 0; i < 32; i++)
			h ^= (__u32)(key[(n + i) / 8] >> (7 - (n + i) % 8) & 1) << (31 - i);
	}
	return h ? h : 1;
}

static __u32 ref_of(const __u8 *key, const struct spec *s, int ports)
{
	size_t addr = s->version == 6 ? 16 : 4;
	__u8 m[36];

	memcpy(m, s->saddr, addr);
	memcpy(m + addr, s->daddr, addr);
	put16(m + 2 * addr, s->sport);
	put16(m + 2 * addr + 2, s->dport);
	return ref_toeplitz(key, m, 2 * addr + (ports ? 4 : 0));
}

static void test_vectors(void **state)
{
	toeplitz_nibble table[TOEPLITZ_NIBBLES];

	(void)state;
	toeplitz_fill(table, suite_key);
	for (size_t i = 0; i < VECTORS; i++) {
		struct spec s = spec_of_vector(&vectors[i], IPPROTO_TCP);
		struct flow_key with = key_of(&s, 1), without = key_of(&s, 0);

		assert_int_equal(ref_of(suite_key, &s, 1), vectors[i].tcp);
		assert_int_equal(ref_of(suite_key, &s, 0), vectors[i].addresses);
		assert_int_equal(toeplitz_hash(table, &with), vectors[i].tcp);
		assert_int_equal(toeplitz_hash(table, &without), vectors[i].addresses);
	}
}

static __u32 hash_in_program(const struct fixture *f, const struct spec *s)
{
	struct frame p = frame_build(s);
	struct result r = run_on(f, p.b, p.len, 0);

	assert_true(r.has_meta);
	return r.meta.hash;
}

/* TCP and UDP hash with ports, what has none, and fragments, over the addresses. */
static void test_program(void **state)
{
	struct fixture f;

	open_with(&f, *state, &suite);
	for (size_t i = 0; i < VECTORS; i++) {
		struct spec tcp = spec_of_vector(&vectors[i], IPPROTO_TCP), s = tcp;

		assert_int_equal(hash_in_program(&f, &tcp), vectors[i].tcp);
		s.proto = IPPROTO_UDP;
		assert_int_equal(hash_in_program(&f, &s), vectors[i].tcp);
		s.frag = 0x2000;
		s.exts = 1;
		s.ext[0] = IPPROTO_FRAGMENT;
		assert_int_equal(hash_in_program(&f, &s), vectors[i].addresses);
		s = tcp;
		s.proto = IPPROTO_GRE;
		assert_int_equal(hash_in_program(&f, &s), vectors[i].addresses);
	}
	fixture_close(&f);
}

static struct spec random_flow(__u64 *rng)
{
	__u64 v[4] = { rnd(rng), rnd(rng), rnd(rng), rnd(rng) };
	struct spec s = { .version = rnd(rng) & 1 ? 4 : 6, .proto = IPPROTO_UDP,
			  .sport = (__u16)rnd(rng), .dport = (__u16)rnd(rng) };

	memcpy(s.dmac, own_mac, sizeof(s.dmac));
	memcpy(s.saddr, v, 16);
	memcpy(s.daddr, v + 2, 16);
	return s;
}

static void test_against_reference(void **state)
{
	toeplitz_nibble table[TOEPLITZ_NIBBLES];
	__u64 rng = 5;
	struct fixture f;

	open_with(&f, *state, &suite);
	for (int i = 0; i < FLOWS; i++) {
		struct spec s = random_flow(&rng);
		struct flow_key k = key_of(&s, 1);
		__u8 key[TOEPLITZ_KEY];

		for (size_t b = 0; b < sizeof(key); b++)
			key[b] = (__u8)rnd(&rng);
		toeplitz_fill(table, key);
		assert_int_equal(toeplitz_hash(table, &k), ref_of(key, &s, 1));
		assert_int_equal(hash_in_program(&f, &s), ref_of(suite_key, &s, 1));
	}
	fixture_close(&f);
}

/* A key that repeats every 16 bits hashes both directions alike, as documented. */
static void test_symmetric_key(void **state)
{
	toeplitz_nibble table[TOEPLITZ_NIBBLES];
	__u8 key[TOEPLITZ_KEY];
	__u64 rng = 6;
	int differ = 0;

	(void)state;
	for (size_t b = 0; b < sizeof(key); b++)
		key[b] = b % 2 ? 0x5a : 0x6d;
	for (int i = 0; i < 2000; i++) {
		struct spec s = random_flow(&rng);
		struct flow_key k = key_of(&s, 1), back = k;

		back.saddr = k.daddr;
		back.daddr = k.saddr;
		back.sport = k.dport;
		back.dport = k.sport;
		toeplitz_fill(table, key);
		assert_int_equal(toeplitz_hash(table, &k), toeplitz_hash(table, &back));
		toeplitz_fill(table, suite_key);
		differ += toeplitz_hash(table, &k) != toeplitz_hash(table, &back);
	}
	assert_true(differ > 1990);
}

/* 0 is no hash: an input of zeros has it under any key. */
static void test_never_0(void **state)
{
	toeplitz_nibble table[TOEPLITZ_NIBBLES];
	struct flow_key k = { .version = 4, .ports = 1 };

	(void)state;
	toeplitz_fill(table, suite_key);
	assert_int_equal(toeplitz_hash(table, &k), 1);
	k.version = 6;
	assert_int_equal(toeplitz_hash(table, &k), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_program),
		cmocka_unit_test(test_against_reference),
		cmocka_unit_test(test_symmetric_key),
		cmocka_unit_test(test_never_0),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
