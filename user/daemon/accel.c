// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "daemon/accel.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/deadline.h"
#include "daemon/json.h"

static bool serves(const struct config *config, uint32_t queue, uint32_t nr_queues)
{
	for (uint32_t i = 0; i < config->nr_queues; i++) {
		if (config->queue[i] == queue)
			return true;
	}
	return !config->nr_queues && queue < nr_queues;
}

/* Packets on a queue that is not served would be the kernel's. */
static uint32_t keep_served(struct accel *a, uint32_t nr_queues)
{
	uint32_t left = 0;

	for (uint32_t cpu = 0; cpu < SLUICE_MAX_CPUS; cpu++) {
		uint16_t *queue = &a->cpu_queue[cpu];

		if (*queue != ARFS_NO_QUEUE && !serves(a->config, *queue, nr_queues))
			*queue = ARFS_NO_QUEUE;
		left += *queue != ARFS_NO_QUEUE;
	}
	return left;
}

static int find_queues(struct accel *a, uint32_t nr_queues, char *why, size_t len)
{
	const struct config *config = a->config;

	if (config->arfs_queues)
		memcpy(a->cpu_queue, config->arfs_queue, sizeof(a->cpu_queue));
	else
		nic_read_irqs("", config->ifname, a->cpu_queue);
	if (keep_served(a, nr_queues))
		return 0;
	if (config->arfs_queues)
		snprintf(why, len, "--arfs-queues: none of these rx queues of %s is served",
			 config->ifname);
	else
		snprintf(why, len,
			 "cannot tell which rx queue of %s interrupts which CPU: say it by "
			 "--arfs-queues CPU:QUEUE,..., or leave --arfs out",
			 config->ifname);
	return -ENOENT;
}

void accel_init(struct accel *a, const struct config *config, const char *control_path)
{
	size_t stem = strlen(control_path);

	*a = (struct accel){ .config = config };
	if (stem > 5 && !strcmp(control_path + stem - 5, ".sock"))
		stem -= 5;
	snprintf(a->ledger_path, sizeof(a->ledger_path), "%.*s.filters", (int)stem, control_path);
}

/* Filters follow RFS, and are made of what flow_key knows. */
static int check_settings(const struct config *config, char *why, size_t len)
{
	if (config->sock_flow_entries && config->dev_flow_entries && config->flow_keys)
		return 0;
	snprintf(why, len, "--arfs needs RFS and flow keys, but %s is 0",
		 !config->flow_keys ? "--flow-keys" :
		 !config->dev_flow_entries ? "--rps-flow-cnt" : "--sock-flows");
	return -EINVAL;
}

int accel_prepare(struct accel *a, uint32_t nr_queues, char *why, size_t len)
{
	int err = check_settings(a->config, why, len);

	if (!err)
		err = nic_open(&a->nic, a->config->ifname, NULL, NULL, why, len);
	if (err)
		return err;
	err = find_queues(a, nr_queues, why, len);
	if (err)
		nic_close(&a->nic);
	return err;
}

int accel_start(struct accel *a, const struct device *dev, uint32_t *removed, char *why, size_t len)
{
	int err = ledger_open(&a->ledger, a->ledger_path, &a->nic.filters, removed);

	if (err) {
		snprintf(why, len, "cannot write filters down in %s: %s", a->ledger_path,
			 strerror(-err));
		nic_close(&a->nic);
		return err;
	}
	err = arfs_init(&a->arfs, &a->ledger.filters, &dev->steer, a->cpu_queue, NULL);
	if (err) {
		snprintf(why, len, "no memory for filters");
		ledger_close(&a->ledger);
		nic_close(&a->nic);
		return err;
	}
	a->running = true;
	a->at = deadline_in(ARFS_TICK_MS);
	return 0;
}

uint32_t accel_stop(struct accel *a)
{
	uint32_t left;

	if (!a->running)
		return 0;
	a->running = false;
	left = arfs_destroy(&a->arfs);
	ledger_close(&a->ledger);
	nic_close(&a->nic);
	return left;
}

int accel_set(struct accel *a, const struct device *dev, bool on, char *why, size_t len)
{
	uint32_t removed;
	int err;

	if (on == a->running)
		return 0;
	if (!on) {
		removed = accel_stop(a);
		if (removed)
			snprintf(why, len,
				 "off, but %u filters stay in the NIC: see 'ethtool -n %s'",
				 removed, a->config->ifname);
		return removed ? -EIO : 0;
	}
	err = accel_prepare(a, dev->info.nr_queues, why, len);
	return err ? err : accel_start(a, dev, &removed, why, len);
}

int accel_timeout_ms(const struct accel *a)
{
	return a->running ? deadline_left(a->at) : -1;
}

void accel_serve(struct accel *a)
{
	if (!a->running || deadline_left(a->at))
		return;
	arfs_tick(&a->arfs);
	/* From its end: a slow NIC leaves time for others. */
	a->at = deadline_in(ARFS_TICK_MS);
}

json_object *accel_answer(const struct accel *a)
{
	const struct arfs_stat *stat = &a->arfs.stat;
	json_object *o = json_object_new_object();

	put_u64(o, "filters", a->arfs.nr);
	put_u64(o, "installed", stat->installed);
	put_u64(o, "moved", stat->moved);
	put_u64(o, "expired", stat->expired);
	put_u64(o, "lost", stat->lost);
	put_u64(o, "failed", stat->failed);
	put_u64(o, "full", stat->full);
	put_u64(o, "unknown", stat->unknown);
	return o;
}
