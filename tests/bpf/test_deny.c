// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Rules that drop by source address, and the counters of all rules. */
#include "scene.h"

static const struct fixture_opts deny_both = { .sock_flow_mask = SOCK_FLOWS - 1, .cpu_mask = 7,
					       .deny = SLUICE_DENY_4 | SLUICE_DENY_6 };

static int setup_deny(void **state)
{
	struct fixture *f = malloc(sizeof(*f));

	open_with(f, *state, &deny_both);
	*state = f;
	return 0;
}

static void deny(struct fixture *f, const char *addr, int version, __u32 len, __u32 counter)
{
	__u8 a[16];

	if (version == 6)
		set_v6(a, addr);
	else
		set_v4(a, addr);
	set_deny(f, a, version, len, counter);
}

static struct spec from(const char *saddr, int version)
{
	struct spec s = spec_of(version);

	if (version == 6)
		set_v6(s.saddr, saddr);
	else
		set_v4(s.saddr, saddr);
	return s;
}

static void check_from(struct fixture *f, const char *saddr, int version, __u32 counter)
{
	struct spec s = from(saddr, version);
	__u64 before = counter ? rule_count(f, counter) : 0;

	assert_int_equal(verdict(f, &s), counter ? V(DROP_DENY) : V(REDIRECT));
	if (counter)
		assert_int_equal(rule_count(f, counter), before + 1);
}

static void test_longest(void **state)
{
	struct fixture *f = *state;

	check_from(f, "10.0.0.2", 4, 0);
	deny(f, "10.0.0.0", 4, 8, 10);
	deny(f, "10.0.0.0", 4, 31, 11);
	deny(f, "10.0.0.3", 4, 32, 12);
	check_from(f, "10.0.0.2", 4, 10);
	check_from(f, "10.0.0.1", 4, 11);
	check_from(f, "10.0.0.3", 4, 12);
	check_from(f, "11.0.0.3", 4, 0);
	assert_int_equal(rule_count(f, 10), 1);
	deny(f, "10.0.0.3", 4, 32, 0);
	check_from(f, "10.0.0.3", 4, 10);
	deny(f, "0.0.0.0", 4, 0, 13);
	check_from(f, "11.0.0.3", 4, 13);
	check_from(f, "2001:db8::2", 6, 0);
	deny(f, "2001:db8::", 6, 32, 20);
	deny(f, "2001:db8::2", 6, 128, 21);
	deny(f, "2001:db8::100", 6, 121, 22);
	check_from(f, "2001:db8::2", 6, 21);
	check_from(f, "2001:db8::3", 6, 20);
	check_from(f, "2001:db8::17f", 6, 22);
	check_from(f, "2001:db8::180", 6, 20);
	check_from(f, "2001:db9::2", 6, 0);
}

/* Whatever it carries, and before any reason to leave it to the kernel. */
static void test_everything(void **state)
{
	struct fixture *f = *state;

	deny(f, "10.0.0.2", 4, 32, 10);
	deny(f, "2001:db8::2", 6, 128, 20);
	for (int version = 4; version <= 6; version += 2) {
		struct spec s = spec_of(version), t = s;
		__u32 proto = version == 6 ? 6 : 9;

		assert_int_equal(patched(f, &s, proto, IPPROTO_TCP), V(DROP_DENY));
		assert_int_equal(patched(f, &s, proto, version == 6 ? 44 : IPPROTO_ICMP),
				 V(DROP_DENY));
		t.dport = 1;
		assert_int_equal(verdict(f, &t), V(DROP_DENY));
		t.tags = 1;
		t.tpid[0] = t.tpid[1] = 0x8100;
		t.tci[0] = 5;
		assert_int_equal(verdict(f, &t), V(DROP_DENY));
		t.tags = 2;
		t.tpid[0] = 0x88a8;
		assert_int_equal(verdict(f, &t), V(DROP_DENY));
		/* To a group; to another station. */
		memset(t.dmac, 0xff, sizeof(t.dmac));
		assert_int_equal(verdict(f, &t), V(DROP_DENY));
		t.dmac[0] = 2;
		assert_int_equal(verdict(f, &t), V(PASS_MAC));
	}
	/* A fragment, and IPv4 options. */
	struct spec s4 = spec4();
	assert_int_equal(patched(f, &s4, 6, 0x20), V(DROP_DENY));
	assert_int_equal(patched(f, &s4, 0, 0x46), V(DROP_DENY));
	for (__u32 len = 14; len < 34; len++) {
		struct frame p = frame_build(&s4);

		assert_int_equal(verdict_of(f, p.b, len, 0), V(PASS_HEADER));
	}
}

/* A program without the family does not look, whatever the trie holds. */
static void test_family_off(void **state)
{
	struct fixture_opts o = deny_both;
	struct fixture f;

	for (o.deny = 0; o.deny <= (SLUICE_DENY_4 | SLUICE_DENY_6); o.deny++) {
		open_with(&f, *state, &o);
		deny(&f, "10.0.0.2", 4, 32, 10);
		deny(&f, "2001:db8::2", 6, 128, 20);
		check_from(&f, "10.0.0.2", 4, o.deny & SLUICE_DENY_4 ? 10 : 0);
		check_from(&f, "2001:db8::2", 6, o.deny & SLUICE_DENY_6 ? 20 : 0);
		fixture_close(&f);
	}
}

static void test_bind_counters(void **state)
{
	struct fixture *f = *state;
	struct spec s4 = spec4(), s6 = spec6(), foreign = s4;

	foreign.daddr[3] = 77;
	for (int i = 0; i < 3; i++)
		assert_int_equal(verdict(f, &s4), V(REDIRECT));
	assert_int_equal(verdict(f, &s6), V(REDIRECT));
	assert_int_equal(verdict(f, &foreign), V(PASS_ADDR));
	assert_int_equal(rule_count(f, ANY_COUNTER), 3);
	assert_int_equal(rule_count(f, ANY_COUNTER + 1), 1);
	set_bind(f, s4.daddr, 4, TEST_PORT, SLUICE_ACT_XSK);
	set_port(f, TEST_PORT, SLUICE_PORT_EXACT | SLUICE_PORT_ANY);
	assert_int_equal(verdict(f, &s4), V(REDIRECT));
	assert_int_equal(verdict(f, &s6), V(REDIRECT));
	assert_int_equal(rule_count(f, ANY_COUNTER), 3);
	assert_int_equal(rule_count(f, ANY_COUNTER + 1), 2);
	assert_int_equal(rule_count(f, BIND_COUNTER), 1);
}

static __u32 program_length(const struct host *h, __u8 families)
{
	struct fixture_opts o = deny_both;
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);
	struct fixture f;

	o.deny = families;
	open_with(&f, h, &o);
	assert_int_equal(bpf_obj_get_info_by_fd(f.prog, &info, &len), 0);
	fixture_close(&f);
	return info.xlated_prog_len;
}

/* Without rules none of it is in the program: what the verifier sees as dead, it removes. */
static void test_off_costs_nothing(void **state)
{
	__u32 none = program_length(*state, 0), one = program_length(*state, SLUICE_DENY_4);
	__u32 both = program_length(*state, SLUICE_DENY_4 | SLUICE_DENY_6);

	print_message("program: %u bytes without deny rules, %u for IPv4, %u for both\n", none,
		      one, both);
	assert_true(none < one && one < both);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_longest, setup_deny, teardown),
		cmocka_unit_test_setup_teardown(test_everything, setup_deny, teardown),
		cmocka_unit_test(test_family_off),
		T(bind_counters),
		cmocka_unit_test(test_off_costs_nothing),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
