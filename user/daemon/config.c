// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "daemon/config.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Frames of 2 or 4 KiB: 8 GiB at most, far above what any ring needs. */
#define UMEM_MAX (1u << 21)
#define RING_MIN 64
#define RING_MAX 65536

struct option_row;
typedef int (*option_set)(struct config *cfg, const struct option_row *row, const char *arg,
			  char *why, size_t len);

struct option_row {
	char letter;		/* 0: none */
	const char *name;
	const char *arg;	/* NULL: takes none */
	option_set set;
	size_t field;
	uint32_t low, high;	/* bounds, or the value of a switch in low */
	const char *help;
};

static int set_device(struct config *cfg, const struct option_row *row, const char *arg, char *why,
		      size_t len)
{
	(void)row;
	if (!*arg || strlen(arg) >= sizeof(cfg->ifname) || strchr(arg, '/')) {
		snprintf(why, len, "'%s' is no device name: use one that 'ip link' shows", arg);
		return -EINVAL;
	}
	strcpy(cfg->ifname, arg);
	return 0;
}

static int list_error(int err, const struct option_row *row, const char *arg, uint32_t limit,
		      char *why, size_t len)
{
	if (err == -ERANGE)
		snprintf(why, len, "--%s %s: numbers must be below %u", row->name, arg, limit);
	else if (err == -E2BIG)
		snprintf(why, len, "--%s %s: too many: at most %u", row->name, arg, row->high);
	else
		snprintf(why, len, "--%s %s: expected a list such as 0,2-5, each number once",
			 row->name, arg);
	return -EINVAL;
}

static int set_queues(struct config *cfg, const struct option_row *row, const char *arg, char *why,
		      size_t len)
{
	int err = config_list(arg, SLUICE_MAX_QUEUES, cfg->queue, &cfg->nr_queues, row->high);

	return err ? list_error(err, row, arg, SLUICE_MAX_QUEUES, why, len) : 0;
}

static int check_cpus(const struct option_row *row, const char *arg, const uint32_t *cpu,
		      uint32_t nr, char *why, size_t len)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return -errno;
	for (uint32_t i = 0; i < nr; i++) {
		if (CPU_ISSET(cpu[i], &set))
			continue;
		snprintf(why, len, "--%s %s: CPU %u is offline or not allowed to this process",
			 row->name, arg, cpu[i]);
		return -EINVAL;
	}
	return 0;
}

static int set_workers(struct config *cfg, const struct option_row *row, const char *arg, char *why,
		       size_t len)
{
	int err = config_list(arg, SLUICE_MAX_CPUS, cfg->cpu, &cfg->nr_workers, row->high);

	if (err)
		return list_error(err, row, arg, SLUICE_MAX_CPUS, why, len);
	return check_cpus(row, arg, cfg->cpu, cfg->nr_workers, why, len);
}

static int set_cpumap(struct config *cfg, const struct option_row *row, const char *arg, char *why,
		      size_t len)
{
	uint32_t cpu[SLUICE_MAX_CPUS], nr = 0;
	int err = config_list(arg, SLUICE_MAX_CPUS, cpu, &nr, row->high);

	if (err)
		return list_error(err, row, arg, SLUICE_MAX_CPUS, why, len);
	memset(cfg->cpus, 0, sizeof(cfg->cpus));
	for (uint32_t i = 0; i < nr; i++)
		cfg->cpus[cpu[i] / 64] |= 1ull << cpu[i] % 64;
	return check_cpus(row, arg, cpu, nr, why, len);
}

static int set_flow_limit(struct config *cfg, const struct option_row *row, const char *arg,
			  char *why, size_t len)
{
	int err = config_list(arg, SLUICE_MAX_CPUS, cfg->flow_limit, &cfg->nr_flow_limit,
			      row->high);

	return err ? list_error(err, row, arg, SLUICE_MAX_CPUS, why, len) : 0;
}

