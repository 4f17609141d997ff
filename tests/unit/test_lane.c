// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * The producing end of a lane, against a consumer that keeps to the rules, and one that does not.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>

#include "rig.h"

#define SIZE SLUICE_LANE_MIN

struct bench {
	struct rig_sock s;
	struct rfs rfs;
	uint32_t sock_flow[RIG_FLOWS];
	uint8_t payload[65536];
};

static struct bench *bench_open(uint32_t size)
{
	struct bench *b = calloc(1, sizeof(*b));

	for (unsigned int i = 0; i < RIG_FLOWS; i++)
		b->sock_flow[i] = SLUICE_NO_CPU;
	for (size_t i = 0; i < sizeof(b->payload); i++)
		b->payload[i] = (uint8_t)(i * 7 + i / 256);
	b->rfs = (struct rfs){ .sock_flow = b->sock_flow, .mask = RIG_FLOWS - 1,
			      .cpu_mask = RIG_CPU_MASK };
	rig_sock_open(&b->s, &b->rfs, size, 1);
	return b;
}

static void bench_close(struct bench *b)
{
	rig_sock_close(&b->s);
	free(b);
}

static int put(struct bench *b, uint32_t len, uint32_t hash)
{
	struct pkt pkt = {
		.gso_segs = 1,
		.data = b->payload,
		.tail = b->payload + len,
		.hash = hash,
		.version = 6,
		.sport = htons(1),
		.dport = htons(2),
	};

	return lane_put(&b->s.sk.lane, &pkt, 12345);
}

static void put_all(struct bench *b, uint32_t len, uint32_t hash)
{
	assert_int_equal(put(b, len, hash), 0);
	assert_int_equal(lane_commit(&b->s.sk.lane), 0);
}

static void expect(struct bench *b, uint32_t len, uint32_t hash)
{
	const struct sluice_rec *rec = rig_next(&b->s);

	assert_non_null(rec);
	assert_int_equal(rec->len, len);
	assert_int_equal(rec->hash, hash);
	assert_memory_equal(rec + 1, b->payload, len);
}

static void test_init(void **state)
{
	static const uint32_t wrong[] = { 0, 1, 64, SIZE / 2, SIZE - 64, SIZE + 64, 3 * SIZE,
					 SLUICE_LANE_MAX + 64,
					  2 * SLUICE_LANE_MAX, 0x80000000 };
	struct bench *b = bench_open(SIZE);
	struct lane lane;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(lane_init(&lane, b->s.head, b->s.ctl, wrong[i], -1, &b->rfs),
				 -EINVAL);
	assert_int_equal(b->s.head->magic, SLUICE_LANE_MAGIC);
	assert_int_equal(b->s.head->size, SIZE);
	assert_int_equal(b->s.head->producer, 0);
	assert_null(rig_next(&b->s));
	lane_destroy(&b->s.sk.lane);
	lane_destroy(&b->s.sk.lane);
	bench_close(b);
}

static void test_record(void **state)
{
	struct bench *b = bench_open(SIZE);
	struct pkt pkt = {
		.gso_segs = 1,
		.data = b->payload,
		.tail = b->payload + 100,
		.hash = 0xabcdef01,
		.ifindex = 42,
		.version = 4,
		.tos = 0x2e,
		.ttl = 63,
		.sport = htons(1000),
		.dport = htons(2000),
		.saddr = { { 0, 0, htonl(0xffff), htonl(0xc0000201) } },
		.daddr = { { 0, 0, htonl(0xffff), htonl(0xc0000202) } },
	};
	struct ends e = ends_of("192.0.2.1", 1000, "192.0.2.2", 2000);
	const struct sluice_rec *rec;

	(void)state;
	/* What an earlier record left must not shine through. */
	memset(b->s.sk.lane.ring, 0xff, 4096);
	assert_int_equal(lane_put(&b->s.sk.lane, &pkt, 1700000000123456789), 0);
	assert_int_equal(lane_commit(&b->s.sk.lane), 0);
	rec = rig_next(&b->s);
	rig_check_rec(rec, &e, b->payload, 100);
	assert_int_equal(rec->hash, 0xabcdef01);
	assert_int_equal(rec->ifindex, 42);
	assert_int_equal(rec->tstamp, 1700000000123456789);
	assert_int_equal(rec->tos, 0x2e);
	assert_int_equal(rec->ttl, 63);

	e = ends_of("2001:db8::1", 1000, "2001:db8::2", 2000);
	pkt.version = 6;
	memcpy(&pkt.saddr, e.saddr, 16);
	memcpy(&pkt.daddr, e.daddr, 16);
	assert_int_equal(lane_put(&b->s.sk.lane, &pkt, 1), 0);
	assert_int_equal(lane_commit(&b->s.sk.lane), 0);
	rig_check_rec(rig_next(&b->s), &e, b->payload, 100);
	bench_close(b);
}

