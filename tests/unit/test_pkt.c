// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* A packet's bounds, its fragments and its sharing, and the pool it comes from. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/pkt.h"

#define POOL 8

struct fixture {
	struct pkt_pool pool;
	uint8_t b[POOL][64];
};

/* Whose data has gone, in that order. */
static const struct pkt *gone[2 * POOL];
static unsigned int nr_gone;

static void note_gone(struct pkt *pkt)
{
	assert_in_range(nr_gone, 0, 2 * POOL - 1);
	gone[nr_gone++] = pkt;
}

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));

	assert_int_equal(pkt_pool_init(&f->pool, POOL), 0);
	nr_gone = 0;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	/* Whatever the test did, nothing is lost and nothing came back twice. */
	assert_int_equal(f->pool.nr_free, POOL);
	for (unsigned int i = 0; i < POOL; i++)
		for (unsigned int j = 0; j < i; j++)
			assert_ptr_not_equal(f->pool.free[i], f->pool.free[j]);
	pkt_pool_destroy(&f->pool);
	test_free(f);
	return 0;
}

/* Of len bytes `fill`, with 8 bytes of room on either side. */
static struct pkt *make(struct fixture *f, uint32_t len, uint8_t fill)
{
	struct pkt *pkt = pkt_alloc(&f->pool);
	uint8_t *b = f->b[pkt - f->pool.all];

	memset(b, fill, sizeof(f->b[0]));
	pkt->head = b;
	pkt->data = b + 8;
	pkt->tail = pkt->data + len;
	pkt->end = pkt->tail + 8;
	return pkt;
}

static void drop(struct fixture *f, struct pkt *pkt)
{
	pkt_free(&f->pool, pkt, note_gone);
}

static void test_bounds(void **state)
{
	uint8_t b[64];
	struct pkt pkt = { .head = b, .data = b + 4, .tail = b + 44, .end = b + 64 };

	(void)state;
	assert_int_equal(pkt_len(&pkt), 40);
	assert_int_equal(pkt_headroom(&pkt), 4);
	assert_ptr_equal(pkt_may_pull(&pkt, 40), b + 4);
	assert_null(pkt_may_pull(&pkt, 41));
	assert_null(pkt_may_pull(&pkt, UINT32_MAX));
	assert_false(pkt_pull(&pkt, 41));
	assert_false(pkt_trim(&pkt, 41));
	assert_false(pkt_push(&pkt, 5));
	assert_false(pkt_put(&pkt, 21));
	assert_false(pkt_push(&pkt, UINT32_MAX));
	assert_false(pkt_put(&pkt, UINT32_MAX));
	assert_int_equal(pkt_len(&pkt), 40);
	assert_ptr_equal(pkt.data, b + 4);

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

	assert_true(pkt_push(&pkt, 28));
	assert_ptr_equal(pkt.data, b);
	assert_false(pkt_push(&pkt, 1));
	assert_true(pkt_put(&pkt, 36));
	assert_ptr_equal(pkt.tail, b + 64);
	assert_false(pkt_put(&pkt, 1));
	assert_ptr_equal(pkt.head, b);
	assert_ptr_equal(pkt.end, b + 64);
}

static void test_reserve(void **state)
{
	uint8_t b[64];
	struct pkt pkt = { .head = b, .data = b, .tail = b, .end = b + 64 };

	(void)state;
	assert_false(pkt_reserve(&pkt, 65));
	assert_true(pkt_reserve(&pkt, 60));
	assert_ptr_equal(pkt.data, b + 60);
	assert_ptr_equal(pkt.tail, b + 60);
	assert_false(pkt_reserve(&pkt, 5));
	assert_true(pkt_put(&pkt, 1));
	/* No longer empty. */
	assert_false(pkt_reserve(&pkt, 1));
	assert_int_equal(pkt_headroom(&pkt), 60);
}

