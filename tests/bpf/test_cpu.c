// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Packets for the kernel's stack on a CPU: which CPU, and when a flow may go to another one.
 * Datagrams to TEST_PORT are a worker's, all others the default's, which is CPUMAP.
 */
#include "model_order.h"
#include "scene.h"

#define STEPS 120000
#define CPU_PORT (TEST_PORT + 1)

static const struct fixture_opts cpu_opts = { .sock_flow_mask = SOCK_FLOWS - 1, .cpu_mask = 7,
					      .dev_flows = 1, .fallback = SLUICE_ACT_CPUMAP };

/* CPU 0 by rps_map; CPU 1 is the other one. */
static int setup_with(void **state, const struct fixture_opts *o)
{
	static const __u16 cpu0[] = { 0 };
	struct fixture *f = malloc(sizeof(*f));

	assert_non_null(f);
	open_with(f, *state, o);
	*state = f;
	assert_int_equal(set_cpu_entry(f, 0, 1), 0);
	if (set_cpu_entry(f, 1, 1)) {
		fprintf(stderr, "SKIPPED: needs two CPUs\n");
		exit(77);
	}
	for (__u32 q = 0; q < QUEUES; q++)
		set_rps(f, q, 1, cpu0);
	return 0;
}

static int setup_cpu(void **state)
{
	return setup_with(state, &cpu_opts);
}

static int setup_generic(void **state)
{
	struct fixture_opts o = cpu_opts;

	o.generic = 1;
	return setup_with(state, &o);
}

static struct spec cpu4(void)
{
	struct spec s = spec4();

	s.dport = CPU_PORT;
	return s;
}

static __u32 hash_of(const struct spec *s)
{
	struct flow_key k = { .version = 4, .proto = IPPROTO_UDP, .ports = 1,
			      .sport = htons(s->sport), .dport = htons(s->dport) };

	memcpy(k.saddr.w, s->saddr, 4);
	memcpy(k.daddr.w, s->daddr, 4);
	return flow_hash(own_key, &k);
}

/* The target of the packet; an assertion when it has none. */
static __u32 target_of(const struct fixture *f, const struct spec *s)
{
	struct frame p = frame_build(s);
	struct result r = run_on(f, p.b, p.len, 0);

	assert_int_equal(r.ret, XDP_REDIRECT);
	assert_int_equal(r.meta.queue, 0);
	return r.meta.target;
}

#define CPU(n) (SLUICE_TARGET_CPU + (n))

static void consumed_on(const struct fixture *f, const struct spec *s, __u32 cpu)
{
	__u32 hash = hash_of(s);

	f->sock_flow[hash & (SOCK_FLOWS - 1)] = (hash & ~7u) | cpu;
}

static struct sluice_dev_flow *entry_of(const struct fixture *f, const struct spec *s, int table)
{
	return &f->flow[table][hash_of(s) % DEV_FLOWS];
}

static void test_choice(void **state)
{
	struct fixture *f = *state;
	struct spec s = cpu4(), s6 = spec6();

	assert_int_equal(target_of(f, &s), CPU(0));
	assert_int_equal(f->cpu_tail[0], 1);
	assert_int_equal(entry_of(f, &s, 0)->target, CPU(0));
	assert_int_equal(entry_of(f, &s, 0)->last_qtail, 1);
	assert_int_equal(verdict(f, &s), V(REDIRECT_CPU));
	/* A flow that nobody has sent yet: RFS decides. */
	s.sport++;
	consumed_on(f, &s, 1);
	assert_int_equal(target_of(f, &s), CPU(1));
	assert_int_equal(f->cpu_tail[1], 1);
	s6.dport = CPU_PORT;
	assert_int_equal(target_of(f, &s6), CPU(0));
	s.proto = IPPROTO_TCP;
	assert_int_equal(target_of(f, &s), CPU(0));
	/* The worker's own. */
	s = spec4();
	assert_int_equal(target_of(f, &s), 0);
	assert_int_equal(f->tail[0], 1);
}