static void test_invisible_before_commit(void **state)
{
	struct bench *b = bench_open(SIZE);

	(void)state;
	assert_int_equal(put(b, 10, 1), 0);
	assert_int_equal(put(b, 20, 2), 0);
	assert_null(rig_next(&b->s));
	assert_int_equal(b->s.head->delivered, 0);
	assert_int_equal(lane_commit(&b->s.sk.lane), 0);
	assert_int_equal(b->s.head->delivered, 2);
	expect(b, 10, 1);
	expect(b, 20, 2);
	assert_null(rig_next(&b->s));
	bench_close(b);
}

/* Puts and takes records, none across the end, until the next one starts at `at`. */
static void advance(struct bench *b, uint32_t at)
{
	for (;;) {
		uint32_t pos = (uint32_t)b->s.sk.lane.producer & (SIZE - 1);
		uint32_t gap = (pos < at ? at : SIZE) - pos;
		uint32_t len = (gap < 32768 ? gap : 32768) - (uint32_t)sizeof(struct sluice_rec);

		if (pos == at)
			break;
		put_all(b, len, 9);
		expect(b, len, 9);
		rig_consume(&b->s, 0);
	}
}

/*
 * From every place before the end, records that just fit, that do not by one byte, and that do
 * not by far.
 */
static void test_wrap(void **state)
{
	struct bench *b = bench_open(SIZE);

	(void)state;
	for (uint32_t left = 64; left <= 4096; left += 64) {
		uint32_t fits = left - (uint32_t)sizeof(struct sluice_rec);
		uint32_t lens[] = { fits, fits + 1, fits + 64, fits + 65, 0, 40000 };

		for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
			bool wraps = lens[i] > fits;
			uint64_t before;

			advance(b, SIZE - left);
			before = b->s.sk.lane.producer;
			put_all(b, lens[i], 1);
			assert_int_equal(b->s.head->producer - before,
					 SLUICE_REC_SPACE(lens[i]) + (wraps ? left : 0));
			expect(b, lens[i], 1);
			assert_null(rig_next(&b->s));
			rig_consume(&b->s, 0);
		}
	}
	assert_int_equal(b->s.head->drops, 0);
	bench_close(b);
}

static void test_largest_datagram(void **state)
{
	struct bench *b = bench_open(SIZE);

	(void)state;
	for (uint32_t at = 0; at < SIZE; at += 4096 + 64) {
		advance(b, at / 64 * 64);
		put_all(b, 65535, at + 1);
		expect(b, 65535, at + 1);
		rig_consume(&b->s, 0);
	}
	bench_close(b);
}