static void test_pool(void **state)
{
	struct fixture *f = *state;
	struct pkt *pkt[POOL];

	for (int i = 0; i < POOL; i++) {
		pkt[i] = pkt_alloc(&f->pool);
		assert_in_range(pkt[i] - f->pool.all, 0, POOL - 1);
	}
	assert_null(pkt_alloc(&f->pool));
	assert_null(pkt_alloc(&f->pool));
	/* The one used last is in the cache; what it was before is forgotten. */
	pkt[3]->gso_size = 7;
	pkt[3]->vlan_proto = 7;
	pkt[3]->csum = PKT_CSUM_PARTIAL;
	drop(f, pkt[1]);
	drop(f, pkt[3]);
	assert_ptr_equal(pkt_alloc(&f->pool), pkt[3]);
	assert_int_equal(pkt[3]->gso_size + pkt[3]->vlan_proto + pkt[3]->csum, 0);
	assert_int_equal(pkt[3]->gso_segs, 1);
	assert_ptr_equal(pkt_alloc(&f->pool), pkt[1]);
	for (int i = 0; i < POOL; i++)
		drop(f, pkt[i]);
	assert_int_equal(nr_gone, POOL + 2);
}

static void test_users(void **state)
{
	struct fixture *f = *state;
	struct pkt *pkt = make(f, 10, 1);

	assert_ptr_equal(pkt_get(pkt), pkt);
	drop(f, pkt);
	assert_int_equal(nr_gone, 0);
	assert_int_equal(f->pool.nr_free, POOL - 1);
	drop(f, pkt);
	assert_int_equal(nr_gone, 1);
	assert_ptr_equal(gone[0], pkt);
}

