// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Rules, targets, sequence numbers and metadata: everything after the parser. */
#include "scene.h"

static void test_gate(void **state)
{
	struct fixture *f = *state;
	struct sluice_port *p = &f->ports[TEST_PORT];

	for (int version = 4; version <= 6; version += 2) {
		struct spec s = spec_of(version), other = s;

		set_port(f, TEST_PORT, SLUICE_PORT_ANY);
		assert_int_equal(verdict(f, &s), V(REDIRECT));
		p->gen++;
		assert_int_equal(verdict(f, &s), V(PASS_PORT));
		p->open = p->gen;
		assert_int_equal(verdict(f, &s), V(REDIRECT));
		p->open = p->gen + 0x10000;
		assert_int_equal(verdict(f, &s), V(PASS_PORT));
		p->open = p->gen;
		p->flags = SLUICE_PORT_WATCH;
		assert_int_equal(verdict(f, &s), V(PASS_PORT));
		p->flags = SLUICE_PORT_ANY;
		assert_int_equal(verdict(f, &s), V(REDIRECT));
		other.dport = TEST_PORT + 1;
		assert_int_equal(verdict(f, &other), V(PASS_PORT));
		p->flags = version == 4 ? SLUICE_PORT_ANY6 : SLUICE_PORT_ANY4;
		assert_int_equal(verdict(f, &s), V(PASS_PORT));
		p->flags = version == 4 ? SLUICE_PORT_ANY4 : SLUICE_PORT_ANY6;
		assert_int_equal(verdict(f, &s), V(REDIRECT));
		other = s;
		other.sport = TEST_PORT;
		other.dport = 0x8813;	/* TEST_PORT in the other byte order */
		assert_int_equal(verdict(f, &other), V(PASS_PORT));
		other.dport = 65535;
		assert_int_equal(verdict(f, &other), V(PASS_PORT));
	}
}

static void test_any(void **state)
{
	struct fixture *f = *state;

	for (int version = 4; version <= 6; version += 2) {
		struct spec s = spec_of(version), foreign = s;

		foreign.daddr[version == 6 ? 15 : 3] = 77;
		assert_int_equal(verdict(f, &foreign), V(PASS_ADDR));
		set_local(f, foreign.daddr, version, 1);
		assert_int_equal(verdict(f, &foreign), V(REDIRECT));
		set_local(f, foreign.daddr, version, 0);
		assert_int_equal(verdict(f, &foreign), V(PASS_ADDR));
		/* A rule for an address does not count where the port has none of that kind. */
		set_bind(f, foreign.daddr, version, TEST_PORT, SLUICE_ACT_XSK);
		assert_int_equal(verdict(f, &foreign), V(PASS_ADDR));
		f->ports[TEST_PORT].action = SLUICE_ACT_CPUMAP;
		assert_int_equal(verdict(f, &s), V(PASS_ADDR));
		set_port(f, TEST_PORT, SLUICE_PORT_ANY);
	}
}

static void test_exact(void **state)
{
	struct fixture *f = *state;

	for (int version = 4; version <= 6; version += 2) {
		struct spec s = spec_of(version), other = s;

		set_port(f, TEST_PORT, SLUICE_PORT_EXACT);
		assert_int_equal(verdict(f, &s), V(PASS_ADDR));
		set_bind(f, s.daddr, version, TEST_PORT + 1, SLUICE_ACT_XSK);
		assert_int_equal(verdict(f, &s), V(PASS_ADDR));
		set_bind(f, s.daddr, version, TEST_PORT, SLUICE_ACT_XSK);
		assert_int_equal(verdict(f, &s), V(REDIRECT));
		other.daddr[0] ^= 1;
		assert_int_equal(verdict(f, &other), V(PASS_ADDR));
		set_bind(f, s.daddr, version, TEST_PORT, SLUICE_ACT_DROP);
		assert_int_equal(verdict(f, &s), V(PASS_ADDR));
		/* Beside it a rule for any address: foreign ones still pass. */
		set_port(f, TEST_PORT, SLUICE_PORT_EXACT | SLUICE_PORT_ANY);
		assert_int_equal(verdict(f, &s), V(REDIRECT));
		assert_int_equal(verdict(f, &other), V(PASS_ADDR));
		/* A rule for any address of the other family is none for this packet. */
		set_local(f, other.daddr, version, 1);
		set_port(f, TEST_PORT, SLUICE_PORT_EXACT |
			 (version == 4 ? SLUICE_PORT_ANY6 : SLUICE_PORT_ANY4));
		assert_int_equal(verdict(f, &other), V(PASS_ADDR));
		set_port(f, TEST_PORT, SLUICE_PORT_EXACT | SLUICE_PORT_ANY);
		assert_int_equal(verdict(f, &other), V(REDIRECT));
		set_local(f, other.daddr, version, 0);
		set_bind(f, other.daddr, version, TEST_PORT, SLUICE_ACT_XSK);
		assert_int_equal(verdict(f, &other), V(REDIRECT));
	}
}

