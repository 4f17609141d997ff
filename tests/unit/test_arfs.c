// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Accelerated RFS over tables made by hand, with a NIC that is an array: what is installed,
 * moved and expired, by Linux's rules, and what becomes of a NIC that is full, refuses, is slow
 * or shared.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/arfs.h"

#define QUEUES 4u
#define ENTRIES 64u
#define SOCK_FLOWS 1024u
#define CPU_MASK 7u
#define NIC_SIZE 32u
#define FOREIGN 0xffffffffu

/* Of the NIC: its rules by location. */
struct rule {
	bool used;
	bool foreign;
	struct nic_filter filter;
};

struct bench {
	struct nic_filters nic;
	struct rule rule[NIC_SIZE];
	uint32_t size;		/* <= NIC_SIZE */
	int add_error, del_error;	/* what it fails with */
	uint64_t cost_ns;	/* of one request */
	unsigned int adds, dels, capacities;
	uint64_t now;
	bool forgetful;		/* no flow is known by its hash */
	struct steer steer;
	struct steer_queue queue[QUEUES];
	struct sluice_dev_flow flow[QUEUES][ENTRIES];
	uint32_t sock_flow[SOCK_FLOWS];
	uint32_t head[QUEUES * SLUICE_MAX_WORKERS];
	uint32_t tail[QUEUES * SLUICE_MAX_WORKERS];
	uint16_t cpu_queue[SLUICE_MAX_CPUS];
	struct arfs arfs;
};

static struct bench *bench_of(struct nic_filters *nic)
{
	return (struct bench *)((char *)nic - offsetof(struct bench, nic));
}

static int fake_capacity(struct nic_filters *nic, uint32_t *room)
{
	struct bench *b = bench_of(nic);

	b->capacities++;
	b->now += b->cost_ns;
	*room = 0;
	for (uint32_t i = 0; i < b->size; i++)
		*room += !b->rule[i].used;
	return 0;
}

static int fake_add(struct nic_filters *nic, struct nic_filter *filter)
{
	struct bench *b = bench_of(nic);

	b->adds++;
	b->now += b->cost_ns;
	if (b->add_error)
		return b->add_error;
	for (uint32_t i = 0; i < b->size; i++) {
		if (b->rule[i].used)
			continue;
		filter->location = i;
		b->rule[i] = (struct rule){ .used = true, .filter = *filter };
		return 0;
	}
	/* More were asked for than there is room: the engine had been told. */
	fail_msg("a filter too many");
	return -ENOSPC;
}

static int fake_del(struct nic_filters *nic, const struct nic_filter *filter)
{
	struct bench *b = bench_of(nic);
	struct rule *r = &b->rule[filter->location];

	b->dels++;
	b->now += b->cost_ns;
	if (b->del_error)
		return b->del_error;
	if (!r->used || r->foreign)
		return -ENOENT;
	assert_memory_equal(&r->filter, filter, sizeof(*filter));
	r->used = false;
	return 0;
}

static const struct nic_filters_ops fake_ops = { fake_capacity, fake_add, fake_del };

/* Flow n has hash_of(n); the engine finds its addresses by that. */
static uint32_t hash_of(uint32_t n)
{
	return 0x5a000000u + n * 0x10001u;
}

static int fake_key(void *ctx, uint32_t hash, struct sluice_flow *flow)
{
	struct bench *b = ctx;

	if (b->forgetful)
		return -ENOENT;
	*flow = (struct sluice_flow){ .family = 4, .proto = IPPROTO_UDP, .sport = htons(7) };
	flow->saddr.w[3] = hash;
	return 0;
}

