// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Which worker is nearest to a CPU, on machines made of files. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "daemon/topology.h"

#define CPUS 16

static char root[] = "/tmp/sluice-topology-XXXXXX";

static void put(const char *dir, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "%s\n", text);
	fclose(f);
}

static void cache(unsigned int cpu, unsigned int index, const char *level, const char *list)
{
	char dir[128];

	snprintf(dir, sizeof(dir), "%s/cpu%u", root, cpu);
	mkdir(dir, 0755);
	snprintf(dir, sizeof(dir), "%s/cpu%u/cache", root, cpu);
	mkdir(dir, 0755);
	snprintf(dir, sizeof(dir), "%s/cpu%u/cache/index%u", root, cpu, index);
	assert_int_equal(mkdir(dir, 0755), 0);
	put(dir, "level", level);
	put(dir, "shared_cpu_list", list);
}

/*
 * CPUs 0-7: pairs on an L2, all on one L3. 8-13: L2 of their own, an L3 for 8-10 and one for
 * 11-13. 14: no L3. 15: no caches known.
 */
static int make_machine(void **state)
{
	static const char *const pairs[] = { "0-1", "2-3", "4-5", "6-7" };

	(void)state;
	assert_non_null(mkdtemp(root));
	for (unsigned int cpu = 0; cpu < 15; cpu++) {
		char own[8];

		snprintf(own, sizeof(own), "%u", cpu);
		cache(cpu, 0, "1", own);
		cache(cpu, 1, "1", own);
		cache(cpu, 2, "2", cpu < 8 ? pairs[cpu / 2] : own);
		if (cpu < 14)
			cache(cpu, 3, "3", cpu < 8 ? "0-7" : cpu < 11 ? "8-10" : "11,12-13");
	}
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int remove_machine(void **state)
{
	(void)state;
	return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void expect(const struct topology_worker *worker, uint32_t n, const char *wanted)
{
	static const char near[] = { [TOPOLOGY_OWN] = 'o', [TOPOLOGY_L2] = '2', [TOPOLOGY_L3] = '3',
				     [TOPOLOGY_NONE] = '-' };
	struct topology_choice choice[CPUS];
	char got[CPUS * 4 + 1] = "";
	int at = 0;

	topology_choose(root, worker, n, choice, CPUS);
	for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
		if (choice[cpu].near == TOPOLOGY_NONE)
			assert_int_equal(choice[cpu].slot, SLUICE_NO_WORKER);
		at += snprintf(got + at, sizeof(got) - (size_t)at, "%s%c%c", cpu ? " " : "",
			       choice[cpu].near == TOPOLOGY_NONE ?
				       '-' : (char)('0' + choice[cpu].slot),
			       near[choice[cpu].near]);
	}
	assert_string_equal(got, wanted);
}

static void test_one(void **state)
{
	static const struct topology_worker w[] = { { 0, 2 } };

	(void)state;
	expect(w, 1, "03 03 0o 02 03 03 03 03 -- -- -- -- -- -- -- --");
}

/* L2 goes before L3; of those on an L3, the one with the fewest CPUs; slots are not positions. */
static void test_levels_and_load(void **state)
{
	static const struct topology_worker w[] = { { 5, 0 }, { 2, 2 }, { 7, 9 } };

	(void)state;
	expect(w, 3, "5o 52 2o 22 53 23 53 23 73 7o 73 -- -- -- -- --");
}

static void test_same_l2(void **state)
{
	static const struct topology_worker w[] = { { 0, 4 }, { 1, 5 } };

	(void)state;
	expect(w, 2, "03 13 03 13 0o 1o 03 13 -- -- -- -- -- -- -- --");
}

static void test_nothing_shared(void **state)
{
	static const struct topology_worker w[] = { { 0, 14 }, { 1, 15 } };

	(void)state;
	expect(w, 2, "-- -- -- -- -- -- -- -- -- -- -- -- -- -- 0o 1o");
}

static void test_no_sysfs(void **state)
{
	static const struct topology_worker w[] = { { 3, 1 } };
	struct topology_choice choice[2];

	(void)state;
	topology_choose("/nonexistent", w, 1, choice, 2);
	assert_int_equal(choice[0].slot, SLUICE_NO_WORKER);
	assert_int_equal(choice[0].near, TOPOLOGY_NONE);
	assert_int_equal(choice[1].slot, 3);
}

/* A worker comes and goes: those of other CPUs change with it, and come back. */
static void test_deterministic(void **state)
{
	static const struct topology_worker w[] = { { 0, 0 }, { 1, 4 } };
	static const char *const both = "0o 02 13 03 1o 12 03 13 -- -- -- -- -- -- -- --";

	(void)state;
	expect(w, 2, both);
	expect(w, 1, "0o 02 03 03 03 03 03 03 -- -- -- -- -- -- -- --");
	expect(w, 2, both);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_levels_and_load),
		cmocka_unit_test(test_same_l2),
		cmocka_unit_test(test_nothing_shared),
		cmocka_unit_test(test_no_sysfs),
		cmocka_unit_test(test_deterministic),
	};

	return cmocka_run_group_tests(tests, make_machine, remove_machine);
}