/* A CPU without an entry: RFS falls back to rps_map; nothing else, and nothing is left behind. */
static void test_no_entry(void **state)
{
	static const __u16 cpu5[] = { 5 };
	struct fixture *f = *state;
	struct spec s = cpu4();

	consumed_on(f, &s, 5);
	assert_int_equal(target_of(f, &s), CPU(0));
	set_cpu_entry(f, 0, 0);
	assert_int_equal(verdict(f, &s), V(PASS_TARGET));
	set_rps(f, 0, 1, cpu5);
	assert_int_equal(verdict(f, &s), V(PASS_TARGET));
	set_rps(f, 0, 0, NULL);
	assert_int_equal(verdict(f, &s), V(PASS_TARGET));
	assert_int_equal(f->cpu_tail[0], 1);
	assert_int_equal(f->cpu_tail[5], 0);
	assert_int_equal(entry_of(f, &s, 0)->last_qtail, 1);
	/* Gone is not busy. */
	consumed_on(f, &s, 1);
	assert_int_equal(target_of(f, &s), CPU(1));
}

static void test_waits(void **state)
{
	struct fixture *f = *state;
	struct spec s = cpu4();
	struct sluice_cpu_head *head = &f->cpu_head[0];

	f->cpu_tail[0] = head->queue[0] = 0xfffffffe;
	assert_int_equal(target_of(f, &s), CPU(0));
	assert_int_equal(target_of(f, &s), CPU(0));
	consumed_on(f, &s, 1);
	head->task = 1;
	/* Not seen there: the number of the last one is 0. However silent the flow. */
	entry_of(f, &s, 0)->stamp = (__u16)(model_clock() - 1000);
	assert_int_equal(target_of(f, &s), CPU(0));
	head->task = 0;
	assert_int_equal(target_of(f, &s), CPU(0));
	head->task = 1;
	/* Seen, but not 80 packets ago, and the thread is awake. */
	for (__u32 past = 0; past < SLUICE_CPU_SETTLED; past++) {
		head->queue[0] = f->cpu_tail[0] + past;
		assert_int_equal(target_of(f, &s), CPU(0));
	}
	head->queue[0] = f->cpu_tail[0] + SLUICE_CPU_SETTLED;
	assert_int_equal(target_of(f, &s), CPU(1));
	assert_int_equal(entry_of(f, &s, 0)->cpu, 1);
}

static void test_thread_sleeps(void **state)
{
	struct fixture *f = *state;
	struct spec s = cpu4();

	f->cpu_head[0].task = 1;
	assert_int_equal(target_of(f, &s), CPU(0));
	f->cpu_head[0].queue[0] = 1;
	consumed_on(f, &s, 1);
	assert_int_equal(target_of(f, &s), CPU(0));
	f->cpu_head[0].queue[0] = 2;
	f->cpu_head[0].task = 0;
	assert_int_equal(target_of(f, &s), CPU(1));
}

static void test_silence(void **state)
{
	struct fixture *f = *state;
	struct spec s = cpu4();
	struct sluice_dev_flow *e = entry_of(f, &s, 0);

	f->cpu_head[0].task = 1;
	assert_int_equal(target_of(f, &s), CPU(0));
	assert_in_range((__u16)(model_clock() - e->stamp), 0, 20);
	f->cpu_head[0].queue[0] = 100;
	f->cpu_tail[0] = 99;
	assert_int_equal(target_of(f, &s), CPU(0));
	consumed_on(f, &s, 1);
	e->stamp = (__u16)(model_clock() - SLUICE_CPU_SILENT + 8);
	assert_int_equal(target_of(f, &s), CPU(0));
	f->cpu_head[0].queue[0] = f->cpu_tail[0];
	e->stamp = (__u16)(model_clock() - SLUICE_CPU_SILENT);
	assert_int_equal(target_of(f, &s), CPU(1));
}

