// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "daemon/device_steer.h"

#include <bpf/libbpf.h>

#include "daemon/device.h"
#include "engine/backlog.h"

static bool stays(const struct device *dev, uint32_t w)
{
	return !dev->leave.active || dev->leave.worker != w;
}

int device_worker_of(const struct device *dev, uint32_t cpu)
{
	uint32_t w;

	device_for_each_worker(dev, w) {
		if (dev->worker[w].cpu == cpu && stays(dev, w))
			return (int)w;
	}
	return -1;
}

uint32_t device_choose_workers(const struct device *dev,
			       struct topology_choice choice[SLUICE_MAX_CPUS])
{
	struct topology_worker worker[SLUICE_MAX_WORKERS];
	int cpus = libbpf_num_possible_cpus();
	uint32_t n = 0, w;

	device_for_each_worker(dev, w) {
		if (stays(dev, w))
			worker[n++] = (struct topology_worker){ w, dev->worker[w].cpu };
	}
	topology_choose(TOPOLOGY_SYSFS, worker, n, choice, (uint32_t)cpus);
	return (uint32_t)cpus;
}

static int update_cpu_worker(struct device *dev)
{
	struct topology_choice choice[SLUICE_MAX_CPUS];
	uint32_t cpus = device_choose_workers(dev, choice);
	int err = 0;

	for (uint32_t cpu = 0; !err && cpu < cpus; cpu++)
		err = steer_set_cpu_worker(&dev->steer, cpu, choice[cpu].slot);
	return err;
}

static bool has_own_mask(const struct device *dev, uint32_t position)
{
	return dev->own_mask[position / 64] >> position % 64 & 1;
}

static int fill_mask(struct device *dev, uint32_t position, const uint32_t *cpu, uint32_t n)
{
	struct sluice_rps_map map;
	int err = steer_get_rps(&dev->steer, dev->queue[position], &map);

	if (err)
		return err;
	steer_fill_rps(&map, cpu, n);
	return steer_set_rps(&dev->steer, dev->queue[position], &map);
}

static int fill_default(struct device *dev, uint32_t position)
{
	uint32_t cpu[SLUICE_MAX_WORKERS], n = 0, w;

	device_for_each_worker(dev, w) {
		if (stays(dev, w))
			cpu[n++] = dev->worker[w].cpu;
	}
	return fill_mask(dev, position, cpu, n);
}

bool device_may_steer(const struct device *dev, uint32_t cpu)
{
	return device_worker_of(dev, cpu) >= 0 || steer_has_cpu(&dev->steer, cpu);
}

/* Takes from a user's mask the CPUs that have no worker any more. */
static int prune_mask(struct device *dev, uint32_t position, bool *forgotten)
{
	uint32_t cpu[SLUICE_RPS_MAX], n = 0;
	struct sluice_rps_map map;
	int err = steer_get_rps(&dev->steer, dev->queue[position], &map);

	if (err)
		return err;
	for (uint32_t i = 0; i < map.len && i < SLUICE_RPS_MAX; i++) {
		if (device_may_steer(dev, map.cpus[i]))
			cpu[n++] = map.cpus[i];
	}
	*forgotten = map.len && !n;
	if (n == map.len)
		return 0;
	if (n)
		return fill_mask(dev, position, cpu, n);
	dev->own_mask[position / 64] &= ~(1ull << position % 64);
	return fill_default(dev, position);
}

int device_steer_workers(struct device *dev, uint64_t forgotten[SLUICE_MAX_QUEUES / 64])
{
	int err = update_cpu_worker(dev);

	for (uint32_t i = 0; !err && i < dev->nr_queues; i++) {
		bool lost = false;

		err = has_own_mask(dev, i) ? prune_mask(dev, i, &lost) : fill_default(dev, i);
		if (lost && forgotten)
			forgotten[i / 64] |= 1ull << i % 64;
	}
	return err;
}

int device_set_mask(struct device *dev, uint32_t position, const uint32_t *cpu, uint32_t n)
{
	int err = fill_mask(dev, position, cpu, n);

	if (!err)
		dev->own_mask[position / 64] |= 1ull << position % 64;
	return err;
}

int device_flow_limit(struct device *dev, uint32_t w)
{
	const struct config *config = dev->config;
	bool on = false;
	int err;

	if (!dev->steer.config.flow_limit_len)
		return 0;
	for (uint32_t i = 0; i < config->nr_flow_limit; i++)
		on |= dev->worker[w].cpu == config->flow_limit[i];
	err = steer_set_flow_limit(&dev->steer, w, on);
	return err ? err : backlog_set_limit(&dev->worker[w], on ? config->flow_limit_len : 0);
}

int device_steer_init(struct device *dev)
{
	uint32_t w;
	int err = device_steer_workers(dev, NULL);

	for (uint32_t i = 0; !err && i < dev->nr_queues; i++)
		err = steer_resize_dev_flow(&dev->steer, dev->queue[i],
					    dev->config->dev_flow_entries);
	device_for_each_worker(dev, w) {
		if (!err)
			err = device_flow_limit(dev, w);
	}
	return err ? err : steer_set_mac(&dev->steer, dev->info.mac);
}
