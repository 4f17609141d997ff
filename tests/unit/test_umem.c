// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Frames on their round: fill ring, rx rings, stashes, pool; over rings in plain memory. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The source's functions are static; no AF_XDP socket is opened here. */
#include "engine/xsk.c"

#define FRAMES 256
#define FRAME 2048
#define FILL 64
#define RX 64
#define XSKS 3

/* One queue: what the kernel would share with us, and the kernel's own place in it. */
struct queue {
	struct umem umem;
	struct xsk xsk[XSKS];
	uint32_t fill_producer, fill_consumer;
	uint64_t fill_ring[FILL];
	uint32_t rx_producer[XSKS], rx_consumer[XSKS];
	struct xdp_desc rx_ring[XSKS][RX];
	uint64_t held[XSKS][FRAMES];
	unsigned int nr_held[XSKS];
};

static struct queue *queue_open(void)
{
	struct queue *q = calloc(1, sizeof(*q));

	q->umem = (struct umem){
		.frames = FRAMES,
		.frame_size = FRAME,
		.size = (uint64_t)FRAMES * FRAME,
		.area = malloc((size_t)FRAMES * FRAME),
		.pool = calloc(FRAMES, sizeof(uint64_t)),
		.fill = {
			.cached_cons = FILL,
			.mask = FILL - 1,
			.size = FILL,
			.producer = &q->fill_producer,
			.consumer = &q->fill_consumer,
			.ring = q->fill_ring,
		},
	};
	pthread_mutex_init(&q->umem.lock, NULL);
	for (unsigned int i = 0; i < XSKS; i++) {
		q->xsk[i] = (struct xsk){
			.src = { .ops = &xsk_ops, .fd = -1 },
			.umem = &q->umem,
			.stash = calloc(FRAMES, sizeof(uint64_t)),
			.rx = {
				.mask = RX - 1,
				.size = RX,
				.producer = &q->rx_producer[i],
				.consumer = &q->rx_consumer[i],
				.ring = q->rx_ring[i],
			},
		};
	}
	return q;
}

static void queue_close(struct queue *q)
{
	for (unsigned int i = 0; i < XSKS; i++)
		free(q->xsk[i].stash);
	pthread_mutex_destroy(&q->umem.lock);
	free(q->umem.pool);
	free(q->umem.area);
	free(q);
}

static void recycle(struct queue *q, unsigned int i, const uint64_t *frame, unsigned int n)
{
	q->xsk[i].src.ops->recycle(&q->xsk[i].src, frame, n);
}

static unsigned int peek(struct queue *q, unsigned int i, struct rx_desc *desc, unsigned int n)
{
	return q->xsk[i].src.ops->peek(&q->xsk[i].src, desc, n);
}

/* All frames into the fill ring and the pool, as umem_init() does. */
static void queue_fill(struct queue *q)
{
	uint64_t frame[FRAMES];

	for (unsigned int i = 0; i < FRAMES; i++)
		frame[i] = (uint64_t)i * FRAME;
	assert_int_equal(umem_recycle(&q->umem, frame, FRAMES), FRAMES);
}

/* The kernel: takes a frame, or fails. */
static bool kernel_take(struct queue *q, uint64_t *frame)
{
	if (q->fill_consumer == q->fill_producer)
		return false;
	*frame = q->fill_ring[q->fill_consumer++ & (FILL - 1)];
	return true;
}

static bool kernel_deliver(struct queue *q, unsigned int i, uint64_t addr, uint32_t len)
{
	if (q->rx_producer[i] - q->rx_consumer[i] == RX)
		return false;
	q->rx_ring[i][q->rx_producer[i] & (RX - 1)] = (struct xdp_desc){ .addr = addr, .len = len };
	q->rx_producer[i]++;
	return true;
}

static void test_fill_then_pool(void **state)
{
	struct queue *q = queue_open();
	uint64_t frame;

	(void)state;
	queue_fill(q);
	assert_int_equal(umem_fill_frames(&q->umem), FILL);
	assert_int_equal(umem_free_frames(&q->umem), FRAMES - FILL);
	/* What was given back last goes first. */
	for (unsigned int i = 0; i < FILL; i++)
		assert_int_equal(q->fill_ring[i], (uint64_t)(FRAMES - 1 - i) * FRAME);

	assert_true(kernel_take(q, &frame));
	assert_int_equal(umem_fill_frames(&q->umem), FILL - 1);
	recycle(q, 0, &frame, 1);
	assert_int_equal(umem_fill_frames(&q->umem), FILL);
	assert_int_equal(umem_free_frames(&q->umem), FRAMES - FILL);
	assert_int_equal(q->fill_ring[0], frame);
	queue_close(q);
}

