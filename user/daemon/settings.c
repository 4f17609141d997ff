// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "daemon/settings.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/json.h"

#define MASK_WORDS (SLUICE_MAX_CPUS / 64)
#define MASK_TEXT (SLUICE_MAX_CPUS / 32 * 9 + 10)
#define ONLINE_CPUS "/sys/devices/system/cpu/online"

__attribute__((format(printf, 3, 4)))
static int invalid(char *why, size_t len, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, len, format, args);
	va_end(args);
	return -EINVAL;
}

static bool mask_has(const uint64_t *mask, uint32_t cpu)
{
	return mask[cpu / 64] >> cpu % 64 & 1;
}

/* All of them where the kernel does not say. */
static void online_cpus(uint64_t *mask)
{
	uint32_t cpu[SLUICE_MAX_CPUS], nr = 0;
	FILE *f = fopen(ONLINE_CPUS, "re");
	char line[4096] = "";

	memset(mask, 0, MASK_WORDS * sizeof(*mask));
	if (f && fgets(line, sizeof(line), f))
		line[strcspn(line, "\n")] = 0;
	if (f)
		fclose(f);
	if (config_list(line, SLUICE_MAX_CPUS, cpu, &nr, SLUICE_MAX_CPUS)) {
		memset(mask, 0xff, MASK_WORDS * sizeof(*mask));
		return;
	}
	for (uint32_t i = 0; i < nr; i++)
		mask[cpu[i] / 64] |= 1ull << cpu[i] % 64;
}

static bool has_worker(const struct device *dev, uint32_t cpu)
{
	for (uint32_t w = 0; w < dev->config->nr_workers; w++) {
		if (dev->worker[w].cpu == cpu)
			return true;
	}
	return false;
}

static bool serves_queue(const struct device *dev, uint32_t queue)
{
	for (uint32_t i = 0; i < dev->nr_queues; i++) {
		if (dev->queue[i] == queue)
			return true;
	}
	return false;
}

/* The CPUs of the mask, each fit to be a target. A count, or -EINVAL and why. */
static int read_mask(const struct device *dev, const uint64_t *mask, uint32_t *cpu, char *why,
		     size_t len)
{
	uint64_t online[MASK_WORDS];
	int n = 0;

	online_cpus(online);
	for (uint32_t c = 0; c < SLUICE_MAX_CPUS; c++) {
		if (!mask_has(mask, c))
			continue;
		if ((int)c >= libbpf_num_possible_cpus())
			return invalid(why, len, "the mask has CPU %u, this machine has %d CPUs: "
				       "the old mask stays", c, libbpf_num_possible_cpus());
		if (!mask_has(online, c))
			return invalid(why, len, "CPU %u is not online: the old mask stays", c);
		if (!has_worker(dev, c))
			return invalid(why, len, "CPU %u has no worker (see 'sluice stat'; sluiced --workers): "
				       "the old mask stays", c);
		cpu[n++] = c;
	}
	return n;
}

static int set_cpus(struct device *dev, const struct sluice_ctl_msg *request, char *why, size_t len)
{
	uint32_t queue = request->u.rps.queue, cpu[SLUICE_MAX_WORKERS];
	uint64_t mask[MASK_WORDS];
	struct sluice_rps_map map;
	int n, err;

	memcpy(mask, request->u.rps.cpus, sizeof(mask));
	if (!serves_queue(dev, queue))
		return invalid(why, len, "queue %u of %s is not served: see 'sluice rps show'", queue,
			       dev->config->ifname);
	n = read_mask(dev, mask, cpu, why, len);
	if (n < 0)
		return n;
	err = steer_get_rps(&dev->steer, queue, &map);
	if (err)
		return err;
	steer_fill_rps(&map, cpu, (uint32_t)n);
	return steer_set_rps(&dev->steer, queue, &map);
}

/* One entry would be no table to the program: 0 is its sign for off. */
static uint32_t round_entries(uint32_t n)
{
	uint32_t entries = 2;

	while (entries < n)
		entries <<= 1;
	return n ? entries : 0;
}

int settings_kernel_rfs(struct device *dev, bool on, char *why, size_t len)
{
	int err;

	rfs_kernel_close(&dev->rfs_kernel);
	if (!on)
		return 0;
	err = rfs_kernel_open(&dev->rfs_kernel, &dev->steer, dev->info.netns_cookie);
	if (err == -EINVAL)
		snprintf(why, len, "RFS is off (rps_sock_flow_entries is 0): set entries first");
	else if (err == -EOPNOTSUPP)
		snprintf(why, len, "the kernel lets no BPF program see its receive calls (no BTF, or lockdown)");
	else if (err)
		snprintf(why, len, "its programs cannot be loaded: %s", strerror(-err));
	return err;
}

