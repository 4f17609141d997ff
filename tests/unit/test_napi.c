// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* One poll: its limits, rx_meta, flow_head. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig.h"

#define PORT 5000
#define TARGET(queue) ((queue) * SLUICE_MAX_WORKERS)

static struct frame frame4(void)
{
	struct ends e = ends_of("192.0.2.1", 1000, "192.0.2.2", PORT);

	return frame_udp(&e, "x", 1);
}

/* One poll as worker_round() makes it. */
static unsigned int poll_once(struct rig *rig, unsigned int budget)
{
	unsigned int n = napi_poll(&rig->worker.napi[0], budget);

	sock_flush(&rig->worker, true);
	napi_complete(&rig->worker.napi[0]);
	return n;
}

static void test_weight_and_budget(void **state)
{
	struct rig *rig = rig_open(1);
	struct frame f = frame4();

	(void)state;
	rig_sock_any(rig, PORT, false);
	for (int i = 0; i < 200; i++)
		rig_push(rig, 0, &f);
	assert_int_equal(poll_once(rig, 0), 0);
	assert_int_equal(poll_once(rig, 10), 10);
	assert_int_equal(poll_once(rig, NAPI_WEIGHT), NAPI_WEIGHT);
	assert_int_equal(poll_once(rig, 1000), NAPI_WEIGHT);
	assert_int_equal(poll_once(rig, 1000), 200 - 2 * NAPI_WEIGHT - 10);
	assert_int_equal(poll_once(rig, 1000), 0);
	assert_int_equal(rig->worker.napi[0].stat.bytes, 200 * f.len);
	rig_close(rig);
}

static void test_hash_from_meta(void **state)
{
	struct rig *rig = rig_open(1);
	struct rig_sock *s = rig_sock_any(rig, PORT, false);
	struct frame f = frame4();
	uint32_t computed;

	(void)state;
	rig_push_hash(rig, 0, &f, 0xcafebabe, 1);
	rig_run(rig);
	assert_int_equal(rig_next(s)->hash, 0xcafebabe);
	assert_int_equal(rig->worker.napi[0].stat.no_meta, 0);

	/* The same frame of memory, now without: what was there before must not be believed. */
	computed = rig_expect_rec(rig, s, &f)->hash;
	assert_int_equal(rig->worker.napi[0].stat.no_meta, 1);
	assert_int_not_equal(computed, 0);
	assert_int_not_equal(computed, 0xcafebabe);

	/* Hash 0 in rx_meta is no hash. */
	rig_push_hash(rig, 0, &f, 0, 2);
	rig_run(rig);
	assert_int_equal(rig_next(s)->hash, computed);
	assert_int_equal(rig->worker.napi[0].stat.no_meta, 1);
	rig_close(rig);
}

static void test_wrong_magic(void **state)
{
	struct rig *rig = rig_open(1);
	struct rig_sock *s = rig_sock_any(rig, PORT, false);
	struct sluice_rx_meta meta = { .magic = SLUICE_RX_MAGIC ^ 1, .hash = 0xcafebabe,
				      .seq = 77 };
	struct frame f = frame4();

	(void)state;
	assert_int_equal(mem_source_push(&rig->mem[0], f.b, f.len, &meta), 0);
	rig_run(rig);
	assert_int_not_equal(rig_next(s)->hash, 0xcafebabe);
	assert_int_equal(rig->flow_head[TARGET(0)], 0);
	assert_int_equal(rig->worker.napi[0].stat.no_meta, 1);
	rig_close(rig);
}

static void test_flow_head(void **state)
{
	struct rig *rig = rig_open(2);
	struct rig_sock *s = rig_sock_any(rig, PORT, false);
	struct frame good = frame4(), bad = good;

	(void)state;
	bad.len = 3;
	for (uint32_t seq = 1; seq <= 10; seq++)
		rig_push_hash(rig, 1, &good, 1, seq);
	lane_lock(&s->sk.lane);
	worker_round(&rig->worker);
	/* Taken, but not yet in the lane. */
	assert_int_equal(rig->worker.napi[1].held, 10);
	assert_int_equal(rig->flow_head[TARGET(1)], 0);
	lane_unlock(&s->sk.lane);
	rig_run(rig);
	assert_int_equal(rig->flow_head[TARGET(1)], 10);

	/* A dropped packet is as fully processed as a delivered one. */
	rig_push_hash(rig, 1, &bad, 1, 0xffffffff);
	rig_run(rig);
	assert_int_equal(rig->flow_head[TARGET(1)], 0xffffffff);
	rig_push_hash(rig, 1, &good, 1, 0);
	rig_run(rig);
	assert_int_equal(rig->flow_head[TARGET(1)], 0);

	/* Without rx_meta nothing is known, and nothing moves. */
	rig_push_hash(rig, 1, &good, 1, 5);
	rig_push(rig, 1, &good);
	rig_run(rig);
	assert_int_equal(rig->flow_head[TARGET(1)], 5);
	assert_int_equal(rig->flow_head[TARGET(0)], 0);
	rig_close(rig);
}

