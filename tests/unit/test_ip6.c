// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* IPv6: every field that can be wrong, every length that can be short. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig.h"

#define PORT 5000

static struct ends ends6(void)
{
	return ends_of("2001:db8::1", 1000, "2001:db8::2", PORT);
}

static struct frame frame6(void)
{
	struct ends e = ends6();

	return frame_udp(&e, "payload", 7);
}

static struct rig *setup_rig(void)
{
	struct rig *rig = rig_open(1);

	rig_sock_any(rig, PORT, true);
	return rig;
}

static void test_header_fields(void **state)
{
	struct rig *rig = rig_open(1);
	struct rig_sock *s = rig_sock_any(rig, PORT, true);
	struct frame f = frame6();
	struct ends e = ends6();
	const struct sluice_rec *rec;

	(void)state;
	/* Traffic class 0xb9, flow label 0xfedcb. */
	memcpy(f.b + f.l3, "\x6b\x9f\xed\xcb", 4);
	f.b[f.l3 + 7] = 1;
	rec = rig_expect_rec(rig, s, &f);
	rig_check_rec(rec, &e, "payload", 7);
	assert_int_equal(rec->tos, 0xb9);
	assert_int_equal(rec->ttl, 1);
	rig_close(rig);
}

static void test_cut_at_each_length(void **state)
{
	struct rig *rig = setup_rig();
	struct frame whole = frame6();

	(void)state;
	for (uint32_t len = FRAME_L3; len < whole.len; len++) {
		struct frame f = whole;

		f.len = len;
		rig_expect_drop(rig, &f, SLUICE_DROP_IP_TRUNCATED);
	}
	rig_close(rig);
}

static void test_version(void **state)
{
	struct rig *rig = setup_rig();

	(void)state;
	for (unsigned int version = 0; version < 16; version++) {
		struct frame f = frame6();

		if (version == 6)
			continue;
		f.b[f.l3] = (uint8_t)(version << 4);
		rig_expect_drop(rig, &f, SLUICE_DROP_IP_HEADER);
	}
	rig_close(rig);
}

static void test_mapped_addresses(void **state)
{
	static const uint8_t mapped[16] = { [10] = 0xff, 0xff, 10, 0, 0, 1 };
	struct rig *rig = setup_rig();

	(void)state;
	for (unsigned int at = 8; at <= 24; at += 16) {
		struct frame f = frame6();

		memcpy(f.b + f.l3 + at, mapped, sizeof(mapped));
		rig_expect_drop(rig, &f, SLUICE_DROP_IP_HEADER);
	}
	rig_close(rig);
}

static void test_payload_length(void **state)
{
	struct rig *rig = setup_rig();
	unsigned int right = 8 + 7;

	(void)state;
	for (unsigned int len = 0; len <= right + 1; len++) {
		struct frame f = frame6();

		if (len == right)
			continue;
		put16(f.b + f.l3 + 4, len);
		rig_expect_drop(rig, &f, len < 8 ? SLUICE_DROP_UDP_SHORT :
				len < right ? SLUICE_DROP_UDP_LEN : SLUICE_DROP_IP_TRUNCATED);
	}
	rig_close(rig);
}

static void test_padding(void **state)
{
	struct rig *rig = rig_open(1);
	struct rig_sock *s = rig_sock_any(rig, PORT, true);
	struct frame f = frame6();
	struct ends e = ends6();

	(void)state;
	memset(f.b + f.len, 0xee, 3);
	f.len += 3;
	rig_check_rec(rig_expect_rec(rig, s, &f), &e, "payload", 7);
	rig_close(rig);
}

static enum sluice_drop reason_of(unsigned int nexthdr)
{
	switch (nexthdr) {
	case 0:		/* hop-by-hop options */
	case 43:	/* routing */
	case 60:	/* destination options */
		return SLUICE_DROP_IP_OPTIONS;
	case 44:
		return SLUICE_DROP_IP_FRAG;
	default:
		return SLUICE_DROP_IP_PROTO;
	}
}

static void test_next_headers(void **state)
{
	struct rig *rig = setup_rig();

	(void)state;
	for (unsigned int nexthdr = 0; nexthdr < 256; nexthdr++) {
		struct frame f = frame6();

		if (nexthdr == 17)
			continue;
		f.b[f.l3 + 6] = (uint8_t)nexthdr;
		rig_expect_drop(rig, &f, reason_of(nexthdr));
	}
	rig_close(rig);
}

/* What the EtherType says and what the header says must agree. */
static void test_wrong_ethertype(void **state)
{
	struct rig *rig = setup_rig();
	struct ends e = ends_of("192.0.2.1", 1000, "192.0.2.2", PORT);
	struct frame f = frame6(), g = frame_udp(&e, "some payload of 20 B", 20);

	(void)state;
	put16(f.b + 12, 0x0800);
	rig_expect_drop(rig, &f, SLUICE_DROP_IP_HEADER);
	put16(g.b + 12, 0x86dd);
	rig_expect_drop(rig, &g, SLUICE_DROP_IP_HEADER);
	rig_close(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header_fields),
		cmocka_unit_test(test_cut_at_each_length),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_mapped_addresses),
		cmocka_unit_test(test_payload_length),
		cmocka_unit_test(test_padding),
		cmocka_unit_test(test_next_headers),
		cmocka_unit_test(test_wrong_ethertype),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
