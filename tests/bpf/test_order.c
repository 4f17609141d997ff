// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Where a flow may go and when: the switch rule, resizes, the flow limit, the dead man's switch. */
#include "model_order.h"
#include "scene.h"

#include <stdbool.h>
#include <time.h>

#define STEPS 120000
#define HALF 32u

static struct result send4(const struct fixture *f, const struct spec *s)
{
	struct frame p = frame_build(s);

	return run_on(f, p.b, p.len, 0);
}

/* The worker that gets the packet; an assertion when none does. */
static __u32 goes_to(const struct fixture *f, const struct spec *s)
{
	struct result r = send4(f, s);

	assert_int_equal(r.ret, XDP_REDIRECT);
	return r.meta.target;
}

static __u32 hash_of(const struct spec *s)
{
	struct flow_key k = { .version = 4, .proto = IPPROTO_UDP, .sport = htons(s->sport),
			      .dport = htons(s->dport) };

	memcpy(k.saddr.w, s->saddr, 4);
	memcpy(k.daddr.w, s->daddr, 4);
	return flow_hash(own_key, &k);
}

static void consumed_on(const struct fixture *f, const struct spec *s, __u32 cpu)
{
	__u32 hash = hash_of(s);

	f->sock_flow[hash & (SOCK_FLOWS - 1)] = (hash & ~7u) | cpu;
}

static struct sluice_dev_flow *entry_of(const struct fixture *f, const struct spec *s, int table)
{
	return &f->flow[table][hash_of(s) % DEV_FLOWS];
}

static void test_first_packet(void **state)
{
	struct fixture *f = *state;
	struct spec s = spec4();
	struct sluice_dev_flow *e = entry_of(f, &s, 0);

	consumed_on(f, &s, 5);
	assert_int_equal(goes_to(f, &s), 5);
	assert_int_equal(e->cpu, 5);
	assert_int_equal(e->target, 5);
	assert_int_equal(e->filter, SLUICE_NO_FILTER);
	assert_int_equal(e->last_qtail, 1);
	assert_int_equal(e->hash, hash_of(&s));
	assert_int_equal(goes_to(f, &s), 5);
	assert_int_equal(e->last_qtail, 2);
}

static void test_rfs_waits(void **state)
{
	struct fixture *f = *state;
	struct spec s = spec4();

	f->tail[2] = f->head[2] = 0xfffffffe;
	for (int i = 0; i < 3; i++)
		assert_int_equal(goes_to(f, &s), 2);
	consumed_on(f, &s, 5);
	for (__u32 head = 0xfffffffe; head != 1; head++) {
		f->head[2] = head;
		f->tail[2] = 1;
		entry_of(f, &s, 0)->last_qtail = 1;
		assert_int_equal(goes_to(f, &s), 2);
	}
	/* That numbered the packet 2. */
	f->head[2] = 2;
	assert_int_equal(goes_to(f, &s), 5);
	assert_int_equal(f->tail[5], 1);
	/* Back: the same from there. */
	consumed_on(f, &s, 2);
	assert_int_equal(goes_to(f, &s), 5);
	f->head[5] = 2;
	assert_int_equal(goes_to(f, &s), 2);
}

/* Another flow has taken the RFS entry: Linux would follow rps_map at once. */
static void test_fallback_waits(void **state)
{
	struct fixture *f = *state;
	struct spec s = spec4();

	consumed_on(f, &s, 5);
	assert_int_equal(goes_to(f, &s), 5);
	f->sock_flow[hash_of(&s) & (SOCK_FLOWS - 1)] ^= 0x80000000;
	assert_int_equal(goes_to(f, &s), 5);
	f->head[5] = 2;
	assert_int_equal(goes_to(f, &s), 2);
}

static void test_new_mask_waits(void **state)
{
	static const __u16 cpu4[] = { 4 };
	struct fixture *f = *state;
	struct spec s = spec4();

	assert_int_equal(goes_to(f, &s), 2);
	set_rps(f, 0, 1, cpu4);
	assert_int_equal(goes_to(f, &s), 2);
	f->head[2] = 1;
	assert_int_equal(goes_to(f, &s), 2);
	f->head[2] = 3;
	assert_int_equal(goes_to(f, &s), 4);
	/* No CPU at all is a change, too. */
	set_rps(f, 0, 0, NULL);
	assert_int_equal(goes_to(f, &s), 4);
	f->head[4] = 2;
	assert_int_equal(verdict(f, &s), V(PASS_TARGET));
}