/* The fill ring was drained by others: it is refilled from the pool, whatever comes back. */
static void test_refill_from_pool(void **state)
{
	struct queue *q = queue_open();
	uint64_t frame[FILL];

	(void)state;
	queue_fill(q);
	for (unsigned int i = 0; i < FILL; i++)
		assert_true(kernel_take(q, &frame[i]));
	assert_int_equal(umem_fill_frames(&q->umem), 0);
	recycle(q, 0, frame, 1);
	assert_int_equal(umem_fill_frames(&q->umem), FILL);
	recycle(q, 1, frame + 1, FILL - 1);
	assert_int_equal(umem_free_frames(&q->umem), FRAMES - FILL);
	queue_close(q);
}

static void test_lock_taken(void **state)
{
	struct queue *q = queue_open();
	uint64_t frame[4];

	(void)state;
	queue_fill(q);
	for (unsigned int i = 0; i < 4; i++)
		assert_true(kernel_take(q, &frame[i]));
	pthread_mutex_lock(&q->umem.lock);
	assert_int_equal(umem_recycle(&q->umem, frame, 1), 0);
	recycle(q, 0, frame, 1);
	recycle(q, 0, frame + 1, 2);
	assert_int_equal(q->xsk[0].nr_stash, 3);
	assert_int_equal(umem_fill_frames(&q->umem), FILL - 4);
	pthread_mutex_unlock(&q->umem.lock);
	/* With the next batch all come back. */
	recycle(q, 0, frame + 3, 1);
	assert_int_equal(q->xsk[0].nr_stash, 0);
	assert_int_equal(umem_fill_frames(&q->umem), FILL);
	assert_int_equal(umem_free_frames(&q->umem), FRAMES - FILL);
	queue_close(q);
}

static void test_peek(void **state)
{
	struct queue *q = queue_open();
	struct rx_desc desc[RX];

	(void)state;
	assert_false(q->xsk[0].src.ops->pending(&q->xsk[0].src));
	assert_int_equal(peek(q, 0, desc, RX), 0);
	for (uint32_t i = 0; i < 10; i++)
		assert_true(kernel_deliver(q, 0, i * FRAME + 256, 60 + i));
	assert_true(q->xsk[0].src.ops->pending(&q->xsk[0].src));
	assert_false(q->xsk[1].src.ops->pending(&q->xsk[1].src));
	assert_int_equal(xsk_rx_produced(&q->xsk[0]), 10);
	assert_int_equal(peek(q, 0, desc, 0), 0);
	assert_int_equal(peek(q, 0, desc, 4), 4);
	assert_int_equal(xsk_rx_consumed(&q->xsk[0]), 4);
	assert_int_equal(peek(q, 0, desc + 4, RX - 4), 6);
	assert_int_equal(xsk_rx_consumed(&q->xsk[0]), 10);
	for (uint32_t i = 0; i < 10; i++) {
		assert_ptr_equal(desc[i].data, q->umem.area + i * FRAME + 256);
		assert_int_equal(desc[i].len, 60 + i);
		assert_int_equal(desc[i].room, 256);
		assert_int_equal(desc[i].frame, i * FRAME);
	}
	assert_false(q->xsk[0].src.ops->pending(&q->xsk[0].src));
	queue_close(q);
}

static void test_descriptors(void **state)
{
	static const struct {
		uint64_t addr;
		uint32_t len;
		bool valid;
	} cases[] = {
		{ 0, FRAME, true },
		{ 0, FRAME + 1, false },
		{ 256, FRAME - 256, true },
		{ 256, FRAME - 255, false },
		{ FRAME - 1, 1, true },
		{ FRAME - 1, 2, false },
		{ 5 * FRAME + 256, 0, true },
		{ 5 * FRAME + 256, UINT32_MAX, false },
		{ (FRAMES - 1) * FRAME, FRAME, true },
		{ (FRAMES - 1) * FRAME + 1, FRAME, false },
		{ FRAMES * FRAME, 0, false },
		{ FRAMES * FRAME, 60, false },
		{ UINT64_MAX, 60, false },
		{ 1ull << 63, 60, false },
	};
	struct queue *q = queue_open();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rx_desc desc;

		assert_true(kernel_deliver(q, 0, cases[i].addr, cases[i].len));
		assert_int_equal(peek(q, 0, &desc, 1), 1);
		assert_int_equal(desc.data != NULL, cases[i].valid);
		if (!cases[i].valid)
			continue;
		assert_ptr_equal(desc.data, q->umem.area + cases[i].addr);
		assert_int_equal(desc.frame, cases[i].addr / FRAME * FRAME);
		assert_int_equal(desc.frame + desc.room, cases[i].addr);
	}
	queue_close(q);
}