static uint64_t fake_now(void *ctx)
{
	return ((struct bench *)ctx)->now;
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct arfs_env env = { b, fake_key, fake_now };

	assert_non_null(b);
	b->nic.ops = &fake_ops;
	b->size = NIC_SIZE;
	b->steer = (struct steer){
		.config = { .nr_queues = QUEUES, .sock_flow_entries = SOCK_FLOWS },
		.cpu_mask = CPU_MASK,
		.sock_flow = b->sock_flow,
		.flow_head = b->head,
		.flow_tail = b->tail,
		.queue = b->queue,
	};
	for (uint32_t q = 0; q < QUEUES; q++) {
		b->queue[q].table[0] = (struct steer_table){ b->flow[q], ENTRIES, -1 };
		for (uint32_t i = 0; i < ENTRIES; i++)
			b->flow[q][i] = (struct sluice_dev_flow)SLUICE_DEV_FLOW_UNSET;
	}
	for (uint32_t i = 0; i < SOCK_FLOWS; i++)
		b->sock_flow[i] = SLUICE_NO_CPU;
	/* CPU c has queue c, where there is one. */
	for (uint32_t cpu = 0; cpu < SLUICE_MAX_CPUS; cpu++)
		b->cpu_queue[cpu] = (uint16_t)(cpu < QUEUES ? cpu : ARFS_NO_QUEUE);
	assert_int_equal(arfs_init(&b->arfs, &b->nic, &b->steer, b->cpu_queue, &env), 0);
	*state = b;
	return 0;
}

static uint32_t ours(const struct bench *b)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < NIC_SIZE; i++)
		n += b->rule[i].used && !b->rule[i].foreign;
	return n;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	b->del_error = 0;
	assert_int_equal(arfs_destroy(&b->arfs), 0);
	assert_int_equal(ours(b), 0);
	free(b);
	return 0;
}

static void tick(struct bench *b)
{
	b->now += ARFS_TICK_MS * 1000000ull;
	arfs_tick(&b->arfs);
	assert_int_equal(b->arfs.nr, ours(b));
}

static struct sluice_dev_flow *entry(struct bench *b, uint32_t queue, uint32_t n)
{
	return &b->flow[queue][hash_of(n) % ENTRIES];
}

/* The reader of flow n is on this CPU. */
static void wants(struct bench *b, uint32_t n, uint32_t cpu)
{
	b->sock_flow[hash_of(n) % SOCK_FLOWS] = (hash_of(n) & ~CPU_MASK) | cpu;
}

/* A packet of flow n on this queue goes to this worker, as the XDP program would do it. */
static void enqueue(struct bench *b, uint32_t n, uint32_t queue, uint32_t worker)
{
	struct sluice_dev_flow *e = entry(b, queue, n);

	if (e->target != worker) {
		e->target = (uint16_t)worker;
		e->filter = SLUICE_NO_FILTER;
	}
	e->cpu = (uint16_t)worker;
	e->last_qtail = ++b->tail[queue * SLUICE_MAX_WORKERS + worker];
	e->hash = hash_of(n);
}

static void processed(struct bench *b, uint32_t queue, uint32_t worker)
{
	uint32_t slot = queue * SLUICE_MAX_WORKERS + worker;

	b->head[slot] = b->tail[slot];
}

static void packet(struct bench *b, uint32_t n, uint32_t queue, uint32_t worker)
{
	enqueue(b, n, queue, worker);
	processed(b, queue, worker);
}

/* The queue that the NIC brings flow n to, QUEUES: it has no filter. */
static uint32_t steered(const struct bench *b, uint32_t n)
{
	for (uint32_t i = 0; i < NIC_SIZE; i++) {
		if (b->rule[i].used && b->rule[i].filter.flow.saddr.w[3] == hash_of(n))
			return b->rule[i].filter.queue;
	}
	return QUEUES;
}

/* Flow n, alive on queue `from` and wanted on `to`, whose worker is `to`, gets its filter. */
static void bring(struct bench *b, uint32_t n, uint32_t from, uint32_t to)
{
	wants(b, n, to);
	packet(b, n, from, to);
	tick(b);
	packet(b, n, from, to);
	tick(b);
	assert_int_equal(steered(b, n), to);
	packet(b, n, to, to);
	tick(b);
	assert_int_not_equal(entry(b, to, n)->filter, SLUICE_NO_FILTER);
}

static void test_install(void **state)
{
	struct bench *b = *state;

	wants(b, 1, 2);
	packet(b, 1, 0, 2);
	tick(b);
	/* Seen once, it may be a flow of long ago. */
	assert_int_equal(b->adds, 0);
	tick(b);
	assert_int_equal(b->adds, 0);
	packet(b, 1, 0, 2);
	tick(b);
	assert_int_equal(steered(b, 1), 2);
	assert_int_equal(b->arfs.stat.installed, 1);
	/* Packets may come by the old queue for a while: it is not installed again. */
	packet(b, 1, 0, 2);
	tick(b);
	assert_int_equal(b->adds, 1);
	assert_int_equal(entry(b, 2, 1)->filter, SLUICE_NO_FILTER);
	packet(b, 1, 2, 2);
	tick(b);
	assert_int_equal(entry(b, 2, 1)->filter, 0);
	for (int i = 0; i < 300; i++) {
		packet(b, 1, 2, 2);
		tick(b);
	}
	assert_int_equal(b->adds, 1);
	assert_int_equal(b->dels, 0);
}

