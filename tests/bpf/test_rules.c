// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Rules of users, the default action and the roles, one by one; together: test_random.c. */
#include "scene.h"

#define BOTH (SLUICE_BIND_ANY | SLUICE_BIND_EXACT)
#define RULE_COUNTER 20

static const struct fixture_opts host_rules = { .rules = BOTH };

static void rule(struct fixture *f, const struct spec *s, int exact, __u32 action)
{
	set_rule(f, exact ? s->daddr : NULL, s->version, s->dport, s->proto, action,
		 RULE_COUNTER + (__u32)exact);
}

/* The verdict, and that exactly this rule has counted it; counter 0: none. */
static void check(struct fixture *f, const struct spec *s, enum sluice_verdict v, __u32 counter)
{
	__u64 any = rule_count(f, RULE_COUNTER), exact = rule_count(f, RULE_COUNTER + 1);

	assert_int_equal(verdict(f, s), v);
	assert_int_equal(rule_count(f, RULE_COUNTER) - any, counter == RULE_COUNTER);
	assert_int_equal(rule_count(f, RULE_COUNTER + 1) - exact, counter == RULE_COUNTER + 1);
}

static void test_actions(void **state)
{
	struct fixture f;

	open_with(&f, *state, &host_rules);
	for (int version = 4; version <= 6; version += 2) {
		struct spec s = spec_of(version), tcp = s, other = s;

		other.dport++;
		tcp.proto = IPPROTO_TCP;
		/* Before the socket that is attached on this port. */
		check(&f, &s, V(REDIRECT), 0);
		rule(&f, &s, 0, SLUICE_ACT_DROP);
		check(&f, &s, V(DROP_RULE), RULE_COUNTER);
		rule(&f, &s, 0, SLUICE_ACT_PASS);
		check(&f, &s, V(PASS_RULE), RULE_COUNTER);
		rule(&f, &s, 1, SLUICE_ACT_DROP);
		check(&f, &s, V(DROP_RULE), RULE_COUNTER + 1);
		check(&f, &tcp, V(PASS_L4), 0);
		check(&f, &other, V(PASS_PORT), 0);
		rule(&f, &tcp, 0, SLUICE_ACT_DROP);
		check(&f, &tcp, V(DROP_RULE), RULE_COUNTER);
		rule(&f, &s, 0, 0);
		rule(&f, &s, 1, 0);
		rule(&f, &tcp, 0, 0);
		check(&f, &s, V(REDIRECT), 0);
		check(&f, &tcp, V(PASS_L4), 0);
	}
	fixture_close(&f);
}

/* A program looks only for the kinds it was loaded for. */
static void test_kinds(void **state)
{
	for (__u8 kinds = 0; kinds <= BOTH; kinds++) {
		const struct fixture_opts o = { .rules = kinds };
		struct spec s = spec4();
		struct fixture f;

		open_with(&f, *state, &o);
		rule(&f, &s, 0, SLUICE_ACT_DROP);
		check(&f, &s, kinds & SLUICE_BIND_ANY ? V(DROP_RULE) : V(REDIRECT),
		      kinds & SLUICE_BIND_ANY ? RULE_COUNTER : 0);
		rule(&f, &s, 0, 0);
		rule(&f, &s, 1, SLUICE_ACT_DROP);
		check(&f, &s, kinds & SLUICE_BIND_EXACT ? V(DROP_RULE) : V(REDIRECT),
		      kinds & SLUICE_BIND_EXACT ? RULE_COUNTER + 1 : 0);
		fixture_close(&f);
	}
}

/* Only what the kernel would deliver here. */
static void test_not_ours(void **state)
{
	struct fixture f;

	open_with(&f, *state, &host_rules);
	for (int version = 4; version <= 6; version += 2) {
		struct spec s = spec_of(version), foreign = s, group = s, vlan = s;

		rule(&f, &s, 0, SLUICE_ACT_DROP);
		rule(&f, &s, 1, SLUICE_ACT_DROP);
		foreign.daddr[version == 6 ? 15 : 3] = 77;
		rule(&f, &foreign, 1, SLUICE_ACT_DROP);
		check(&f, &foreign, V(PASS_ADDR), 0);
		group.dmac[0] |= 1;
		check(&f, &group, V(PASS_MAC), 0);
		group.dmac[0] = 4;
		check(&f, &group, V(PASS_MAC), 0);
		vlan.tags = 1;
		vlan.tpid[0] = 0x8100;
		vlan.tci[0] = 9;
		check(&f, &vlan, V(PASS_VLAN), 0);
		f.vlan[9] = 1;
		check(&f, &vlan, V(DROP_RULE), RULE_COUNTER + 1);
		f.vlan[9] = 0;
		rule(&f, &s, 0, 0);
		rule(&f, &s, 1, 0);
	}
	fixture_close(&f);
}