/* Every worker has processed what it was given: flows may move. */
static void caught_up(const struct fixture *f)
{
	memcpy(f->head, f->tail, SLOTS * sizeof(*f->tail));
}

static __u32 hash_of(const struct fixture *f, const struct spec *s)
{
	struct frame p = frame_build(s);
	struct result r = run_on(f, p.b, p.len, 0);

	assert_true(r.has_meta);
	caught_up(f);
	return r.meta.hash;
}

static __u32 worker_of(const struct fixture *f, const struct spec *s)
{
	struct frame p = frame_build(s);
	struct result r = run_on(f, p.b, p.len, 0);

	assert_true(r.has_meta);
	caught_up(f);
	return r.meta.target;
}

static void test_rfs(void **state)
{
	struct fixture *f = *state;
	struct spec s = spec4();
	__u32 hash = hash_of(f, &s), none = SLUICE_NO_WORKER, cpu = 6;
	__u32 *slot = &f->sock_flow[hash & (SOCK_FLOWS - 1)];

	assert_int_equal(worker_of(f, &s), 2);
	*slot = (hash & ~7u) | 5;
	assert_int_equal(worker_of(f, &s), 5);
	*slot ^= 0x80000000;	/* another flow's entry */
	assert_int_equal(worker_of(f, &s), 2);
	*slot = ((hash & ~7u) ^ 8) | 5;
	assert_int_equal(worker_of(f, &s), 2);
	*slot = (hash & ~7u) | 6;
	assert_int_equal(worker_of(f, &s), 6);
	set_worker(f, cpu, none);
	assert_int_equal(worker_of(f, &s), 2);
	*slot = SLUICE_NO_CPU;
	assert_int_equal(worker_of(f, &s), 2);
	/* Steered by RFS alone, the queue's own map may be empty. */
	set_rps(f, 0, 0, NULL);
	assert_int_equal(verdict(f, &s), V(PASS_TARGET));
	*slot = (hash & ~7u) | 5;
	assert_int_equal(worker_of(f, &s), 5);
}

static void test_rfs_off(void **state)
{
	static const struct fixture_opts off = { .sock_flow_mask = 0, .cpu_mask = 7 };
	struct spec s = spec4();
	struct fixture f;
	__u32 hash;

	open_with(&f, *state, &off);
	hash = hash_of(&f, &s);
	for (__u32 i = 0; i < SOCK_FLOWS; i++)
		f.sock_flow[i] = (hash & ~7u) | 5;
	assert_int_equal(worker_of(&f, &s), 2);
	fixture_close(&f);
}

/*
 * An empty entry must not steer the hashes that it resembles, to the CPU with
 * all bits set: one in 2^22 with 1,024 CPUs.
 */