/* Full to the last byte, then dropping, then room for exactly what was consumed. */
static void test_full(void **state)
{
	struct bench *b = bench_open(SIZE);
	uint32_t n = SIZE / 64;

	(void)state;
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(put(b, 0, i + 1), 0);
	assert_int_equal(lane_commit(&b->s.sk.lane), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(put(b, 0, 77), -ENOBUFS);
	assert_int_equal(b->s.head->drops, 0);
	assert_int_equal(lane_commit(&b->s.sk.lane), 0);
	assert_int_equal(b->s.head->drops, 3);
	assert_int_equal(b->s.head->delivered, n);
	assert_int_equal(b->s.head->producer, SIZE);

	expect(b, 0, 1);
	expect(b, 0, 2);
	rig_consume(&b->s, 0);
	/* A larger one does not fit; a smaller one behind it still does. */
	assert_int_equal(put(b, 65, 77), -ENOBUFS);
	assert_int_equal(put(b, 64, 1000), 0);
	assert_int_equal(put(b, 0, 77), -ENOBUFS);
	assert_int_equal(lane_commit(&b->s.sk.lane), 0);
	assert_int_equal(b->s.head->drops, 5);
	for (uint32_t i = 3; i <= n; i++)
		expect(b, 0, i);
	expect(b, 64, 1000);
	assert_null(rig_next(&b->s));
	rig_consume(&b->s, 0);
	put_all(b, 60000, 5);
	expect(b, 60000, 5);
	bench_close(b);
}

/* No room for the SKIP and the record together: nothing of either is written. */
static void test_full_at_the_end(void **state)
{
	struct bench *b = bench_open(SIZE);

	(void)state;
	put_all(b, 32768 - 64, 1);
	for (int i = 1; i < 8; i++)
		put_all(b, 32768 - 64 - (i == 7 ? 128 : 0), 2);
	expect(b, 32768 - 64, 1);
	rig_consume(&b->s, 0);
	/* Free: 128 bytes up to the end, 32768 from the start. */
	assert_int_equal(put(b, 32768 - 63, 3), -ENOBUFS);
	assert_int_equal(b->s.sk.lane.producer, SIZE - 128);
	put_all(b, 32768 - 64, 4);
	assert_int_equal(put(b, 0, 5), -ENOBUFS);
	assert_int_equal(b->s.head->producer, SIZE + 32768);
	for (int i = 1; i < 8; i++)
		expect(b, 32768 - 64 - (i == 7 ? 128 : 0), 2);
	expect(b, 32768 - 64, 4);
	bench_close(b);
}

static void break_with(uint64_t consumer)
{
	struct bench *b = bench_open(SIZE);

	put_all(b, 100, 1);
	put_all(b, 100, 1);
	expect(b, 100, 1);
	rig_consume(&b->s, 3);
	put_all(b, 100, 1);
	assert_false(b->s.sk.lane.broken);

	b->s.ctl->consumer = consumer;
	assert_int_equal(lane_commit(&b->s.sk.lane), -EPIPE);
	assert_true(b->s.sk.lane.broken);
	/* For good, whatever it writes now. */
	rig_consume(&b->s, 3);
	assert_int_equal(put(b, 0, 1), -EPIPE);
	assert_int_equal(lane_commit(&b->s.sk.lane), -EPIPE);
	assert_int_equal(b->s.sk.lane.delivered, 3);
	assert_int_equal(b->s.head->producer, 3 * SLUICE_REC_SPACE(100));
	bench_close(b);
}

static void test_broken_client(void **state)
{
	uint64_t rec = SLUICE_REC_SPACE(100);

	(void)state;
	break_with(0);			/* backwards */
	break_with(rec - 64);
	break_with(3 * rec + 64);	/* past the producer */
	break_with(rec + SIZE);
	break_with(1ull << 63);
	break_with(UINT64_MAX - 63);
	break_with(rec + 1);		/* not where a record may start */
	break_with(rec + 63);
}

/* Noticed, too, where the lane is full and the position is read for room. */
static void test_broken_while_full(void **state)
{
	struct bench *b = bench_open(SIZE);

	(void)state;
	for (uint32_t i = 0; i < SIZE / 64; i++)
		put_all(b, 0, 1);
	b->s.ctl->consumer = 2 * SIZE;
	assert_int_equal(put(b, 0, 1), -EPIPE);
	assert_int_equal(lane_commit(&b->s.sk.lane), -EPIPE);
	assert_int_equal(b->s.sk.lane.drops, 0);
	bench_close(b);
}

static void test_wake_once_per_arming(void **state)
{
	struct bench *b = bench_open(SIZE);

	(void)state;
	put_all(b, 10, 1);
	assert_int_equal(rig_wakes(&b->s), 0);
	b->s.ctl->armed = 1;
	assert_int_equal(put(b, 10, 1), 0);
	assert_int_equal(put(b, 10, 1), 0);
	assert_int_equal(rig_wakes(&b->s), 0);
	assert_int_equal(lane_commit(&b->s.sk.lane), 0);
	assert_int_equal(b->s.ctl->armed, 0);
	put_all(b, 10, 1);
	put_all(b, 10, 1);
	assert_int_equal(rig_wakes(&b->s), 1);
	assert_int_equal(b->s.sk.lane.wakeups, 1);
	b->s.ctl->armed = 1;
	put_all(b, 10, 1);
	assert_int_equal(rig_wakes(&b->s), 1);
	assert_int_equal(b->s.sk.lane.wakeups, 2);
	bench_close(b);
}

/* The client does not drain its end, or has shut it: its own loss, and no wait of ours. */
static void test_wake_socket_useless(void **state)
{
	struct bench *b = bench_open(SIZE);
	uint64_t sent;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		b->s.ctl->armed = 1;
		put_all(b, 0, 1);
	}
	sent = b->s.sk.lane.wakeups;
	assert_in_range(sent, 1, 1999);
	/* Not armed any more: there is enough to wake it. */
	assert_int_equal(b->s.ctl->armed, 0);
	assert_int_equal(rig_wakes(&b->s), sent);
	shutdown(b->s.wake[0], SHUT_RDWR);
	b->s.ctl->armed = 1;
	put_all(b, 0, 1);
	assert_int_equal(b->s.ctl->armed, 1);
	assert_int_equal(b->s.sk.lane.wakeups, sent);
	bench_close(b);
}

