// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * The command line of the daemon: what is taken, what is refused, and that each refusal says why.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "daemon/config.h"

#define ARGS 20

/* 40 bytes: 00 to 27 in hexadecimal. */
#define KEY_20 "00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:10:11:12:13"
#define KEY_40 KEY_20 ":1415161718191A1b1C1d1e1f:2021222324252627"

/* Words separated by spaces; '_' stands for an empty word. */
static int parse_into(struct config *cfg, const char *line, char *why, size_t len)
{
	char buf[256], *argv[ARGS + 2] = { (char *)(uintptr_t) "sluiced" }, *save = NULL;
	int argc = 1;

	snprintf(buf, sizeof(buf), "%s", line);
	for (char *word = strtok_r(buf, " ", &save); word && argc <= ARGS;
	     word = strtok_r(NULL, " ", &save))
		argv[argc++] = strcmp(word, "_") ? word : word + 1;
	why[0] = 0;
	return config_parse(cfg, argc, argv, why, len);
}

static struct config parsed(const char *line)
{
	struct config cfg;
	char why[200];
	int err = parse_into(&cfg, line, why, sizeof(why));

	if (err)
		fail_msg("'%s': %d, %s", line, err, why);
	assert_string_equal(why, "");
	return cfg;
}

/* What the sentence must name, so that the user knows what to change. */
static void refused(const char *line, const char *names)
{
	struct config cfg;
	char why[200];

	if (parse_into(&cfg, line, why, sizeof(why)) != -EINVAL)
		fail_msg("'%s' was taken", line);
	if (!strstr(why, names))
		fail_msg("'%s': '%s' does not name '%s'", line, why, names);
}

static uint32_t allowed_cpus(uint32_t *cpu, uint32_t max)
{
	cpu_set_t set;
	uint32_t n = 0;

	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	for (uint32_t i = 0; i < CPU_SETSIZE && n < max; i++)
		if (CPU_ISSET(i, &set))
			cpu[n++] = i;
	return n;
}

static void test_defaults(void **state)
{
	struct config cfg = parsed("-i eth7");
	uint32_t cpu[CONFIG_WORKERS_DEFAULT], n = allowed_cpus(cpu, CONFIG_WORKERS_DEFAULT);

	(void)state;
	assert_string_equal(cfg.ifname, "eth7");
	assert_int_equal(cfg.nr_queues, 0);
	assert_int_equal(cfg.nr_workers, n);
	assert_memory_equal(cfg.cpu, cpu, n * sizeof(*cpu));
	assert_int_equal(cfg.umem_frames, 0);
	assert_int_equal(cfg.flow_keys, SLUICE_FLOW_KEYS);
	assert_int_equal(cfg.ring, CONFIG_RING_DEFAULT);
	assert_int_equal(cfg.sock_flow_entries, CONFIG_SOCK_FLOW_DEFAULT);
	assert_int_equal(cfg.copy, XSK_AUTO);
	assert_int_equal(cfg.mode, STEER_AUTO);
	assert_false(cfg.help);
	assert_false(cfg.version);
}

static void test_all_options(void **state)
{
	char line[200];
	uint32_t cpu;
	struct config cfg;

	(void)state;
	assert_int_equal(allowed_cpus(&cpu, 1), 1);
	snprintf(line, sizeof(line),
		 "--interface veth0 --queue 3,0-1 --workers %u --umem 5000 --ring 1000 "
		 "--sock-flows 1000 --copy --xdp-skb", cpu);
	cfg = parsed(line);
	assert_string_equal(cfg.ifname, "veth0");
	assert_int_equal(cfg.nr_queues, 3);
	assert_int_equal(cfg.queue[0], 3);
	assert_int_equal(cfg.queue[1], 0);
	assert_int_equal(cfg.queue[2], 1);
	assert_int_equal(cfg.nr_workers, 1);
	assert_int_equal(cfg.cpu[0], cpu);
	assert_int_equal(cfg.umem_frames, 5000);
	assert_int_equal(cfg.ring, 1024);
	assert_int_equal(cfg.sock_flow_entries, 1024);
	assert_int_equal(cfg.copy, XSK_COPY);
	assert_int_equal(cfg.mode, STEER_GENERIC);

	snprintf(line, sizeof(line), "-zN -q 255 -w %u -i v", cpu);
	cfg = parsed(line);
	assert_int_equal(cfg.copy, XSK_ZEROCOPY);
	assert_int_equal(cfg.mode, STEER_NATIVE);
	assert_int_equal(cfg.queue[0], 255);
}