/* Its CPU gets another worker, or none: the packets are where they are. */
static void test_worker_of_cpu_changes(void **state)
{
	struct fixture *f = *state;
	struct spec s = spec4();

	assert_int_equal(goes_to(f, &s), 2);
	set_worker(f, 2, 6);
	assert_int_equal(goes_to(f, &s), 2);
	f->head[2] = 2;
	assert_int_equal(goes_to(f, &s), 6);
	assert_int_equal(entry_of(f, &s, 0)->cpu, 2);
	set_worker(f, 2, SLUICE_NO_WORKER);
	assert_int_equal(goes_to(f, &s), 6);
	f->head[6] = 2;
	assert_int_equal(verdict(f, &s), V(PASS_TARGET));
}

static void test_gone(void **state)
{
	struct fixture *f = *state;
	struct spec s = spec4();

	consumed_on(f, &s, 5);
	assert_int_equal(goes_to(f, &s), 5);
	consumed_on(f, &s, 3);
	assert_int_equal(goes_to(f, &s), 5);
	set_slot(f, 5, 0);
	assert_int_equal(goes_to(f, &s), 3);
}

/* Two flows of one entry wait for each other's packets. */
static void test_shared_entry(void **state)
{
	struct fixture *f = *state;
	struct spec a = spec4(), b = a;

	while (b.sport == a.sport || hash_of(&b) % DEV_FLOWS != hash_of(&a) % DEV_FLOWS ||
	       !((hash_of(&b) ^ hash_of(&a)) & (SOCK_FLOWS - 1)))
		b.sport++;
	consumed_on(f, &a, 3);
	consumed_on(f, &b, 4);
	assert_int_equal(goes_to(f, &a), 3);
	assert_int_equal(goes_to(f, &b), 3);
	f->head[3] = 1;
	assert_int_equal(goes_to(f, &b), 3);
	f->head[3] = 3;
	assert_int_equal(goes_to(f, &b), 4);
	assert_int_equal(goes_to(f, &a), 4);
	f->head[4] = 2;
	assert_int_equal(goes_to(f, &a), 3);
}

static void test_without_table(void **state)
{
	struct fixture *f = *state;
	struct spec s = spec4();

	/* As in Linux: no rps_flow_cnt, no RFS. */
	set_dev_flow_ctl(f, 0, 0, 0, 0);
	consumed_on(f, &s, 5);
	assert_int_equal(goes_to(f, &s), 2);
	assert_int_equal(entry_of(f, &s, 0)->target, SLUICE_NO_CPU);
}

static void test_former_table(void **state)
{
	struct fixture *f = *state;
	struct spec s = spec4();

	assert_int_equal(goes_to(f, &s), 2);
	consumed_on(f, &s, 5);
	add_dev_flows(f, 0, 1);
	set_dev_flow_ctl(f, 0, DEV_FLOWS, 1, DEV_FLOWS);
	assert_int_equal(goes_to(f, &s), 2);
	assert_int_equal(entry_of(f, &s, 0)->last_qtail, 2);
	assert_int_equal(entry_of(f, &s, 1)->target, SLUICE_NO_CPU);
	f->head[2] = 2;
	assert_int_equal(goes_to(f, &s), 5);
	assert_int_equal(entry_of(f, &s, 0)->target, SLUICE_NO_CPU);
	assert_int_equal(entry_of(f, &s, 1)->target, 5);
	consumed_on(f, &s, 2);
	assert_int_equal(goes_to(f, &s), 5);
	/* To no table at all: what is under way is waited for all the same. */
	set_dev_flow_ctl(f, 0, 0, 0, DEV_FLOWS);
	assert_int_equal(goes_to(f, &s), 5);
	f->head[5] = 3;
	assert_int_equal(goes_to(f, &s), 2);
}

