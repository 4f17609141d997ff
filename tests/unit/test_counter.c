// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Which counters belong to rules. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "engine/counter.h"

static void test_rows(void **state)
{
	struct counters c = { 0 };

	(void)state;
	assert_int_equal(counter_alloc(&c, 1), 1);
	assert_int_equal(counter_alloc(&c, 2), 2);
	assert_int_equal(counter_alloc(&c, 1), 4);
	counter_free(&c, 2, 2);
	/* Given out again last. */
	for (uint32_t i = 5; i < SLUICE_RULE_COUNTERS; i++)
		assert_int_equal(counter_alloc(&c, 1), i);
	assert_int_equal(counter_alloc(&c, 2), 2);
	assert_int_equal(counter_alloc(&c, 2), 0);
	assert_int_equal(counter_alloc(&c, 1), 0);
	counter_free(&c, 0, 1);
	assert_int_equal(counter_alloc(&c, 1), 0);
	counter_free(&c, SLUICE_RULE_COUNTERS - 1, 1);
	counter_free(&c, 1, 1);
	/* The last and the first are no row. */
	assert_int_equal(counter_alloc(&c, 2), 0);
	assert_int_not_equal(counter_alloc(&c, 1), 0);
	assert_int_not_equal(counter_alloc(&c, 1), 0);
	assert_int_equal(counter_alloc(&c, 1), 0);
}

/* Random allocations never overlap, and a row is found whenever there is one. */
static void test_random(void **state)
{
	struct counters *c = calloc(1, sizeof(*c));
	uint8_t *owner = calloc(SLUICE_RULE_COUNTERS + 2, 1);
	uint32_t rng = 1, refused = 0;

	(void)state;
	assert_non_null(c);
	assert_non_null(owner);
	for (int step = 0; step < 200000; step++) {
		uint32_t n, at;

		rng = rng * 1664525u + 1013904223u;
		n = 1 + (rng >> 20) % 2;
		at = 1 + (rng >> 8) % (SLUICE_RULE_COUNTERS - 1);
		if (step % 4 == 3) {
			uint32_t len = owner[at];

			if (len) {
				counter_free(c, at, len);
				owner[at] = 0;
			}
			continue;
		}
		at = counter_alloc(c, n);
		if (!at) {
			refused++;
			continue;
		}
		assert_true(at + n <= SLUICE_RULE_COUNTERS);
		assert_int_equal(owner[at], 0);
		assert_true(owner[at - 1] < 2);
		assert_true(n == 1 || !owner[at + 1]);
		owner[at] = (uint8_t)n;
	}
	assert_true(refused > 0);
	free(owner);
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests_name("counter", tests, NULL, NULL);
}