/* Right queue, no queue of its own, nobody wants it, another's slot, or no table there. */
static void test_no_reason(void **state)
{
	struct bench *b = *state;

	wants(b, 1, 0);
	wants(b, 2, 6);
	b->sock_flow[hash_of(4) % SOCK_FLOWS] = (~hash_of(4) & ~CPU_MASK) | 1;
	wants(b, 5, 3);
	b->queue[3].table[0].flow = NULL;
	for (int i = 0; i < 10; i++) {
		for (uint32_t n = 1; n <= 5; n++)
			packet(b, n, 0, 1);
		tick(b);
	}
	assert_int_equal(b->adds, 0);
	b->steer.config.sock_flow_entries = 0;
	wants(b, 3, 1);
	for (int i = 0; i < 10; i++) {
		packet(b, 3, 0, 1);
		tick(b);
	}
	assert_int_equal(b->adds, 0);
}

/* While its packets wait in the old target's ring it stays, but not for ever. */
static void test_busy(void **state)
{
	struct bench *b = *state;
	int ticks = 0;

	wants(b, 1, 2);
	enqueue(b, 1, 0, 1);
	tick(b);
	for (int i = 0; i < 5; i++) {
		enqueue(b, 1, 0, 1);
		tick(b);
	}
	assert_int_equal(b->adds, 0);
	packet(b, 1, 0, 1);
	tick(b);
	assert_int_equal(b->adds, 1);

	wants(b, 2, 3);
	enqueue(b, 2, 0, 1);
	for (; b->adds == 1 && ticks < 100; ticks++) {
		enqueue(b, 2, 0, 1);
		tick(b);
	}
	assert_in_range(ticks, ARFS_BUSY_LOOKS, ARFS_BUSY_LOOKS + 3);
	assert_int_equal(steered(b, 2), 3);
}

static void test_unknown(void **state)
{
	struct bench *b = *state;

	b->forgetful = true;
	wants(b, 1, 2);
	for (int i = 0; i < 10; i++) {
		packet(b, 1, 0, 2);
		tick(b);
	}
	assert_int_equal(b->arfs.stat.unknown, 1);
	b->forgetful = false;
	for (int i = 0; i < ARFS_HOLD_LOOKS; i++) {
		packet(b, 1, 0, 2);
		tick(b);
	}
	assert_int_equal(steered(b, 1), 2);
}

/* Linux's rule: ten times the table's entries past the last packet, and no earlier. */
static void test_expire_past(void **state)
{
	struct bench *b = *state;
	uint32_t slot = 2 * SLUICE_MAX_WORKERS + 2;

	bring(b, 1, 0, 2);
	b->tail[slot] = entry(b, 2, 1)->last_qtail + 10 * ENTRIES - 1;
	b->head[slot] = b->tail[slot];
	tick(b);
	assert_int_equal(steered(b, 1), 2);
	b->head[slot] = ++b->tail[slot];
	tick(b);
	assert_int_equal(steered(b, 1), QUEUES);
	assert_int_equal(b->arfs.stat.expired, 1);
	assert_int_equal(entry(b, 2, 1)->filter, SLUICE_NO_FILTER);
}

/* Also where the counters wrap. */
static void test_expire_wrap(void **state)
{
	struct bench *b = *state;
	uint32_t slot = 2 * SLUICE_MAX_WORKERS + 2;

	b->tail[slot] = b->head[slot] = 0xfffffff0u;
	bring(b, 1, 0, 2);
	b->head[slot] = entry(b, 2, 1)->last_qtail + 10 * ENTRIES - 1;
	tick(b);
	assert_int_equal(steered(b, 1), 2);
	b->head[slot]++;
	tick(b);
	assert_int_equal(steered(b, 1), QUEUES);
}

