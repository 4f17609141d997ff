// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * What settings cost: the verifier's work with everything on, and the program that is
 * left of a part which is switched off, against a build that never had it.
 */
#include "fixture.h"
#include "tests/bpf/without.skel.h"

struct cost {
	__u32 verified, xlated;
};

static struct cost cost_of(const struct bpf_program *prog)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &len), 0);
	return (struct cost){ info.verified_insns, info.xlated_prog_len / 8 };
}

static struct cost load(const struct fixture_opts *o)
{
	struct fixture f = { 0 };
	struct cost c;

	fixture_load(&f, o);
	c = cost_of(f.skel->progs.steer);
	steer_bpf__destroy(f.skel);
	return c;
}

static void test_verifier(void **state)
{
	(void)state;
	for (__u32 i = 0; i < 16; i++) {
		const struct fixture_opts o = {
			.sock_flow_mask = SOCK_FLOWS - 1, .cpu_mask = 7, .generic = i & 1,
			.dev_flows = i & 2, .flow_keys = i & 2 ? 1024 : 0,
			.half = i & 4 ? 2048 : 0, .limit_len = i & 4 ? 4096 : 0,
			.cpumap = i & 8,
		};
		struct cost c = load(&o);

		print_message("generic %u, dev_flows %u, limits %u, cpumap %u: verifier %u, program "
			      "%u instructions\n", i & 1, i >> 1 & 1, i >> 2 & 1, i >> 3, c.verified,
			      c.xlated);
		assert_in_range(c.verified, 1, 100000);
	}
}

/* Roles, rules, defaults and the hash, each with everything else on. */
static void test_verifier_rules(void **state)
{
	static const __u8 key[TOEPLITZ_KEY] = { 1 };
	const struct fixture_opts all = {
		.sock_flow_mask = SOCK_FLOWS - 1, .cpu_mask = 7, .dev_flows = 1, .half = 2048,
		.limit_len = 4096, .deny = SLUICE_DENY_4 | SLUICE_DENY_6,
	};

	(void)state;
	for (__u32 i = 0; i < 16; i++) {
		struct fixture_opts o = all;
		struct cost c;

		o.mirror = i & 1;
		o.rules = i & 2 ? SLUICE_BIND_ANY | SLUICE_BIND_EXACT : 0;
		o.fallback = i & 4 ? SLUICE_ACT_PASS : i & 1 ? SLUICE_ACT_XSK : SLUICE_ACT_CPUMAP;
		o.toeplitz = i & 8 ? key : NULL;
		c = load(&o);
		print_message("mirror %u, rules %u, default %u, toeplitz %u: verifier %u, "
			      "program %u instructions\n", i & 1, i >> 1 & 1, o.fallback, i >> 3,
			      c.verified, c.xlated);
		assert_in_range(c.verified, 1, 100000);
	}
}

/*
 * Of a part that is off nothing is left but the reading of its setting, an address (two
 * instructions wide) and a load, which the verifier keeps though it knows the value; and the
 * way of a verdict that does not occur.
 */
#define OFF_LEAVES 40
static void test_off(void **state)
{
	const struct fixture_opts off = { .sock_flow_mask = SOCK_FLOWS - 1, .cpu_mask = 7 };
	struct without_bpf *without = without_bpf__open_and_load();
	__u32 xlated;
	struct cost c = load(&off);

	(void)state;
	assert_non_null(without);
	xlated = cost_of(without->progs.steer).xlated;
	print_message("off: %u instructions, never there: %u\n", c.xlated, xlated);
	assert_in_range(c.xlated, xlated, xlated + OFF_LEAVES);
	without_bpf__destroy(without);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verifier),
		cmocka_unit_test(test_verifier_rules),
		cmocka_unit_test(test_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