/* They record in the table that was there when they were loaded. */
static void renew_kernel_rfs(struct device *dev)
{
	char why[200];

	if (dev->rfs_kernel.kind != RFS_KERNEL_OFF)
		settings_kernel_rfs(dev, true, why, sizeof(why));
}

static int set_entries(struct device *dev, const struct sluice_ctl_msg *request, char *why,
		       size_t len)
{
	struct steer_config config = dev->steer.config;
	struct rfs *rfs = &dev->engine->rfs;
	uint32_t n = request->u.rps.entries;
	int err;

	if (n > STEER_SOCK_FLOW_MAX)
		return invalid(why, len, "%u entries are too many: %u is the most, as in Linux; "
			       "the old table stays", n, STEER_SOCK_FLOW_MAX);
	config.sock_flow_entries = round_entries(n);
	rfs_pause(rfs);
	err = steer_reload(&dev->steer, &config, true);
	n = dev->steer.config.sock_flow_entries;
	rfs_resume(rfs, n ? dev->steer.sock_flow : NULL, n ? n - 1 : 0);
	renew_kernel_rfs(dev);
	if (err)
		snprintf(why, len, "no table of %u entries can be had (%s): the old one stays",
			 config.sock_flow_entries, strerror(-err));
	return err;
}

int settings_serve(struct device *dev, const struct sluice_ctl_msg *request, char *why, size_t len)
{
	switch (request->u.rps.what) {
	case SLUICE_RPS_CPUS:
		return set_cpus(dev, request, why, len);
	case SLUICE_RPS_ENTRIES:
		return set_entries(dev, request, why, len);
	case SLUICE_RPS_KERNEL_RFS:
		return settings_kernel_rfs(dev, request->u.rps.entries, why, len);
	default:
		return invalid(why, len, "this daemon has no setting %u", request->u.rps.what);
	}
}

void settings_mask(const uint64_t *mask, uint32_t nr, char *text, size_t len)
{
	size_t at = 0;

	for (uint32_t chunk = (nr + 31) / 32; chunk--;) {
		uint32_t bits = nr - chunk * 32 < 32 ? nr - chunk * 32 : 32;
		uint32_t word = (uint32_t)(mask[chunk / 2] >> chunk % 2 * 32);

		at += (size_t)snprintf(text + at, len - at, "%0*x%s", (int)(bits + 3) / 4, word,
				       chunk ? "," : "");
	}
}

static json_object *answer_queue(const struct device *dev, uint32_t queue)
{
	json_object *o = json_object_new_object();
	uint64_t mask[MASK_WORDS] = { 0 };
	struct sluice_rps_map map = { 0 };
	char text[MASK_TEXT] = "";

	steer_get_rps(&dev->steer, queue, &map);
	for (uint32_t i = 0; i < map.len && i < SLUICE_RPS_MAX; i++)
		mask[map.cpus[i] % SLUICE_MAX_CPUS / 64] |= 1ull << map.cpus[i] % 64;
	settings_mask(mask, (uint32_t)libbpf_num_possible_cpus(), text, sizeof(text));
	put_u64(o, "queue", queue);
	put_text(o, "rps_cpus", text);
	return o;
}

json_object *settings_answer(const struct device *dev)
{
	static const char *const kinds[] = {
		[RFS_KERNEL_OFF] = "off",
		[RFS_KERNEL_FULL] = "on",
		[RFS_KERNEL_FENTRY] = "on",
		[RFS_KERNEL_CONN] = "tcp and connected udp",
		[RFS_KERNEL_TCP] = "tcp",
	};
	json_object *o = json_object_new_object(), *list = json_object_new_array();
	uint64_t cpus[MASK_WORDS] = { 0 };
	char text[MASK_TEXT] = "";

	for (uint32_t cpu = 0; cpu < SLUICE_MAX_CPUS; cpu++) {
		if (steer_has_cpu(&dev->steer, cpu))
			cpus[cpu / 64] |= 1ull << cpu % 64;
	}
	put_text(o, "dev", dev->config->ifname);
	put_u64(o, "rps_sock_flow_entries", dev->steer.config.sock_flow_entries);
	put_text(o, "kernel_rfs", kinds[dev->rfs_kernel.kind]);
	settings_mask(cpus, (uint32_t)libbpf_num_possible_cpus(), text, sizeof(text));
	put_text(o, "cpumap_cpus", text);
	put_u64(o, "cpumap_queue", dev->steer.config.cpu_queue);
	for (uint32_t i = 0; i < dev->nr_queues; i++)
		json_object_array_add(list, answer_queue(dev, dev->queue[i]));
	json_object_object_add(o, "queues", list);
	return o;
}
