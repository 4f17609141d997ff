// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The ring: every byte over wrap-around and skips, a full lane, and what must never be believed. */
#include "test_lib_fake.h"

#define BATCH 64
#define BUFLEN 65536

struct walk {
	struct rig r;
	uint32_t seed_put, seed_got;
	uint32_t put, got;
	uint8_t *out, *in;
	struct mmsghdr vec[BATCH];
	struct iovec iov[BATCH];
};

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* Mostly small, now and then of any size, also none. */
static uint32_t make(uint32_t *seed, uint8_t *buf)
{
	uint32_t r = next_random(seed), len = r % 8 ? r % 300 : r % 65508;

	for (uint32_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(r + i * 7);
	return len;
}

static bool put_next(struct walk *w)
{
	struct sluice_rec rec = fake_rec();
	uint32_t seed = w->seed_put, len = make(&seed, w->out);

	rec.sport = htons((uint16_t)w->put);
	if (!fake_put(w->r.lane, &rec, w->out, len))
		return false;
	w->seed_put = seed;
	w->put++;
	return true;
}

static void check_next(struct walk *w, const void *data, uint32_t len, uint16_t port)
{
	assert_int_equal(len, make(&w->seed_got, w->out));
	assert_memory_equal(data, w->out, len);
	assert_int_equal(ntohs(port), (uint16_t)w->got);
	w->got++;
}

static int take_msgs(struct walk *w, unsigned int n)
{
	struct sockaddr_in name[BATCH];
	int got;

	for (unsigned int i = 0; i < n; i++) {
		w->iov[i] = (struct iovec){ .iov_base = w->in + i * BUFLEN, .iov_len = BUFLEN };
		w->vec[i].msg_hdr = (struct msghdr){ .msg_iov = &w->iov[i], .msg_iovlen = 1,
			.msg_name = &name[i], .msg_namelen = sizeof(name[i]) };
	}
	got = sluice_recvmmsg(w->r.s, w->vec, n, MSG_DONTWAIT, NULL);
	for (int i = 0; i < got; i++) {
		assert_int_equal(w->vec[i].msg_hdr.msg_flags, 0);
		check_next(w, w->iov[i].iov_base, w->vec[i].msg_len, name[i].sin_port);
	}
	return got;
}

static int take_views(struct walk *w, unsigned int n, uint32_t *choice)
{
	struct sluice_view v[BATCH];
	int got = sluice_peek(w->r.s, v, n), keep;

	if (got < 0)
		return got;
	keep = (int)(next_random(choice) % (uint32_t)(got + 1));
	for (int i = 0; i < keep; i++)
		check_next(w, v[i].data, v[i].len, v[i].sport);
	assert_int_equal(sluice_release(w->r.s, (unsigned int)keep), 0);
	return got;
}

static void walk_start(struct walk *w, uint64_t start)
{
	memset(w, 0, sizeof(*w));
	w->out = malloc(BUFLEN);
	w->in = malloc((size_t)BATCH * BUFLEN);
	rig_start(&w->r, AF_INET, SLUICE_LANE_MIN, start);
}

static void walk_stop(struct walk *w)
{
	rig_stop(&w->r);
	free(w->out);
	free(w->in);
}

/* Also with positions that pass 2^32 and with the ring full again and again. */
static void test_bytes(void **state)
{
	uint32_t choice = 1;
	struct walk w;
	uint32_t full = 0;

	(void)state;
	walk_start(&w, (1ull << 32) - SLUICE_LANE_MIN);
	while (w.put < 40000) {
		uint32_t burst = next_random(&choice) % 200;

		while (burst-- && w.put < 40000) {
			if (!put_next(&w)) {
				full++;
				break;
			}
		}
		fake_commit(w.r.lane);
		take_msgs(&w, 1 + next_random(&choice) % BATCH);
	}
	while (take_msgs(&w, BATCH) > 0)
		;
	assert_int_equal(w.got, w.put);
	assert_true(full > 100);
	assert_true(w.r.lane->producer - (1ull << 32) > 100 * SLUICE_LANE_MIN);
	assert_int_equal(w.r.lane->ctl->consumer, w.r.lane->producer);
	assert_true(w.r.lane->ctl->cpu < (uint32_t)sysconf(_SC_NPROCESSORS_CONF));
	walk_stop(&w);
}

/* Records that exactly fill the ring: no skip at the end, and a full one is not an empty one. */
static void test_exactly_full(void **state)
{
	struct sluice_rec rec = fake_rec();
	uint8_t data[SLUICE_REC_ALIGN] = { 0 };
	uint32_t n = SLUICE_LANE_MIN / (2 * SLUICE_REC_ALIGN), got = 0;
	struct rig r;

	(void)state;
	rig_start(&r, AF_INET, SLUICE_LANE_MIN, 0);
	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < n; i++)
			assert_true(fake_put(r.lane, &rec, data, sizeof(data)));
		assert_false(fake_put(r.lane, &rec, data, 0));
		fake_commit(r.lane);
		got = 0;
		while (sluice_recvfrom(r.s, data, sizeof(data), MSG_DONTWAIT, NULL, NULL) > 0)
			got++;
		assert_int_equal(got, n);
	}
	rig_stop(&r);
}