/* A fragment has no port; options and extension headers do not hide it. */
static void test_headers(void **state)
{
	struct spec s = spec4(), s6 = spec6();
	struct fixture f;

	open_with(&f, *state, &host_rules);
	rule(&f, &s, 0, SLUICE_ACT_DROP);
	s.options = 4;
	check(&f, &s, V(DROP_RULE), RULE_COUNTER);
	s.frag = 0x2000;
	check(&f, &s, V(PASS_HEADER), 0);
	s.options = 0;
	check(&f, &s, V(PASS_FRAG), 0);
	s6.exts = 1;
	s6.ext[0] = IPPROTO_HOPOPTS;
	check(&f, &s6, V(DROP_RULE), RULE_COUNTER);
	s6.ext[0] = IPPROTO_FRAGMENT;
	check(&f, &s6, V(PASS_FRAG), 0);
	/* ::ffff:10.0.0.1 in an IPv6 header is not 10.0.0.1. */
	s6 = spec6();
	set_v6(s6.daddr, "::ffff:10.0.0.1");
	check(&f, &s6, V(PASS_ADDR), 0);
	fixture_close(&f);
}

static void test_shut_gate(void **state)
{
	struct spec s = spec4();
	struct fixture f;

	open_with(&f, *state, &host_rules);
	f.ports[TEST_PORT].gen++;
	check(&f, &s, V(PASS_PORT), 0);
	rule(&f, &s, 0, SLUICE_ACT_DROP);
	check(&f, &s, V(DROP_RULE), RULE_COUNTER);
	fixture_close(&f);
}

/* Whoever a frame is for, every tag, every address; the hash is that of the whole flow. */
static void test_mirror(void **state)
{
	static const struct fixture_opts o = { .mirror = 1, .fallback = SLUICE_ACT_XSK,
					       .deny = SLUICE_DENY_4 };
	struct spec s = spec4(), arp;
	struct fixture f;
	struct frame p;

	open_with(&f, *state, &o);
	memset(s.dmac, 6, sizeof(s.dmac));
	s.daddr[3] = 99;
	s.dport = 1;
	for (s.tags = 0; s.tags <= 2; s.tags++) {
		s.tpid[0] = s.tpid[1] = 0x88a8;
		s.tci[0] = 77;
		for (s.proto = 0; s.proto < 200; s.proto++)
			assert_int_equal(verdict(&f, &s), V(REDIRECT));
	}
	s.tags = 0;
	s.frag = 0x2001;
	assert_int_equal(verdict(&f, &s), V(REDIRECT));
	arp = s;
	p = frame_build(&arp);
	put16(p.b + 12, 0x0806);
	assert_int_equal(verdict_of(&f, p.b, p.len, 0), V(PASS_HASH));
	p = frame_build(&s);
	p.b[p.l3] = 0x44;
	assert_int_equal(verdict_of(&f, p.b, p.len, 0), V(PASS_HEADER));
	set_deny(&f, s.saddr, 4, 32, RULE_COUNTER);
	check(&f, &s, V(DROP_DENY), RULE_COUNTER);
	fixture_close(&f);
}

/* An attached socket on any address has the datagrams for every address, counted as its own. */
static void test_mirror_socket(void **state)
{
	static const struct fixture_opts o = { .mirror = 1 };
	struct spec s = spec4();
	struct fixture f;

	open_with(&f, *state, &o);
	s.daddr[3] = 99;
	assert_int_equal(verdict(&f, &s), V(REDIRECT));
	assert_int_equal(rule_count(&f, ANY_COUNTER), 1);
	s.dport++;
	assert_int_equal(verdict(&f, &s), V(PASS_PORT));
	set_port(&f, TEST_PORT, SLUICE_PORT_EXACT);
	s.dport--;
	assert_int_equal(verdict(&f, &s), V(PASS_ADDR));
	set_bind(&f, s.daddr, 4, TEST_PORT, SLUICE_ACT_XSK);
	assert_int_equal(verdict(&f, &s), V(REDIRECT));
	fixture_close(&f);
}

static void test_default_drop(void **state)
{
	static const struct fixture_opts o = { .mirror = 1, .fallback = SLUICE_ACT_DROP,
					       .rules = BOTH };
	struct spec s = spec4();
	struct fixture f;
	struct frame p;

	open_with(&f, *state, &o);
	assert_int_equal(verdict(&f, &s), V(REDIRECT));
	rule(&f, &s, 0, SLUICE_ACT_PASS);
	check(&f, &s, V(PASS_RULE), RULE_COUNTER);
	s.dport++;
	check(&f, &s, V(DROP_RULE), 0);
	rule(&f, &s, 0, SLUICE_ACT_XSK);
	check(&f, &s, V(REDIRECT), RULE_COUNTER);
	p = frame_build(&s);
	put16(p.b + 12, 0x0806);
	assert_int_equal(verdict_of(&f, p.b, p.len, 0), V(DROP_RULE));
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_actions),	      cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_not_ours),      cmocka_unit_test(test_headers),
		cmocka_unit_test(test_shut_gate),     cmocka_unit_test(test_mirror),
		cmocka_unit_test(test_mirror_socket), cmocka_unit_test(test_default_drop),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