/* Another target for the entry takes its filter away. */
static void test_expire_entry(void **state)
{
	struct bench *b = *state;

	bring(b, 1, 0, 2);
	/* A flow that shares entry and target does not. */
	packet(b, 1 + 64 * 64, 2, 2);
	assert_ptr_equal(entry(b, 2, 1), entry(b, 2, 1 + 64 * 64));
	tick(b);
	assert_int_equal(steered(b, 1), 2);
	packet(b, 1 + 64 * 64, 2, 1);
	tick(b);
	assert_int_equal(steered(b, 1), QUEUES);
	assert_int_equal(b->arfs.stat.expired, 1);
}

/* The reader moves, and the filter follows; back at home none is needed. */
static void test_refresh(void **state)
{
	struct bench *b = *state;

	bring(b, 1, 0, 2);
	wants(b, 1, 3);
	enqueue(b, 1, 2, 2);
	tick(b);
	/* Not before its packets are processed. */
	assert_int_equal(steered(b, 1), 2);
	processed(b, 2, 2);
	tick(b);
	assert_int_equal(steered(b, 1), 3);
	assert_int_equal(ours(b), 1);
	assert_int_equal(b->arfs.stat.moved, 1);
	assert_int_equal(entry(b, 2, 1)->filter, SLUICE_NO_FILTER);
	packet(b, 1, 3, 3);
	tick(b);
	assert_int_equal(entry(b, 3, 1)->filter, 0);
	wants(b, 1, 0);
	tick(b);
	assert_int_equal(steered(b, 1), QUEUES);
	assert_int_equal(b->arfs.stat.expired, 1);

	bring(b, 2, 0, 1);
	wants(b, 2, 7);
	tick(b);
	assert_int_equal(steered(b, 2), QUEUES);
}

/* A NIC that does not do what it says. */
static void test_never_comes(void **state)
{
	struct bench *b = *state;
	unsigned int i;

	wants(b, 1, 2);
	packet(b, 1, 0, 2);
	tick(b);
	for (i = 0; i < ARFS_COMING_TICKS + 5; i++) {
		packet(b, 1, 0, 2);
		tick(b);
	}
	assert_int_equal(b->adds, 1);
	assert_int_equal(b->dels, 1);
	assert_int_equal(b->arfs.stat.lost, 1);
	/* Not at once again. */
	for (i = 0; i < ARFS_HOLD_LOOKS - 10; i++) {
		packet(b, 1, 0, 2);
		tick(b);
	}
	assert_int_equal(b->adds, 1);
	for (i = 0; i < 20; i++) {
		packet(b, 1, 0, 2);
		tick(b);
	}
	assert_int_equal(b->adds, 2);
}

/* An entry that the flow had in that queue long ago does not count as its arrival. */
static void test_old_entry(void **state)
{
	struct bench *b = *state;

	packet(b, 1, 2, 2);
	wants(b, 1, 2);
	packet(b, 1, 0, 2);
	tick(b);
	packet(b, 1, 0, 2);
	tick(b);
	tick(b);
	assert_int_equal(steered(b, 1), 2);
	assert_int_equal(entry(b, 2, 1)->filter, SLUICE_NO_FILTER);
	packet(b, 1, 2, 2);
	tick(b);
	assert_int_equal(entry(b, 2, 1)->filter, 0);
}

static void foreign(struct bench *b, uint32_t location)
{
	b->rule[location] = (struct rule){ .used = true, .foreign = true };
	b->rule[location].filter.location = FOREIGN;
}

static uint32_t foreigners(const struct bench *b)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < NIC_SIZE; i++)
		n += b->rule[i].used && b->rule[i].foreign && b->rule[i].filter.location == FOREIGN;
	return n;
}

/* Flows 1..n, all alive on queue 0 and wanted on 1. */
static void all_alive(struct bench *b, uint32_t n)
{
	for (uint32_t i = 1; i <= n; i++) {
		wants(b, i, 1);
		packet(b, i, steered(b, i) < QUEUES ? 1 : 0, 1);
	}
}

