/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * topology.h - which CPU shares a cache with which, as sysfs says (cpuN/cache/indexM/level and
 * shared_cpu_list), and what follows from it for workers. Pure functions of their arguments
 * and of the files; any thread.
 */
#ifndef SLUICE_DAEMON_TOPOLOGY_H
#define SLUICE_DAEMON_TOPOLOGY_H

#include <stdint.h>

#include <sluice/steer.h>

#define TOPOLOGY_SYSFS "/sys/devices/system/cpu"

/* How near a CPU is to its worker. */
enum topology_near {
	TOPOLOGY_OWN,	/* the worker runs on it */
	TOPOLOGY_L2,	/* they share the second level cache */
	TOPOLOGY_L3,
	TOPOLOGY_NONE,	/* no worker shares a cache with it */
};

struct topology_worker {
	uint32_t slot;
	uint32_t cpu;
};

struct topology_choice {
	uint32_t slot;		/* SLUICE_NO_WORKER with TOPOLOGY_NONE */
	enum topology_near near;
};

/*
 * Chooses for each CPU below nr_cpus (<= SLUICE_MAX_CPUS) its worker: its own; else, of those that
 * share its L2 cache, and failing these its L3, the one with the fewest CPUs so far, the first in
 * the list of equals; CPUs are gone through in order, so the result depends on nothing else. A
 * CPU of which sysfs has no caches shares none.
 */
void topology_choose(const char *sysfs, const struct topology_worker *worker, uint32_t nr_workers,
		     struct topology_choice *choice, uint32_t nr_cpus);

#endif
