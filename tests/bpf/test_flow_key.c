// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * flow_key: which flow a hash is. Written when a flow arrives in an entry of rps_dev_flow
 * that held another one, and not otherwise.
 */
#include "scene.h"

#define KEYS 1024

static int setup_keys(void **state)
{
	static const struct fixture_opts o = { .sock_flow_mask = SOCK_FLOWS - 1, .cpu_mask = 7,
					       .dev_flows = 1, .flow_keys = KEYS };
	struct fixture *f = malloc(sizeof(*f));

	assert_non_null(f);
	open_with(f, *state, &o);
	*state = f;
	return 0;
}

static __u32 hash_of(const struct spec *s)
{
	struct flow_key k = { .version = s->version == 6 ? 6 : 4, .proto = s->proto,
			      .sport = htons(s->sport), .dport = htons(s->dport) };

	memcpy(&k.saddr, s->saddr, sizeof(k.saddr));
	memcpy(&k.daddr, s->daddr, sizeof(k.daddr));
	return flow_hash(own_key, &k);
}

static int key_find(const struct fixture *f, __u32 hash, struct sluice_flow *flow)
{
	return bpf_map_lookup_elem(bpf_map__fd(f->skel->maps.flow_key), &hash, flow);
}

static void key_forget(const struct fixture *f, __u32 hash)
{
	map_del(f->skel->maps.flow_key, &hash);
}

static void expect_known(const struct fixture *f, const struct spec *s, __u16 queue)
{
	struct sluice_addr saddr = mapped(s->saddr, s->version);
	struct sluice_addr daddr = mapped(s->daddr, s->version);
	struct sluice_flow flow;

	assert_int_equal(key_find(f, hash_of(s), &flow), 0);
	assert_memory_equal(&flow.saddr, &saddr, sizeof(saddr));
	assert_memory_equal(&flow.daddr, &daddr, sizeof(daddr));
	assert_int_equal(ntohs(flow.sport), s->sport);
	assert_int_equal(ntohs(flow.dport), s->dport);
	assert_int_equal(flow.family, s->version == 6 ? 6 : 4);
	assert_int_equal(flow.proto, s->proto);
	assert_int_equal(flow.queue, queue);
}

static void expect_unknown(const struct fixture *f, const struct spec *s)
{
	struct sluice_flow flow;

	assert_int_equal(key_find(f, hash_of(s), &flow), -ENOENT);
}

static void arrive(const struct fixture *f, const struct spec *s, __u32 queue)
{
	struct frame p = frame_build(s);

	assert_int_equal(verdict_of(f, p.b, p.len, queue), V(REDIRECT));
}

/* The next source port whose flow has the same entry as s, or another one. */
static struct spec sibling(const struct spec *s, int same)
{
	struct spec t = *s;

	do {
		t.sport++;
	} while (((hash_of(&t) ^ hash_of(s)) % DEV_FLOWS == 0) != same);
	return t;
}

static void test_headers(void **state)
{
	const struct fixture *f = *state;
	__u32 vid = 7;

	f->vlan[vid] = f->ifindex;
	for (int version = 4; version <= 6; version += 2) {
		for (unsigned int tags = 0; tags < 2; tags++) {
			struct spec s = spec_of(version);

			s.sport = (__u16)(2000 + tags);
			s.tags = tags;
			s.tpid[0] = 0x8100;
			s.tci[0] = (__u16)vid;
			expect_unknown(f, &s);
			arrive(f, &s, 2);
			expect_known(f, &s, 2);
		}
	}
}

/* Once per arrival, not once per packet. */
static void test_rare(void **state)
{
	const struct fixture *f = *state;
	struct spec s = spec4(), apart = sibling(&s, 0), same = sibling(&s, 1);

	arrive(f, &s, 0);
	key_forget(f, hash_of(&s));
	arrive(f, &s, 0);
	arrive(f, &apart, 0);
	arrive(f, &s, 0);
	expect_unknown(f, &s);
	expect_known(f, &apart, 0);

	arrive(f, &same, 0);
	expect_known(f, &same, 0);
	arrive(f, &s, 0);
	expect_known(f, &s, 0);
}

