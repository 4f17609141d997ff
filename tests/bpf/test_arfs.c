// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Accelerated RFS over the live tables: the XDP program writes them packet by packet, the
 * engine looks and has a NIC that obeys at once: a packet arrives on the queue of its filter.
 */
#include "scene.h"

#include "engine/arfs.h"

#define NIC_SIZE 16

struct bench {
	struct nic_filters nic;
	struct nic_filter rule[NIC_SIZE];
	bool used[NIC_SIZE];
	struct fixture *f;
	struct steer steer;
	struct steer_queue queue[QUEUES];
	struct arfs arfs;
};

static int nic_capacity(struct nic_filters *nic, uint32_t *room)
{
	const struct bench *b = (struct bench *)nic;

	*room = 0;
	for (uint32_t i = 0; i < NIC_SIZE; i++)
		*room += !b->used[i];
	return 0;
}

static int nic_add(struct nic_filters *nic, struct nic_filter *filter)
{
	struct bench *b = (struct bench *)nic;
	uint32_t i = 0;

	while (i < NIC_SIZE && b->used[i])
		i++;
	assert_in_range(i, 0, NIC_SIZE - 1);
	filter->location = i;
	b->rule[i] = *filter;
	b->used[i] = true;
	return 0;
}

static int nic_del(struct nic_filters *nic, const struct nic_filter *filter)
{
	struct bench *b = (struct bench *)nic;

	assert_true(b->used[filter->location]);
	b->used[filter->location] = false;
	return 0;
}

static const struct nic_filters_ops nic_ops = { nic_capacity, nic_add, nic_del };

static int find_key(void *ctx, uint32_t hash, struct sluice_flow *flow)
{
	const struct bench *b = ctx;

	return bpf_map_lookup_elem(bpf_map__fd(b->f->skel->maps.flow_key), &hash, flow);
}

static uint64_t no_time(void *ctx)
{
	(void)ctx;
	return 0;
}

/* CPU c has worker c and queue c; flows arrive on queue 0 otherwise. */
static int setup_bench(void **state)
{
	static const struct fixture_opts o = { .sock_flow_mask = SOCK_FLOWS - 1, .cpu_mask = 7,
					       .dev_flows = 1, .flow_keys = 1024 };
	struct bench *b = calloc(1, sizeof(*b));
	struct arfs_env env = { b, find_key, no_time };
	uint16_t cpu_queue[SLUICE_MAX_CPUS];

	assert_non_null(b);
	b->f = malloc(sizeof(*b->f));
	assert_non_null(b->f);
	open_with(b->f, *state, &o);
	b->nic.ops = &nic_ops;
	b->steer = (struct steer){
		.config = { .nr_queues = QUEUES, .sock_flow_entries = SOCK_FLOWS },
		.cpu_mask = 7,
		.sock_flow = b->f->sock_flow,
		.flow_tail = b->f->tail,
		.flow_head = b->f->head,
		.queue = b->queue,
	};
	for (uint32_t q = 0; q < QUEUES; q++)
		b->queue[q].table[0] = (struct steer_table){ b->f->flow[2 * q], DEV_FLOWS, -1 };
	for (uint32_t cpu = 0; cpu < SLUICE_MAX_CPUS; cpu++)
		cpu_queue[cpu] = (uint16_t)(cpu < QUEUES ? cpu : ARFS_NO_QUEUE);
	assert_int_equal(arfs_init(&b->arfs, &b->nic, &b->steer, cpu_queue, &env), 0);
	*state = b;
	return 0;
}

static int teardown_bench(void **state)
{
	struct bench *b = *state;

	assert_int_equal(arfs_destroy(&b->arfs), 0);
	for (uint32_t i = 0; i < NIC_SIZE; i++)
		assert_false(b->used[i]);
	fixture_close(b->f);
	free(b->f);
	free(b);
	return 0;
}

static __u32 queue_of(const struct bench *b, const struct spec *s)
{
	for (uint32_t i = 0; i < NIC_SIZE; i++) {
		const struct sluice_flow *f = &b->rule[i].flow;

		if (b->used[i] && f->proto == s->proto && ntohs(f->sport) == s->sport &&
		    ntohs(f->dport) == s->dport && !memcmp(&f->saddr.w[3], s->saddr, 4) &&
		    !memcmp(&f->daddr.w[3], s->daddr, 4))
			return b->rule[i].queue;
	}
	return 0;
}

/* A packet of the flow through the NIC and the program, and done with. Its hash. */
static __u32 packet(struct bench *b, const struct spec *s)
{
	struct frame p = frame_build(s);
	struct result r = run_on(b->f, p.b, p.len, queue_of(b, s));

	assert_int_equal(r.ret, XDP_REDIRECT);
	assert_int_equal(r.meta.queue, queue_of(b, s));
	b->f->head[r.meta.queue * SLUICE_MAX_WORKERS + r.meta.target] = r.meta.seq;
	return r.meta.hash;
}

static void wants(struct bench *b, __u32 hash, __u32 cpu)
{
	b->f->sock_flow[hash % SOCK_FLOWS] = (hash & ~7u) | cpu;
}

static const struct sluice_dev_flow *entry(const struct bench *b, __u32 queue, __u32 hash)
{
	return &b->f->flow[2 * queue][hash % DEV_FLOWS];
}

static void test_follows_reader(void **state)
{
	struct bench *b = *state;
	struct spec s = spec4();
	__u32 hash = packet(b, &s);

	for (__u32 i = 0; i < 12; i++) {
		/* 1, 3, 2, and home again. */
		static const __u32 cpus[] = { 1, 3, 2, 0 };
		__u32 cpu = cpus[i % 4];

		wants(b, hash, cpu);
		for (int n = 0; n < ARFS_COMING_TICKS + ARFS_HOLD_LOOKS + 3; n++) {
			packet(b, &s);
			arfs_tick(&b->arfs);
		}
		assert_int_equal(queue_of(b, &s), cpu);
		assert_int_equal(entry(b, cpu, hash)->target, cpu);
		assert_int_equal(entry(b, cpu, hash)->filter == SLUICE_NO_FILTER, cpu == 0);
		assert_int_equal(b->arfs.nr, cpu != 0);
	}
	assert_int_equal(b->arfs.stat.installed, 3);
	assert_int_equal(b->arfs.stat.moved, 6);
	assert_int_equal(b->arfs.stat.lost, 0);
}

/* The program takes the filter out of an entry whose target changes, and only then. */
static void test_target_changes(void **state)
{
	struct bench *b = *state;
	struct spec s = spec4();
	__u32 hash = packet(b, &s);

	wants(b, hash, 1);
	for (int n = 0; n < 4; n++) {
		packet(b, &s);
		arfs_tick(&b->arfs);
	}
	assert_int_equal(entry(b, 1, hash)->filter, 0);
	/* The reader's CPU is served by another worker from now on. */
	set_worker(b->f, 1, 5);
	packet(b, &s);
	assert_int_equal(entry(b, 1, hash)->target, 5);
	assert_int_equal(entry(b, 1, hash)->filter, SLUICE_NO_FILTER);
	arfs_tick(&b->arfs);
	assert_int_equal(b->arfs.nr, 0);
	assert_int_equal(b->arfs.stat.expired, 1);
}

#define A(name) cmocka_unit_test_setup_teardown(test_##name, setup_bench, teardown_bench)

int main(void)
{
	const struct CMUnitTest tests[] = {
		A(follows_reader), A(target_changes),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
