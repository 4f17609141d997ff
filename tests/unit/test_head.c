// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* What the XDP program reads of a worker: flow_head while packets wait for lanes, the heartbeat. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <time.h>

#include "rig.h"

#define PORT 5000
#define TARGET(queue) ((queue) * SLUICE_MAX_WORKERS)

static void push(struct rig *rig, unsigned int source, uint16_t port, uint32_t seq)
{
	struct ends e = ends_of("192.0.2.1", 1000, "192.0.2.2", port);
	struct frame f = frame_udp(&e, "x", 1);

	rig_push_hash(rig, source, &f, 1, seq);
}

/* Two sockets; the lane of the first is taken: the oldest packet for it bounds the head. */
static void test_oldest_held(void **state)
{
	struct rig *rig = rig_open(1);
	struct rig_sock *a = rig_sock_any(rig, PORT, false);

	(void)state;
	rig_sock_any(rig, PORT + 1, false);
	for (uint32_t seq = 1; seq <= 5; seq++)
		push(rig, 0, PORT + 1, seq);
	push(rig, 0, PORT, 6);
	push(rig, 0, PORT + 1, 7);
	push(rig, 0, PORT, 8);
	lane_lock(&a->sk.lane);
	assert_true(worker_round(&rig->worker));
	assert_int_equal(rig->worker.napi[0].held, 2);
	assert_int_equal(rig->flow_head[TARGET(0)], 5);
	push(rig, 0, PORT + 1, 9);
	assert_true(worker_round(&rig->worker));
	assert_int_equal(rig->flow_head[TARGET(0)], 5);
	lane_unlock(&a->sk.lane);
	rig_run(rig);
	assert_int_equal(rig->flow_head[TARGET(0)], 9);
	rig_close(rig);
}

/* Held back without a number of its own, it never moves the head back. */
static void test_held_without_number(void **state)
{
	struct rig *rig = rig_open(1);
	struct rig_sock *a = rig_sock_any(rig, PORT, false);
	struct ends e = ends_of("192.0.2.1", 1000, "192.0.2.2", PORT);
	struct frame f = frame_udp(&e, "x", 1);

	(void)state;
	push(rig, 0, PORT, 0xffffffff);
	push(rig, 0, PORT, 0);
	rig_run(rig);
	assert_int_equal(rig->flow_head[TARGET(0)], 0);
	lane_lock(&a->sk.lane);
	rig_push(rig, 0, &f);
	assert_true(worker_round(&rig->worker));
	assert_int_equal(rig->flow_head[TARGET(0)], 0);
	lane_unlock(&a->sk.lane);
	rig_run(rig);
	assert_int_equal(rig->flow_head[TARGET(0)], 0);
	rig_close(rig);
}

/* What one instance held goes out in a later round, in which only another one has packets. */
static void test_flushed_by_another(void **state)
{
	struct rig *rig = rig_open(2);
	struct rig_sock *a = rig_sock_any(rig, PORT, false);
	bool more;

	(void)state;
	push(rig, 0, PORT, 1);
	push(rig, 0, PORT, 2);
	lane_lock(&a->sk.lane);
	assert_int_equal(napi_poll(&rig->worker.napi[0], NAPI_WEIGHT), 2);
	sock_flush(&rig->worker, false);
	napi_complete(&rig->worker.napi[0]);
	assert_int_equal(rig->flow_head[TARGET(0)], 0);
	lane_unlock(&a->sk.lane);
	push(rig, 1, PORT, 7);
	more = worker_round(&rig->worker);
	assert_false(more);
	assert_int_equal(rig->flow_head[TARGET(0)], 2);
	assert_int_equal(rig->flow_head[TARGET(1)], 7);
	assert_int_equal(rig->worker.napi[0].nr_done, 0);
	rig_close(rig);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void test_heartbeat(void **state)
{
	struct sluice_heartbeat beat[SLUICE_MAX_WORKERS] = { 0 };
	struct rig *rig = rig_open(1);
	uint64_t before = now_ns();

	(void)state;
	rig->engine->heartbeat = beat;
	worker_round(&rig->worker);
	assert_in_range(beat[0].ns, before, now_ns());
	before = now_ns();
	worker_round(&rig->worker);
	assert_in_range(beat[0].ns, before, now_ns());
	assert_int_equal(beat[1].ns, 0);
	rig_close(rig);
}

/* A thread with nothing to do says that it sleeps, and wakes up on its own now and then. */
static void test_asleep(void **state)
{
	struct sluice_heartbeat beat[SLUICE_MAX_WORKERS] = { { .ns = 1 } };
	struct rig *rig = rig_open(1);
	const struct timespec ms = { .tv_nsec = 1000000 };
	uint64_t end = now_ns() + 2000000000ull;
	unsigned int asleep = 0;

	(void)state;
	rig->engine->heartbeat = beat;
	assert_int_equal(worker_start(&rig->worker), 0);
	while (stat_read(&rig->worker.stat.sleeps) < 4 && now_ns() < end) {
		nanosleep(&ms, NULL);
		asleep += !__atomic_load_n(&beat[0].ns, __ATOMIC_RELAXED);
	}
	worker_stop(&rig->worker);
	assert_true(rig->worker.stat.sleeps >= 4);
	assert_true(asleep > 100);
	rig_close(rig);
}

/* A worker in a slot that was another's goes on where that one was; an empty poll moves nothing. */
static void test_slot_used_again(void **state)
{
	struct rig *rig = rig_open(1);
	struct engine *engine = rig->engine;
	struct mem_source mem;
	struct worker worker;

	(void)state;
	engine->flow_head[SLUICE_MAX_WORKERS] = 1000;
	assert_int_equal(mem_source_init(&mem, 64), 0);
	assert_int_equal(worker_init(&worker, engine, 0, 0, 1), 0);
	assert_int_equal(worker_add_napi(&worker, &mem.src, 1), 0);
	worker_round(&worker);
	assert_int_equal(engine->flow_head[SLUICE_MAX_WORKERS], 1000);
	/* What was lost behind the last packet is not under way. */
	napi_settle(&worker.napi[0], 1040);
	assert_int_equal(engine->flow_head[SLUICE_MAX_WORKERS], 1040);
	worker_round(&worker);
	assert_int_equal(engine->flow_head[SLUICE_MAX_WORKERS], 1040);
	worker_destroy(&worker);
	mem_source_destroy(&mem);
	rig_close(rig);
}

/* The head of an instance that is leaving is not its own. */
static void test_leaving(void **state)
{
	struct rig *rig = rig_open(1);
	struct frame f = { .len = 5 };

	(void)state;
	rig_push_hash(rig, 0, &f, 1, 7);
	rig_run(rig);
	assert_int_equal(rig->flow_head[0], 7);
	rig->worker.napi[0].leaving = true;
	rig->flow_head[0] = 2000;
	rig_push_hash(rig, 0, &f, 1, 8);
	rig_run(rig);
	assert_int_equal(rig->flow_head[0], 2000);
	rig_close(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_oldest_held),
		cmocka_unit_test(test_held_without_number),
		cmocka_unit_test(test_flushed_by_another),
		cmocka_unit_test(test_heartbeat),
		cmocka_unit_test(test_asleep),
		cmocka_unit_test(test_slot_used_again),
		cmocka_unit_test(test_leaving),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