/* A lost packet holds its flow until the next one is seen, not for ever. */
static void test_loss_heals(void **state)
{
	struct fixture *f = *state;
	struct spec s = cpu4();

	for (int i = 0; i < 3; i++)
		assert_int_equal(target_of(f, &s), CPU(0));
	/* 2 and 3 found the queue full. */
	f->cpu_head[0].queue[0] = 1;
	consumed_on(f, &s, 1);
	assert_int_equal(target_of(f, &s), CPU(0));
	f->cpu_head[0].queue[0] = 4;
	assert_int_equal(target_of(f, &s), CPU(1));
}

/* A flow for the stack that shares its entry with a worker's: another source port is enough. */
static struct spec shares_entry_with(const struct spec *worker)
{
	struct spec s = cpu4();

	while (hash_of(&s) % DEV_FLOWS != hash_of(worker) % DEV_FLOWS ||
	       !((hash_of(&s) ^ hash_of(worker)) & (SOCK_FLOWS - 1)))
		s.sport++;
	return s;
}

static void test_worker_first(void **state)
{
	struct fixture *f = *state;
	struct spec w = spec4(), s = shares_entry_with(&w);
	const struct sluice_dev_flow *e = entry_of(f, &w, 0);

	assert_int_equal(target_of(f, &w), 0);
	/* The worker's packet is under way: its entry stays as it is. */
	assert_int_equal(target_of(f, &s), CPU(0));
	assert_int_equal(e->target, 0);
	assert_int_equal(e->hash, hash_of(&w));
	consumed_on(f, &s, 1);
	assert_int_equal(target_of(f, &s), CPU(1));
	consumed_on(f, &w, 3);
	assert_int_equal(target_of(f, &w), 0);
	f->head[0] = 2;
	assert_int_equal(target_of(f, &s), CPU(1));
	assert_int_equal(e->target, CPU(1));
	assert_int_equal(target_of(f, &w), 3);
	assert_int_equal(e->target, 3);
}

static void test_former_table(void **state)
{
	struct fixture *f = *state;
	struct spec s = cpu4();

	f->cpu_head[0].task = 1;
	assert_int_equal(target_of(f, &s), CPU(0));
	consumed_on(f, &s, 1);
	add_dev_flows(f, 0, 1);
	set_dev_flow_ctl(f, 0, DEV_FLOWS, 1, DEV_FLOWS);
	assert_int_equal(target_of(f, &s), CPU(0));
	assert_int_equal(entry_of(f, &s, 1)->target, SLUICE_NO_CPU);
	f->cpu_head[0].queue[0] = 2;
	f->cpu_head[0].task = 0;
	assert_int_equal(target_of(f, &s), CPU(1));
	assert_int_equal(entry_of(f, &s, 0)->target, SLUICE_NO_CPU);
	assert_int_equal(entry_of(f, &s, 1)->target, CPU(1));
}

/* Without a table there is no RFS, as in Linux. */
static void test_without_table(void **state)
{
	struct fixture *f = *state;
	struct spec s = cpu4();

	set_dev_flow_ctl(f, 0, 0, 0, 0);
	consumed_on(f, &s, 1);
	assert_int_equal(target_of(f, &s), CPU(0));
	assert_int_equal(entry_of(f, &s, 0)->target, SLUICE_NO_CPU);
}

/* Where nobody could read rx_meta, there is none, and no head: the thread's sleep decides. */
static void test_generic(void **state)
{
	struct fixture *f = *state;
	struct spec s = cpu4();
	struct frame p = frame_build(&s);
	struct result r;

	f->cpu_head[0].task = 1;
	r = run_on(f, p.b, p.len, 0);
	assert_int_equal(r.ret, XDP_REDIRECT);
	assert_false(r.has_meta);
	assert_int_equal(entry_of(f, &s, 0)->target, CPU(0));
	consumed_on(f, &s, 1);
	run_on(f, p.b, p.len, 0);
	assert_int_equal(entry_of(f, &s, 0)->target, CPU(0));
	f->cpu_head[0].task = 0;
	run_on(f, p.b, p.len, 0);
	assert_int_equal(entry_of(f, &s, 0)->target, CPU(1));
	assert_int_equal(f->cpu_tail[0], 2);
	assert_int_equal(f->cpu_tail[1], 1);
}

