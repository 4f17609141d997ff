// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Rounds of a worker, and its thread. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <urcu-qsbr.h>

#include "rig.h"
#include "shared.h"

#define PORT 5000

static struct frame frame_seq(uint16_t port, uint32_t seq)
{
	struct ends e = ends_of("192.0.2.1", 1000, "192.0.2.2", port);

	return frame_udp(&e, &seq, sizeof(seq));
}

static void push_many(struct rig *rig, unsigned int source, unsigned int n)
{
	struct frame f = frame_seq(PORT, 0);

	while (n--)
		rig_push(rig, source, &f);
}

static void test_idle(void **state)
{
	struct rig *rig = rig_open(3);

	(void)state;
	assert_false(worker_round(&rig->worker));
	assert_int_equal(rig->worker.stat.rounds, 1);
	assert_int_equal(rig->worker.stat.processed, 0);
	assert_int_equal(rig->worker.stat.time_squeeze, 0);
	rig_close(rig);
}

/*
 * A round takes no more than the budget and the poll that used it up; it says so when work is
 * left.
 */
static void budget_of(unsigned int sources, unsigned int each)
{
	struct rig *rig = rig_open(sources);
	unsigned int squeezed = 0;
	uint64_t before = 0;

	rig_sock_any(rig, PORT, false);
	for (unsigned int i = 0; i < sources; i++)
		push_many(rig, i, each);
	while (rig_pending(rig)) {
		bool more = worker_round(&rig->worker);

		assert_in_range(rig->worker.stat.processed - before, 1,
				WORKER_BUDGET + NAPI_WEIGHT - 1);
		before = rig->worker.stat.processed;
		assert_true(more || !rig_pending(rig));
		squeezed += more;
		assert_int_equal(rig->worker.stat.time_squeeze, squeezed);
	}
	assert_true(squeezed >= sources * each / (WORKER_BUDGET + NAPI_WEIGHT));
	rig_run(rig);
	assert_int_equal(rig->worker.stat.processed, sources * each);
	rig_close(rig);
}

static void test_budget(void **state)
{
	(void)state;
	budget_of(1, 2000);
	budget_of(2, 1000);
	budget_of(8, 500);
}

/* More instances than the budget has polls: none waits for another to run dry. */
static void test_fair(void **state)
{
	struct rig *rig = rig_open(RIG_SOURCES);

	(void)state;
	rig_sock_any(rig, PORT, false);
	for (unsigned int i = 0; i < RIG_SOURCES; i++)
		push_many(rig, i, 1000);
	for (int round = 0; round < 20; round++) {
		uint64_t low = UINT64_MAX, high = 0;

		worker_round(&rig->worker);
		for (unsigned int i = 0; i < RIG_SOURCES; i++) {
			uint64_t n = rig->worker.napi[i].stat.received;

			low = n < low ? n : low;
			high = n > high ? n : high;
		}
		assert_in_range(high - low, 0, 2 * NAPI_WEIGHT);
	}
	rig_run(rig);
	rig_close(rig);
}

/* So many frames that say where they came from. */
static void push_from(struct rig *rig, unsigned int source, unsigned int n)
{
	struct frame f = frame_seq(PORT, source);

	while (n--)
		rig_push(rig, source, &f);
}

/* The next n datagrams are all of this source. */
static void expect_from(struct rig_sock *s, uint32_t source, unsigned int n)
{
	while (n--) {
		const struct sluice_rec *rec = rig_next(s);
		uint32_t from;

		assert_non_null(rec);
		memcpy(&from, rec + 1, sizeof(from));
		assert_int_equal(from, source);
	}
}

