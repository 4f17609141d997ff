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
	c = cost_of(opts_plain(o) ? f.skel->progs.steer_plain : f.skel->progs.steer);
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

		print_message("generic %u, dev_flows %u, limits %u, cpumap %u: verifier %u, program %u "
			      "instructions\n", i & 1, i >> 1 & 1, i >> 2 & 1, i >> 3, c.verified,
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

static const struct fixture_opts plain_opts = {
	.sock_flow_mask = SOCK_FLOWS - 1, .cpu_mask = 7, .dev_flows = 1, .flow_keys = 1024,
	.half = 2048,
};

/*
 * By default, what is off leaves nothing: the program is no longer than that of a build
 * which never had it (it may be shorter by an instruction: registers fall otherwise).
 */
static void test_plain(void **state)
{
	struct without_bpf *without = without_bpf__open();
	struct fixture f = { 0 };
	__u32 plain, never;

	(void)state;
	assert_non_null(without);
	without->rodata->sock_flow_mask = plain_opts.sock_flow_mask;
	without->rodata->cpu_mask = plain_opts.cpu_mask;
	without->rodata->backlog_half = plain_opts.half;
	assert_int_equal(without_bpf__load(without), 0);
	fixture_load(&f, &plain_opts);
	assert_int_equal(f.prog, bpf_program__fd(f.skel->progs.steer_plain));
	plain = cost_of(f.skel->progs.steer_plain).xlated;
	never = cost_of(without->progs.steer_plain).xlated;
	print_message("off by default: %u instructions, never there: %u\n", plain, never);
	assert_true(plain <= never);
	without_bpf__destroy(without);
	steer_bpf__destroy(f.skel);
}

/*
 * Where anything of it is on, `steer` runs, and of each part that is off is left the reading
 * of its setting, an address (two instructions wide) and a load, which the verifier keeps
 * though it knows the value; and the ways of verdicts that do not occur.
 */
#define OFF_LEAVES 80
static void test_off(void **state)
{
	const struct cost plain = load(&plain_opts);
	struct fixture f = { 0 };
	__u32 xlated;

	(void)state;
	fixture_load(&f, &plain_opts);
	xlated = cost_of(f.skel->progs.steer).xlated;
	print_message("all off: %u instructions, steer_plain: %u\n", xlated, plain.xlated);
	assert_in_range(xlated, plain.xlated, plain.xlated + OFF_LEAVES);
	steer_bpf__destroy(f.skel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verifier),
		cmocka_unit_test(test_verifier_rules),

		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
