// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Random states and random packets: the XDP program and model.h must come to
 * the same decision, number the packet alike and leave the same trace; and the parser
 * finds the same flow in user space.
 */
#include "model.h"
#include "check_dissect.h"
#include "random_packet.h"

#define STEPS 40000
#define CPU_MASK (M_CPUS - 1)

struct world {
	struct fixture f;
	struct model m;
	__u64 rng;
	bool rules;
	struct sluice_xdp_stat stat;
};

static __u32 below(struct world *w, __u32 n)
{
	return rnd_below(&w->rng, n);
}

static __u8 pick_flags(struct world *w)
{
	static const __u8 flags[] = { 0, SLUICE_PORT_ANY4, SLUICE_PORT_ANY6, SLUICE_PORT_ANY,
				      SLUICE_PORT_EXACT, SLUICE_PORT_EXACT,
				      SLUICE_PORT_ANY4 | SLUICE_PORT_EXACT,
				      SLUICE_PORT_ANY6 | SLUICE_PORT_EXACT,
				      SLUICE_PORT_ANY | SLUICE_PORT_EXACT };

	return flags[below(w, sizeof(flags))];
}

static __u32 pick_action(struct world *w)
{
	return below(w, 6) ? SLUICE_ACT_XSK : below(w, 4);
}

static void change_address(struct world *w)
{
	__u32 a = below(w, M_ADDRS), p = below(w, M_PORTS);
	int version = a % 2 ? 6 : 4;

	if (below(w, 2)) {
		w->m.local[a] = below(w, 4) != 0;
		set_local(&w->f, w->m.addr[a], version, w->m.local[a]);
	} else {
		w->m.bind[a][p] = below(w, 2) ? pick_action(w) : 0;
		set_bind(&w->f, w->m.addr[a], version, w->m.port[p], w->m.bind[a][p]);
	}
}

static void change_gate(struct world *w)
{
	__u32 p = below(w, M_PORTS);
	struct sluice_port *g = &w->m.gate[p];

	g->flags = SLUICE_PORT_WATCH | pick_flags(w);
	g->action = (__u16)pick_action(w);
	g->gen = (__u32)rnd(&w->rng);
	g->open = below(w, 6) ? g->gen : g->gen - 1;
	w->f.ports[w->m.port[p]] = *g;
}

static void change_vlan(struct world *w)
{
	__u32 i = below(w, M_VIDS);

	w->m.vlan[i] = below(w, 3) ? 9 : 0;
	w->f.vlan[w->m.vid[i]] = w->m.vlan[i];
}

/* Few machines have all of M_CPUS, which only CPUMAP asks for. */
static __u32 pick_cpu(struct world *w)
{
	return below(w, below(w, 2) ? 2 : M_CPUS);
}

static void change_rps(struct world *w)
{
	__u32 q = below(w, QUEUES);
	struct sluice_rps_map *r = &w->m.o.rps[q];

	r->len = below(w, 6) ? 1 + below(w, SLUICE_RPS_MAX) : 0;
	for (__u32 i = 0; i < r->len; i++)
		r->cpus[i] = (__u16)(below(w, 40) ? pick_cpu(w) : SLUICE_NO_CPU);
	map_set(w->f.skel->maps.rps_map, &q, r);
}

/* Making and ending an entry takes its time: not often. */
static void change_cpu(struct world *w)
{
	__u32 cpu = below(w, 2);

	if (!below(w, 50)) {
		bool on = !w->m.o.cpu_on[cpu];

		if (!set_cpu_entry(&w->f, cpu, on))
			w->m.o.cpu_on[cpu] = on;
	}
	w->m.o.thread[cpu] = below(w, 3) != 0;
	w->f.cpu_head[cpu].task = w->m.o.thread[cpu];
}

static void change_worker(struct world *w)
{
	__u32 cpu = below(w, M_CPUS), q = below(w, QUEUES), n = below(w, M_WORKERS);

	if (below(w, 2)) {
		w->m.o.worker[cpu] = below(w, 8) ? below(w, M_WORKERS) : SLUICE_NO_WORKER;
		set_worker(&w->f, cpu, w->m.o.worker[cpu]);
	} else {
		w->m.o.slot[q][n] = below(w, 6) != 0;
		set_slot(&w->f, q * SLUICE_MAX_WORKERS + n, w->m.o.slot[q][n]);
	}
}

