// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * The flow of a packet that came without rx_meta: what the parser finds in random frames, and
 * in ones made for a rule of Linux's flow dissector each.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "../bpf/check_dissect.h"
#include "../bpf/random_packet.h"
#include "../bpf/sip_ref.h"
#include "engine/engine.h"

#define FRAMES 300000

static struct spec spec_of(int version, __u8 proto)
{
	struct spec s = { .version = (__u8)version, .proto = proto, .sport = 1000, .dport = 2000,
			  .payload = 20 };

	if (version == 6) {
		set_v6(s.saddr, "2001:db8::2");
		set_v6(s.daddr, "2001:db8::1");
	} else {
		set_v4(s.saddr, "10.0.0.2");
		set_v4(s.daddr, "10.0.0.1");
	}
	return s;
}

static struct flow_key key_of(const struct spec *s)
{
	struct frame f = frame_build(s);
	struct flow_key k;

	check_dissect(f.b, f.len);
	assert_true(dissect_key(f.b, f.len, &k));
	return k;
}

static void check_ports(const struct spec *s, __u8 proto, bool ports)
{
	struct flow_key k = key_of(s);

	assert_int_equal(k.version, s->version == 6 ? 6 : 4);
	assert_int_equal(k.proto, proto);
	assert_int_equal(k.ports, ports);
	assert_int_equal(ntohs(k.sport), ports ? s->sport : 0);
	assert_int_equal(ntohs(k.dport), ports ? s->dport : 0);
}

static void test_random(void **state)
{
	__u64 rng = 21;
	int flows = 0, ports = 0;

	(void)state;
	for (int i = 0; i < FRAMES; i++) {
		struct spec s = spec_of(rnd(&rng) & 1 ? 4 : 6, IPPROTO_UDP);
		struct flow_key k;
		struct frame f;

		s.tags = rnd_below(&rng, 4) ? 0 : rnd_below(&rng, 3);
		s.tpid[0] = s.tpid[1] = rnd_below(&rng, 2) ? 0x8100 : 0x88a8;
		random_kind(&rng, &s);
		f = frame_build(&s);
		random_damage(&rng, &f);
		check_dissect(f.b, f.len);
		if (!dissect_key(f.b, f.len, &k))
			continue;
		flows++;
		ports += k.ports;
	}
	print_message("%d frames, %d with a flow, %d with ports\n", FRAMES, flows, ports);
	assert_true(flows > FRAMES / 2 && ports > FRAMES / 4 && ports < flows);
}

static void test_protocols(void **state)
{
	static const __u8 with[] = { IPPROTO_UDP, IPPROTO_TCP, IPPROTO_SCTP, IPPROTO_UDPLITE,
				     IPPROTO_DCCP, IPPROTO_ESP };

	(void)state;
	for (int version = 4; version <= 6; version += 2) {
		for (unsigned int proto = 0; proto < 256; proto++) {
			struct spec s = spec_of(version, (__u8)proto);
			bool ports = memchr(with, (int)proto, sizeof(with)) != NULL;

			/* These are no protocol over IPv6, but headers before one. */
			if (version == 6 &&
			    (proto == 0 || proto == 43 || proto == 44 || proto == 60))
				continue;
			if (proto == IPPROTO_AH)
				assert_int_equal(key_of(&s).ports, 1);
			else
				check_ports(&s, (__u8)proto, ports);
		}
	}
}

static void test_fragments(void **state)
{
	static const __u16 frag[] = { 0x2000, 0x2001, 1, 0x1fff };

	(void)state;
	for (size_t i = 0; i < sizeof(frag) / sizeof(frag[0]); i++) {
		struct spec s = spec_of(4, IPPROTO_UDP);

		s.frag = frag[i];
		check_ports(&s, IPPROTO_UDP, false);
		s.options = 8;
		check_ports(&s, IPPROTO_UDP, false);
	}
	/* Only the reserved bit and the don't-fragment bit are set. */
	for (unsigned int bit = 0x4000; bit <= 0x8000; bit <<= 1) {
		struct spec s = spec_of(4, IPPROTO_UDP);

		s.frag = (__u16)bit;
		check_ports(&s, IPPROTO_UDP, true);
	}
}

