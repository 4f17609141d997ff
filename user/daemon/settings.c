// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "daemon/settings.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/device_steer.h"
#include "daemon/json.h"
#include "engine/steer_build.h"

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

/* -1: not served. */
static int position_of(const struct device *dev, uint32_t queue)
{
	for (uint32_t i = 0; i < dev->nr_queues; i++) {
		if (dev->queue[i] == queue)
			return (int)i;
	}
	return -1;
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
		if (!device_may_steer(dev, c))
			return invalid(why, len, "CPU %u has no worker (see 'sluice worker'), and "
				       "CPUMAP does not use it: the old mask stays", c);
		if (n == SLUICE_RPS_MAX)
			return invalid(why, len, "more than %u CPUs: the old mask stays",
				       SLUICE_RPS_MAX);
		cpu[n++] = c;
	}
	return n;
}

static bool has_flow_tables(const struct device *dev)
{
	for (uint32_t i = 0; i < dev->nr_queues; i++) {
		if (steer_dev_flow_entries(&dev->steer, dev->queue[i]))
			return true;
	}
	return false;
}

/* Whether the program looks for flow tables at all. */
static int look_for_flows(struct device *dev, bool on)
{
	struct steer_config config = dev->steer.config;

	if (config.dev_flows == on)
		return 0;
	config.dev_flows = on;
	return steer_reload(&dev->steer, &config, false);
}

static int set_flow_cnt(struct device *dev, uint32_t queue, uint32_t n, char *why, size_t len)
{
	int err = n ? look_for_flows(dev, true) : 0;

	if (!err)
		err = steer_resize_dev_flow(&dev->steer, queue, n);
	if (err == -EBUSY)
		return -EAGAIN;
	if (err)
		snprintf(why, len, "no table of %u flows can be had (%s): the old one stays", n,
			 strerror(-err));
	return err;
}

/* Everything is looked at before anything is changed; what can fail then comes first. */
static int set_queue(struct device *dev, const struct sluice_ctl_msg *request, char *why,
		     size_t len)
{
	uint32_t what = request->u.rps.what, queue = request->u.rps.queue;
	uint32_t flows = request->u.rps.flow_cnt, cpu[SLUICE_RPS_MAX];
	int position = position_of(dev, queue), n = 0, err = 0;
	uint64_t mask[MASK_WORDS];

	memcpy(mask, request->u.rps.cpus, sizeof(mask));
	if (position < 0)
		return invalid(why, len, "queue %u of %s is not served: see 'sluice rps show'",
			       queue, dev->config->ifname);
	if (what & SLUICE_RPS_CPUS)
		n = read_mask(dev, mask, cpu, why, len);
	if (n < 0)
		return n;
	if (what & SLUICE_RPS_FLOW_CNT && flows > SLUICE_DEV_FLOW_MAX)
		return invalid(why, len, "%u flows are too many: %u is the most; the old table "
			       "stays", flows, SLUICE_DEV_FLOW_MAX);
	if (dev->leave.active) {
		snprintf(why, len, "a worker is being removed: try again in a moment");
		return -EBUSY;
	}
	if (what & SLUICE_RPS_FLOW_CNT)
		err = set_flow_cnt(dev, queue, flows, why, len);
	if (!err && what & SLUICE_RPS_CPUS)
		err = device_set_mask(dev, (uint32_t)position, cpu, (uint32_t)n);
	return err;
}

int settings_tick(struct device *dev)
{
	int err = steer_settle_dev_flows(&dev->steer);

	if (!err && !has_flow_tables(dev))
		/* Where that fails, a lookup more is made for each packet. */
		look_for_flows(dev, false);
	return err ? -EAGAIN : 0;
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
		snprintf(why, len,
			 "the kernel lets no BPF program see its receive calls (no BTF, or "
			 "lockdown)");
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

/* Where there are CPUs without a worker, on one of them: the kernel keeps it busy. */
static int begin_table(struct device *dev, uint32_t entries)
{
	cpu_set_t set;
	uint32_t w;

	if (sched_getaffinity(0, sizeof(set), &set))
		return -errno;
	device_for_each_worker(dev, w)
		CPU_CLR(dev->worker[w].cpu, &set);
	return steer_build_start(&dev->steer, entries, CPU_COUNT(&set) ? &set : NULL);
}

static int set_entries(struct device *dev, const struct sluice_ctl_msg *request, char *why,
		       size_t len)
{
	struct steer_config config = dev->steer.config;
	struct rfs *rfs = &dev->engine->rfs;
	uint32_t n = request->u.rps.entries;
	int err = 0;

	if (n > STEER_SOCK_FLOW_MAX)
		return invalid(why, len, "%u entries are too many: %u is the most, as in Linux; "
			       "the old table stays", n, STEER_SOCK_FLOW_MAX);
	config.sock_flow_entries = round_entries(n);
	if (config.sock_flow_entries > STEER_BUILD_MIN) {
		err = steer_build_poll(&dev->steer, config.sock_flow_entries);
		if (err == -ENOENT)
			err = begin_table(dev, config.sock_flow_entries) ? -ENOMEM : -EAGAIN;
		if (err == -EAGAIN)
			return -EINPROGRESS;
	}
	if (!err) {
		rfs_pause(rfs);
		err = steer_reload(&dev->steer, &config, true);
		n = dev->steer.config.sock_flow_entries;
		rfs_resume(rfs, n ? dev->steer.sock_flow : NULL, n ? n - 1 : 0);
		renew_kernel_rfs(dev);
	}
	if (err)
		steer_build_drop(&dev->steer);
	if (err)
		snprintf(why, len, "no table of %u entries can be had (%s): the old one stays",
			 config.sock_flow_entries, strerror(-err));
	return err;
}

int settings_serve(struct device *dev, const struct sluice_ctl_msg *request, char *why, size_t len)
{
	switch (request->u.rps.what) {
	case SLUICE_RPS_CPUS:
	case SLUICE_RPS_FLOW_CNT:
	case SLUICE_RPS_CPUS | SLUICE_RPS_FLOW_CNT:
		return set_queue(dev, request, why, len);
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
	put_u64(o, "rps_flow_cnt", steer_dev_flow_entries(&dev->steer, queue));
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
