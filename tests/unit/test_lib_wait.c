// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Wake-ups: none is lost, however consumers sleep, and poll never spins. A
 * consumer that sleeps for LOST_MS although there is data has lost one.
 */
#include "test_lib_fake.h"

#include <signal.h>
#include <sys/time.h>

#define LOST_MS 2000
#define THREADS 3

struct flow {
	struct rig r;
	uint32_t total;		/* datagrams */
	uint32_t got;		/* atomic */
	uint32_t spurious;	/* atomic: polls that returned without data */
	int done, lost;		/* atomic */
	bool use_kernel;	/* every 16th comes through the kernel socket */
	uint32_t burst;
};

static void flow_start(struct flow *fl)
{
	struct timeval tv = { .tv_sec = LOST_MS / 1000 };

	fake_start(&fl->r.f, FAKE_OK);
	fl->r.fd = fake_udp(AF_INET, &fl->r.tx);
	assert_int_equal(setsockopt(fl->r.fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	rig_attach(&fl->r, SLUICE_LANE_MIN);
}

static uint32_t load(const uint32_t *v)
{
	return __atomic_load_n(v, __ATOMIC_ACQUIRE);
}

/* Bursts, mostly only when the one before has been received: each meets a sleeper, or nearly. */
static void *produce(void *arg)
{
	struct flow *fl = arg;
	struct sluice_rec rec = fake_rec();
	uint32_t seed = 1, sent = 0;

	while (sent < fl->total && !__atomic_load_n(&fl->lost, __ATOMIC_RELAXED)) {
		uint32_t n = 1 + (seed >> 16) % fl->burst;

		seed = seed * 1664525u + 1013904223u;
		while (n--) {
			if (fl->use_kernel && !(sent % 16)) {
				send(fl->r.tx, &sent, sizeof(sent), 0);
			} else {
				while (!fake_put(fl->r.lane, &rec, &sent, sizeof(sent)))
					sched_yield();
			}
			sent++;
			if (seed & 0x100)
				fake_commit(fl->r.lane);
		}
		fake_commit(fl->r.lane);
		/* a varying delay, so that the commit meets every stage of the arming */
		for (uint32_t i = seed % (1u << (seed >> 16) % 16); i; i--)
			__asm__ volatile("");
		if (seed & 0x200)
			continue;
		while (load(&fl->got) < sent && !__atomic_load_n(&fl->lost, __ATOMIC_RELAXED))
			sched_yield();
	}
	fl->total = sent;
	__atomic_store_n(&fl->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

static bool finished(const struct flow *fl)
{
	if (__atomic_load_n(&fl->lost, __ATOMIC_RELAXED))
		return true;
	return __atomic_load_n(&fl->done, __ATOMIC_ACQUIRE) && load(&fl->got) >= fl->total;
}

static void *consume_blocking(void *arg)
{
	struct flow *fl = arg;
	uint32_t num;

	while (!finished(fl)) {
		ssize_t n = sluice_recvfrom(fl->r.s, &num, sizeof(num), 0, NULL, NULL);

		if (n == sizeof(num))
			__atomic_add_fetch(&fl->got, 1, __ATOMIC_RELEASE);
		else if (!finished(fl))
			__atomic_store_n(&fl->lost, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Takes one datagram or all after each poll, as programs do. */
static void *consume_polling(void *arg)
{
	struct flow *fl = arg;
	struct pollfd p = { .fd = sluice_fd(fl->r.s), .events = POLLIN };
	uint32_t num, round = 0;
	ssize_t n;

	while (!finished(fl)) {
		if (poll(&p, 1, LOST_MS) == 0 && !finished(fl)) {
			__atomic_store_n(&fl->lost, 1, __ATOMIC_RELAXED);
			break;
		}
		n = sluice_recvfrom(fl->r.s, &num, sizeof(num), MSG_DONTWAIT, NULL, NULL);
		if (n == -EAGAIN)
			__atomic_add_fetch(&fl->spurious, 1, __ATOMIC_RELAXED);
		for (round++; n > 0; ) {
			__atomic_add_fetch(&fl->got, 1, __ATOMIC_RELEASE);
			if (round & 1)
				break;
			n = sluice_recvfrom(fl->r.s, &num, sizeof(num), MSG_DONTWAIT, NULL, NULL);
		}
	}
	return NULL;
}

static void run_flow(struct flow *fl, void *(*consume)(void *), unsigned int threads)
{
	pthread_t prod, cons[THREADS];
	struct sluice_stats st;

	flow_start(fl);
	pthread_create(&prod, NULL, produce, fl);
	for (unsigned int i = 0; i < threads; i++)
		pthread_create(&cons[i], NULL, consume, fl);
	pthread_join(prod, NULL);
	for (int ms = 0; ms < 5000 && !finished(fl); ms++)
		usleep(1000);
	/* those still asleep: something for each */
	for (unsigned int i = 0; i < threads; i++)
		send(fl->r.tx, "", 0, 0);
	for (unsigned int i = 0; i < threads; i++)
		pthread_join(cons[i], NULL);
	assert_int_equal(fl->lost, 0);
	assert_int_equal(fl->got, fl->total);
	sluice_stats(fl->r.s, &st);
	print_message("%u datagrams, %llu bytes, %llu wake-ups, %u polls in vain\n", fl->total,
		      (unsigned long long)fl->r.lane->bytes_sent,
		      (unsigned long long)st.wakeups, fl->spurious);
	/* a byte now and then comes too late, but not one for each datagram */
	assert_true(fl->spurious < fl->total / 2 + 100);
	rig_stop(&fl->r);
}

static void test_blocking(void **state)
{
	struct flow fl = { .total = FAKE_SCALE(300000), .burst = 1 };

	(void)state;
	run_flow(&fl, consume_blocking, 1);
}

static void test_blocking_bursts(void **state)
{
	struct flow fl = { .total = FAKE_SCALE(300000), .burst = 5, .use_kernel = true };

	(void)state;
	run_flow(&fl, consume_blocking, 1);
}

static void test_blocking_threads(void **state)
{
	struct flow fl = { .total = FAKE_SCALE(200000), .burst = 4 };

	(void)state;
	run_flow(&fl, consume_blocking, THREADS);
}

static void test_polling(void **state)
{
	struct flow fl = { .total = FAKE_SCALE(300000), .burst = 1 };

	(void)state;
	run_flow(&fl, consume_polling, 1);
}

static void test_polling_bursts(void **state)
{
	struct flow fl = { .total = FAKE_SCALE(300000), .burst = 5, .use_kernel = true };

	(void)state;
	run_flow(&fl, consume_polling, 1);
}

static void test_polling_threads(void **state)
{
	struct flow fl = { .total = FAKE_SCALE(200000), .burst = 4 };

	(void)state;
	run_flow(&fl, consume_polling, THREADS);
}

static bool readable(struct rig *r)
{
	struct pollfd p = { .fd = sluice_fd(r->s), .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* Each state of the diagram in wait.c, one step at a time. */
static void test_fd_states(void **state)
{
	struct sluice_rec rec = fake_rec();
	struct rig r;

	(void)state;
	rig_start(&r, AF_INET, 0, 0);
	assert_false(readable(&r));
	fake_send(r.lane, "a");
	fake_send(r.lane, "b");
	assert_true(readable(&r));
	assert_string_equal(rig_recv(&r, 0), "a");
	assert_true(readable(&r));
	assert_string_equal(rig_recv(&r, 0), "b");
	/* the call that emptied it has armed: no poll in vain */
	assert_false(readable(&r));
	assert_int_equal(r.lane->ctl->armed, 1);
	send(r.tx, "k", 1, 0);
	assert_true(readable(&r));
	assert_string_equal(rig_recv(&r, 0), "k");
	assert_false(readable(&r));
	/* a worker that has not looked at the flag yet: data without a byte */
	assert_true(fake_put(r.lane, &rec, "c", 1));
	assert_true(fake_put(r.lane, &rec, "d", 1));
	__atomic_store_n(&r.lane->head->producer, r.lane->producer, __ATOMIC_RELEASE);
	assert_string_equal(rig_recv(&r, 0), "c");
	assert_true(readable(&r));
	fake_commit(r.lane);
	assert_string_equal(rig_recv(&r, 0), "d");
	assert_false(readable(&r));
	/* a byte that comes late: one poll in vain, no more */
	assert_int_equal(send(r.lane->wake, "", 1, 0), 1);
	assert_true(readable(&r));
	assert_string_equal(rig_recv(&r, MSG_DONTWAIT), "");
	assert_false(readable(&r));
	rig_stop(&r);
}

/* The first sluice_fd() with data already there, for which no byte was sent, or one long ago. */
static void test_fd_late(void **state)
{
	struct sluice_rec rec = fake_rec();
	struct rig r;

	(void)state;
	rig_start(&r, AF_INET, 0, 0);
	assert_true(fake_put(r.lane, &rec, "a", 1));
	__atomic_store_n(&r.lane->head->producer, r.lane->producer, __ATOMIC_RELEASE);
	assert_true(readable(&r));
	assert_string_equal(rig_recv(&r, 0), "a");
	assert_false(readable(&r));
	rig_stop(&r);

	rig_start(&r, AF_INET, 0, 0);
	fake_send(r.lane, "a");
	assert_string_equal(rig_recv(&r, 0), "a");
	assert_int_equal(r.lane->ctl->armed, 0);
	fake_send(r.lane, "b");
	assert_true(readable(&r));
	assert_string_equal(rig_recv(&r, 0), "b");
	assert_false(readable(&r));
	fake_send(r.lane, "c");
	assert_true(readable(&r));
	rig_stop(&r);
}

/* What a release leaves in the stash is data, too, with a daemon or without. */
static void test_fd_stash(void **state)
{
	struct sluice_view v[4];
	struct rig r;

	(void)state;
	for (int dead = 0; dead < 2; dead++) {
		rig_start(&r, AF_INET, 0, 0);
		assert_false(readable(&r));
		if (dead)
			fake_kill(&r.f);
		send(r.tx, "a", 1, 0);
		send(r.tx, "b", 1, 0);
		assert_int_equal(sluice_peek(r.s, v, 4), 2);
		assert_int_equal(sluice_release(r.s, 1), 0);
		assert_true(readable(&r));
		assert_string_equal(rig_recv(&r, 0), "b");
		assert_string_equal(rig_recv(&r, MSG_DONTWAIT), "");
		assert_false(readable(&r));
		rig_stop(&r);
	}
}

/* The end of file wakes, what is left is offered, and then poll sleeps again. */
static void test_fd_death(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r, AF_INET, 0, 0);
	assert_false(readable(&r));
	fake_send(r.lane, "a");
	fake_send(r.lane, "b");
	fake_kill(&r.f);
	assert_true(readable(&r));
	assert_int_equal(sluice_path(r.s), SLUICE_PATH_KERNEL);
	assert_string_equal(rig_recv(&r, 0), "a");
	assert_true(readable(&r));
	assert_string_equal(rig_recv(&r, 0), "b");
	assert_false(readable(&r));
	send(r.tx, "k", 1, 0);
	assert_true(readable(&r));
	assert_string_equal(rig_recv(&r, 0), "k");
	assert_false(readable(&r));
	rig_stop(&r);

	rig_start(&r, AF_INET, 0, 0);
	assert_false(readable(&r));
	fake_kill(&r.f);
	assert_true(readable(&r));
	assert_string_equal(rig_recv(&r, MSG_DONTWAIT), "");
	assert_false(readable(&r));
	rig_stop(&r);
}

/* Without a daemon sluice_fd() is the kernel socket's readiness. */
static void test_fd_kernel(void **state)
{
	struct rig r = { 0 };

	(void)state;
	setenv("SLUICE_RUN_DIR", "/nonexistent", 1);
	r.fd = fake_udp(AF_INET, &r.tx);
	assert_int_equal(sluice_attach(&r.s, r.fd, NULL), 0);
	assert_false(readable(&r));
	send(r.tx, "k", 1, 0);
	assert_true(readable(&r));
	assert_string_equal(rig_recv(&r, 0), "k");
	assert_false(readable(&r));
	sluice_detach(r.s);
	close(r.fd);
	close(r.tx);
}

struct sleeper {
	struct rig r;
	char text[16];
};

static void *sleep_in_recv(void *arg)
{
	struct sleeper *sl = arg;
	ssize_t n = sluice_recvfrom(sl->r.s, sl->text, sizeof(sl->text), 0, NULL, NULL);

	return (void *)(intptr_t)n;
}

/* A thread asleep holds no lock, and wakes for the lane, the kernel, or a daemon's death. */
static void test_sleeper(void **state)
{
	struct sleeper sl = { 0 };
	struct sluice_stats st;
	pthread_t t;
	void *ret;

	(void)state;
	rig_start(&sl.r, AF_INET, 0, 0);
	for (int i = 0; i < 3; i++) {
		pthread_create(&t, NULL, sleep_in_recv, &sl);
		usleep(20000);
		assert_string_equal(rig_recv(&sl.r, MSG_DONTWAIT), "");
		if (i == 2) {
			fake_kill(&sl.r.f);
			usleep(20000);
			assert_int_equal(sluice_path(sl.r.s), SLUICE_PATH_KERNEL);
		}
		if (i == 0)
			fake_send(sl.r.lane, "lane");
		else
			send(sl.r.tx, "kern", 4, 0);
		pthread_join(t, &ret);
		assert_int_equal((intptr_t)ret, 4);
		assert_memory_equal(sl.text, i ? "kern" : "lane", 4);
	}
	sluice_stats(sl.r.s, &st);
	assert_in_range(st.wakeups, 2, 6);
	rig_stop(&sl.r);
}

/*
 * A sleeper whose byte another call drains: that call takes one record of two
 * and leaves, so the sleeper must be woken for the other.
 */
static void test_stolen_byte(void **state)
{
	struct sluice_rec rec = fake_rec();
	struct sleeper sl = { 0 };
	struct sluice_stats st;
	pthread_t t;
	void *ret;
	int mine;

	(void)state;
	rig_start(&sl.r, AF_INET, 0, 0);
	for (int i = 0; i < 50; i++) {
		pthread_create(&t, NULL, sleep_in_recv, &sl);
		usleep(2000);
		assert_true(fake_put(sl.r.lane, &rec, "1", 1));
		assert_true(fake_put(sl.r.lane, &rec, "2", 1));
		/* no byte at all: as if drained before the sleeper ran */
		__atomic_store_n(&sl.r.lane->head->producer, sl.r.lane->producer, __ATOMIC_RELEASE);
		mine = rig_recv(&sl.r, MSG_DONTWAIT)[0];
		pthread_join(t, &ret);
		assert_int_equal((intptr_t)ret, 1);
		/* the sleeper has the first when it was late to sleep */
		assert_int_equal(mine + sl.text[0], '1' + '2');
	}
	/* what woke one sleeper must not keep the next one awake */
	sluice_stats(sl.r.s, &st);
	assert_in_range(st.wakeups, 1, 120);
	rig_stop(&sl.r);
}

/* An unread error queue keeps poll awake; the blocking call must not burn the CPU meanwhile. */
static void test_error_queue(void **state)
{
	struct timeval tv = { .tv_usec = 300000 };
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	struct timespec cpu0, cpu1;
	struct rig r = { 0 };
	int one = 1;
	int64_t used;

	(void)state;
	fake_start(&r.f, FAKE_OK);
	r.fd = fake_udp(AF_INET, &r.tx);
	setsockopt(r.fd, IPPROTO_IP, IP_RECVERR, &one, sizeof(one));
	setsockopt(r.fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	getsockname(r.tx, (struct sockaddr *)&a, &len);
	close(r.tx);
	r.tx = socket(AF_INET, SOCK_DGRAM, 0);
	rig_attach(&r, 0);
	assert_int_equal(sendto(r.fd, "x", 1, 0, (struct sockaddr *)&a, len), 1);
	assert_int_equal(sluice_recvfrom(r.s, &one, 1, 0, NULL, NULL), -ECONNREFUSED);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu0);
	assert_int_equal(sluice_recvfrom(r.s, &one, 1, 0, NULL, NULL), -EAGAIN);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu1);
	used = (cpu1.tv_sec - cpu0.tv_sec) * 1000000000ll + cpu1.tv_nsec - cpu0.tv_nsec;
	assert_true(used < 150000000);
	rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fd_states),
		cmocka_unit_test(test_fd_late),
		cmocka_unit_test(test_fd_stash),
		cmocka_unit_test(test_fd_death),
		cmocka_unit_test(test_fd_kernel),
		cmocka_unit_test(test_sleeper),
		cmocka_unit_test(test_stolen_byte),
		cmocka_unit_test(test_error_queue),
		cmocka_unit_test(test_blocking),
		cmocka_unit_test(test_blocking_bursts),
		cmocka_unit_test(test_blocking_threads),
		cmocka_unit_test(test_polling),
		cmocka_unit_test(test_polling_bursts),
		cmocka_unit_test(test_polling_threads),
	};

	alarm(240);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