/* Linux's net_rx_action: left over, then new, then again. */
static void test_poll_order(void **state)
{
	struct rig *rig = rig_open(5);
	struct rig_sock *s = rig_sock_any(rig, PORT, false);

	(void)state;
	rig->worker.time_limit_ns = 60000000000ull;
	push_from(rig, 0, 200);
	push_from(rig, 1, 10);
	push_from(rig, 2, 64);
	push_from(rig, 3, 130);
	/* 64, 10, 64, 64: all have had a turn; 64 more, and 34 to go: 64 of 3 use it up. */
	assert_true(worker_round(&rig->worker));
	assert_int_equal(rig->worker.stat.time_squeeze, 1);
	assert_int_equal(rig->worker.stat.processed, 64 + 10 + 64 + 64 + 64 + 64);
	expect_from(s, 0, 64);
	expect_from(s, 1, 10);
	expect_from(s, 2, 64);
	expect_from(s, 3, 64);
	expect_from(s, 0, 64);
	expect_from(s, 3, 64);
	/* 0 and 3 are to be polled again; 1 and 4 come before them. */
	push_from(rig, 1, 3);
	push_from(rig, 4, 70);
	assert_false(worker_round(&rig->worker));
	expect_from(s, 1, 3);
	expect_from(s, 4, 64);
	expect_from(s, 0, 64);
	expect_from(s, 3, 2);
	expect_from(s, 4, 6);
	expect_from(s, 0, 8);
	assert_int_equal(rig->worker.stat.time_squeeze, 1);
	assert_null(rig_next(s));
	rig_close(rig);
}

/* What a round has not come to is first in the next one. */
static void test_left_over_first(void **state)
{
	struct rig *rig = rig_open(3);
	struct rig_sock *s = rig_sock_any(rig, PORT, false);

	(void)state;
	rig->worker.time_limit_ns = 60000000000ull;
	rig->worker.budget = 64;
	for (unsigned int i = 0; i < 3; i++)
		push_from(rig, i, 100);
	for (uint32_t i = 0; i < 3; i++) {
		assert_true(worker_round(&rig->worker));
		expect_from(s, i, 64);
	}
	assert_int_equal(rig->worker.stat.time_squeeze, 3);
	assert_false(worker_round(&rig->worker) && worker_round(&rig->worker) &&
		     worker_round(&rig->worker));
	for (uint32_t i = 0; i < 3; i++)
		expect_from(s, i, 36);
	rig_close(rig);
}

/* Past the limit, each poll is the last of its round. */
static void test_time_limit(void **state)
{
	struct rig *rig = rig_open(2);
	struct rig_sock *s = rig_sock_any(rig, PORT, false);

	(void)state;
	rig->worker.time_limit_ns = 0;
	push_from(rig, 0, 70);
	push_from(rig, 1, 70);
	for (int round = 1; round <= 3; round++) {
		assert_true(worker_round(&rig->worker));
		assert_int_equal(rig->worker.stat.time_squeeze, round);
	}
	assert_false(worker_round(&rig->worker));
	assert_int_equal(rig->worker.stat.time_squeeze, 3);
	expect_from(s, 0, 64);
	expect_from(s, 1, 64);
	expect_from(s, 0, 6);
	expect_from(s, 1, 6);
	rig_close(rig);
}

static void test_counters(void **state)
{
	struct rig *rig = rig_open(2);
	struct frame bad = { .len = 5 };

	(void)state;
	rig_sock_any(rig, PORT, false);
	push_many(rig, 0, 10);
	push_many(rig, 1, 20);
	rig_push(rig, 1, &bad);
	rig_run(rig);
	assert_int_equal(rig->worker.stat.processed, 31);
	assert_int_equal(rig->worker.stat.dropped, 1);
	assert_int_equal(rig->worker.napi[0].stat.delivered, 10);
	assert_int_equal(rig->worker.napi[1].stat.delivered, 20);
	assert_int_equal(rig->worker.napi[1].stat.drop[SLUICE_DROP_ETH_SHORT], 1);
	rig_close(rig);
}

static void test_no_more_instances(void **state)
{
	struct rig *rig = rig_open(1);

	(void)state;
	assert_int_equal(worker_add_napi(&rig->worker, &rig->mem[0].src, 1), -ENOSPC);
	assert_int_equal(rig->worker.nr_napi, 1);
	rig_close(rig);
}

/*
 * Lanes whose locks are taken hold every packet that the worker has. All come
 * free in the poll of another instance, and their own goes on at once.
 */