/* CPU:QUEUE,... */
static int set_arfs_queues(struct config *cfg, const struct option_row *row, const char *arg,
			   char *why, size_t len)
{
	unsigned long cpu, queue;
	char *end;

	for (uint32_t i = 0; i < SLUICE_MAX_CPUS; i++)
		cfg->arfs_queue[i] = ARFS_NO_QUEUE;
	for (const char *p = arg;; p = end + 1) {
		cpu = isdigit((unsigned char)*p) ? strtoul(p, &end, 10) : SLUICE_MAX_CPUS;
		if (cpu >= SLUICE_MAX_CPUS || *end != ':' || !isdigit((unsigned char)end[1]) ||
		    cfg->arfs_queue[cpu] != ARFS_NO_QUEUE)
			break;
		queue = strtoul(end + 1, &end, 10);
		if (queue >= SLUICE_MAX_QUEUES || (*end && *end != ','))
			break;
		cfg->arfs_queue[cpu] = (uint16_t)queue;
		cfg->arfs_queues = true;
		if (!*end)
			return 0;
	}
	snprintf(why, len, "--%s %s: expected a list such as 0:0,4:1, CPUs below %u and rx queues "
		 "below %u, each CPU once", row->name, arg, SLUICE_MAX_CPUS, SLUICE_MAX_QUEUES);
	return -EINVAL;
}

static int set_number(struct config *cfg, const struct option_row *row, const char *arg, char *why,
		      size_t len)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(arg, &end, 10);
	if (!isdigit((unsigned char)*arg) || *end || errno || value < row->low ||
	    value > row->high) {
		snprintf(why, len, "--%s %s: expected a number from %u to %u", row->name, arg,
			 row->low, row->high);
		return -EINVAL;
	}
	*(uint32_t *)((char *)cfg + row->field) = (uint32_t)value;
	return 0;
}

/* As Linux does with rps_sock_flow_entries and rps_flow_cnt: up to the next power of two. */
static int set_power(struct config *cfg, const struct option_row *row, const char *arg, char *why,
		     size_t len)
{
	uint32_t *field = (uint32_t *)((char *)cfg + row->field), power = 1;
	int err = set_number(cfg, row, arg, why, len);

	if (err || !*field)
		return err;
	while (power < *field)
		power <<= 1;
	*field = power;
	return 0;
}

/* A table of one entry would be none to the XDP program, where 0 is the mask of no table. */
static int set_sock_flows(struct config *cfg, const struct option_row *row, const char *arg,
			  char *why, size_t len)
{
	int err = set_power(cfg, row, arg, why, len);

	if (!err && cfg->sock_flow_entries == 1)
		cfg->sock_flow_entries = 2;
	return err;
}

static int set_role(struct config *cfg, const struct option_row *row, const char *arg, char *why,
		    size_t len)
{
	cfg->mirror = !strcmp(arg, "mirror");
	if (cfg->mirror || !strcmp(arg, "host"))
		return 0;
	snprintf(why, len, "--%s %s: expected host or mirror", row->name, arg);
	return -EINVAL;
}

static int set_default(struct config *cfg, const struct option_row *row, const char *arg,
		       char *why, size_t len)
{
	static const char *const names[] = {
#define X(id, name) [SLUICE_ACT_##id] = name,
		SLUICE_ACTION_LIST(X)
#undef X
	};

	for (uint8_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!names[i] || strcmp(arg, names[i]))
			continue;
		cfg->fallback = i;
		return 0;
	}
	snprintf(why, len, "--%s %s: expected pass, cpumap, xsk or drop", row->name, arg);
	return -EINVAL;
}

static int set_hash(struct config *cfg, const struct option_row *row, const char *arg, char *why,
		    size_t len)
{
	cfg->toeplitz = !strcmp(arg, "toeplitz");
	if (cfg->toeplitz || !strcmp(arg, "siphash"))
		return 0;
	snprintf(why, len, "--%s %s: expected siphash or toeplitz", row->name, arg);
	return -EINVAL;
}

/* Two digits a byte, and between bytes a colon or nothing. */
static int set_rss_key(struct config *cfg, const struct option_row *row, const char *arg,
		       char *why, size_t len)
{
	const char *p = arg;
	unsigned int n = 0;

	for (; n < TOEPLITZ_KEY && isxdigit((unsigned char)p[0]) &&
	       isxdigit((unsigned char)p[1]); n++) {
		const char byte[] = { p[0], p[1], 0 };

		cfg->rss_key[n] = (uint8_t)strtoul(byte, NULL, 16);
		p += 2;
		p += *p == ':' && p[1];
	}
	if (n != TOEPLITZ_KEY || *p) {
		snprintf(why, len, "--%s: expected %u bytes in hexadecimal, as 'ethtool -x' prints "
			 "them; here are %u%s", row->name, TOEPLITZ_KEY, n, *p ? " and more" : "");
		return -EINVAL;
	}
	cfg->has_rss_key = true;
	return 0;
}

