/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * device.h - everything of one network device put together: the XDP program,
 * per queue a UMEM and one XSK per worker, the workers and their engine.
 *
 *   device_open:  load -> UMEMs, XSKs -> maps -> attach -> start workers
 *   device_close: the reverse; taking the program out first returns the traffic to the kernel
 *
 * Workers have slots, which are the numbers by which the maps know them; a slot whose worker is
 * gone is used again. device_queue.h: what belongs to a queue; device_steer.h: which worker
 * is for which CPU; device_worker.h: workers that come and go meanwhile. Control thread only.
 */
#ifndef SLUICE_DAEMON_DEVICE_H
#define SLUICE_DAEMON_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/config.h"
#include "daemon/rfs_kernel.h"
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
	uint64_t netns_cookie;	/* of this network namespace */
};

/* What workers that were removed had counted, so that the books stay whole. */
struct device_gone {
	uint32_t workers;
	uint32_t torn_off;	/* of these, how many while the others held still */
	struct napi_stat napi;
	struct xsk_loss loss;
	struct worker_stat worker;
};

/* The worker that is being removed (device_worker.h). */
struct device_leave {
	bool active;
	bool late;		/* a thread did not get to run: order may not have been kept */
	bool final;		/* no packet is on its way to it any more */
	uint32_t worker;
	uint64_t since;		/* CLOCK_MONOTONIC, ns */
};

struct device {
	const struct config *config;
	struct device_info info;
	uint32_t queue[SLUICE_MAX_QUEUES];	/* served */
	uint32_t nr_queues;
	struct steer steer;
	struct engine *engine;
	struct umem *umem;	/* by position in queue[] */
	uint32_t max_workers;	/* slots */
	uint64_t workers;	/* bit w: slot w has a worker, also one that is being removed */
	struct xsk *xsk;	/* position * max_workers + slot */
	struct worker *worker;	/* by slot */
	/* Bit by position: a user has set rps_cpus. */
	uint64_t own_mask[SLUICE_MAX_QUEUES / 64];
	struct device_gone gone;
	struct device_leave leave;
	struct rfs_kernel rfs_kernel;	/* opened by settings_kernel_rfs() */
	int pin_error;		/* 0, or why the maps are not pinned */
};

/*
 * Opens, attaches and starts. config must outlive it. -errno with a sentence in
 * why; on failure nothing is left behind.
 */
int device_open(struct device *dev, const struct config *config, const struct device_info *info,
		char *why, size_t len);
void device_close(struct device *dev);

/* The next slot with a worker, from this one on; max_workers: none. */
static inline uint32_t device_next_worker(const struct device *dev, uint32_t w)
{
	while (w < dev->max_workers && !(dev->workers >> w & 1))
		w++;
	return w;
}

/* for (each slot with a worker) */
#define device_for_each_worker(dev, w)                                        \
	for ((w) = device_next_worker(dev, 0); (w) < (dev)->max_workers;      \
	     (w) = device_next_worker(dev, (w) + 1))

static inline struct xsk *device_xsk(const struct device *dev, uint32_t position, uint32_t w)
{
	return &dev->xsk[position * dev->max_workers + w];
}

#endif