static uint32_t flow_entry(const struct bench *b, uint32_t hash)
{
	return b->sock_flow[hash % RIG_FLOWS];
}

static void test_rfs_what_was_consumed(void **state)
{
	struct bench *b = bench_open(SIZE);

	(void)state;
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(put(b, 100 * i, 0x1000 + i), 0);
	assert_int_equal(lane_commit(&b->s.sk.lane), 0);
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(flow_entry(b, 0x1000 + i), SLUICE_NO_CPU);

	rig_next(&b->s);
	rig_next(&b->s);
	rig_consume(&b->s, 5);
	/* Recorded by the next batch, whatever is in it. */
	assert_int_equal(lane_commit(&b->s.sk.lane), 0);
	assert_int_equal(flow_entry(b, 0x1000), 0x1000 | 5);
	assert_int_equal(flow_entry(b, 0x1001), 0x1000 | 5);
	for (uint32_t i = 2; i < 5; i++)
		assert_int_equal(flow_entry(b, 0x1000 + i), SLUICE_NO_CPU);

	rig_next(&b->s);
	rig_consume(&b->s, 6);
	assert_int_equal(lane_commit(&b->s.sk.lane), 0);
	assert_int_equal(flow_entry(b, 0x1001), 0x1000 | 5);
	assert_int_equal(flow_entry(b, 0x1002), 0x1000 | 6);
	assert_int_equal(flow_entry(b, 0x1003), SLUICE_NO_CPU);
	bench_close(b);
}

/* A position inside a record: that one is not consumed yet. */
static void test_rfs_half_a_record(void **state)
{
	struct bench *b = bench_open(SIZE);

	(void)state;
	put_all(b, 500, 0x1001);
	b->s.ctl->cpu = 5;
	b->s.ctl->consumer = 64;
	assert_int_equal(lane_commit(&b->s.sk.lane), 0);
	assert_int_equal(flow_entry(b, 0x1001), SLUICE_NO_CPU);
	b->s.ctl->consumer = SLUICE_REC_SPACE(500);
	assert_int_equal(lane_commit(&b->s.sk.lane), 0);
	assert_int_equal(flow_entry(b, 0x1001), 0x1000 | 5);
	bench_close(b);
}

/*
 * Consumed on a CPU that does not exist: recorded nowhere, and not later under another CPU
 * either.
 */
static void test_rfs_cpu_out_of_range(void **state)
{
	static const uint32_t wrong[] = { RIG_CPU_MASK + 1, SLUICE_NO_CPU, 0x10003, UINT32_MAX };
	struct bench *b = bench_open(SIZE);

	(void)state;
	for (uint32_t i = 0; i < 4; i++) {
		put_all(b, 10, 0x1001 + i);
		rig_next(&b->s);
		rig_consume(&b->s, wrong[i]);
		assert_int_equal(lane_commit(&b->s.sk.lane), 0);
		assert_int_equal(flow_entry(b, 0x1001 + i), SLUICE_NO_CPU);
	}
	put_all(b, 10, 0x1010);
	rig_next(&b->s);
	rig_consume(&b->s, RIG_CPU_MASK);
	assert_int_equal(lane_commit(&b->s.sk.lane), 0);
	assert_int_equal(flow_entry(b, 0x1010), 0x1010 | RIG_CPU_MASK);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(flow_entry(b, 0x1001 + i), SLUICE_NO_CPU);
	bench_close(b);
}

/* However long a client hid its CPU, one batch has no more to record than a ring holds. */
static void test_rfs_bounded(void **state)
{
	struct bench *b = bench_open(SIZE);
	struct lane *lane = &b->s.sk.lane;

	(void)state;
	for (uint32_t i = 0; i < 3 * (SIZE / 64); i++) {
		put_all(b, 0, 1 + i);
		rig_next(&b->s);
		rig_consume(&b->s, UINT32_MAX);
		assert_in_range(lane->mark_head - lane->mark_tail, 0, SIZE / 64);
	}
	bench_close(b);
}