/* The data stays until the last of three has let go of it, in every order. */
static void test_clones(void **state)
{
	static const int orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
					  { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
	struct fixture *f = *state;

	for (int i = 0; i < 6; i++) {
		struct pkt *pkt[3] = { make(f, 20, 9) };

		assert_false(pkt_cloned(pkt[0]));
		pkt[0]->hash = 77;
		pkt[1] = pkt_clone(&f->pool, pkt[0]);
		pkt[2] = pkt_clone(&f->pool, pkt[1]);
		assert_int_equal(pkt[2]->hash, 77);
		assert_true(pkt_pull(pkt[1], 5));
		assert_true(pkt_trim(pkt[2], 3));
		for (int j = 0; j < 3; j++)
			assert_true(pkt_cloned(pkt[j]));
		assert_int_equal(pkt_len(pkt[0]), 20);
		assert_int_equal(pkt_len(pkt[1]), 15);
		assert_int_equal(pkt_len(pkt[2]), 3);
		assert_ptr_equal(pkt[2]->data, pkt[0]->data);
		nr_gone = 0;
		drop(f, pkt[orders[i][0]]);
		drop(f, pkt[orders[i][1]]);
		assert_int_equal(nr_gone, 0);
		drop(f, pkt[orders[i][2]]);
		assert_int_equal(nr_gone, 1);
		assert_ptr_equal(gone[0], pkt[0]);
		assert_int_equal(f->pool.nr_free, POOL);
	}
}

static void test_no_clone_left(void **state)
{
	struct fixture *f = *state;
	struct pkt *pkt[POOL] = { make(f, 4, 1) };

	for (int i = 1; i < POOL; i++)
		pkt[i] = pkt_clone(&f->pool, pkt[0]);
	assert_null(pkt_clone(&f->pool, pkt[0]));
	assert_int_equal(pkt[0]->datarefs, POOL);
	for (int i = 0; i < POOL; i++)
		drop(f, pkt[i]);
}

/* Three packets as one. */
static struct pkt *make_merged(struct fixture *f, struct pkt *part[3])
{
	part[0] = make(f, 10, 'a');
	part[1] = make(f, 6, 'b');
	part[2] = make(f, 3, 'c');
	assert_true(pkt_append(part[0], part[0], part[1]));
	assert_true(pkt_append(part[0], part[1], part[2]));
	part[0]->gso_size = 6;
	part[0]->gso_segs = 3;
	return part[0];
}

static void test_merged(void **state)
{
	struct fixture *f = *state;
	struct pkt *part[3], *pkt = make_merged(f, part);
	uint8_t copy[64] = { 0 };

	assert_int_equal(pkt_len(pkt), 19);
	assert_int_equal(pkt_headlen(pkt), 10);
	assert_int_equal(pkt->gso_segs, 3);
	assert_int_equal(pkt_truesize(pkt), 3 * sizeof(*pkt) + (10 + 6 + 3) + 3 * 16);
	pkt_copy(pkt, copy);
	assert_memory_equal(copy, "aaaaaaaaaabbbbbbccc", 20);

	/* One piece is as far as pointers reach. */
	assert_null(pkt_may_pull(pkt, 11));
	assert_false(pkt_pull(pkt, 11));
	assert_false(pkt_put(pkt, 1));
	assert_null(pkt_clone(&f->pool, pkt));
	assert_false(pkt_append(part[1], part[1], pkt));

	assert_true(pkt_pull(pkt, 10));
	assert_int_equal(pkt_len(pkt), 9);
	assert_false(pkt_reserve(pkt, 1));
	drop(f, pkt);
	assert_int_equal(nr_gone, 3);
	assert_ptr_equal(gone[2], pkt);
}

static void test_merged_trim(void **state)
{
	struct fixture *f = *state;

	for (uint32_t len = 0; len <= 20; len++) {
		struct pkt *part[3], *pkt = make_merged(f, part);
		uint8_t copy[64] = { 0 };

		nr_gone = 0;
		assert_int_equal(pkt_trim(pkt, len), len <= 19);
		if (len <= 19) {
			assert_int_equal(pkt_len(pkt), len);
			pkt_copy(pkt, copy);
			assert_memory_equal(copy, "aaaaaaaaaabbbbbbccc", len);
			assert_int_equal(copy[len], 0);
		}
		/* Frames of fragments that were cut off whole still go back. */
		drop(f, pkt);
		assert_int_equal(nr_gone, 3);
	}
}

static void test_split(void **state)
{
	struct fixture *f = *state;
	struct pkt *part[3], *pkt = make_merged(f, part), *rest;

	pkt->sport = 5;
	pkt->hash = 6;
	pkt->saddr.w[3] = 7;
	pkt->ttl = 8;
	rest = pkt_split(pkt);
	assert_ptr_equal(rest, part[1]);
	assert_ptr_equal(rest->next, part[2]);
	assert_null(part[2]->next);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(part[i]->sport, 5);
		assert_int_equal(part[i]->hash, 6);
		assert_int_equal(part[i]->saddr.w[3], 7);
		assert_int_equal(part[i]->ttl, 8);
		assert_int_equal(part[i]->gso_segs, 1);
	}
	assert_int_equal(pkt_len(pkt), 10);
	assert_null(pkt_split(pkt));
	for (int i = 0; i < 3; i++)
		drop(f, part[i]);
	assert_int_equal(nr_gone, 3);
}

static void test_append_refused(void **state)
{
	struct fixture *f = *state;
	struct pkt *a = make(f, 4, 1), *b = make(f, 4, 2), *clone = pkt_clone(&f->pool, b);

	assert_false(pkt_append(a, a, b));
	assert_false(pkt_append(a, a, clone));
	assert_false(pkt_append(b, b, a));
	drop(f, clone);
	assert_false(pkt_cloned(b));
	assert_false(pkt_append(a, a, pkt_get(b)));
	drop(f, b);
	assert_null(a->frag_list);
	assert_true(pkt_append(a, a, b));
	drop(f, a);
}

int main(void)
{
#define IN_FIXTURE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_reserve),
		IN_FIXTURE(test_pool),
		IN_FIXTURE(test_users),
		IN_FIXTURE(test_clones),
		IN_FIXTURE(test_no_clone_left),
		IN_FIXTURE(test_merged),
		IN_FIXTURE(test_merged_trim),
		IN_FIXTURE(test_split),
		IN_FIXTURE(test_append_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
