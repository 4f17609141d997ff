// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* IPv4: every field that can be wrong, every length that can be short. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig.h"

#define PORT 5000

static const struct ends ends4 = { .version = 4, .saddr = { 192, 0, 2, 1 },
				  .daddr = { 192, 0, 2, 2 },
				   .sport = 1000, .dport = PORT };

static struct rig *setup_rig(void)
{
	struct rig *rig = rig_open(1);

	rig_sock_any(rig, PORT, false);
	return rig;
}

/* With the header's checksum made right, so that it is not that which is found wrong. */
static void expect_field(struct rig *rig, unsigned int at, uint8_t value, enum sluice_drop reason)
{
	struct frame f = frame_udp(&ends4, "payload", 7);

	f.b[f.l3 + at] = value;
	frame_ip_csum(&f);
	rig_expect_drop(rig, &f, reason);
}

static void expect_total_length(struct rig *rig, unsigned int len, enum sluice_drop reason)
{
	struct frame f = frame_udp(&ends4, "payload", 7);

	put16(f.b + f.l3 + 2, len);
	frame_ip_csum(&f);
	rig_expect_drop(rig, &f, reason);
}

static void test_header_fields(void **state)
{
	struct rig *rig = rig_open(1);
	struct rig_sock *s = rig_sock_any(rig, PORT, false);
	struct frame f = frame_udp(&ends4, "payload", 7);
	const struct sluice_rec *rec;

	(void)state;
	f.b[f.l3 + 1] = 0xb9;
	f.b[f.l3 + 8] = 1;
	put16(f.b + f.l3 + 4, 0xabcd);
	frame_ip_csum(&f);
	rec = rig_expect_rec(rig, s, &f);
	rig_check_rec(rec, &ends4, "payload", 7);
	assert_int_equal(rec->tos, 0xb9);
	assert_int_equal(rec->ttl, 1);
	rig_close(rig);
}

/*
 * Whole frames cut at each byte: nothing is read that is not there, and nothing delivered in
 * part.
 */
static void test_cut_at_each_length(void **state)
{
	struct rig *rig = setup_rig();
	struct frame whole = frame_udp(&ends4, "payload", 7);

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
	for (unsigned int version = 0; version < 16; version++)
		if (version != 4)
			expect_field(rig, 0, (uint8_t)(version << 4 | 5), SLUICE_DROP_IP_HEADER);
	rig_close(rig);
}

static void test_header_length(void **state)
{
	struct rig *rig = setup_rig();

	(void)state;
	for (uint8_t ihl = 0; ihl < 5; ihl++)
		expect_field(rig, 0, 0x40 | ihl, SLUICE_DROP_IP_HEADER);
	for (uint8_t ihl = 6; ihl < 16; ihl++)
		expect_field(rig, 0, 0x40 | ihl, SLUICE_DROP_IP_OPTIONS);
	rig_close(rig);
}

/*
 * One flipped bit anywhere in the header is noticed: by the checksum where no other check comes
 * first.
 */
static void test_checksum(void **state)
{
	struct rig *rig = setup_rig();

	(void)state;
	for (unsigned int bit = 8; bit < 20 * 8; bit++) {
		struct frame f = frame_udp(&ends4, "payload", 7);

		f.b[f.l3 + bit / 8] ^= (uint8_t)(1u << bit % 8);
		rig_expect_drop(rig, &f, SLUICE_DROP_IP_CSUM);
	}
	rig_close(rig);
}

static void test_total_length(void **state)
{
	struct rig *rig = setup_rig();
	unsigned int right = 20 + 8 + 7;

	(void)state;
	for (unsigned int len = 0; len < 20; len++)
		expect_total_length(rig, len, SLUICE_DROP_IP_HEADER);
	for (unsigned int len = 20; len < 28; len++)
		expect_total_length(rig, len, SLUICE_DROP_UDP_SHORT);
	for (unsigned int len = 28; len < right; len++)
		expect_total_length(rig, len, SLUICE_DROP_UDP_LEN);
	expect_total_length(rig, right + 1, SLUICE_DROP_IP_TRUNCATED);
	expect_total_length(rig, 65535, SLUICE_DROP_IP_TRUNCATED);
	rig_close(rig);
}

/* Short frames come padded to 60 bytes: the padding is no payload and in no checksum. */
static void test_padding(void **state)
{
	struct rig *rig = rig_open(1);
	struct rig_sock *s = rig_sock_any(rig, PORT, false);

	(void)state;
	for (uint32_t len = 0; len < 8; len++) {
		struct frame f = frame_udp(&ends4, "payload", len);

		memset(f.b + f.len, 0xee, 60 - f.len);
		f.len = 60;
		rig_check_rec(rig_expect_rec(rig, s, &f), &ends4, "payload", len);
	}
	rig_close(rig);
}

static void expect_fragment(struct rig *rig, unsigned int frag_off)
{
	struct frame f = frame_udp(&ends4, "payload", 7);

	put16(f.b + f.l3 + 6, frag_off);
	frame_ip_csum(&f);
	rig_expect_drop(rig, &f, SLUICE_DROP_IP_FRAG);
}

static void test_fragments(void **state)
{
	struct rig *rig = rig_open(1);
	struct rig_sock *s = rig_sock_any(rig, PORT, false);
	struct frame f = frame_udp(&ends4, "payload", 7);

	(void)state;
	expect_fragment(rig, 0x2000);
	expect_fragment(rig, 0x6000);
	expect_fragment(rig, 0x3fff);
	for (unsigned int bit = 0; bit < 13; bit++)
		expect_fragment(rig, 1u << bit);
	/* DF and the reserved bit do not make a fragment. */
	put16(f.b + f.l3 + 6, 0xc000);
	frame_ip_csum(&f);
	rig_check_rec(rig_expect_rec(rig, s, &f), &ends4, "payload", 7);
	rig_close(rig);
}

static void test_protocols(void **state)
{
	struct rig *rig = setup_rig();

	(void)state;
	for (unsigned int proto = 0; proto < 256; proto++)
		if (proto != 17)
			expect_field(rig, 9, (uint8_t)proto, SLUICE_DROP_IP_PROTO);
	rig_close(rig);
}

/* The order of the checks is the order of the reasons. */
static void test_two_errors(void **state)
{
	struct rig *rig = setup_rig();
	struct frame f = frame_udp(&ends4, "payload", 7);

	(void)state;
	put16(f.b + f.l3 + 2, 1000);
	put16(f.b + f.l3 + 6, 0x2000);
	rig_expect_drop(rig, &f, SLUICE_DROP_IP_CSUM);
	frame_ip_csum(&f);
	rig_expect_drop(rig, &f, SLUICE_DROP_IP_TRUNCATED);
	rig_close(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header_fields),
		cmocka_unit_test(test_cut_at_each_length),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_header_length),
		cmocka_unit_test(test_checksum),
		cmocka_unit_test(test_total_length),
		cmocka_unit_test(test_padding),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_protocols),
		cmocka_unit_test(test_two_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