static const struct fixture_opts limit_opts = {
	.sock_flow_mask = SOCK_FLOWS - 1, .cpu_mask = 7, .dev_flows = 1, .half = HALF,
	.limit_len = M_LIMIT_LEN,
};

static __u64 mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (__u64)ts.tv_sec * 1000000000u + (__u64)ts.tv_nsec;
}

static void test_stalled(void **state)
{
	struct spec s = spec4();
	struct fixture f;

	open_with(&f, *state, &limit_opts);
	f.beat[2].ns = 1;
	for (__u32 i = 0; i <= HALF; i++)
		assert_int_equal(goes_to(&f, &s), 2);
	assert_int_equal(verdict(&f, &s), V(PASS_STALLED));
	assert_int_equal(f.tail[2], HALF + 1);
	f.beat[2].ns = mono_ns();
	assert_int_equal(verdict(&f, &s), V(REDIRECT));
	f.beat[2].ns = mono_ns() - SLUICE_STALL_NS - 1;
	assert_int_equal(verdict(&f, &s), V(PASS_STALLED));
	f.beat[2].ns = mono_ns() - SLUICE_STALL_NS / 2;
	assert_int_equal(verdict(&f, &s), V(REDIRECT));
	/* Half the backlog is not above half. */
	f.beat[2].ns = 1;
	f.head[2] = f.tail[2] - HALF;
	assert_int_equal(verdict(&f, &s), V(REDIRECT));
	assert_int_equal(verdict(&f, &s), V(PASS_STALLED));
	fixture_close(&f);
}

/* One that sleeps has 200 ms to wake up, from when its backlog is seen above half. */
static void test_asleep(void **state)
{
	const struct timespec wait = { .tv_nsec = SLUICE_STALL_NS + 10000000 };
	struct spec s = spec4();
	struct fixture f;
	__u64 before;

	open_with(&f, *state, &limit_opts);
	for (__u32 i = 0; i <= HALF; i++)
		assert_int_equal(goes_to(&f, &s), 2);
	assert_int_equal(f.beat[2].ns, 0);
	before = mono_ns();
	assert_int_equal(verdict(&f, &s), V(REDIRECT));
	assert_in_range(f.beat[2].ns, before, mono_ns());
	assert_int_equal(verdict(&f, &s), V(REDIRECT));
	nanosleep(&wait, NULL);
	assert_int_equal(verdict(&f, &s), V(PASS_STALLED));
	fixture_close(&f);
}

static void test_flow_limit(void **state)
{
	struct spec s = spec4(), other = s;
	__u32 w2 = 2, on = 1, passed = 0;
	struct fixture f;

	open_with(&f, *state, &limit_opts);
	while (!((hash_of(&other) ^ hash_of(&s)) & (M_LIMIT_LEN - 1)))
		other.sport++;
	f.tail[2] = HALF + 1;
	for (int i = 0; i < 200; i++)
		assert_int_equal(verdict(&f, &s), V(REDIRECT));
	map_set(f.skel->maps.flow_limit_on, &w2, &on);
	for (int i = 0; i < 64; i++)
		assert_int_equal(verdict(&f, &s), V(REDIRECT));
	for (int i = 0; i < 63; i++)
		assert_int_equal(verdict(&f, &s), V(DROP_FLOW_LIMIT));
	assert_int_equal(verdict(&f, &s), V(REDIRECT));
	assert_int_equal(verdict(&f, &other), V(REDIRECT));
	for (int i = 0; i < 640; i++)
		passed += verdict(&f, &s) == V(REDIRECT);
	assert_int_equal(passed, 10);
	/* The backlog is half again: no limit. */
	f.head[2] = f.tail[2] - HALF;
	assert_int_equal(verdict(&f, &s), V(REDIRECT));
	assert_int_equal(verdict(&f, &s), V(DROP_FLOW_LIMIT));
	/* Half of the last 128 are the other flow's: nobody has more than half. */
	for (int i = 0; i < 128; i++) {
		verdict(&f, &s);
		assert_int_equal(verdict(&f, &other), V(REDIRECT));
	}
	assert_int_equal(verdict(&f, &s), V(REDIRECT));
	fixture_close(&f);
}

