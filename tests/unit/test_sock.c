// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* From a batch to the lanes: order, locks that are taken, clients that break the rules. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>

#include "rig.h"

#define PORT 5000

static void push_seq(struct rig *rig, uint16_t port, uint32_t seq)
{
	struct ends e = ends_of("192.0.2.1", 1000, "192.0.2.2", port);
	struct frame f = frame_udp(&e, &seq, sizeof(seq));

	rig_push(rig, 0, &f);
}

static uint32_t next_seq(struct rig_sock *s)
{
	const struct sluice_rec *rec = rig_next(s);
	uint32_t seq;

	assert_non_null(rec);
	assert_int_equal(rec->len, sizeof(seq));
	memcpy(&seq, rec + 1, sizeof(seq));
	return seq;
}

/* Interleaved on the wire, each lane has its own in order. */
static void test_order(void **state)
{
	struct rig *rig = rig_open(1);
	unsigned int socks = 5, n = 1000;

	(void)state;
	for (unsigned int i = 0; i < socks; i++)
		rig_sock_any(rig, (uint16_t)(PORT + i), false);
	for (uint32_t seq = 0; seq < n; seq++)
		push_seq(rig, (uint16_t)(PORT + (seq * 7 + seq / 13) % socks), seq);
	rig_run(rig);
	for (uint32_t seq = 0; seq < n; seq++)
		assert_int_equal(next_seq(&rig->sock[(seq * 7 + seq / 13) % socks]), seq);
	rig_close(rig);
}

/* One commit, so one wake-up at most, for all packets of a batch. */
static void test_one_commit_per_batch(void **state)
{
	struct rig *rig = rig_open(1);
	struct rig_sock *s = rig_sock_any(rig, PORT, false);

	(void)state;
	for (uint32_t seq = 0; seq < NAPI_WEIGHT; seq++)
		push_seq(rig, PORT, seq);
	s->ctl->armed = 1;
	rig_run(rig);
	assert_int_equal(rig_wakes(s), 1);
	assert_int_equal(s->sk.lane.wakeups, 1);
	rig_close(rig);
}

static void test_lock_taken(void **state)
{
	struct rig *rig = rig_open(1);
	struct rig_sock *busy = rig_sock_any(rig, PORT, false), *idle = rig_sock_any(rig, PORT + 1,
										     false);
	unsigned int n = 2 * (SOCK_PEND_MAX - 1);

	(void)state;
	lane_lock(&busy->sk.lane);
	for (uint32_t seq = 0; seq < n; seq++)
		push_seq(rig, (uint16_t)(PORT + seq % 2), seq);
	while (rig_pending(rig))
		assert_true(worker_round(&rig->worker) || rig_pending(rig));
	/* The other lane did not wait. */
	for (uint32_t seq = 1; seq < n; seq += 2)
		assert_int_equal(next_seq(idle), seq);
	assert_null(rig_next(busy));
	assert_int_equal(rig->worker.napi[0].held, n / 2);
	assert_int_equal(rig->worker.nr_pending, 1);
	assert_true(worker_round(&rig->worker));

	lane_unlock(&busy->sk.lane);
	assert_false(worker_round(&rig->worker));
	for (uint32_t seq = 0; seq < n; seq += 2)
		assert_int_equal(next_seq(busy), seq);
	rig_close(rig);
}

struct holder {
	struct lane *lane;
	bool has;
	bool released;
};

static void *hold(void *arg)
{
	struct holder *h = arg;

	lane_lock(h->lane);
	__atomic_store_n(&h->has, true, __ATOMIC_RELEASE);
	usleep(50000);
	__atomic_store_n(&h->released, true, __ATOMIC_RELEASE);
	lane_unlock(h->lane);
	return NULL;
}

static pthread_t hold_start(struct holder *h, struct lane *lane)
{
	pthread_t thread;

	*h = (struct holder){ .lane = lane };
	assert_int_equal(pthread_create(&thread, NULL, hold, h), 0);
	while (!__atomic_load_n(&h->has, __ATOMIC_ACQUIRE))
		sched_yield();
	return thread;
}

/* Too much waits: the worker does, too. */
static void test_pend_max(void **state)
{
	struct rig *rig = rig_open(1);
	struct rig_sock *s = rig_sock_any(rig, PORT, false);
	struct holder h;
	pthread_t thread;

	(void)state;
	for (uint32_t seq = 0; seq < SOCK_PEND_MAX + 1; seq++)
		push_seq(rig, PORT, seq);
	thread = hold_start(&h, &s->sk.lane);
	while (rig_pending(rig)) {
		worker_round(&rig->worker);
		assert_in_range(s->sk.pend[0].count, 0, SOCK_PEND_MAX - 1);
	}
	assert_true(__atomic_load_n(&h.released, __ATOMIC_ACQUIRE));
	rig_run(rig);
	pthread_join(thread, NULL);
	for (uint32_t seq = 0; seq < SOCK_PEND_MAX + 1; seq++)
		assert_int_equal(next_seq(s), seq);
	rig_close(rig);
}

