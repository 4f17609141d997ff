// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* A packet's bounds, and the pool it comes from. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/pkt.h"

static void test_pull_and_trim(void **state)
{
	uint8_t b[64];
	struct pkt pkt = { .head = b, .data = b + 4, .tail = b + 44, .end = b + 64 };

	(void)state;
	assert_int_equal(pkt_len(&pkt), 40);
	assert_ptr_equal(pkt_may_pull(&pkt, 40), b + 4);
	assert_null(pkt_may_pull(&pkt, 41));
	assert_null(pkt_may_pull(&pkt, UINT32_MAX));
	assert_false(pkt_pull(&pkt, 41));
	assert_false(pkt_trim(&pkt, 41));
	assert_int_equal(pkt_len(&pkt), 40);

	assert_true(pkt_pull(&pkt, 14));
	assert_ptr_equal(pkt.data, b + 18);
	assert_true(pkt_trim(&pkt, 26));
	assert_int_equal(pkt_len(&pkt), 26);
	assert_true(pkt_trim(&pkt, 10));
	assert_ptr_equal(pkt.tail, b + 28);
	assert_false(pkt_trim(&pkt, 11));

	assert_true(pkt_pull(&pkt, 10));
	assert_int_equal(pkt_len(&pkt), 0);
	assert_non_null(pkt_may_pull(&pkt, 0));
	assert_true(pkt_pull(&pkt, 0));
	assert_false(pkt_pull(&pkt, 1));
	assert_true(pkt_trim(&pkt, 0));
	assert_ptr_equal(pkt.head, b);
	assert_ptr_equal(pkt.end, b + 64);
}

static void test_pool(void **state)
{
	struct pkt_pool pool;
	struct pkt *pkt[5];

	(void)state;
	assert_int_equal(pkt_pool_init(&pool, 5), 0);
	assert_int_equal(pool.nr_free, 5);
	for (int i = 0; i < 5; i++) {
		pkt[i] = pkt_get(&pool);
		assert_in_range(pkt[i] - pool.all, 0, 4);
		for (int j = 0; j < i; j++)
			assert_ptr_not_equal(pkt[i], pkt[j]);
	}
	assert_null(pkt_get(&pool));
	assert_null(pkt_get(&pool));
	pkt_put(&pool, pkt[3]);
	pkt_put(&pool, pkt[1]);
	/* The one used last is in the cache. */
	assert_ptr_equal(pkt_get(&pool), pkt[1]);
	assert_ptr_equal(pkt_get(&pool), pkt[3]);
	assert_null(pkt_get(&pool));
	pkt_pool_destroy(&pool);
	assert_int_equal(pool.nr_free, 0);
	pkt_pool_destroy(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pull_and_trim),
		cmocka_unit_test(test_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