static void test_capacity(void **state)
{
	struct bench *b = *state;

	b->size = 8;
	for (uint32_t i = 0; i < 3; i++)
		foreign(b, 2 * i);
	for (int i = 0; i < 50; i++) {
		all_alive(b, 20);
		tick(b);
		assert_in_range(ours(b), 0, 5);
	}
	assert_int_equal(ours(b), 5);
	assert_true(b->arfs.stat.full > 0);
	assert_int_equal(b->adds, 5);
	/* Someone else's rules come and go. */
	b->rule[0].used = false;
	all_alive(b, 20);
	tick(b);
	assert_int_equal(ours(b), 6);
	assert_int_equal(foreigners(b), 2);
}

/* Where nothing is processed on a queue nothing expires by Linux's rule. */
static void test_silent(void **state)
{
	struct bench *b = *state;

	b->size = 1;
	bring(b, 1, 0, 1);
	for (int i = 0; i < 2 * ARFS_SILENT_TICKS; i++)
		tick(b);
	assert_int_equal(steered(b, 1), 1);
	wants(b, 2, 2);
	for (int i = 0; i < 3; i++) {
		packet(b, 2, 0, 2);
		tick(b);
	}
	packet(b, 2, 0, 2);
	tick(b);
	assert_int_equal(steered(b, 1), QUEUES);
	assert_int_equal(steered(b, 2), 2);
}

static void test_add_fails(void **state)
{
	struct bench *b = *state;
	static const int errors[] = { -EINVAL, -EOPNOTSUPP, -EBUSY };

	for (uint32_t n = 0; n < 3; n++) {
		unsigned int before = b->adds;

		b->add_error = errors[n];
		wants(b, n + 1, 2);
		for (int i = 0; i < 20; i++) {
			packet(b, n + 1, 0, 2);
			tick(b);
		}
		assert_int_equal(b->adds, before + 1);
		assert_int_equal(ours(b), 0);
	}
	assert_int_equal(b->arfs.stat.failed, 3);
	b->add_error = -ENOSPC;
	wants(b, 9, 2);
	packet(b, 9, 0, 2);
	tick(b);
	packet(b, 9, 0, 2);
	tick(b);
	assert_int_equal(b->arfs.stat.full, 1);
	b->add_error = 0;
	packet(b, 9, 0, 2);
	tick(b);
	assert_int_equal(steered(b, 9), 2);
}

/* A move whose second half fails leaves the flow without a filter, and none behind. */
static void test_move_fails(void **state)
{
	struct bench *b = *state;

	bring(b, 1, 0, 2);
	wants(b, 1, 3);
	b->add_error = -EINVAL;
	tick(b);
	assert_int_equal(steered(b, 1), QUEUES);
	assert_int_equal(b->arfs.nr, 0);
	b->add_error = 0;
	bring(b, 2, 0, 2);
	wants(b, 2, 3);
	b->del_error = -EBUSY;
	tick(b);
	assert_int_equal(steered(b, 2), 2);
	b->del_error = 0;
	tick(b);
	assert_int_equal(steered(b, 2), 3);
}

/* What the NIC does not let go is tried again. */
static void test_del_fails(void **state)
{
	struct bench *b = *state;

	bring(b, 1, 0, 2);
	b->del_error = -EBUSY;
	entry(b, 2, 1)->filter = SLUICE_NO_FILTER;
	tick(b);
	tick(b);
	assert_int_equal(b->arfs.nr, 1);
	assert_int_equal(b->dels, 2);
	b->del_error = 0;
	tick(b);
	assert_int_equal(b->arfs.nr, 0);
}

/* Someone has put a rule of his own where ours was. */
static void test_foreign_place(void **state)
{
	struct bench *b = *state;

	bring(b, 1, 0, 2);
	foreign(b, 0);
	entry(b, 2, 1)->filter = SLUICE_NO_FILTER;
	b->now += ARFS_TICK_MS * 1000000ull;
	arfs_tick(&b->arfs);
	assert_int_equal(foreigners(b), 1);
	assert_int_equal(b->arfs.nr, 0);
	assert_int_equal(b->arfs.stat.lost, 1);
}

/* One call asks a slow NIC for no more than fits its time; the rest comes later. */
static void test_slow(void **state)
{
	struct bench *b = *state;
	unsigned int before = 0;

	b->cost_ns = 4000000;
	for (int i = 0; i < 40; i++) {
		all_alive(b, 20);
		tick(b);
		assert_in_range(b->adds + b->dels + b->capacities - before, 0,
				ARFS_TICK_NS / b->cost_ns + 2);
		before = b->adds + b->dels + b->capacities;
	}
	assert_int_equal(ours(b), 20);
}

