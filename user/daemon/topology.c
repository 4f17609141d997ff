// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "daemon/topology.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "daemon/config.h"

/* Linux has four or five caches per CPU: L1 data and instruction, L2, L3, on some machines L4. */
#define INDEXES 8
#define LINE 4096

static bool read_line(const char *sysfs, uint32_t cpu, unsigned int index, const char *name,
		      char *line)
{
	char path[256];
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "%s/cpu%u/cache/index%u/%s", sysfs, cpu, index, name);
	f = fopen(path, "re");
	if (!f)
		return false;
	ok = fgets(line, LINE, f) != NULL;
	fclose(f);
	line[ok ? strcspn(line, "\n") : 0] = 0;
	return ok;
}

/* Bit per CPU that shares the cache of this level with it; none where there is no such cache. */
static void sharers(const char *sysfs, uint32_t cpu, char level, uint64_t *mask)
{
	uint32_t list[SLUICE_MAX_CPUS], nr = 0;
	char line[LINE];

	memset(mask, 0, SLUICE_MAX_CPUS / 8);
	for (unsigned int i = 0; i < INDEXES; i++) {
		if (!read_line(sysfs, cpu, i, "level", line))
			return;
		if (line[0] != level || line[1])
			continue;
		if (!read_line(sysfs, cpu, i, "shared_cpu_list", line) ||
		    config_list(line, SLUICE_MAX_CPUS, list, &nr, SLUICE_MAX_CPUS))
			continue;
		for (uint32_t n = 0; n < nr; n++)
			mask[list[n] / 64] |= 1ull << list[n] % 64;
	}
}

/* The least loaded of the workers whose CPU is in the mask; nr_workers: none is. */
static uint32_t least_loaded(const uint64_t *mask, const struct topology_worker *worker,
			     uint32_t nr_workers, const uint32_t *load)
{
	uint32_t best = nr_workers;

	for (uint32_t i = 0; i < nr_workers; i++) {
		uint32_t cpu = worker[i].cpu;

		if (mask[cpu / 64] >> cpu % 64 & 1 && (best == nr_workers || load[i] < load[best]))
			best = i;
	}
	return best;
}

static uint32_t nearest(const char *sysfs, uint32_t cpu, const struct topology_worker *worker,
			uint32_t nr_workers, const uint32_t *load, enum topology_near *near)
{
	static const char levels[] = { [TOPOLOGY_L2] = '2', [TOPOLOGY_L3] = '3' };
	uint64_t mask[SLUICE_MAX_CPUS / 64];
	uint32_t i;

	for (*near = TOPOLOGY_L2; *near <= TOPOLOGY_L3; ++*near) {
		sharers(sysfs, cpu, levels[*near], mask);
		i = least_loaded(mask, worker, nr_workers, load);
		if (i < nr_workers)
			return i;
	}
	return nr_workers;
}

void topology_choose(const char *sysfs, const struct topology_worker *worker, uint32_t nr_workers,
		     struct topology_choice *choice, uint32_t nr_cpus)
{
	uint32_t load[SLUICE_MAX_WORKERS] = { 0 };

	for (uint32_t cpu = 0; cpu < nr_cpus; cpu++)
		choice[cpu] = (struct topology_choice){ SLUICE_NO_WORKER, TOPOLOGY_NONE };
	for (uint32_t i = 0; i < nr_workers; i++) {
		choice[worker[i].cpu] = (struct topology_choice){ worker[i].slot, TOPOLOGY_OWN };
		load[i]++;
	}
	for (uint32_t cpu = 0; cpu < nr_cpus; cpu++) {
		enum topology_near near;
		uint32_t i;

		if (choice[cpu].near == TOPOLOGY_OWN)
			continue;
		i = nearest(sysfs, cpu, worker, nr_workers, load, &near);
		if (i == nr_workers)
			continue;
		choice[cpu] = (struct topology_choice){ worker[i].slot, near };
		load[i]++;
	}
}