struct world {
	struct fixture f;
	struct model_order m;
	__u64 rng;
	__u64 seen[SLUICE_XDP_VERDICTS];
};

static __u32 below(struct world *w, __u32 n)
{
	return rnd_below(&w->rng, n);
}

static void change_targets(struct world *w)
{
	__u32 cpu = below(w, M_CPUS), q = below(w, QUEUES), n = below(w, M_WORKERS);
	struct sluice_rps_map *r = &w->m.rps[q];

	switch (below(w, 3)) {
	case 0:
		w->m.worker[cpu] = below(w, 8) ? below(w, M_WORKERS) : SLUICE_NO_WORKER;
		set_worker(&w->f, cpu, w->m.worker[cpu]);
		break;
	case 1:
		w->m.slot[q][n] = below(w, 8) != 0;
		set_slot(&w->f, q * SLUICE_MAX_WORKERS + n, w->m.slot[q][n]);
		break;
	default:
		r->len = below(w, 8) ? 1 + below(w, 8) : 0;
		for (__u32 i = 0; i < r->len; i++)
			r->cpus[i] = (__u16)below(w, M_CPUS);
		map_set(w->f.skel->maps.rps_map, &q, r);
	}
}

static void change_worker_state(struct world *w)
{
	__u32 n = below(w, M_WORKERS), on;

	if (below(w, 2)) {
		w->m.dead[n] = !below(w, 4);
		/* Far ahead of now: as alive as can be, however long the test takes. */
		w->f.beat[n].ns = w->m.dead[n] ? 1 : mono_ns() + 1000000000000ull;
	} else {
		on = w->m.limited[n] = below(w, 2);
		map_set(w->f.skel->maps.flow_limit_on, &n, &on);
	}
}

/*
 * The other table comes in, empty, or what it replaced goes out, as
 * steer_resize_dev_flow() does.
 */
static void change_tables(struct world *w)
{
	__u32 q = below(w, QUEUES), next;

	if (!w->m.former[q]) {
		next = !w->m.current[q];
		for (__u32 i = 0; i < DEV_FLOWS; i++)
			w->m.flow[2 * q + next][i] = w->f.flow[2 * q + next][i] =
				(struct sluice_dev_flow)SLUICE_DEV_FLOW_UNSET;
		w->m.former[q] = w->m.dev_flows[q];
		w->m.current[q] = next;
		w->m.dev_flows[q] = below(w, 4) != 0;
	} else {
		w->m.former[q] = false;
	}
	set_dev_flow_ctl(&w->f, q, w->m.dev_flows[q] ? DEV_FLOWS : 0, w->m.current[q],
			 w->m.former[q] ? DEV_FLOWS : 0);
}

static void change_heads(struct world *w)
{
	for (__u32 n = below(w, 4); n; n--) {
		__u32 slot = below(w, QUEUES) * SLUICE_MAX_WORKERS + below(w, M_WORKERS);
		__u32 behind = w->m.tail[slot] - w->m.head[slot];

		w->m.head[slot] += below(w, 3) ? below(w, behind + 1) : behind;
		w->f.head[slot] = w->m.head[slot];
	}
}

static void change(struct world *w)
{
	__u32 what = below(w, 64);

	if (what < 8)
		change_targets(w);
	else if (what < 12)
		change_worker_state(w);
	else if (what < 14)
		change_tables(w);
	else if (what < 24)
		change_heads(w);
}

static struct spec random_flow(struct world *w)
{
	struct spec s = spec4();

	/* Few flows, and one of them often: so that a limit is reached. */
	s.sport = (__u16)(below(w, 3) ? 7 : below(w, 300));
	return s;
}

static void record(struct world *w, __u32 hash)
{
	__u32 i = hash & (SOCK_FLOWS - 1), ident = (hash & ~7u) | below(w, M_CPUS);

	if (!below(w, 4))
		ident = below(w, 2) ? SLUICE_NO_CPU : ident ^ 1u << below(w, 32);
	w->m.sock_flow[i] = w->f.sock_flow[i] = ident;
}

static void check_entry(const struct world *w, __u32 hash, __u32 queue)
{
	for (__u32 t = 2 * queue; t < 2 * queue + 2; t++)
		assert_memory_equal(&w->f.flow[t][hash % DEV_FLOWS],
				    &w->m.flow[t][hash % DEV_FLOWS], sizeof(w->m.flow[t][0]));
}