/* A resize empties the entries: the flows must be seen again, and keep their filters. */
static void test_resize(void **state)
{
	static struct sluice_dev_flow larger[2 * ENTRIES];
	struct bench *b = *state;
	struct sluice_dev_flow *e = &larger[hash_of(1) % (2 * ENTRIES)];

	bring(b, 1, 0, 2);
	for (uint32_t i = 0; i < 2 * ENTRIES; i++)
		larger[i] = (struct sluice_dev_flow)SLUICE_DEV_FLOW_UNSET;
	b->queue[2].table[1] = (struct steer_table){ larger, 2 * ENTRIES, -1 };
	b->queue[2].current = 1;
	tick(b);
	assert_int_equal(steered(b, 1), 2);
	*e = (struct sluice_dev_flow){ .hash = hash_of(1), .target = 2, .cpu = 2, .last_qtail = 77,
				       .filter = SLUICE_NO_FILTER };
	b->head[2 * SLUICE_MAX_WORKERS + 2] = 77;
	tick(b);
	assert_int_equal(e->filter, 0);
	assert_int_equal(b->dels, 0);

	b->queue[2].table[1] = (struct steer_table){ NULL, 0, -1 };
	tick(b);
	assert_int_equal(steered(b, 1), QUEUES);
}

/*
 * Random flows, readers, losses and refusals: what the NIC has and what the engine believes
 * are the same after each call, no flow has two filters, and no foreign rule is lost.
 */
static void test_random(void **state)
{
	struct bench *b = *state;

	srandom(11);
	b->size = 12;
	foreign(b, 3);
	foreign(b, 9);
	for (int i = 0; i < 20000; i++) {
		uint32_t n = (uint32_t)random() % 40, at = steered(b, n);
		uint32_t queue = at < QUEUES && random() % 8 ? at : n % QUEUES;

		b->add_error = random() % 50 ? 0 : -EIO;
		b->del_error = random() % 50 ? 0 : -EBUSY;
		if (!(random() % 4))
			wants(b, n, (uint32_t)random() % 6);
		enqueue(b, n, queue, (uint32_t)random() % QUEUES);
		if (random() % 2)
			processed(b, (uint32_t)random() % QUEUES, (uint32_t)random() % QUEUES);
		if (!(random() % 3))
			tick(b);
		for (uint32_t x = 0; x < b->size; x++) {
			for (uint32_t y = 0; y < x; y++)
				assert_false(b->rule[x].used && b->rule[y].used &&
					     !b->rule[x].foreign &&
					     b->rule[x].filter.flow.saddr.w[3] ==
						     b->rule[y].filter.flow.saddr.w[3]);
		}
		assert_int_equal(foreigners(b), 2);
	}
	assert_true(b->arfs.stat.installed > 50 && b->arfs.stat.moved > 10 &&
		    b->arfs.stat.expired > 50);
}

/* The end: everything goes, but what the NIC keeps is told. */
static void test_destroy(void **state)
{
	struct bench *b = *state;
	struct arfs_env env = { b, fake_key, fake_now };

	foreign(b, 5);
	for (int i = 0; i < 3; i++) {
		all_alive(b, 20);
		tick(b);
	}
	assert_int_equal(ours(b), 20);
	assert_int_equal(arfs_destroy(&b->arfs), 0);
	assert_int_equal(ours(b), 0);
	assert_int_equal(foreigners(b), 1);

	assert_int_equal(arfs_init(&b->arfs, &b->nic, &b->steer, b->cpu_queue, &env), 0);
	for (int i = 0; i < 3; i++) {
		all_alive(b, 4);
		tick(b);
	}
	b->del_error = -EIO;
	assert_int_equal(arfs_destroy(&b->arfs), 4);
	memset(b->rule, 0, sizeof(b->rule));
	assert_int_equal(arfs_init(&b->arfs, &b->nic, &b->steer, b->cpu_queue, &env), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(install), T(no_reason), T(busy), T(unknown), T(expire_past), T(expire_wrap),
		T(expire_entry), T(refresh), T(never_comes), T(old_entry), T(capacity), T(silent),
		T(add_fails), T(move_fails), T(del_fails), T(foreign_place), T(slow), T(resize),
		T(random), T(destroy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