/*
 * Prefixes of one family all differ in length, so that none replaces another. Mostly
 * none is there, or little else would be tested.
 */
static void change_deny(struct world *w)
{
	__u32 d = below(w, M_DENY);
	int version = d % 2 ? 6 : 4;

	w->m.deny[d].on = !below(w, 8);
	set_deny(&w->f, w->m.addr[d % M_ADDRS], version, w->m.deny[d].len,
		 w->m.deny[d].on ? M_DENY_COUNTER + d : 0);
}

static void change_rule(struct world *w)
{
	static const __u32 actions[] = { 0, 0, 0, SLUICE_ACT_XSK, SLUICE_ACT_CPUMAP,
					 SLUICE_ACT_DROP, SLUICE_ACT_PASS };
	__u32 a = below(w, M_ADDRS + 1), p = below(w, M_PORTS), proto = below(w, M_PROTOS);
	__u32 action = actions[below(w, sizeof(actions) / sizeof(actions[0]))];

	if (!w->rules)
		return;
	w->m.rule[a][p][proto].action = action;
	set_rule(&w->f, a < M_ADDRS ? w->m.addr[a] : NULL, a % 2 ? 6 : 4, w->m.port[p],
		 model_protos[proto], action, model_rule_counter(a, p, proto));
}

static void change_state(struct world *w)
{
	switch (below(w, 9)) {
	case 8:
		change_cpu(w);
		break;
	case 7:
		change_rule(w);
		break;
	case 6:
		change_deny(w);
		break;
	case 0:
		change_vlan(w);
		break;
	case 1:
		change_rps(w);
		break;
	case 2:
		change_worker(w);
		break;
	case 3:
		change_gate(w);
		break;
	default:
		change_address(w);
	}
}

/* Workers have come as far as that with what they were given. */
static void change_head(struct world *w)
{
	__u32 slot = below(w, QUEUES) * SLUICE_MAX_WORKERS + below(w, M_WORKERS);
	__u32 behind = w->m.o.tail[slot] - w->m.o.head[slot];

	w->m.o.head[slot] += below(w, behind + 1);
	w->f.head[slot] = w->m.o.head[slot];
}

static void change_cpu_head(struct world *w)
{
	__u32 q = below(w, QUEUES), cpu = below(w, 2);
	__u32 behind = w->m.o.cpu_tail[q][cpu] - w->m.o.cpu_head[q][cpu];

	w->m.o.cpu_head[q][cpu] += below(w, 3) ? below(w, behind + 1) : behind;
	w->f.cpu_head[cpu].queue[q] = w->m.o.cpu_head[q][cpu];
}

/* What a client's CPU would have recorded, at times for another flow. */
static void record_flow(struct world *w, __u32 hash)
{
	__u32 i = hash & (SOCK_FLOWS - 1), entry = (hash & ~CPU_MASK) | pick_cpu(w);

	if (!below(w, 4))
		entry ^= 1u << below(w, 32);
	if (!below(w, 8))
		entry = SLUICE_NO_CPU;
	w->m.o.sock_flow[i] = w->f.sock_flow[i] = entry;
}

static struct spec random_spec(struct world *w)
{
	__u32 a = below(w, M_ADDRS), src = a % 2;
	struct spec s = { .version = a % 2 ? 6 : 4, .proto = IPPROTO_UDP };

	memcpy(s.dmac, w->m.mac, sizeof(s.dmac));
	memcpy(s.daddr, w->m.addr[a], sizeof(s.daddr));
	memcpy(s.saddr, w->m.addr[src], sizeof(s.saddr));
	s.sport = (__u16)below(w, 50);
	s.dport = w->m.port[below(w, M_PORTS)];
	s.payload = (__u16)below(w, 40);
	if (!below(w, 4)) {
		s.tags = 1 + !below(w, 6);
		s.tpid[0] = s.tpid[1] = below(w, 8) ? 0x8100 : 0x88a8;
		s.tci[0] = (__u16)(below(w, 4) ? w->m.vid[below(w, M_VIDS)] : 0);
		s.tci[0] |= (__u16)(below(w, 16) << 12);
	}
	if (!below(w, 12))
		s.dmac[0] ^= (__u8)(1 + below(w, 2));
	if (!below(w, 3))
		random_kind(&w->rng, &s);
	return s;
}