/* A skip without a record behind it gives its room back. */
static void test_lone_skip(void **state)
{
	struct sluice_rec rec = fake_rec();
	struct sluice_rec *skip;
	uint8_t data[128];
	struct rig r;

	(void)state;
	memset(data, 'x', sizeof(data));
	rig_start(&r, AF_INET, SLUICE_LANE_MIN, 0);
	assert_true(fake_put(r.lane, &rec, data, sizeof(data)));
	skip = (void *)((uint8_t *)r.lane->head + SLUICE_LANE_HEAD + r.lane->producer);
	skip->kind = SLUICE_REC_SKIP;
	skip->len = SLUICE_LANE_MIN - (uint32_t)r.lane->producer - (uint32_t)sizeof(*skip);
	r.lane->producer = SLUICE_LANE_MIN;
	fake_commit(r.lane);
	assert_int_equal(strlen(rig_recv(&r, MSG_DONTWAIT)), 128);
	assert_string_equal(rig_recv(&r, MSG_DONTWAIT), "");
	assert_int_equal(r.lane->ctl->consumer, SLUICE_LANE_MIN);
	rig_stop(&r);
}

static void test_nonsense(void **state)
{
	static const struct {
		uint32_t len;
		uint16_t kind;
		uint64_t advance, start;
	} bad[] = {
		{ 100, 0, 192, 0 },				/* no such kind */
		{ 1000, SLUICE_REC_DATA, 192, 0 },		/* beyond the producer */
		{ UINT32_MAX - 10, SLUICE_REC_DATA, 192, 0 },
		{ 100, SLUICE_REC_SKIP, 192, 0 },	/* a skip that ends before the end */
		{ 10, SLUICE_REC_DATA, 32, 0 },			/* less than a record */
		{ 100, SLUICE_REC_DATA, 1ull << 40, 0 },	/* a producer out of bounds */
		{ 1000, SLUICE_REC_DATA, 1088, SLUICE_LANE_MIN - 256 },	/* across the end */
	};
	struct sluice_rec *rec;
	struct rig r;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		rig_start(&r, AF_INET, SLUICE_LANE_MIN, bad[i].start);
		fake_send(r.lane, "good");
		if (bad[i].advance < SLUICE_LANE_MIN)
			assert_string_equal(rig_recv(&r, 0), "good");
		rec = (void *)((uint8_t *)r.lane->head + SLUICE_LANE_HEAD +
			       (r.lane->producer & (SLUICE_LANE_MIN - 1)));
		rec->len = bad[i].len;
		rec->kind = bad[i].kind;
		r.lane->producer += bad[i].advance;
		fake_commit(r.lane);
		assert_string_equal(rig_recv(&r, MSG_DONTWAIT), "");
		assert_int_equal(sluice_path(r.s), SLUICE_PATH_KERNEL);
		assert_non_null(strstr(sluice_reason(r.s), "damaged"));
		/* the daemon is told, so that the kernel gets the traffic */
		for (int ms = 0; ms < 1000 && !r.lane->detached; ms++)
			usleep(1000);
		assert_true(r.lane->detached);
		assert_int_equal(send(r.tx, "kernel", 6, 0), 6);
		assert_string_equal(rig_recv(&r, 0), "kernel");
		rig_stop(&r);
	}
}

struct stream {
	struct walk w;
	uint32_t total;
};

static void *produce(void *arg)
{
	struct stream *st = arg;

	while (st->w.put < st->total) {
		if (!put_next(&st->w)) {
			fake_commit(st->w.r.lane);
			sched_yield();
			continue;
		}
		if (!(st->w.put % 7))
			fake_commit(st->w.r.lane);
	}
	fake_commit(st->w.r.lane);
	return NULL;
}

/* Both ends at full speed on their own CPUs. */
static void test_concurrent(void **state)
{
	struct stream st = { .total = FAKE_SCALE(200000) };
	struct sockaddr_in name;
	socklen_t namelen;
	uint8_t *expect = malloc(BUFLEN);
	pthread_t t;

	(void)state;
	walk_start(&st.w, 0);
	pthread_create(&t, NULL, produce, &st);
	while (st.w.got < st.total) {
		ssize_t n;

		namelen = sizeof(name);
		n = sluice_recvfrom(st.w.r.s, st.w.in, BUFLEN, MSG_DONTWAIT,
				    (struct sockaddr *)&name, &namelen);
		if (n == -EAGAIN)
			continue;
		assert_int_equal(n, make(&st.w.seed_got, expect));
		assert_memory_equal(st.w.in, expect, (size_t)n);
		assert_int_equal(ntohs(name.sin_port), (uint16_t)st.w.got++);
	}
	pthread_join(t, NULL);
	free(expect);
	walk_stop(&st.w);
}

/* The same bytes through views, released in part. */
static void test_view_bytes(void **state)
{
	uint32_t choice = 1;
	struct walk w;

	(void)state;
	walk_start(&w, 0);
	while (w.got < 20000) {
		uint32_t burst = next_random(&choice) % 100;

		while (burst-- && put_next(&w))
			;
		fake_commit(w.r.lane);
		take_views(&w, 1 + next_random(&choice) % BATCH, &choice);
	}
	walk_stop(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_exactly_full),
		cmocka_unit_test(test_lone_skip),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_concurrent),
		cmocka_unit_test(test_view_bytes),
	};

	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
