// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Linux's layout of rps_sock_flow: the upper bits of the hash, and the CPU. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <sluice/steer.h>

#include "engine/rfs.h"

#define ENTRIES 256

static void table_clear(uint32_t *table)
{
	for (int i = 0; i < ENTRIES; i++)
		table[i] = SLUICE_NO_CPU;
}

static void assert_only(const uint32_t *table, uint32_t at, uint32_t value)
{
	for (uint32_t i = 0; i < ENTRIES; i++)
		assert_int_equal(table[i], i == at ? value : SLUICE_NO_CPU);
}

static void test_layout(void **state)
{
	static const uint32_t hashes[] = { 1, 0x80000000, 0xffffffff, 0x12345678, 0x000000ff,
					  0xdeadbe00 };
	uint32_t table[ENTRIES];

	(void)state;
	for (uint32_t cpu_mask = 0; cpu_mask < 1024; cpu_mask = 2 * cpu_mask + 1) {
		const struct rfs rfs = { .sock_flow = table, .mask = ENTRIES - 1,
					.cpu_mask = cpu_mask };

		for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++) {
			uint32_t hash = hashes[i];

			table_clear(table);
			rfs_record(&rfs, hash, cpu_mask);
			assert_only(table, hash % ENTRIES, (hash & ~cpu_mask) | cpu_mask);
			rfs_record(&rfs, hash, 0);
			assert_only(table, hash % ENTRIES, hash & ~cpu_mask);
		}
	}
}

static void test_last_writer_wins(void **state)
{
	uint32_t table[ENTRIES];
	const struct rfs rfs = { .sock_flow = table, .mask = ENTRIES - 1, .cpu_mask = 7 };

	(void)state;
	table_clear(table);
	rfs_record(&rfs, 0x10000042, 3);
	rfs_record(&rfs, 0x20000042, 5);
	assert_only(table, 0x42, 0x20000040 | 5);
	rfs_record(&rfs, 0x20000042, 5);
	assert_only(table, 0x42, 0x20000040 | 5);
}

static void test_no_hash(void **state)
{
	uint32_t table[ENTRIES];
	const struct rfs rfs = { .sock_flow = table, .mask = ENTRIES - 1, .cpu_mask = 7 };

	(void)state;
	table_clear(table);
	rfs_record(&rfs, 0, 3);
	assert_only(table, ENTRIES, 0);
}

static void test_off(void **state)
{
	const struct rfs off = { .sock_flow = NULL, .cpu_mask = 7 };

	(void)state;
	rfs_record(&off, 0x12345678, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_last_writer_wins),
		cmocka_unit_test(test_no_hash),
		cmocka_unit_test(test_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