static struct frame random_frame(struct world *w)
{
	struct spec s = random_spec(w);
	struct frame p = frame_build(&s);

	random_damage(&w->rng, &p);
	return p;
}

static void step(struct world *w)
{
	struct frame p = random_frame(w);
	__u32 queue = below(w, QUEUES);
	__u16 before = model_clock();
	struct result r = run_on(&w->f, p.b, p.len, queue);
	struct outcome o = model_decide(&w->m, &w->f, p.b, p.len, queue, before);

	check_dissect(p.b, p.len);
	assert_int_equal(verdict_since(&w->f, &w->stat), o.verdict);
	w->stat.verdict[o.verdict]++;
	assert_int_equal(r.len, p.len);
	assert_memory_equal(r.data, p.b, p.len);
	assert_int_equal(r.has_meta, r.ret == XDP_REDIRECT);
	assert_int_equal(r.ret, action_of(o.verdict));
	if (r.has_meta) {
		__u32 slot = queue * SLUICE_MAX_WORKERS + o.target, seq;

		seq = o.target < SLUICE_TARGET_CPU ? w->m.o.tail[slot] :
		      w->m.o.cpu_tail[queue][o.target - SLUICE_TARGET_CPU];
		assert_int_equal(r.meta.magic, SLUICE_RX_MAGIC);
		assert_int_equal(r.meta.hash, o.hash);
		assert_int_equal(r.meta.queue, queue);
		assert_int_equal(r.meta.target, o.target);
		assert_int_equal(r.meta.seq, seq);
	}
	if (o.hash && below(w, 2))
		record_flow(w, o.hash);
}

static void world_init(struct world *w, const struct host *h, const struct fixture_opts *o)
{
	static const __u16 ports[M_PORTS] = { 53, 5000, 32768, 65535 };
	static const __u16 vids[M_VIDS] = { 1, 5, 2048, 4094 };

	memset(w, 0, sizeof(*w));
	fixture_open(&w->f, h, o);
	w->rng = 99 + o->sock_flow_mask + o->fallback;
	w->rules = o->rules;
	model_order_init(&w->m.o, &w->f);
	w->m.mirror = o->mirror;
	w->m.fallback = o->fallback ? o->fallback : SLUICE_ACT_PASS;
	w->m.o.sock_flow_mask = o->sock_flow_mask;
	w->m.o.cpu_mask = CPU_MASK;
	memcpy(w->m.mac, own_mac, sizeof(w->m.mac));
	memcpy(w->m.port, ports, sizeof(ports));
	memcpy(w->m.vid, vids, sizeof(vids));
	for (__u32 a = 0; a < M_ADDRS; a++)
		for (__u32 i = 0; i < (a % 2 ? 16u : 4u); i++)
			w->m.addr[a][i] = (__u8)rnd(&w->rng);
	for (__u32 d = 0; d < M_DENY; d++)
		w->m.deny[d].len = d < M_ADDRS ? 2 + d : d % 2 ? 97 + d : 17 + d / 2;
	for (__u32 cpu = 0; cpu < 2; cpu++)
		w->m.o.cpu_on[cpu] = !set_cpu_entry(&w->f, cpu, 1);
	for (int i = 0; i < 500; i++)
		change_state(w);
}

static void check_counters(const struct world *w)
{
	for (__u32 d = 0; d < M_DENY; d++)
		assert_int_equal(rule_count(&w->f, M_DENY_COUNTER + d), w->m.deny[d].matched);
	for (__u32 a = 0; a <= M_ADDRS; a++)
		for (__u32 p = 0; p < M_PORTS; p++)
			for (__u32 i = 0; i < M_PROTOS; i++)
				assert_int_equal(rule_count(&w->f, model_rule_counter(a, p, i)),
						 w->m.rule[a][p][i].matched);
}

/*
 * A verdict that hardly occurred was hardly tested. Those of the limits are test_order.c's;
 * absent: bits of those that cannot occur under these settings.
 */
