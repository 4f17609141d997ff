// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The engine's time, and a worker on a virtual clock. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/clock.h"
#include "rig.h"

#define PORT 5000

static void test_kernel(void **state)
{
	uint64_t real = clock_kernel(CLOCK_REALTIME), mono = clock_kernel(CLOCK_MONOTONIC);

	(void)state;
	assert_in_range(clock_real(NULL), real, real + 10000000000u);
	assert_in_range(clock_mono(NULL), mono, mono + 10000000000u);
	assert_true(real > 1600000000000000000);
}

static void test_set(void **state)
{
	struct clock clock = { 0 };

	(void)state;
	clock_set(&clock, 500);
	assert_int_equal(clock_real(&clock), 500);
	assert_int_equal(clock_mono(&clock), 500);
	clock_set(&clock, 300);
	assert_int_equal(clock_real(&clock), 300);
	assert_int_equal(clock_mono(&clock), 500);
	clock_set(&clock, 501);
	assert_int_equal(clock_mono(&clock), 501);
}

static struct rig *rig_at(struct clock *clock, struct rig_sock **s)
{
	struct rig *rig = rig_open(1);

	*s = rig_sock_any(rig, PORT, false);
	rig->engine->clock = clock;
	return rig;
}

/* Records and heartbeats bear the virtual time. */
static void test_worker(void **state)
{
	struct ends e = ends_of("192.0.2.1", 1000, "192.0.2.2", PORT);
	struct frame f = frame_udp(&e, "x", 1);
	struct sluice_heartbeat beat = { 0 };
	struct clock clock = { 0 };
	struct rig_sock *s;
	struct rig *rig = rig_at(&clock, &s);

	(void)state;
	rig->engine->heartbeat = &beat;
	for (uint64_t t = 1000; t < 5000; t += 1000) {
		clock_set(&clock, t);
		assert_int_equal(rig_expect_rec(rig, s, &f)->tstamp, t);
		assert_int_equal(beat.ns, t);
	}
	clock_set(&clock, 10);
	assert_int_equal(rig_expect_rec(rig, s, &f)->tstamp, 10);
	assert_int_equal(beat.ns, 4000);
	rig_close(rig);
}

/* A round is bounded by the budget alone: however slow the machine, where it ends is the same. */
static void test_no_time_limit(void **state)
{
	struct ends e = ends_of("192.0.2.1", 1000, "192.0.2.2", PORT);
	struct frame f = frame_udp(&e, "x", 1);
	struct clock clock = { 0 };
	struct rig_sock *s;
	struct rig *rig = rig_at(&clock, &s);

	(void)state;
	for (unsigned int i = 0; i < 1000; i++)
		rig_push(rig, 0, &f);
	for (uint64_t n = 320; n < 1000; n += 320) {
		assert_true(worker_round(&rig->worker));
		assert_int_equal(rig->worker.stat.processed, n);
	}
	assert_false(worker_round(&rig->worker));
	assert_int_equal(rig->worker.stat.processed, 1000);
	assert_int_equal(rig->worker.stat.time_squeeze, 3);
	rig_close(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_worker),
		cmocka_unit_test(test_no_time_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