static void test_arfs(void **state)
{
	static const char *const bad[] = {
		"_", "0", "0:", ":0", "0:0,", "0:0,0:1", "0:256", "1024:0", "x:0", "0:x", "0:0;1:1",
		"0-1:0", "-1:0", "0:99999999999999999999", "99999999999999999999:0",
	};
	struct config cfg = parsed("-i v --arfs --arfs-queues 0:3,1023:255,7:3");
	char line[64];

	(void)state;
	assert_true(cfg.arfs && cfg.arfs_queues);
	assert_int_equal(cfg.arfs_queue[0], 3);
	assert_int_equal(cfg.arfs_queue[7], 3);
	assert_int_equal(cfg.arfs_queue[1023], 255);
	assert_int_equal(cfg.arfs_queue[1], ARFS_NO_QUEUE);
	cfg = parsed("-i v --flow-keys 0");
	assert_false(cfg.arfs || cfg.arfs_queues);
	assert_int_equal(cfg.flow_keys, 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(line, sizeof(line), "-i v --arfs-queues %s", bad[i]);
		refused(line, "--arfs-queues");
	}
	refused("-i v --flow-keys 16777217", "--flow-keys");
}

static void test_rounding(void **state)
{
	static const struct {
		const char *line;
		uint32_t ring, flows;
	} cases[] = {
		{ "-i v --ring 64 --sock-flows 0", 64, 0 },
		{ "-i v --ring 65 --sock-flows 1", 128, 2 },
		{ "-i v --ring 4096 --sock-flows 2", 4096, 2 },
		{ "-i v --ring 4097 --sock-flows 3", 8192, 4 },
		{ "-i v --ring 65536 --sock-flows 16777216", 65536, 16777216 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config cfg = parsed(cases[i].line);

		assert_int_equal(cfg.ring, cases[i].ring);
		assert_int_equal(cfg.sock_flow_entries, cases[i].flows);
	}
}

static void test_numbers_refused(void **state)
{
	static const char *const ring[] = {
		"63", "65537", "-1", "+64", "0x80", "64k", "_", "4294967360",
		"18446744073709551680", "99999999999999999999999", "1e3",
	};
	char line[64];

	(void)state;
	for (size_t i = 0; i < sizeof(ring) / sizeof(ring[0]); i++) {
		snprintf(line, sizeof(line), "-i v --ring %s", ring[i]);
		refused(line, "--ring");
	}
	refused("-i v --sock-flows 16777217", "--sock-flows");
	refused("-i v --umem 63", "--umem");
	refused("-i v --umem 2097153", "2097152");
	assert_int_equal(parsed("-i v --umem 2097152").umem_frames, 2097152);
}

static void test_device_refused(void **state)
{
	(void)state;
	refused("", "-i DEV");
	refused("-N", "-i DEV");
	refused("-i _", "no device name");
	refused("-i a234567890123456", "a234567890123456");
	refused("-i ../x", "../x");
	assert_string_equal(parsed("-i a23456789012345").ifname, "a23456789012345");
}

static void test_command_line_refused(void **state)
{
	(void)state;
	refused("-i", "-i");
	refused("-i v --ring", "--ring");
	refused("-i v --nonsense", "--nonsense");
	refused("-i v -Q", "-Q");
	refused("-i v stray", "stray");
	refused("-i v -- --ring", "--ring");
	refused("-i v --copy=yes", "--copy");
}

static void test_contradictions(void **state)
{
	(void)state;
	refused("-i v -z -c", "--copy");
	refused("-i v -c -z", "--zero-copy");
	refused("-i v -N -S", "--xdp-skb");
	refused("-i v --xdp-skb --xdp-native", "--xdp-native");
	assert_int_equal(parsed("-i v -z -z").copy, XSK_ZEROCOPY);
	assert_int_equal(parsed("-i v -c -S").copy, XSK_COPY);
}

static void test_role_and_default(void **state)
{
	static const struct {
		const char *line;
		bool mirror;
		uint8_t fallback;
	} cases[] = {
		{ "-i v", false, SLUICE_ACT_PASS },
		{ "-i v --role host", false, SLUICE_ACT_PASS },
		{ "-i v --default pass", false, SLUICE_ACT_PASS },
		{ "-i v --default cpumap", false, SLUICE_ACT_CPUMAP },
		{ "-i v --role mirror", true, SLUICE_ACT_XSK },
		{ "-i v --default xsk --role mirror", true, SLUICE_ACT_XSK },
		{ "-i v --role mirror --default pass", true, SLUICE_ACT_PASS },
		{ "-i v --role mirror --default cpumap", true, SLUICE_ACT_CPUMAP },
		{ "-i v --role mirror --default drop", true, SLUICE_ACT_DROP },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config cfg = parsed(cases[i].line);

		assert_int_equal(cfg.mirror, cases[i].mirror);
		assert_int_equal(cfg.fallback, cases[i].fallback);
	}
	refused("-i v --role both", "host or mirror");
	refused("-i v --default none", "cpumap");
	refused("-i v --default _", "--default");
	refused("-i v --default xsk", "--role mirror");
	refused("-i v --default drop --role host", "--role mirror");
}

static void test_hash(void **state)
{
	struct config cfg = parsed("-i v");

	(void)state;
	assert_false(cfg.toeplitz);
	assert_false(parsed("-i v --hash siphash").toeplitz);
	cfg = parsed("-i v --hash toeplitz");
	assert_true(cfg.toeplitz);
	assert_false(cfg.has_rss_key);
	cfg = parsed("-i v --rss-key " KEY_40 " --hash toeplitz");
	assert_true(cfg.has_rss_key);
	for (uint8_t i = 0; i < sizeof(cfg.rss_key); i++)
		assert_int_equal(cfg.rss_key[i], i);
	refused("-i v --hash crc", "siphash or toeplitz");
	refused("-i v --rss-key " KEY_40, "--hash toeplitz");
	refused("-i v --hash toeplitz --rss-key " KEY_20, "here are 20");
	refused("-i v --hash toeplitz --rss-key " KEY_40 ":28", "more");
	refused("-i v --hash toeplitz --rss-key " KEY_40 ":", "more");
	refused("-i v --hash toeplitz --rss-key :" KEY_40, "here are 0");
	refused("-i v --hash toeplitz --rss-key 0x" KEY_40, "here are 0");
	refused("-i v --hash toeplitz --rss-key _", "here are 0");
}

static void test_workers_refused(void **state)
{
	cpu_set_t set;
	char line[64];
	uint32_t cpu = 0;

	(void)state;
	refused("-i v -w 1024", "1024");
	refused("-i v -w 0-99999999999999999999", "--workers");
	refused("-i v -w x", "--workers");
	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	while (cpu < CPU_SETSIZE && CPU_ISSET(cpu, &set))
		cpu++;
	if (cpu == CPU_SETSIZE)
		return;
	snprintf(line, sizeof(line), "-i v -w %u", cpu);
	refused(line, "not allowed");
}

/* Nothing else needs to be there, and nothing after it is looked at. */
static void test_cpumap(void **state)
{
	uint32_t cpu[SLUICE_MAX_CPUS], n = allowed_cpus(cpu, SLUICE_MAX_CPUS);
	struct config cfg = parsed("-i v");
	uint64_t all[SLUICE_MAX_CPUS / 64] = { 0 };
	char line[64];

	(void)state;
	for (uint32_t i = 0; i < n; i++)
		all[cpu[i] / 64] |= 1ull << cpu[i] % 64;
	assert_memory_equal(cfg.cpus, all, sizeof(all));
	assert_int_equal(cfg.cpu_queue, CONFIG_CPU_QUEUE_DEFAULT);
	assert_false(cfg.kernel_rfs);

	memset(all, 0, sizeof(all));
	all[cpu[n - 1] / 64] = 1ull << cpu[n - 1] % 64;
	snprintf(line, sizeof(line), "-i v --cpumap %u --cpumap-queue 64 --kernel-rfs", cpu[n - 1]);
	cfg = parsed(line);
	assert_memory_equal(cfg.cpus, all, sizeof(all));
	assert_int_equal(cfg.cpu_queue, 64);
	assert_true(cfg.kernel_rfs);
	assert_int_equal(parsed("-i v --cpumap-queue 16384").cpu_queue, 16384);

	refused("-i v --cpumap-queue 63", "--cpumap-queue");
	refused("-i v --cpumap-queue 16385", "--cpumap-queue");
	refused("-i v --cpumap 1023", "CPU 1023");
	refused("-i v --cpumap 1024", "below 1024");
	refused("-i v --cpumap 0,0", "each number once");
	refused("-i v --cpumap _", "--cpumap");
}

static void test_help_and_version(void **state)
{
	(void)state;
	assert_true(parsed("-h").help);
	assert_true(parsed("--version --nonsense").version);
	assert_true(parsed("-i v -V").version);
}

static void test_list(void **state)
{
	static const struct {
		const char *text;
		int err;
		uint32_t nr, out[8];
	} cases[] = {
		{ "0", 0, 1, { 0 } },
		{ "7", 0, 1, { 7 } },
		{ "9", 0, 1, { 9 } },
		{ "0,2-5", 0, 5, { 0, 2, 3, 4, 5 } },
		{ "5,1-1,0", 0, 3, { 5, 1, 0 } },
		{ "0-7", 0, 8, { 0, 1, 2, 3, 4, 5, 6, 7 } },
		{ "0-8", -E2BIG, 0, { 0 } },
		{ "0-7,8", -E2BIG, 0, { 0 } },
		{ "10", -ERANGE, 0, { 0 } },
		{ "9-10", -ERANGE, 0, { 0 } },
		{ "18446744073709551616", -ERANGE, 0, { 0 } },
		{ "0-18446744073709551615", -ERANGE, 0, { 0 } },
		{ "", -EINVAL, 0, { 0 } },
		{ ",", -EINVAL, 0, { 0 } },
		{ "1,", -EINVAL, 0, { 0 } },
		{ ",1", -EINVAL, 0, { 0 } },
		{ "1,,2", -EINVAL, 0, { 0 } },
		{ "1-", -EINVAL, 0, { 0 } },
		{ "-1", -EINVAL, 0, { 0 } },
		{ "1--2", -EINVAL, 0, { 0 } },
		{ "1-2-3", -EINVAL, 0, { 0 } },
		{ "3-1", -EINVAL, 0, { 0 } },
		{ "1,1", -EINVAL, 0, { 0 } },
		{ "1-3,2", -EINVAL, 0, { 0 } },
		{ " 1", -EINVAL, 0, { 0 } },
		{ "1 ", -EINVAL, 0, { 0 } },
		{ "1;2", -EINVAL, 0, { 0 } },
		{ "+1", -EINVAL, 0, { 0 } },
		{ "0x1", -EINVAL, 0, { 0 } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t out[9] = { [8] = 4711 }, nr = 4711;
		int err = config_list(cases[i].text, 10, out, &nr, 8);

		if (err != cases[i].err)
			fail_msg("'%s': %d, not %d", cases[i].text, err, cases[i].err);
		assert_int_equal(nr, err ? 4711 : cases[i].nr);
		if (!err)
			assert_memory_equal(out, cases[i].out, nr * sizeof(*out));
		assert_int_equal(out[8], 4711);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_all_options),
		cmocka_unit_test(test_arfs),
		cmocka_unit_test(test_rounding),
		cmocka_unit_test(test_numbers_refused),
		cmocka_unit_test(test_device_refused),
		cmocka_unit_test(test_command_line_refused),
		cmocka_unit_test(test_contradictions),
		cmocka_unit_test(test_role_and_default),
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_workers_refused),
		cmocka_unit_test(test_cpumap),
		cmocka_unit_test(test_help_and_version),
		cmocka_unit_test(test_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