static void test_rfs_hashes_cannot_be_forged(void **state)
{
	struct bench *b = bench_open(SIZE);

	(void)state;
	put_all(b, 10, 0x1001);
	/* As if the client could write there, which it cannot. */
	((struct sluice_rec *)(void *)b->s.sk.lane.ring)->hash = 0x2002;
	rig_next(&b->s);
	rig_consume(&b->s, 2);
	assert_int_equal(lane_commit(&b->s.sk.lane), 0);
	assert_int_equal(flow_entry(b, 0x1001), 0x1000 | 2);
	assert_int_equal(flow_entry(b, 0x2002), SLUICE_NO_CPU);
	bench_close(b);
}

static void test_rfs_many_wraps(void **state)
{
	struct bench *b = bench_open(SIZE);

	(void)state;
	for (uint32_t i = 0; i < 20000; i++) {
		uint32_t hash = 0x10000 * (i + 1) + i % RIG_FLOWS;

		put_all(b, i * 31 % 3000, hash);
		expect(b, i * 31 % 3000, hash);
		rig_consume(&b->s, i % 16);
		assert_int_equal(lane_commit(&b->s.sk.lane), 0);
		assert_int_equal(flow_entry(b, hash), (hash & ~(uint32_t)RIG_CPU_MASK) | i % 16);
	}
	bench_close(b);
}

/* Two workers produce, the client consumes and sleeps by the protocol. */

#define PRODUCERS 2
#define RECORDS 150000u
#define STALL_MS 5000

struct stress {
	struct bench *b;
	uint32_t got[PRODUCERS];
	uint64_t sleeps;
	const char *wrong;
	bool over;	/* the consumer has ended: nobody makes room any more */
};

struct producer {
	struct stress *stress;
	uint32_t number;
};

static uint32_t next_random(uint32_t *x)
{
	*x = *x * 1664525 + 1013904223;
	return *x >> 8;
}

static void *produce(void *arg)
{
	struct producer *p = arg;
	struct lane *lane = &p->stress->b->s.sk.lane;
	uint8_t buf[2048];
	uint32_t x = p->number + 1, seq = 0;

	memset(buf, (int)p->number, sizeof(buf));
	while (seq < RECORDS && !__atomic_load_n(&p->stress->over, __ATOMIC_RELAXED)) {
		uint32_t batch = 1 + next_random(&x) % 64;

		lane_lock(lane);
		for (; batch && seq < RECORDS; batch--) {
			struct pkt pkt = { .gso_segs = 1, .data = buf,
					   .tail = buf + 8 + next_random(&x) % 1200,
					   .version = 4, .hash = p->number + 1 };

			memcpy(buf, &p->number, 4);
			memcpy(buf + 4, &seq, 4);
			if (lane_put(lane, &pkt, 0))
				break;
			seq++;
		}
		lane_commit(lane);
		lane_unlock(lane);
		/* Full, or the other's turn. */
		if (batch || next_random(&x) % 64 == 0)
			sched_yield();
		if (next_random(&x) % 4096 == 0)
			usleep(200);
	}
	return NULL;
}

static void take(struct stress *st, const struct sluice_rec *rec)
{
	const uint8_t *payload = (const void *)(rec + 1);
	uint32_t number, seq;

	memcpy(&number, payload, 4);
	memcpy(&seq, payload + 4, 4);
	if (number >= PRODUCERS || rec->hash != number + 1)
		st->wrong = "a record that nobody made";
	else if (seq != st->got[number]++)
		st->wrong = "lost, duplicated or out of order";
	for (uint32_t i = 8; i < rec->len; i++)
		if (payload[i] != number)
			st->wrong = "a payload of another record";
}

static bool lane_empty(struct rig_sock *s)
{
	return __atomic_load_n(&s->head->producer, __ATOMIC_ACQUIRE) == s->pos;
}

