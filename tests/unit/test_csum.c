// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The Internet checksum against one that adds 16 bits at a time. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "engine/csum.h"

#include "frames.h"

#define BYTES 65536

static void fill_random(uint8_t *p, size_t len)
{
	uint32_t x = 12345;

	for (size_t i = 0; i < len; i++) {
		x = x * 1664525 + 1013904223;
		p[i] = (uint8_t)(x >> 24);
	}
}

/* Ones' complement has two zeroes. */
static void assert_same_sum(uint16_t got, uint32_t want)
{
	assert_int_equal(ntohs(got) % 0xffff, want % 0xffff);
}

static void test_rfc1071_example(void **state)
{
	static const uint8_t b[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };

	(void)state;
	assert_int_equal(ntohs(csum_fold(csum_partial(b, sizeof(b), 0))), 0xddf2);
}

static void test_every_length_and_alignment(void **state)
{
	uint8_t *b = malloc(BYTES);

	(void)state;
	fill_random(b, BYTES);
	for (size_t at = 0; at < 9; at++)
		for (size_t len = 0; len < 300; len++)
			assert_same_sum(csum_fold(csum_partial(b + at, len, 0)),
					ref_sum(0, b + at, len));
	for (size_t len = BYTES - 40; len <= BYTES; len++)
		assert_same_sum(csum_fold(csum_partial(b, len, 0)), ref_sum(0, b, len));
	free(b);
}

static void test_continued_sum(void **state)
{
	uint8_t b[256];

	(void)state;
	fill_random(b, sizeof(b));
	for (size_t cut = 0; cut <= sizeof(b); cut += 2)
		assert_same_sum(csum_fold(csum_partial(b + cut, sizeof(b) - cut,
						       csum_partial(b, cut, 0))),
				ref_sum(0, b, sizeof(b)));
}

/* Every addition carries. */
static void test_carries(void **state)
{
	uint8_t b[97];

	(void)state;
	memset(b, 0xff, sizeof(b));
	for (size_t len = 2; len <= sizeof(b); len++) {
		assert_same_sum(csum_fold(csum_partial(b, len, UINT64_MAX)), ref_sum(0, b, len));
		assert_int_not_equal(csum_fold(csum_partial(b, len, 0)), 0);
	}
	assert_int_equal(csum_fold(UINT64_MAX), 0xffff);
	assert_int_equal(csum_fold(0xffffffff00000000), 0xffff);
	assert_int_equal(csum_fold(0x0001000100010001), 4);
	assert_int_equal(csum_fold(0xffff000000000001), 1);
	assert_int_equal(csum_fold(0), 0);
	assert_int_equal(csum_add(UINT64_MAX, 1), 1);
	assert_int_equal(csum_add(UINT64_MAX, UINT64_MAX), UINT64_MAX);
}

static void test_pseudo(void **state)
{
	uint8_t b[36] = { 0 };
	struct sluice_addr s, d;

	(void)state;
	fill_random(b, 32);
	memcpy(&s, b, 16);
	memcpy(&d, b + 16, 16);
	for (uint32_t len = 8; len < 65536; len += 1021) {
		uint8_t tail[8] = { (uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8),
				    (uint8_t)len, 0, 0, 0, 17 };

		assert_same_sum(csum_fold(csum_pseudo(&s, &d, 6, IPPROTO_UDP, len)),
				ref_sum(ref_sum(0, b, 32), tail, 8));
		assert_same_sum(csum_fold(csum_pseudo(&s, &d, 4, IPPROTO_UDP, len)),
				ref_sum(ref_sum(ref_sum(0, b + 12, 4), b + 28, 4), tail, 8));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc1071_example),
		cmocka_unit_test(test_every_length_and_alignment),
		cmocka_unit_test(test_continued_sum),
		cmocka_unit_test(test_carries),
		cmocka_unit_test(test_pseudo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