static void step(struct world *w)
{
	struct spec s = random_flow(w);
	struct frame p = frame_build(&s);
	__u32 queue = below(w, QUEUES), hash = hash_of(&s), worker = 0;
	enum sluice_verdict v = model_enqueue(&w->m, hash, queue, &worker);
	struct result r = run_on(&w->f, p.b, p.len, queue);

	w->seen[v]++;
	assert_int_equal(r.ret, v == V(REDIRECT) ? XDP_REDIRECT :
			 v == V(DROP_FLOW_LIMIT) ? XDP_DROP : XDP_PASS);
	if (v == V(REDIRECT)) {
		assert_int_equal(r.meta.target, worker);
		assert_int_equal(r.meta.seq, w->m.tail[queue * SLUICE_MAX_WORKERS + worker]);
	}
	check_entry(w, hash, queue);
	if (!below(w, 6))
		record(w, hash);
}

/* Sequence numbers start where they wrap around soon. */
static void world_init(struct world *w, const struct host *h)
{
	struct { __u32 worker[SLUICE_MAX_WORKERS]; } room;

	memset(w, 0, sizeof(*w));
	w->rng = 4711;
	open_with(&w->f, h, &limit_opts);
	model_order_init(&w->m, &w->f);
	w->m.sock_flow_mask = SOCK_FLOWS - 1;
	w->m.cpu_mask = 7;
	w->m.half = HALF;
	w->m.limits = true;
	for (__u32 q = 0; q < QUEUES; q++) {
		add_dev_flows(&w->f, q, 1);
		for (__u32 n = 0; n < SLUICE_MAX_WORKERS; n++) {
			__u32 slot = q * SLUICE_MAX_WORKERS + n;
			__u32 start = below(w, 2) ? 0 : -(1 + below(w, 3000));

			w->f.tail[slot] = w->f.head[slot] = room.worker[n] = start;
			w->m.tail[slot] = w->m.head[slot] = start;
			if (n >= M_WORKERS)
				set_slot(&w->f, slot, 0);
			else
				w->m.slot[q][n] = true;
		}
		map_set(w->f.skel->maps.flow_room, &q, &room);
		w->m.rps[q] = (struct sluice_rps_map){ .len = 1, .cpus = { 2 } };
	}
	for (__u32 n = 0; n < M_CPUS; n++) {
		w->m.worker[n] = n % M_WORKERS;
		set_worker(&w->f, n, n % M_WORKERS);
	}
	for (__u32 n = 0; n < M_WORKERS; n++)
		w->f.beat[n].ns = mono_ns() + 1000000000000ull;
}

static void test_random(void **state)
{
	struct world *w = malloc(sizeof(*w));

	assert_non_null(w);
	world_init(w, *state);
	for (int i = 0; i < STEPS; i++) {
		change(w);
		step(w);
	}
	model_order_check(&w->m, &w->f);
	print_message("%d states: redirected %llu, no target %llu, stalled %llu, flow limit %llu\n",
		      STEPS, (unsigned long long)w->seen[V(REDIRECT)],
		      (unsigned long long)w->seen[V(PASS_TARGET)],
		      (unsigned long long)w->seen[V(PASS_STALLED)],
		      (unsigned long long)w->seen[V(DROP_FLOW_LIMIT)]);
	assert_true(w->seen[V(REDIRECT)] >= STEPS / 3);
	assert_true(w->seen[V(PASS_TARGET)] >= STEPS / 100);
	assert_true(w->seen[V(PASS_STALLED)] >= STEPS / 100);
	assert_true(w->seen[V(DROP_FLOW_LIMIT)] >= STEPS / 100);
	fixture_close(&w->f);
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(first_packet), T(rfs_waits), T(fallback_waits), T(new_mask_waits),
		T(worker_of_cpu_changes), T(gone), T(shared_entry), T(without_table),
		T(former_table), cmocka_unit_test(test_stalled), cmocka_unit_test(test_asleep),
		cmocka_unit_test(test_flow_limit), cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