static void hold_all(unsigned int full)
{
	struct rig *rig = rig_open(2);
	unsigned int socks = RIG_SOCKS;

	for (unsigned int i = 0; i < socks; i++) {
		rig_sock_any(rig, (uint16_t)(PORT + i), false);
		lane_lock(&rig->sock[i].sk.lane);
	}
	for (uint32_t i = 0; i < WORKER_PKTS + 500; i++) {
		struct frame f = frame_seq((uint16_t)(PORT + i % socks), i);

		rig_push_hash(rig, full, &f, i + 1, i + 1);
	}
	for (int i = 0; i < 100; i++)
		assert_true(worker_round(&rig->worker));
	assert_int_equal(rig->worker.napi[full].held, WORKER_PKTS);
	assert_int_equal(rig->worker.pool.nr_free, 0);
	for (unsigned int i = 0; i < socks; i++)
		lane_unlock(&rig->sock[i].sk.lane);
	rig_run(rig);
	for (uint32_t i = 0; i < WORKER_PKTS + 500; i++)
		assert_int_equal(rig_next(&rig->sock[i % socks])->hash, i + 1);
	rig_close(rig);
}

static void test_hold_all(void **state)
{
	(void)state;
	hold_all(0);
	hold_all(1);
}

/* What one instance's poll sets free of another's is given back before the worker may sleep. */
static void test_nothing_kept_when_idle(void **state)
{
	struct rig *rig = rig_open(2);
	struct rig_sock *s = rig_sock_any(rig, PORT, false);
	struct frame f = frame_seq(PORT, 0);

	(void)state;
	rig_push_hash(rig, 0, &f, 1, 9);
	lane_lock(&s->sk.lane);
	assert_true(worker_round(&rig->worker));
	lane_unlock(&s->sk.lane);
	assert_false(worker_round(&rig->worker));
	rig_check_books(rig);
	assert_int_equal(rig->flow_head[0], 9);
	rig_close(rig);
}

struct threaded {
	struct engine *engine;
	struct worker worker;
	struct shared_source source;
	struct rig_sock sock;
};

static struct threaded *threaded_open(void)
{
	struct threaded *t = calloc(1, sizeof(*t));
	struct udp_entry entry = { .sk = &t->sock.sk };

	t->engine = calloc(1, sizeof(*t->engine));
	t->engine->broken_fd = -1;
	rig_sock_open(&t->sock, &t->engine->rfs, SLUICE_LANE_DEFAULT, 1);
	assert_int_equal(udp_table_set(&t->engine->udp, PORT, &entry, 1), 0);
	shared_open(&t->source);
	assert_int_equal(worker_init(&t->worker, t->engine, 0, some_cpu(), 1), 0);
	assert_int_equal(worker_add_napi(&t->worker, &t->source.src, 0), 0);
	return t;
}

/* The worker has ended: whatever it took is in the lane. */
static void threaded_close(struct threaded *t)
{
	const struct napi *napi = &t->worker.napi[0];

	assert_int_equal(napi->stat.received, napi->stat.delivered);
	assert_int_equal(napi->held, 0);
	assert_int_equal(t->source.mem.nr_free + (t->source.mem.head - t->source.mem.tail),
			 RIG_FRAMES);
	assert_int_equal(t->sock.sk.lane.delivered, napi->stat.delivered);
	worker_destroy(&t->worker);
	udp_table_destroy(&t->engine->udp);
	rig_sock_close(&t->sock);
	shared_close(&t->source);
	free(t->engine);
	free(t);
}

static void expect_seq(struct threaded *t, uint32_t seq)
{
	const struct sluice_rec *rec;
	uint32_t got;
	int ms = 0;

	while (!(rec = rig_next(&t->sock))) {
		assert_true(ms++ < 5000);
		usleep(1000);
	}
	memcpy(&got, rec + 1, sizeof(got));
	assert_int_equal(got, seq);
	rig_consume(&t->sock, 0);
}