static void test_no_cpu(void **state)
{
	static const struct fixture_opts wide = { .sock_flow_mask = SOCK_FLOWS - 1,
						  .cpu_mask = SLUICE_MAX_CPUS - 1,
						  .dev_flows = 1 };
	struct spec s = spec4();
	struct fixture f;
	struct flow_key k = { .version = 4, .proto = IPPROTO_UDP, .dport = htons(s.dport) };
	__u32 *slot;

	open_with(&f, *state, &wide);
	set_worker(&f, SLUICE_MAX_CPUS - 1, 5);
	memcpy(k.daddr.w, s.daddr, 4);
	for (__u32 i = 0; (flow_hash(own_key, &k) ^ SLUICE_NO_CPU) & ~wide.cpu_mask; i++) {
		assert_true(i < 1u << 27);
		s.sport = (__u16)i;
		put16(s.saddr + 2, i >> 16);
		memcpy(k.saddr.w, s.saddr, 4);
		k.sport = htons(s.sport);
	}
	slot = &f.sock_flow[hash_of(&f, &s) & (SOCK_FLOWS - 1)];
	assert_int_equal(worker_of(&f, &s), 2);
	*slot = (SLUICE_NO_CPU & ~wide.cpu_mask) | 5;
	assert_int_equal(worker_of(&f, &s), 5);
	fixture_close(&f);
}

static void test_target(void **state)
{
	struct fixture *f = *state;
	struct spec s = spec4();
	__u16 cpu = 3, unset = SLUICE_NO_CPU;
	__u32 worker = SLUICE_NO_WORKER, cpu3 = 3, bad = SLUICE_MAX_WORKERS;
	struct sluice_rps_map over = { .len = 0xffffffff };
	__u32 q0 = 0;

	set_rps(f, 0, 1, &cpu);
	assert_int_equal(worker_of(f, &s), 3);
	set_worker(f, cpu3, worker);
	assert_int_equal(verdict(f, &s), V(PASS_TARGET));
	/* Never the first slot of the next queue. */
	set_worker(f, cpu3, bad);
	assert_int_equal(verdict(f, &s), V(PASS_TARGET));
	set_rps(f, 0, 1, &unset);
	assert_int_equal(verdict(f, &s), V(PASS_TARGET));
	map_set(f->skel->maps.rps_map, &q0, &over);
	assert_int_equal(verdict(f, &s), V(PASS_TARGET));
	set_rps(f, 0, 0, NULL);
	assert_int_equal(verdict(f, &s), V(PASS_TARGET));
}

static void test_empty_slot(void **state)
{
	struct fixture *f = *state;
	struct spec s = spec4();
	__u32 before;

	assert_int_equal(verdict(f, &s), V(REDIRECT));
	before = f->tail[2];
	assert_int_equal(before, 1);
	set_slot(f, 2, 0);
	assert_int_equal(verdict(f, &s), V(PASS_TARGET));
	for (__u32 i = 0; i < SLOTS; i++)
		assert_int_equal(f->tail[i], i == 2 ? before : 0);
	set_slot(f, 2, 1);
	assert_int_equal(verdict(f, &s), V(REDIRECT));
	assert_int_equal(f->tail[2], before + 1);
}

static void check_sequence(struct fixture *f)
{
	struct spec s = spec4();
	struct frame p = frame_build(&s);

	for (__u32 q = 0; q < QUEUES; q++)
		f->tail[q * SLUICE_MAX_WORKERS + 2] = q ? 100 * q : 0xfffffffe;
	for (__u32 i = 1; i <= 4; i++) {
		for (__u32 q = 0; q < QUEUES; q++) {
			__u32 *tail = &f->tail[q * SLUICE_MAX_WORKERS + 2], want = *tail + 1;
			struct result r = run_on(f, p.b, p.len, q);

			assert_int_equal(r.ret, XDP_REDIRECT);
			assert_true(r.has_meta);
			assert_int_equal(r.meta.magic, SLUICE_RX_MAGIC);
			assert_int_equal(r.meta.hash, hash_of(f, &s));
			assert_int_equal(r.meta.seq, want);
			assert_int_equal(r.meta.queue, q);
			assert_int_equal(r.meta.target, 2);
			/* hash_of() sent one through queue 0. */
			assert_int_equal(*tail, want + (q == 0));
		}
	}
	assert_int_equal(f->tail[2], 0xfffffffe + 4 + 16);
	assert_int_equal(f->tail[SLUICE_MAX_WORKERS + 2], 100 + 4);
}