static void test_force(void **state)
{
	struct rig *rig = rig_open(1);
	struct rig_sock *s = rig_sock_any(rig, PORT, false);
	struct holder h;
	pthread_t thread;

	(void)state;
	push_seq(rig, PORT, 1);
	thread = hold_start(&h, &s->sk.lane);
	assert_true(worker_round(&rig->worker));
	sock_flush(&rig->worker, true);
	assert_true(__atomic_load_n(&h.released, __ATOMIC_ACQUIRE));
	assert_int_equal(rig->worker.nr_pending, 0);
	pthread_join(thread, NULL);
	rig_run(rig);
	assert_int_equal(next_seq(s), 1);
	rig_close(rig);
}

/* One client does not make room: its loss alone, until it does. */
static void test_lane_full(void **state)
{
	struct rig *rig = rig_open(1);
	struct rig_sock *slow = rig_sock_any(rig, PORT, false), *fast = rig_sock_any(rig, PORT + 1,
										     false);
	uint32_t fits = SLUICE_LANE_DEFAULT / SLUICE_REC_SPACE(4), extra = 100;

	(void)state;
	for (uint32_t seq = 0; seq < fits + extra; seq++) {
		push_seq(rig, PORT, seq);
		push_seq(rig, PORT + 1, seq);
		if (seq % 1000 == 0 || seq == fits + extra - 1)
			rig_run(rig);
		while (rig_next(fast))
			;
		rig_consume(fast, 0);
	}
	assert_int_equal(rig_drops(rig, SLUICE_DROP_LANE_FULL), extra);
	assert_int_equal(slow->head->drops, extra);
	assert_int_equal(fast->head->drops, 0);
	assert_int_equal(fast->read, fits + extra);
	for (uint32_t seq = 0; seq < fits; seq++)
		assert_int_equal(next_seq(slow), seq);
	rig_consume(slow, 0);
	push_seq(rig, PORT, 4711);
	rig_run(rig);
	assert_int_equal(next_seq(slow), 4711);
	rig_close(rig);
}

static uint64_t times_signalled(int fd)
{
	uint64_t n = 0;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

/* The daemon is told once; what comes for the client afterwards is dropped with its own reason. */
static void test_client_gone(void **state)
{
	struct rig *rig = rig_open(1);
	struct rig_sock *bad = rig_sock_any(rig, PORT, false), *good = rig_sock_any(rig, PORT + 1,
										    false);
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	(void)state;
	rig->engine->broken_fd = fd;
	push_seq(rig, PORT, 0);
	rig_run(rig);
	assert_int_equal(times_signalled(fd), 0);
	bad->ctl->consumer = 1;
	push_seq(rig, PORT, 1);
	rig_run(rig);
	assert_true(bad->sk.lane.broken);
	assert_int_equal(times_signalled(fd), 1);
	for (uint32_t seq = 2; seq < 200; seq++)
		push_seq(rig, (uint16_t)(PORT + seq % 2), seq);
	rig_run(rig);
	assert_int_equal(times_signalled(fd), 0);
	assert_int_equal(rig_drops(rig, SLUICE_DROP_CLIENT_GONE), 99);
	for (uint32_t seq = 3; seq < 200; seq += 2)
		assert_int_equal(next_seq(good), seq);
	close(fd);
	rig_close(rig);
}

/* Found out in the middle of a batch, where the position is read for room. */
static void test_client_gone_while_full(void **state)
{
	struct rig *rig = rig_open(1);
	struct rig_sock *s = rig_sock_any(rig, PORT, false);
	uint32_t fits = SLUICE_LANE_DEFAULT / SLUICE_REC_SPACE(4);
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	(void)state;
	rig->engine->broken_fd = fd;
	for (uint32_t seq = 0; seq < fits; seq++) {
		push_seq(rig, PORT, seq);
		if (seq % 1000 == 0 || seq == fits - 1)
			rig_run(rig);
	}
	s->ctl->consumer = UINT64_MAX - 63;
	for (uint32_t seq = 0; seq < 10; seq++)
		push_seq(rig, PORT, seq);
	rig_run(rig);
	assert_int_equal(rig_drops(rig, SLUICE_DROP_CLIENT_GONE), 10);
	assert_int_equal(rig_drops(rig, SLUICE_DROP_LANE_FULL), 0);
	assert_int_equal(times_signalled(fd), 1);
	close(fd);
	rig_close(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_one_commit_per_batch),
		cmocka_unit_test(test_lock_taken),
		cmocka_unit_test(test_pend_max),
		cmocka_unit_test(test_force),
		cmocka_unit_test(test_lane_full),
		cmocka_unit_test(test_client_gone),
		cmocka_unit_test(test_client_gone_while_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