static void test_thread_delivers(void **state)
{
	struct threaded *t = threaded_open();

	(void)state;
	assert_int_equal(worker_start(&t->worker), 0);
	for (uint32_t seq = 0; seq < 100; seq++) {
		struct frame f = frame_seq(PORT, seq);

		assert_int_equal(shared_push(&t->source, &f), 0);
		/* Every tenth time it is long asleep. */
		if (seq % 10 == 0)
			usleep(2000);
		expect_seq(t, seq);
	}
	worker_stop(&t->worker);
	assert_true(t->worker.stat.sleeps > 0);
	assert_int_equal(t->worker.stat.processed, 100);
	threaded_close(t);
}

static void test_stop_delivers_first(void **state)
{
	(void)state;
	for (int turn = 0; turn < 50; turn++) {
		struct threaded *t = threaded_open();
		uint32_t n = 0;

		assert_int_equal(worker_start(&t->worker), 0);
		for (uint32_t seq = 0; seq < 500; seq++) {
			struct frame f = frame_seq(PORT, seq);

			assert_int_equal(shared_push(&t->source, &f), 0);
		}
		worker_stop(&t->worker);
		worker_stop(&t->worker);
		while (rig_next(&t->sock))
			n++;
		assert_int_equal(n, t->worker.napi[0].stat.received);
		threaded_close(t);
	}
}

static void *stop(void *arg)
{
	worker_stop(arg);
	return NULL;
}

/* Also what waits for a lane whose lock is taken. */
static void test_stop_waits_for_lock(void **state)
{
	struct threaded *t = threaded_open();
	struct frame f = frame_seq(PORT, 1);
	pthread_t thread;

	(void)state;
	lane_lock(&t->sock.sk.lane);
	assert_int_equal(worker_start(&t->worker), 0);
	assert_int_equal(shared_push(&t->source, &f), 0);
	while (!stat_read(&t->worker.stat.processed))
		usleep(100);
	/* A lock is released by its holder: the worker is stopped by another thread meanwhile. */
	assert_int_equal(pthread_create(&thread, NULL, stop, &t->worker), 0);
	usleep(30000);
	lane_unlock(&t->sock.sk.lane);
	pthread_join(thread, NULL);
	assert_int_equal(t->sock.sk.lane.delivered, 1);
	threaded_close(t);
}

/*
 * A table changes under a running worker: udp_table_set() returns when nobody uses the old
 * entries.
 */
static void test_table_changes_under_traffic(void **state)
{
	struct threaded *t = threaded_open();
	struct udp_entry entry = { .sk = &t->sock.sk };
	uint32_t pushed = 0;

	(void)state;
	assert_int_equal(worker_start(&t->worker), 0);
	for (uint32_t i = 0; i < 300; i++) {
		struct frame f = frame_seq(PORT, i);

		pushed += shared_push(&t->source, &f) == 0;
		assert_int_equal(udp_table_set(&t->engine->udp, PORT, &entry, i % 2), 0);
	}
	for (int ms = 0; stat_read(&t->worker.stat.processed) < pushed; ms++) {
		assert_true(ms < 5000);
		usleep(1000);
	}
	worker_stop(&t->worker);
	assert_int_equal(t->worker.stat.processed, pushed);
	assert_int_equal(t->worker.napi[0].stat.delivered + t->worker.stat.dropped, pushed);
	assert_int_equal(t->worker.napi[0].stat.drop[SLUICE_DROP_NO_SOCKET],
			 t->worker.stat.dropped);
	t->worker.napi[0].stat.received -= t->worker.stat.dropped;
	threaded_close(t);
}

static void wait_held(const struct threaded *t)
{
	for (int us = 0; !worker_held(&t->worker); us += 100) {
		assert_true(us < 5000000);
		usleep(100);
	}
}