struct world {
	struct fixture *f;
	struct model_order m;
	__u64 rng;
	__u64 seen[SLUICE_XDP_VERDICTS];
};

static __u32 below(struct world *w, __u32 n)
{
	return rnd_below(&w->rng, n);
}

static void change_map(struct world *w)
{
	__u32 q = below(w, QUEUES);
	struct sluice_rps_map *r = &w->m.rps[q];

	r->len = below(w, 8) ? 1 + below(w, 4) : 0;
	for (__u32 i = 0; i < r->len; i++)
		r->cpus[i] = (__u16)below(w, below(w, 8) ? 2 : M_CPUS);
	map_set(w->f->skel->maps.rps_map, &q, r);
}

/* The other table comes in, empty, or what it replaced goes out. */
static void change_tables(struct world *w)
{
	__u32 q = below(w, QUEUES), next = !w->m.current[q];

	if (!w->m.former[q]) {
		for (__u32 i = 0; i < DEV_FLOWS; i++)
			w->m.flow[2 * q + next][i] = w->f->flow[2 * q + next][i] =
				(struct sluice_dev_flow)SLUICE_DEV_FLOW_UNSET;
		w->m.former[q] = w->m.dev_flows[q];
		w->m.current[q] = next;
		w->m.dev_flows[q] = below(w, 4) != 0;
	} else {
		w->m.former[q] = false;
	}
	set_dev_flow_ctl(w->f, q, w->m.dev_flows[q] ? DEV_FLOWS : 0, w->m.current[q],
			 w->m.former[q] ? DEV_FLOWS : 0);
}

static void change_cpu(struct world *w)
{
	__u32 cpu = below(w, 2), q = below(w, QUEUES);
	__u32 behind = w->m.cpu_tail[q][cpu] - w->m.cpu_head[q][cpu];

	w->m.thread[cpu] = below(w, 3) != 0;
	w->f->cpu_head[cpu].task = w->m.thread[cpu];
	w->m.cpu_head[q][cpu] += below(w, 4) ? below(w, behind + 1) : behind;
	w->f->cpu_head[cpu].queue[q] = w->m.cpu_head[q][cpu];
	/* An entry of cpu_map takes its time to come and to go. */
	if (!below(w, 200) && !set_cpu_entry(w->f, cpu, !w->m.cpu_on[cpu]))
		w->m.cpu_on[cpu] = !w->m.cpu_on[cpu];
}

static void change_worker(struct world *w)
{
	__u32 slot = below(w, QUEUES) * SLUICE_MAX_WORKERS + below(w, M_WORKERS);

	w->m.head[slot] += below(w, w->m.tail[slot] - w->m.head[slot] + 1);
	w->f->head[slot] = w->m.head[slot];
}

static void change(struct world *w)
{
	__u32 what = below(w, 64);

	if (what < 3)
		change_map(w);
	else if (what < 4)
		change_tables(w);
	else if (what < 16)
		change_cpu(w);
	else if (what < 24)
		change_worker(w);
}

static void record(struct world *w, __u32 hash)
{
	__u32 i = hash & (SOCK_FLOWS - 1), cpu = below(w, below(w, 8) ? 2 : M_CPUS);
	__u32 ident = (hash & ~7u) | cpu;

	if (!below(w, 6))
		ident = below(w, 2) ? SLUICE_NO_CPU : ident ^ 1u << below(w, 32);
	w->m.sock_flow[i] = w->f->sock_flow[i] = ident;
}

/* A flow that was silent for so long: as long ago as matters, or not quite. */
static void age(struct world *w, __u32 hash, __u32 queue)
{
	for (__u32 t = 2 * queue; t < 2 * queue + 2; t++) {
		struct sluice_dev_flow *e = &w->m.flow[t][hash % DEV_FLOWS];

		if (e->target < SLUICE_TARGET_CPU || e->target == SLUICE_NO_CPU)
			continue;
		e->stamp = (__u16)(e->stamp - below(w, 2 * SLUICE_CPU_SILENT));
		w->f->flow[t][hash % DEV_FLOWS].stamp = e->stamp;
	}
}

