/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * device_steer.h - which worker the XDP program finds for which CPU (cpu_worker), and which CPUs
 * it chooses from on each queue (rps_map), as workers come and go.
 *
 * A queue has either the mask that a user has set, or, without one, the CPUs of all workers. A CPU
 * that loses its worker leaves both; one that gets a worker joins only the latter. A user's
 * mask from which the last CPU has gone is forgotten: the queue has all workers' again.
 *
 * A worker that is being removed counts as gone. Control thread only.
 */
#ifndef SLUICE_DAEMON_DEVICE_STEER_H
#define SLUICE_DAEMON_DEVICE_STEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/topology.h"

struct device;

/* Before the program is attached: masks, flow tables, limits, the device's address. -errno. */
int device_steer_init(struct device *dev);

/*
 * Brings both tables up to date with the workers. Sets of *forgotten the bits (by position) of
 * masks that were forgotten; NULL is allowed. -errno of bpf(2): partly done.
 */
int device_steer_workers(struct device *dev, uint64_t forgotten[SLUICE_MAX_QUEUES / 64]);

/* A user's mask for the queue: n CPUs, each with a worker; 0: none. -errno of bpf(2): as before. */
int device_set_mask(struct device *dev, uint32_t position, const uint32_t *cpu, uint32_t n);

/* As Linux's flow_limit_cpu_bitmap: the limit holds for backlogs that these CPUs work off. */
int device_flow_limit(struct device *dev, uint32_t w);

/* The slot of the worker on this CPU, one that stays; -1: there is none. */
int device_worker_of(const struct device *dev, uint32_t cpu);
/* A mask may name this CPU: it has a worker, or an entry in cpu_map. */
bool device_may_steer(const struct device *dev, uint32_t cpu);

/* What cpu_worker says, and how near: choice[0..CPUs of the machine). The number of CPUs. */
uint32_t device_choose_workers(const struct device *dev,
			       struct topology_choice choice[SLUICE_MAX_CPUS]);

#endif
