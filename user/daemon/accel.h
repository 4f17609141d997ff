/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * accel.h - accelerated RFS of the daemon's device: engine/arfs.h with the device's NIC, the
 * queues of its CPUs, and a clock.
 *
 *   accel_prepare: has the NIC what is needed?  before the device is opened, so that a refusal
 *                                               disturbs no traffic
 *   accel_start -> accel_serve, whenever poll(2) has returned -> accel_stop
 *
 * Control thread only.
 */
#ifndef SLUICE_DAEMON_ACCEL_H
#define SLUICE_DAEMON_ACCEL_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/config.h"
#include "daemon/device.h"
#include "daemon/ledger.h"
#include "daemon/nic.h"
#include "engine/arfs.h"

struct accel {
	const struct config *config;
	char ledger_path[128];
	uint16_t cpu_queue[SLUICE_MAX_CPUS];
	struct nic nic;
	struct ledger ledger;
	struct arfs arfs;
	bool running;
	int64_t at;		/* when to look again, in ms of CLOCK_MONOTONIC */
};

/* control_path: of the control socket, beside which the filters are written down. */
void accel_init(struct accel *a, const struct config *config, const char *control_path);
/*
 * nr_queues: of the device. -EINVAL: other settings forbid it; -EOPNOTSUPP: no n-tuple filters,
 * -ENXIO: switched off, -ENOENT: no CPU has a queue of its own; -errno; each with a sentence in
 * why.
 */
int accel_prepare(struct accel *a, uint32_t nr_queues, char *why, size_t len);
/* After accel_prepare(). *removed: filters that a killed daemon had left. -errno and why. */
int accel_start(struct accel *a, const struct device *dev, uint32_t *removed, char *why,
		size_t len);
/* Takes all filters back; how many the NIC kept. Also where nothing runs. */
uint32_t accel_stop(struct accel *a);

/* On or off at run time; on as at the start. 0 also where it is so already; else why is set. */
int accel_set(struct accel *a, const struct device *dev, bool on, char *why, size_t len);

/* For poll(2): how long to wait at most; -1: for ever. */
int accel_timeout_ms(const struct accel *a);
void accel_serve(struct accel *a);

/* What it does, for `sluice flow show`. */
json_object *accel_answer(const struct accel *a);

#endif