/* Each frame is in exactly one place. */
static void check_frames(struct queue *q)
{
	uint8_t seen[FRAMES] = { 0 };
	unsigned int total = 0;

	for (uint32_t i = 0; i < q->umem.nr_pool; i++)
		seen[q->umem.pool[i] / FRAME]++;
	for (uint32_t i = q->fill_consumer; i != q->fill_producer; i++)
		seen[q->fill_ring[i & (FILL - 1)] / FRAME]++;
	for (unsigned int x = 0; x < XSKS; x++) {
		for (uint32_t i = 0; i < q->xsk[x].nr_stash; i++)
			seen[q->xsk[x].stash[i] / FRAME]++;
		for (uint32_t i = q->rx_consumer[x]; i != q->rx_producer[x]; i++)
			seen[q->rx_ring[x][i & (RX - 1)].addr / FRAME]++;
		for (unsigned int i = 0; i < q->nr_held[x]; i++)
			seen[q->held[x][i] / FRAME]++;
		total += q->xsk[x].nr_stash + q->nr_held[x] + q->rx_producer[x] - q->rx_consumer[x];
	}
	for (unsigned int i = 0; i < FRAMES; i++)
		assert_int_equal(seen[i], 1);
	assert_int_equal(total + umem_free_frames(&q->umem) + umem_fill_frames(&q->umem), FRAMES);
}

static uint32_t next_random(uint32_t *x)
{
	*x = *x * 1664525 + 1013904223;
	return *x >> 8;
}

/* A worker's turn: takes some, gives some back, in any order. */
static void worker_turn(struct queue *q, unsigned int x, uint32_t *seed)
{
	struct rx_desc desc[RX];
	unsigned int n = peek(q, x, desc, next_random(seed) % RX), back;

	for (unsigned int i = 0; i < n; i++)
		q->held[x][q->nr_held[x]++] = desc[i].frame;
	if (!q->nr_held[x])
		return;
	back = next_random(seed) % (q->nr_held[x] + 1);
	if (back)
		recycle(q, x, &q->held[x][q->nr_held[x] - back], back);
	q->nr_held[x] -= back;
}

static void queue_start_at(struct queue *q, unsigned int x, uint32_t pos)
{
	q->rx_producer[x] = q->rx_consumer[x] = pos;
	q->xsk[x].rx.cached_prod = q->xsk[x].rx.cached_cons = pos;
}

static void test_books(void **state)
{
	struct queue *q = queue_open();
	uint32_t seed = 1;

	(void)state;
	/* Long enough for ring positions to wrap. */
	q->fill_producer = q->fill_consumer = q->umem.fill.cached_prod = UINT32_MAX - 1000;
	q->umem.fill.cached_cons = q->umem.fill.cached_prod + FILL;
	for (unsigned int x = 0; x < XSKS; x++)
		queue_start_at(q, x, UINT32_MAX - 500 * x);
	queue_fill(q);
	for (int turn = 0; turn < 20000; turn++) {
		unsigned int x = next_random(&seed) % XSKS;
		bool taken = next_random(&seed) % 4 == 0;
		uint64_t frame;

		for (uint32_t n = next_random(&seed) % 64; n; n--) {
			unsigned int to = next_random(&seed) % XSKS;

			if (q->rx_producer[to] - q->rx_consumer[to] < RX && kernel_take(q, &frame))
				assert_true(kernel_deliver(q, to, frame + 256, 60));
		}
		if (taken)
			pthread_mutex_lock(&q->umem.lock);
		worker_turn(q, x, &seed);
		if (taken)
			pthread_mutex_unlock(&q->umem.lock);
		check_frames(q);
	}
	queue_close(q);
}

/* Several workers of one queue at once; each plays the kernel for itself, under the lock. */

#define ROUNDS 30000

struct racer {
	struct queue *q;
	unsigned int x;
};

static void *race(void *arg)
{
	struct racer *r = arg;
	struct queue *q = r->q;
	uint32_t seed = r->x + 1;

	for (int round = 0; round < ROUNDS; round++) {
		unsigned int n = 0, want = 1 + next_random(&seed) % 32;
		uint64_t frame[32];

		pthread_mutex_lock(&q->umem.lock);
		while (n < want && kernel_take(q, &frame[n]))
			n++;
		pthread_mutex_unlock(&q->umem.lock);
		if (next_random(&seed) % 8 == 0)
			sched_yield();
		if (n)
			recycle(q, r->x, frame, n);
	}
	return NULL;
}

static void test_workers_take_turns(void **state)
{
	struct queue *q = queue_open();
	struct racer racer[XSKS];
	pthread_t thread[XSKS];

	(void)state;
	queue_fill(q);
	for (unsigned int x = 0; x < XSKS; x++) {
		racer[x] = (struct racer){ .q = q, .x = x };
		assert_int_equal(pthread_create(&thread[x], NULL, race, &racer[x]), 0);
	}
	for (unsigned int x = 0; x < XSKS; x++)
		pthread_join(thread[x], NULL);
	check_frames(q);
	queue_close(q);
}

static void test_too_few_frames(void **state)
{
	struct umem umem;

	(void)state;
	assert_int_equal(umem_init(&umem, FILL - 1, FRAME, FILL), -EINVAL);
	umem_destroy(&umem);
	umem_destroy(&umem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fill_then_pool),
		cmocka_unit_test(test_refill_from_pool),
		cmocka_unit_test(test_lock_taken),
		cmocka_unit_test(test_peek),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_books),
		cmocka_unit_test(test_workers_take_turns),
		cmocka_unit_test(test_too_few_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