/* A held worker takes nothing and holds nothing; it has no table in use, and its heart beats. */
static void test_held(void **state)
{
	struct sluice_heartbeat beat[SLUICE_MAX_WORKERS] = { { .ns = 0 } };
	struct threaded *t = threaded_open();
	struct frame f = frame_seq(PORT, 0);
	uint64_t seen;

	(void)state;
	t->engine->heartbeat = beat;
	assert_int_equal(worker_start(&t->worker), 0);
	/* Long asleep. */
	usleep(5000);
	worker_hold(&t->worker);
	wait_held(t);
	assert_int_equal(shared_push(&t->source, &f), 0);
	seen = __atomic_load_n(&beat[0].ns, __ATOMIC_RELAXED);
	usleep(20000);
	assert_true(__atomic_load_n(&beat[0].ns, __ATOMIC_RELAXED) > seen);
	synchronize_rcu();
	assert_int_equal(stat_read(&t->worker.stat.processed), 0);
	worker_release(&t->worker);
	expect_seq(t, 0);
	assert_false(worker_held(&t->worker));
	assert_int_equal(worker_unpin(&t->worker), 0);
	worker_hold(&t->worker);
	wait_held(t);
	worker_stop(&t->worker);
	assert_int_equal(worker_unpin(&t->worker), -ESRCH);
	threaded_close(t);
}

/* What it had taken is delivered before it is held. */
static void test_held_after_delivery(void **state)
{
	struct threaded *t = threaded_open();
	struct frame f = frame_seq(PORT, 3);

	(void)state;
	lane_lock(&t->sock.sk.lane);
	assert_int_equal(worker_start(&t->worker), 0);
	assert_int_equal(shared_push(&t->source, &f), 0);
	while (!stat_read(&t->worker.stat.processed))
		usleep(100);
	worker_hold(&t->worker);
	usleep(20000);
	assert_false(worker_held(&t->worker));
	lane_unlock(&t->sock.sk.lane);
	wait_held(t);
	expect_seq(t, 3);
	assert_int_equal(t->worker.napi[0].held, 0);
	worker_stop(&t->worker);
	threaded_close(t);
}

/* Held and released again and again, also before it has noticed: nothing is lost, and it sleeps. */
static void test_held_often(void **state)
{
	struct threaded *t = threaded_open();
	uint64_t sleeps;

	(void)state;
	assert_int_equal(worker_start(&t->worker), 0);
	for (uint32_t seq = 0; seq < 300; seq++) {
		struct frame f = frame_seq(PORT, seq);

		worker_hold(&t->worker);
		assert_int_equal(shared_push(&t->source, &f), 0);
		if (seq % 3)
			wait_held(t);
		if (seq % 7 == 0)
			usleep(300);
		worker_release(&t->worker);
		expect_seq(t, seq);
	}
	sleeps = stat_read(&t->worker.stat.sleeps);
	usleep(50000);
	/* A kick that nobody took back would end every sleep at once. */
	assert_in_range(stat_read(&t->worker.stat.sleeps) - sleeps, 0, 3);
	worker_stop(&t->worker);
	threaded_close(t);
}

static void test_no_such_cpu(void **state)
{
	struct engine *engine = calloc(1, sizeof(*engine));
	struct worker worker;

	(void)state;
	assert_int_equal(worker_init(&worker, engine, 0, CPU_SETSIZE - 1, 1), 0);
	assert_int_equal(worker_start(&worker), -EINVAL);
	worker_stop(&worker);
	worker_destroy(&worker);
	worker_destroy(&worker);
	free(engine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_fair),
		cmocka_unit_test(test_poll_order),
		cmocka_unit_test(test_left_over_first),
		cmocka_unit_test(test_time_limit),
		cmocka_unit_test(test_counters),
		cmocka_unit_test(test_no_more_instances),
		cmocka_unit_test(test_hold_all),
		cmocka_unit_test(test_nothing_kept_when_idle),
		cmocka_unit_test(test_thread_delivers),
		cmocka_unit_test(test_stop_delivers_first),
		cmocka_unit_test(test_stop_waits_for_lock),
		cmocka_unit_test(test_table_changes_under_traffic),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_held_after_delivery),
		cmocka_unit_test(test_held_often),
		cmocka_unit_test(test_no_such_cpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