static void test_queue(void **state)
{
	const struct fixture *f = *state;
	struct spec s = spec6();

	arrive(f, &s, 0);
	expect_known(f, &s, 0);
	arrive(f, &s, 3);
	expect_known(f, &s, 3);
	/* It has both entries now. */
	arrive(f, &s, 0);
	expect_known(f, &s, 3);
}

/* What is not steered leaves no trace here either. */
static void test_passed(void **state)
{
	struct fixture *f = *state;
	struct spec s = spec4();
	struct frame p = frame_build(&s);

	set_slot(f, 2, 0);
	assert_int_equal(verdict_of(f, p.b, p.len, 0), V(PASS_TARGET));
	expect_unknown(f, &s);
	set_slot(f, 2, 1);
	arrive(f, &s, 0);
	expect_known(f, &s, 0);
}

/* Many more flows than there is room for: the last one is always known. */
static void test_full(void **state)
{
	const struct fixture *f = *state;
	struct spec s = spec4();

	for (__u32 i = 0; i < 4 * KEYS; i++) {
		struct spec next = sibling(&s, 1);

		s.sport = next.sport;
		arrive(f, &s, 0);
		expect_known(f, &s, 0);
		if (s.sport > 60000)
			s.sport = 1024;
		s.saddr[2] = (__u8)i;
	}
}

/* The hash by which a packet was steered must be known as this flow. */
static void expect_steered_as(const struct fixture *f, const struct spec *s, int ports)
{
	struct sluice_addr saddr = mapped(s->saddr, s->version);
	struct frame p = frame_build(s);
	struct result r = run_on(f, p.b, p.len, 1);
	struct sluice_flow flow;

	assert_int_equal(r.ret, XDP_REDIRECT);
	assert_true(r.has_meta);
	assert_int_equal(key_find(f, r.meta.hash, &flow), 0);
	assert_memory_equal(&flow.saddr, &saddr, sizeof(saddr));
	assert_int_equal(ntohs(flow.sport), ports ? s->sport : 0);
	assert_int_equal(ntohs(flow.dport), ports ? s->dport : 0);
	assert_int_equal(flow.proto, s->proto);
	assert_int_equal(flow.queue, 1);
}

/* Whatever has a flow hash: other protocols, options, extension headers, no ports. */
static void all_kinds(const struct fixture *f)
{
	struct spec s = spec4();

	s.proto = IPPROTO_TCP;
	expect_steered_as(f, &s, 1);
	s.sport++;
	s.options = 8;
	expect_steered_as(f, &s, 1);
	s.proto = IPPROTO_ICMP;
	expect_steered_as(f, &s, 0);
	s = spec6();
	s.proto = IPPROTO_SCTP;
	expect_steered_as(f, &s, 1);
	s.sport++;
	s.exts = 1;
	s.ext[0] = IPPROTO_DSTOPTS;
	expect_steered_as(f, &s, 1);
}

static void test_mirror(void **state)
{
	static const struct fixture_opts o = { .dev_flows = 1, .flow_keys = KEYS, .mirror = 1,
					       .fallback = SLUICE_ACT_XSK };
	struct fixture f;

	open_with(&f, *state, &o);
	all_kinds(&f);
	fixture_close(&f);
}

/* To the kernel's stack on a CPU. */
static void test_cpumap(void **state)
{
	static const struct fixture_opts o = { .dev_flows = 1, .flow_keys = KEYS,
					       .fallback = SLUICE_ACT_CPUMAP };
	static const __u16 cpus[] = { 0 };
	struct fixture f;

	open_with(&f, *state, &o);
	assert_int_equal(set_cpu_entry(&f, 0, 1), 0);
	set_rps(&f, 1, 1, cpus);
	all_kinds(&f);
	fixture_close(&f);
}

static void test_off(void **state)
{
	const struct fixture *f = *state;
	struct spec s = spec4();

	arrive(f, &s, 0);
	expect_unknown(f, &s);
}

#define K(name) cmocka_unit_test_setup_teardown(test_##name, setup_keys, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		K(headers), K(rare), K(queue), K(passed), K(full), T(off),
		cmocka_unit_test(test_mirror), cmocka_unit_test(test_cpumap),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