static void test_nobody_reads_flow_head(void **state)
{
	struct rig *rig = rig_open(1);
	struct frame f = frame4();

	(void)state;
	rig_sock_any(rig, PORT, false);
	rig->engine->flow_head = NULL;
	rig_push_hash(rig, 0, &f, 1, 9);
	rig_run(rig);
	assert_int_equal(rig->flow_head[TARGET(0)], 0);
	rig_close(rig);
}

/* A source with one frame, described by the test. */
struct one_source {
	struct source src;
	struct rx_desc desc;
	bool there;
	unsigned int back;
};

static unsigned int one_peek(struct source *src, struct rx_desc *desc, unsigned int n)
{
	struct one_source *one = (void *)src;

	if (!n || !one->there)
		return 0;
	one->there = false;
	desc[0] = one->desc;
	return 1;
}

static void one_recycle(struct source *src, const uint64_t *frame, unsigned int n)
{
	struct one_source *one = (void *)src;

	assert_int_equal(n, 1);
	assert_int_equal(frame[0], one->desc.frame);
	one->back++;
}

static bool one_pending(const struct source *src)
{
	return ((const struct one_source *)(const void *)src)->there;
}

static const struct source_ops one_ops = { .peek = one_peek, .recycle = one_recycle,
					  .pending = one_pending };

static void run_one(struct one_source *one, struct napi_stat *stat)
{
	struct engine *engine = calloc(1, sizeof(*engine));
	struct worker worker;

	engine->broken_fd = -1;
	one->src = (struct source){ .ops = &one_ops, .fd = -1 };
	one->there = true;
	one->back = 0;
	assert_int_equal(worker_init(&worker, engine, 0, 0, 1), 0);
	assert_int_equal(worker_add_napi(&worker, &one->src, 0), 0);
	worker_round(&worker);
	assert_int_equal(one->back, 1);
	*stat = worker.napi[0].stat;
	worker_destroy(&worker);
	free(engine);
}

static void test_invalid_descriptor(void **state)
{
	struct one_source one = { .desc = { .data = NULL, .len = 4000, .room = 256,
					   .frame = 0x7000 } };
	struct napi_stat stat;

	(void)state;
	run_one(&one, &stat);
	assert_int_equal(stat.received, 1);
	assert_int_equal(stat.drop[SLUICE_DROP_DESC], 1);
	assert_int_equal(stat.no_meta, 0);
}

/* With less room before the frame than rx_meta needs, nothing before it is looked at. */
static void test_room_for_meta(void **state)
{
	struct sluice_rx_meta meta = { .magic = SLUICE_RX_MAGIC, .hash = 1, .seq = 1 };
	struct frame f = frame4();
	struct napi_stat stat;

	(void)state;
	for (uint32_t room = 0; room <= sizeof(meta); room++) {
		uint8_t *b = malloc(room + f.len);
		struct one_source one = { .desc = { .data = b + room, .len = f.len, .room = room,
						   .frame = 1 } };

		memcpy(b, (uint8_t *)&meta + sizeof(meta) - room, room);
		memcpy(b + room, f.b, f.len);
		run_one(&one, &stat);
		assert_int_equal(stat.no_meta, room < sizeof(meta));
		assert_int_equal(stat.drop[SLUICE_DROP_NO_SOCKET], 1);
		free(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_weight_and_budget),
		cmocka_unit_test(test_hash_from_meta),
		cmocka_unit_test(test_wrong_magic),
		cmocka_unit_test(test_flow_head),
		cmocka_unit_test(test_nobody_reads_flow_head),
		cmocka_unit_test(test_invalid_descriptor),
		cmocka_unit_test(test_room_for_meta),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