/* Two switches of one kind exclude each other. */
static int set_switch(struct config *cfg, const struct option_row *row, const char *arg, char *why,
		      size_t len)
{
	uint32_t *field = (uint32_t *)((char *)cfg + row->field);

	(void)arg;
	if (*field && *field != row->low) {
		snprintf(why, len, "--%s contradicts another option: choose one", row->name);
		return -EINVAL;
	}
	*field = row->low;
	return 0;
}

static int set_flag(struct config *cfg, const struct option_row *row, const char *arg, char *why,
		    size_t len)
{
	(void)arg;
	(void)why;
	(void)len;
	*(bool *)((char *)cfg + row->field) = true;
	return 0;
}

#define FIELD(name) offsetof(struct config, name)

static const struct option_row options[] = {
	{ 'i', "interface", "DEV", set_device, 0, 0, 0, "receive on this device" },
	{ 0, "role", "ROLE", set_role, 0, 0, 0,
	  "host: what is for this host; mirror: all that arrives (default: host)" },
	{ 0, "default", "ACTION", set_default, 0, 0, 0,
	  "for what no rule and no socket takes: pass, cpumap, xsk or drop (pass; mirror: xsk)" },
	{ 0, "hash", "KIND", set_hash, 0, 0, 0, "flow hash: siphash or toeplitz (default: siphash)" },
	{ 0, "rss-key", "HEX", set_rss_key, 0, 0, 0,
	  "key of toeplitz, 40 bytes as 'ethtool -x' prints them (default: random)" },
	{ 'q', "queue", "LIST", set_queues, 0, 0, SLUICE_MAX_QUEUES,
	  "its rx queues, such as 0,2-5 (default: all)" },
	{ 'w', "workers", "CPULIST", set_workers, 0, 0, SLUICE_MAX_WORKERS,
	  "one worker on each of these CPUs (default: the first 8 allowed)" },
	{ 0, "max-workers", "N", set_number, FIELD(max_workers), 1, SLUICE_MAX_WORKERS,
	  "make packet memory for so many (default: one more, if there is a CPU for it)" },
	{ 0, "umem", "FRAMES", set_number, FIELD(umem_frames), RING_MIN, UMEM_MAX,
	  "packet frames per queue (default: what the rings can hold)" },
	{ 0, "ring", "N", set_power, FIELD(ring), RING_MIN, RING_MAX,
	  "descriptors per ring, rounded up to a power of two (default: 4096)" },
	{ 0, "sock-flows", "N", set_sock_flows, FIELD(sock_flow_entries), 0, 1u << 24,
	  "rps_sock_flow entries, rounded up to a power of two; 0: no RFS (default: 262144)" },
	{ 0, "rps-flow-cnt", "N", set_power, FIELD(dev_flow_entries), 0, SLUICE_DEV_FLOW_MAX,
	  "rps_dev_flow entries per queue, rounded up to a power of two; 0: no RFS (default: 4096)" },
	{ 0, "flow-limit", "CPULIST", set_flow_limit, 0, 0, SLUICE_MAX_WORKERS,
	  "limit flows that fill more than half the backlog of these CPUs (default: none)" },
	{ 0, "flow-limit-len", "N", set_power, FIELD(flow_limit_len), 8, SLUICE_FLOW_LIMIT_LEN_MAX,
	  "buckets of the flow limit, rounded up to a power of two (default: 4096)" },
	{ 0, "flow-keys", "N", set_number, FIELD(flow_keys), 0, SLUICE_FLOW_KEYS_MAX,
	  "flows whose addresses 'sluice flow show' can tell; 0: none (default: 65536)" },
	{ 0, "arfs", NULL, set_flag, FIELD(arfs), 0, 0,
	  "bring flows to the rx queue of their CPU by n-tuple filters in the NIC" },
	{ 0, "arfs-queues", "LIST", set_arfs_queues, 0, 0, 0,
	  "rx queue of each CPU for --arfs, such as 0:0,4:1 (default: by interrupts)" },
	{ 0, "cpumap", "CPULIST", set_cpumap, 0, 0, SLUICE_MAX_CPUS,
	  "CPUs whose kernel stack rules may redirect to (default: all allowed)" },
	{ 0, "cpumap-queue", "N", set_number, FIELD(cpu_queue), CONFIG_CPU_QUEUE_MIN,
	  CONFIG_CPU_QUEUE_MAX, "packets that may wait for each of them (default: 2048)" },
	{ 0, "kernel-rfs", NULL, set_flag, FIELD(kernel_rfs), 0, 0,
	  "RFS also for programs that receive from the kernel's sockets" },
	{ 'z', "zero-copy", NULL, set_switch, FIELD(copy), XSK_ZEROCOPY, 0,
	  "require zero-copy (default: where the driver has it)" },
	{ 'c', "copy", NULL, set_switch, FIELD(copy), XSK_COPY, 0, "copy mode" },
	{ 'N', "xdp-native", NULL, set_switch, FIELD(mode), STEER_NATIVE, 0,
	  "require native XDP (default: where the driver has it)" },
	{ 'S', "xdp-skb", NULL, set_switch, FIELD(mode), STEER_GENERIC, 0, "generic XDP" },
	{ 'V', "version", NULL, set_flag, FIELD(version), 0, 0, "print the version" },
	{ 'h', "help", NULL, set_flag, FIELD(help), 0, 0, "print this text" },
};