/* Arms, looks again, sleeps. False: data is there, but nobody woke us. */
static bool sleep_until_woken(struct stress *st)
{
	struct rig_sock *s = &st->b->s;
	struct pollfd pfd = { .fd = s->wake[0], .events = POLLIN };

	rig_wakes(s);
	/* (E): all four are SEQ_CST, so that one of us sees the other's store. */
	__atomic_store_n(&s->ctl->armed, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&s->head->producer, __ATOMIC_SEQ_CST) != s->pos)
		return true;
	st->sleeps++;
	return poll(&pfd, 1, STALL_MS) == 1;
}

static void *consume(void *arg)
{
	struct stress *st = arg;
	uint32_t left = PRODUCERS * RECORDS, x = 99;

	while (left && !st->wrong) {
		uint32_t n = 1 + next_random(&x) % 64;
		const struct sluice_rec *rec;

		for (; n && left && !st->wrong && (rec = rig_next(&st->b->s)); n--, left--)
			take(st, rec);
		rig_consume(&st->b->s, x % 16);
		if (left && lane_empty(&st->b->s) && !sleep_until_woken(st))
			st->wrong = "a lost wake-up";
	}
	__atomic_store_n(&st->over, true, __ATOMIC_RELAXED);
	return NULL;
}

static void test_two_producers_one_consumer(void **state)
{
	struct stress st = { .b = bench_open(SIZE) };
	struct producer p[PRODUCERS];
	pthread_t producer[PRODUCERS], consumer;

	(void)state;
	pthread_create(&consumer, NULL, consume, &st);
	for (uint32_t i = 0; i < PRODUCERS; i++) {
		p[i] = (struct producer){ .stress = &st, .number = i };
		pthread_create(&producer[i], NULL, produce, &p[i]);
	}
	pthread_join(consumer, NULL);
	for (uint32_t i = 0; i < PRODUCERS; i++)
		pthread_join(producer[i], NULL);
	if (st.wrong)
		fail_msg("%s", st.wrong);
	assert_int_equal(st.got[0], RECORDS);
	assert_int_equal(st.got[1], RECORDS);
	assert_int_equal(st.b->s.sk.lane.delivered, PRODUCERS * RECORDS);
	assert_true(st.sleeps > 0);
	assert_true(st.b->s.sk.lane.wakeups > 0);
	bench_close(st.b);
}

/*
 * One record at a time, put as soon as the one before it is consumed, which is
 * when the client arms: nothing that comes later hides a wake-up that is missing.
 */
#define PINGS 200000u

static void *ping(void *arg)
{
	struct stress *st = arg;
	struct rig_sock *s = &st->b->s;
	struct lane *lane = &s->sk.lane;

	for (uint32_t i = 0; i < PINGS; i++) {
		while (__atomic_load_n(&s->ctl->consumer, __ATOMIC_ACQUIRE) != lane->producer) {
			if (__atomic_load_n(&st->over, __ATOMIC_RELAXED))
				return NULL;
		}
		put(st->b, 0, 1);
		lane_commit(lane);
	}
	return NULL;
}

static void test_no_wakeup_lost(void **state)
{
	struct stress st = { .b = bench_open(SIZE) };
	pthread_t producer;

	(void)state;
	pthread_create(&producer, NULL, ping, &st);
	for (uint32_t got = 0; got < PINGS && !st.wrong;) {
		if (rig_next(&st.b->s)) {
			rig_consume(&st.b->s, 0);
			got++;
		} else if (!sleep_until_woken(&st)) {
			st.wrong = "a lost wake-up";
		}
	}
	__atomic_store_n(&st.over, true, __ATOMIC_RELAXED);
	pthread_join(producer, NULL);
	if (st.wrong)
		fail_msg("%s", st.wrong);
	bench_close(st.b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init),
		cmocka_unit_test(test_record),
		cmocka_unit_test(test_invisible_before_commit),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_largest_datagram),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_full_at_the_end),
		cmocka_unit_test(test_broken_client),
		cmocka_unit_test(test_broken_while_full),
		cmocka_unit_test(test_wake_once_per_arming),
		cmocka_unit_test(test_wake_socket_useless),
		cmocka_unit_test(test_rfs_what_was_consumed),
		cmocka_unit_test(test_rfs_half_a_record),
		cmocka_unit_test(test_rfs_cpu_out_of_range),
		cmocka_unit_test(test_rfs_bounded),
		cmocka_unit_test(test_rfs_hashes_cannot_be_forged),
		cmocka_unit_test(test_rfs_many_wraps),
		cmocka_unit_test(test_two_producers_one_consumer),
		cmocka_unit_test(test_no_wakeup_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
