// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* CPU masks in Linux's format, read and printed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "cli/mask.h"
#include "daemon/settings.h"

static void check(const char *text, uint64_t low, uint64_t high)
{
	uint64_t mask[2] = { 77, 77 };

	assert_int_equal(mask_parse(text, mask, 128), 0);
	assert_int_equal(mask[0], low);
	assert_int_equal(mask[1], high);
}

static void test_parse(void **state)
{
	(void)state;
	check("0", 0, 0);
	check("3", 3, 0);
	check("fF", 0xff, 0);
	check("00000001", 1, 0);
	check("1,00000000", 1ull << 32, 0);
	check("1,2", 1ull << 32 | 2, 0);
	check("80000000,00000000,00000000,00000001", 1, 1ull << 63);
	check("0,0,80000000,00000000,00000000,00000001", 1, 1ull << 63);
	check(",1,", 1, 0);
	check("1,,2", 1ull << 32 | 2, 0);
}

static void test_refuse(void **state)
{
	static const struct {
		const char *text;
		int err;
	} bad[] = {
		{ "", -EINVAL },	 { ",", -EINVAL },
		{ "0x3", -EINVAL },	 { "3g", -EINVAL },
		{ "-1", -EINVAL },	 { "1 2", -EINVAL },
		{ "123456789", -EOVERFLOW }, { "000000001", -EOVERFLOW },
		{ "1,00000000,00000000,00000000,00000000", -EOVERFLOW },
		{ "g,123456789", -EOVERFLOW },
	};
	uint64_t mask[2] = { 77, 77 };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(mask_parse(bad[i].text, mask, 128), bad[i].err);
		assert_int_equal(mask[0], 77);
		assert_int_equal(mask[1], 77);
	}
}

static void check_print(uint32_t nr, uint64_t low, uint64_t high, const char *want)
{
	const uint64_t mask[2] = { low, high };
	uint64_t again[2];
	char text[64];

	settings_mask(mask, nr, text, sizeof(text));
	assert_string_equal(text, want);
	assert_int_equal(mask_parse(text, again, 128), 0);
	assert_memory_equal(again, mask, sizeof(mask));
}

static void test_print(void **state)
{
	(void)state;
	check_print(1, 1, 0, "1");
	check_print(2, 3, 0, "3");
	check_print(4, 0, 0, "0");
	check_print(5, 3, 0, "03");
	check_print(32, 3, 0, "00000003");
	check_print(33, 3, 0, "0,00000003");
	check_print(64, 1ull << 63 | 1, 0, "80000000,00000001");
	check_print(72, 2, 0x80, "80,00000000,00000002");
	check_print(128, 0, 1ull << 63, "80000000,00000000,00000000,00000000");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_refuse),
		cmocka_unit_test(test_print),
	};

	return cmocka_run_group_tests_name("mask", tests, NULL, NULL);
}