#define NR_OPTIONS (sizeof(options) / sizeof(options[0]))

int config_list(const char *text, uint32_t limit, uint32_t *out, uint32_t *nr, uint32_t max)
{
	uint32_t n = 0;

	for (const char *p = text;; p++) {
		char *end;
		unsigned long first, last;

		if (!isdigit((unsigned char)*p))
			return -EINVAL;
		first = last = strtoul(p, &end, 10);
		if (*end == '-') {
			if (!isdigit((unsigned char)end[1]))
				return -EINVAL;
			last = strtoul(end + 1, &end, 10);
		}
		if (last < first)
			return -EINVAL;
		if (last >= limit)
			return -ERANGE;
		for (unsigned long v = first; v <= last; v++) {
			for (uint32_t i = 0; i < n; i++) {
				if (out[i] == v)
					return -EINVAL;
			}
			if (n == max)
				return -E2BIG;
			out[n++] = (uint32_t)v;
		}
		p = end;
		if (!*p)
			break;
		if (*p != ',')
			return -EINVAL;
	}
	*nr = n;
	return 0;
}

static bool has_cpus(const struct config *cfg)
{
	for (size_t i = 0; i < sizeof(cfg->cpus) / sizeof(cfg->cpus[0]); i++) {
		if (cfg->cpus[i])
			return true;
	}
	return false;
}

static void default_cpumap(struct config *cfg, const cpu_set_t *set)
{
	for (uint32_t cpu = 0; cpu < SLUICE_MAX_CPUS && cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, set))
			cfg->cpus[cpu / 64] |= 1ull << cpu % 64;
	}
}

/* What depends on the CPUs that this process may use. */
static int default_cpus(struct config *cfg)
{
	bool workers = !cfg->nr_workers;
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return -errno;
	if (!has_cpus(cfg))
		default_cpumap(cfg, &set);
	for (uint32_t cpu = 0; workers && cpu < SLUICE_MAX_CPUS && cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &set) && cfg->nr_workers < CONFIG_WORKERS_DEFAULT)
			cfg->cpu[cfg->nr_workers++] = cpu;
	}
	return 0;
}

/* One worker more than at the start, as long as there is a CPU for it. */
static int limit_workers(struct config *cfg, char *why, size_t len)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (cfg->max_workers && cfg->max_workers < cfg->nr_workers) {
		snprintf(why, len, "--max-workers %u: there are %u at the start (--workers)",
			 cfg->max_workers, cfg->nr_workers);
		return -EINVAL;
	}
	if (cfg->max_workers)
		return 0;
	cfg->max_workers = cfg->nr_workers;
	if (cfg->nr_workers < SLUICE_MAX_WORKERS && (long)cfg->nr_workers < cpus)
		cfg->max_workers++;
	return 0;
}