static void step(struct world *w)
{
	struct spec s = below(w, 4) ? cpu4() : spec4();
	__u32 queue = below(w, QUEUES), hash, target = 0;
	enum sluice_verdict v;
	struct result r;
	struct frame p;
	__u16 before;

	s.sport = (__u16)below(w, 100);
	hash = hash_of(&s);
	if (!below(w, 8))
		age(w, hash, queue);
	p = frame_build(&s);
	before = model_clock();
	r = run_on(w->f, p.b, p.len, queue);
	model_set_clock(&w->m, w->f, hash, queue, before);
	v = s.dport == TEST_PORT ? model_enqueue(&w->m, hash, queue, &target) :
				   model_enqueue_stack(&w->m, hash, queue, &target);
	w->seen[v]++;
	assert_int_equal(r.ret, v == V(PASS_TARGET) ? XDP_PASS : XDP_REDIRECT);
	if (r.has_meta)
		assert_int_equal(r.meta.target, target);
	for (__u32 t = 2 * queue; t < 2 * queue + 2; t++)
		assert_memory_equal(&w->f->flow[t][hash % DEV_FLOWS],
				    &w->m.flow[t][hash % DEV_FLOWS], sizeof(w->m.flow[t][0]));
	if (!below(w, 4))
		record(w, hash);
}

static void world_init(struct world *w, struct fixture *f)
{
	w->f = f;
	w->rng = 815;
	model_order_init(&w->m, f);
	w->m.sock_flow_mask = SOCK_FLOWS - 1;
	w->m.cpu_mask = 7;
	for (__u32 q = 0; q < QUEUES; q++) {
		add_dev_flows(f, q, 1);
		w->m.rps[q] = (struct sluice_rps_map){ .len = 1, .cpus = { 0 } };
		for (__u32 n = 0; n < SLUICE_MAX_WORKERS; n++) {
			w->m.slot[q][n % M_WORKERS] = true;
			if (n >= M_WORKERS)
				set_slot(f, q * SLUICE_MAX_WORKERS + n, 0);
		}
		for (__u32 cpu = 0; cpu < 2; cpu++) {
			__u32 start = -(1 + below(w, 3000));

			w->m.cpu_tail[q][cpu] = w->m.cpu_head[q][cpu] = start;
			f->cpu_tail[q * SLUICE_MAX_CPUS + cpu] = start;
			f->cpu_head[cpu].queue[q] = start;
		}
	}
	for (__u32 n = 0; n < M_CPUS; n++) {
		w->m.worker[n] = n % M_WORKERS;
		set_worker(f, n, n % M_WORKERS);
	}
	w->m.cpu_on[0] = w->m.cpu_on[1] = true;
}

static void test_random(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	world_init(w, *state);
	for (int i = 0; i < STEPS; i++) {
		change(w);
		step(w);
	}
	model_order_check(&w->m, w->f);
	print_message("%d states: to a CPU %llu, to a worker %llu, no target %llu\n", STEPS,
		      (unsigned long long)w->seen[V(REDIRECT_CPU)],
		      (unsigned long long)w->seen[V(REDIRECT)],
		      (unsigned long long)w->seen[V(PASS_TARGET)]);
	assert_true(w->seen[V(REDIRECT_CPU)] >= STEPS / 3);
	assert_true(w->seen[V(REDIRECT)] >= STEPS / 10);
	assert_true(w->seen[V(PASS_TARGET)] >= STEPS / 100);
	free(w);
}

#define C(name) cmocka_unit_test_setup_teardown(test_##name, setup_cpu, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		C(choice), C(no_entry), C(waits), C(thread_sleeps), C(silence), C(loss_heals),
		C(worker_first), C(former_table), C(without_table),
		cmocka_unit_test_setup_teardown(test_generic, setup_generic, teardown), C(random),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