static void test_sequence(void **state)
{
	check_sequence(*state);
}

static void test_sequence_generic(void **state)
{
	static const struct fixture_opts generic = { .generic = 1 };
	struct fixture f;

	open_with(&f, *state, &generic);
	check_sequence(&f);
	fixture_close(&f);
}

/*
 * Another program's metadata before the packet: ours would not end where the
 * worker looks, which then must not take another field for the magic.
 */
static void test_foreign_metadata(void **state)
{
	struct fixture *f = *state;
	struct spec s = spec4();
	struct frame p = frame_build(&s);
	struct xdp_md in = { .data = 8, .data_end = p.len + 8, .ingress_ifindex = f->ifindex };
	__u8 buf[FRAME_MAX] = { 0 }, out[FRAME_MAX + 64];
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = buf, .data_size_in = p.len + 8,
		    .data_out = out, .data_size_out = sizeof(out), .ctx_in = &in,
		    .ctx_size_in = sizeof(in), .ctx_out = &in, .ctx_size_out = sizeof(in));
	__u32 magic;

	f->tail[2] = SLUICE_RX_MAGIC - 1;
	memcpy(buf, "metadata", 8);
	memcpy(buf + 8, p.b, p.len);
	assert_int_equal(bpf_prog_test_run_opts(f->prog, &o), 0);
	assert_int_equal(o.retval, XDP_REDIRECT);
	assert_memory_equal(out + in.data - 8, buf, p.len + 8);
	memcpy(&magic, out + in.data - sizeof(struct sluice_rx_meta), sizeof(magic));
	assert_int_not_equal(magic, SLUICE_RX_MAGIC);
}

/* The form in which the maps hold IPv4 addresses, inside an IPv6 header. */
static void test_mapped(void **state)
{
	struct fixture *f = *state;
	struct spec to = spec6(), from = spec6();

	set_v6(to.daddr, "::ffff:10.0.0.1");
	set_v6(from.saddr, "::ffff:10.0.0.2");
	assert_int_equal(verdict(f, &to), V(PASS_ADDR));
	assert_int_equal(verdict(f, &from), V(PASS_ADDR));
	set_bind(f, to.daddr, 6, TEST_PORT, SLUICE_ACT_XSK);
	set_port(f, TEST_PORT, SLUICE_PORT_EXACT);
	assert_int_equal(verdict(f, &to), V(PASS_ADDR));
}

static void test_verdict_sum(void **state)
{
	struct spec s4 = spec4(), s6 = spec6();
	struct fixture *f = *state;
	struct sluice_xdp_stat st;
	__u64 sum = 0, rng = 7;

	for (int i = 0; i < 2000; i++) {
		struct frame p = frame_build(i & 1 ? &s6 : &s4);

		if (i & 2)
			p.b[rnd_below(&rng, p.len)] = (__u8)rnd(&rng);
		run_on(f, p.b, 14 + rnd_below(&rng, p.len - 13), (__u32)i % QUEUES);
	}
	st = stats_read(f);
	for (int v = 0; v < SLUICE_XDP_VERDICTS; v++)
		sum += st.verdict[v];
	assert_int_equal(sum, 2000);
}

static void test_verifier_cost(void **state)
{
	struct fixture *f = *state;
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(f->prog, &info, &len), 0);
	print_message("verifier: %u instructions processed; program: %u bytes jited\n",
		      info.verified_insns, info.jited_prog_len);
	assert_in_range(info.verified_insns, 1, 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(gate), T(any), T(exact), T(rfs),
		cmocka_unit_test(test_rfs_off), cmocka_unit_test(test_no_cpu),
		T(target), T(empty_slot), T(sequence), cmocka_unit_test(test_sequence_generic),
		T(foreign_metadata), T(mapped), T(verdict_sum), T(verifier_cost),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