static void build_getopt(struct option *longs, char *shorts)
{
	*shorts++ = ':';
	for (size_t i = 0; i < NR_OPTIONS; i++) {
		const struct option_row *row = &options[i];

		longs[i] = (struct option){ row->name,
					    row->arg ? required_argument : no_argument, NULL,
					    256 + (int)i };
		if (!row->letter)
			continue;
		*shorts++ = row->letter;
		if (row->arg)
			*shorts++ = ':';
	}
	*shorts = 0;
}

static const struct option_row *option_find(int c)
{
	for (size_t i = 0; i < NR_OPTIONS; i++) {
		if (c == 256 + (int)i || (options[i].letter && c == options[i].letter))
			return &options[i];
	}
	return NULL;
}

int config_check_default(bool mirror, uint8_t action, char *why, size_t len)
{
	if (mirror || action == SLUICE_ACT_PASS || action == SLUICE_ACT_CPUMAP)
		return 0;
	if (action == SLUICE_ACT_XSK)
		snprintf(why, len,
			 "role host cannot have the default xsk: it would take ping and ssh "
			 "from this host; attach sockets, or use --role mirror");
	else
		snprintf(why, len,
			 "role host cannot have the default drop: it would cut this host off; "
			 "use rules, or --role mirror");
	return -EINVAL;
}

/* What one option says of another. */
static int check_whole(struct config *cfg, char *why, size_t len)
{
	if (!cfg->fallback)
		cfg->fallback = cfg->mirror ? SLUICE_ACT_XSK : SLUICE_ACT_PASS;
	if (cfg->has_rss_key && !cfg->toeplitz) {
		snprintf(why, len, "--rss-key is the key of --hash toeplitz: give both");
		return -EINVAL;
	}
	return config_check_default(cfg->mirror, cfg->fallback, why, len);
}

int config_parse(struct config *cfg, int argc, char **argv, char *why, size_t len)
{
	struct option longs[NR_OPTIONS + 1] = { 0 };
	char shorts[2 * NR_OPTIONS + 2];
	int c, err;

	*cfg = (struct config){
		.ring = CONFIG_RING_DEFAULT,
		.sock_flow_entries = CONFIG_SOCK_FLOW_DEFAULT,
		.dev_flow_entries = CONFIG_DEV_FLOW_DEFAULT,
		.flow_limit_len = SLUICE_FLOW_LIMIT_LEN,
		.flow_keys = SLUICE_FLOW_KEYS,
		.cpu_queue = CONFIG_CPU_QUEUE_DEFAULT,
	};
	build_getopt(longs, shorts);
	optind = 0;
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		const struct option_row *row = option_find(c);

		if (!row) {
			snprintf(why, len, "%s '%s': see --help",
				 c == ':' ? "an argument is missing to" : "there is no option", argv[optind - 1]);
			return -EINVAL;
		}
		err = row->set(cfg, row, optarg, why, len);
		if (err)
			return err;
		if (cfg->help || cfg->version)
			return 0;
	}
	if (optind < argc) {
		snprintf(why, len, "unexpected argument '%s': see --help", argv[optind]);
		return -EINVAL;
	}
	if (!cfg->ifname[0]) {
		snprintf(why, len, "no device given: name one with -i DEV");
		return -EINVAL;
	}
	err = check_whole(cfg, why, len);
	if (!err)
		err = default_cpus(cfg);
	return err ? err : limit_workers(cfg, why, len);
}

void config_help(void)
{
	printf("Usage: sluiced -i DEV [OPTION]...\n"
	       "Receives UDP for attached sockets on DEV through AF_XDP; all else stays with the "
	       "kernel.\n\n");
	for (size_t i = 0; i < NR_OPTIONS; i++) {
		const struct option_row *row = &options[i];
		char left[40];

		snprintf(left, sizeof(left), "%s%c%s--%s %s", row->letter ? "-" : " ",
			 row->letter ? row->letter : ' ', row->letter ? ", " : "  ", row->name,
			 row->arg ? row->arg : "");
		printf("  %-26s %s\n", left, row->help);
	}
	printf("\nExit status: 0 after SIGINT or SIGTERM, 1 when it cannot run, 2 for a wrong command line.\n");
}