static void test_options(void **state)
{
	(void)state;
	for (__u8 options = 0; options <= 40; options = (__u8)(options + 4)) {
		struct spec s = spec_of(4, IPPROTO_TCP);

		s.options = options;
		check_ports(&s, IPPROTO_TCP, true);
	}
}

static void test_extensions(void **state)
{
	static const __u8 exts[] = { IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS };
	struct spec s = spec_of(6, IPPROTO_UDP);

	(void)state;
	for (s.exts = 0; s.exts <= 8; s.exts++) {
		for (__u32 i = 0; i < s.exts; i++) {
			s.ext[i] = exts[i % 3];
			s.ext_len[i] = i % 2;
		}
		check_ports(&s, IPPROTO_UDP, true);
	}
	/* One more: no ports, and the protocol is that of the header it stops at. */
	s.ext[s.exts - 1] = IPPROTO_DSTOPTS;
	check_ports(&s, IPPROTO_DSTOPTS, false);
	s = spec_of(6, IPPROTO_UDP);
	s.exts = 2;
	s.ext[0] = IPPROTO_HOPOPTS;
	s.ext[1] = IPPROTO_FRAGMENT;
	check_ports(&s, IPPROTO_UDP, false);
	/* AH ends the chain, as for Linux: its SPI stands in for the ports. */
	s.ext[1] = IPPROTO_AH;
	s.ext_len[1] = 1;
	assert_int_equal(key_of(&s).proto, IPPROTO_AH);
	assert_int_equal(key_of(&s).ports, 1);
}

static void test_tags(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 8; i++) {
		struct spec s = spec_of(i & 4 ? 6 : 4, IPPROTO_UDP);
		struct flow_key k;
		struct frame f;

		s.tags = 2;
		s.tpid[0] = i & 1 ? 0x8100 : 0x88a8;
		s.tpid[1] = i & 2 ? 0x8100 : 0x88a8;
		check_ports(&s, IPPROTO_UDP, true);
		f = frame_build(&s);
		/* A third one. */
		memmove(f.b + 16, f.b + 12, f.len - 12);
		assert_false(dissect_key(f.b, f.len, &k));
	}
}

static void test_nothing(void **state)
{
	struct spec s = spec_of(4, IPPROTO_UDP);
	struct frame f = frame_build(&s);
	struct flow_key k;

	(void)state;
	for (__u32 len = 0; len < f.len; len++) {
		check_dissect(f.b, len);
		assert_false(dissect_key(f.b, len, &k));
	}
	put16(f.b + 12, 0x0806);
	assert_false(dissect_key(f.b, f.len, &k));
}

/* Under either hash; a frame without a flow has none. */
static void test_hash(void **state)
{
	struct engine *engine = calloc(1, sizeof(*engine));
	struct spec s = spec_of(4, IPPROTO_TCP);
	struct frame f = frame_build(&s);
	const __u8 *ip = f.b + f.l3;

	(void)state;
	assert_non_null(engine);
	engine->hash_key[0] = 5;
	engine->hash_key[1] = 7;
	assert_int_equal(dissect_hash(engine, f.b, f.len),
			 ref_flow_hash(engine->hash_key, 4, IPPROTO_TCP, ip + 12, ip + 16, ip + 20,
				       ip + 22));
	engine->rss_key[0] = 0x80;
	toeplitz_fill(engine->rss_table, engine->rss_key);
	engine->toeplitz = true;
	/* That key has a bit for the first bit of an input only, which a 10. address has not. */
	assert_int_equal(dissect_hash(engine, f.b, f.len), 1);
	f.b[f.l3 + 12] = 0x8a;
	assert_int_equal(dissect_hash(engine, f.b, f.len), 0x80000000);
	put16(f.b + 12, 0x0806);
	assert_int_equal(dissect_hash(engine, f.b, f.len), 0);
	free(engine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),	   cmocka_unit_test(test_protocols),
		cmocka_unit_test(test_fragments),  cmocka_unit_test(test_options),
		cmocka_unit_test(test_extensions), cmocka_unit_test(test_tags),
		cmocka_unit_test(test_nothing),	   cmocka_unit_test(test_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