static void check_verdicts(const struct world *w, __u32 absent)
{
	static const char *const names[] = {
#define X(id, name, text) name,
		SLUICE_VERDICT_LIST(X)
#undef X
	};

	absent |= 1u << SLUICE_XDP_PASS_STALLED | 1u << SLUICE_XDP_DROP_FLOW_LIMIT;
	for (int v = 0; v < SLUICE_XDP_VERDICTS; v++) {
		print_message("%-12s %llu\n", names[v], (unsigned long long)w->stat.verdict[v]);
		if (absent >> v & 1)
			assert_int_equal(w->stat.verdict[v], 0);
		else
			assert_true(w->stat.verdict[v] >= STEPS / 1000);
	}
}

static void run_world(const struct host *h, const struct fixture_opts *o, __u32 absent)
{
	struct world *w = malloc(sizeof(*w));

	assert_non_null(w);
	world_init(w, h, o);
	for (int i = 0; i < STEPS; i++) {
		change_state(w);
		change_head(w);
		change_cpu_head(w);
		step(w);
	}
	model_order_check(&w->m.o, &w->f);
	check_counters(w);
	check_verdicts(w, absent);
	fixture_close(&w->f);
	free(w);
}

#define BIT(name) (1u << SLUICE_XDP_##name)
#define OF_RULES (BIT(PASS_RULE) | BIT(DROP_RULE) | BIT(PASS_HASH) | BIT(REDIRECT_CPU))
#define REASONS (BIT(PASS_MAC) | BIT(PASS_VLAN) | BIT(PASS_PROTO) | BIT(PASS_FRAG) | \
		 BIT(PASS_L4) | BIT(PASS_PORT) | BIT(PASS_ADDR))

#define RULE_KINDS (SLUICE_BIND_ANY | SLUICE_BIND_EXACT)
#define COMMON .cpu_mask = CPU_MASK, .deny = SLUICE_DENY_4 | SLUICE_DENY_6
#define RFS_ON COMMON, .sock_flow_mask = SOCK_FLOWS - 1, .dev_flows = 1

static void test_with_rfs(void **state)
{
	static const struct fixture_opts o = { RFS_ON };

	run_world(*state, &o, OF_RULES);
}

static void test_without_rfs(void **state)
{
	static const struct fixture_opts o = { COMMON };

	run_world(*state, &o, OF_RULES);
}

static void test_host_rules(void **state)
{
	static const struct fixture_opts o = { RFS_ON, .rules = RULE_KINDS };

	run_world(*state, &o, BIT(PASS_HASH));
}

static void test_host_cpumap(void **state)
{
	static const struct fixture_opts o = { RFS_ON, .rules = RULE_KINDS,
					       .fallback = SLUICE_ACT_CPUMAP };

	run_world(*state, &o, REASONS & ~BIT(PASS_MAC));
}

static void test_mirror(void **state)
{
	static const struct fixture_opts o = { RFS_ON, .mirror = 1, .fallback = SLUICE_ACT_XSK };

	run_world(*state, &o, REASONS | BIT(PASS_RULE) | BIT(DROP_RULE) | BIT(REDIRECT_CPU));
}

static void test_mirror_rules(void **state)
{
	static const struct fixture_opts o = { RFS_ON, .mirror = 1, .fallback = SLUICE_ACT_PASS,
					       .rules = RULE_KINDS };

	run_world(*state, &o, BIT(PASS_MAC) | BIT(PASS_VLAN) | BIT(PASS_HASH));
}

static void test_mirror_drop(void **state)
{
	static const struct fixture_opts o = { RFS_ON, .mirror = 1, .fallback = SLUICE_ACT_DROP,
					       .rules = RULE_KINDS };

	run_world(*state, &o, REASONS | BIT(PASS_HASH) | BIT(PASS_HEADER));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_with_rfs), cmocka_unit_test(test_without_rfs),
		cmocka_unit_test(test_host_rules), cmocka_unit_test(test_host_cpumap),
		cmocka_unit_test(test_mirror), cmocka_unit_test(test_mirror_rules),
		cmocka_unit_test(test_mirror_drop),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
