/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * device.h - everything of one network device put together: the XDP program,
 * per queue a UMEM and one XSK per worker, the workers and their engine.
 *
 *   device_open:  load -> UMEMs, XSKs -> maps -> attach -> start workers
 *   device_close: the reverse; taking the program out first returns the traffic to the kernel
 *
 * Control thread only.
 */
#ifndef SLUICE_DAEMON_DEVICE_H
#define SLUICE_DAEMON_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/config.h"
#include "engine/engine.h"
#include "engine/gro.h"
#include "engine/steer.h"
#include "engine/umem.h"
#include "engine/worker.h"
#include "engine/xsk.h"

/* What the host says of the device. */
struct device_info {
	uint32_t ifindex;
	uint32_t nr_queues;	/* rx queues in use */
	uint32_t mtu;
	uint8_t mac[6];
	bool veth;		/* local senders leave checksums partial */
};

struct device {
	const struct config *config;
	struct device_info info;
	uint32_t queue[SLUICE_MAX_QUEUES];	/* served */
	uint32_t nr_queues;
	struct steer steer;
	struct engine *engine;
	struct umem *umem;	/* by position in queue[] */
	struct xsk *xsk;	/* position * nr_workers + worker */
	struct worker *worker;	/* [config->nr_workers] */
	uint32_t nr_running;
	int pin_error;		/* 0, or why the maps are not pinned */
};

/*
 * Opens, attaches and starts. config must outlive it. -errno with a sentence in
 * why; on failure nothing is left behind.
 */
int device_open(struct device *dev, const struct config *config, const struct device_info *info,
		char *why, size_t len);
void device_close(struct device *dev);

/*
 * Returns when every packet that a rule in place until now let through has been
 * processed, or after 100 ms, when a worker does not get to run.
 */
void device_drain(struct device *dev);

/* Where the frames of the queue at a position of queue[] are. */
void device_frames(const struct device *dev, uint32_t position, struct umem_frames *frames);

#endif
