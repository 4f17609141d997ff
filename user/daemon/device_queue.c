// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "daemon/device_queue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <urcu-qsbr.h>

#include "daemon/device.h"

#define ETH_AND_VLAN 18
/* XDP_PACKET_HEADROOM: the kernel keeps it free before each packet. */
#define FRAME_HEADROOM 256
/* A worker that does not reach the tails by then is not being scheduled. */
#define DRAIN_LIMIT_NS 100000000
#define DRAIN_STEP_NS 50000
/* A queue that is busy for longer is in use. */
#define BUSY_LIMIT_NS 1000000000ull
#define BUSY_STEP_NS 20000000

int device_queues(struct device *dev, char *why, size_t len)
{
	const struct config *config = dev->config;
	const char *name = config->ifname;

	if (dev->info.mtu + ETH_AND_VLAN + FRAME_HEADROOM > 4096) {
		snprintf(why, len, "MTU %u of %s is too large for one frame: set it to %u or less",
			 dev->info.mtu, name, 4096 - ETH_AND_VLAN - FRAME_HEADROOM);
		return -EMSGSIZE;
	}
	if (!config->nr_queues) {
		for (uint32_t q = 0; q < dev->info.nr_queues && q < SLUICE_MAX_QUEUES; q++)
			dev->queue[dev->nr_queues++] = q;
		return 0;
	}
	for (uint32_t i = 0; i < config->nr_queues; i++) {
		if (config->queue[i] >= dev->info.nr_queues) {
			snprintf(why, len, "%s has no rx queue %u, only %u: see 'ethtool -l %s'",
				 name, config->queue[i], dev->info.nr_queues, name);
			return -EINVAL;
		}
		dev->queue[dev->nr_queues++] = config->queue[i];
	}
	return 0;
}

static uint32_t frame_size(const struct device *dev)
{
	return dev->info.mtu + ETH_AND_VLAN + FRAME_HEADROOM <= 2048 ? 2048 : 4096;
}

/* Every ring full, and every worker's hands: a stalled worker cannot starve its siblings. */
static uint32_t frame_count(const struct device *dev)
{
	const struct config *config = dev->config;

	if (config->umem_frames)
		return config->umem_frames;
	return config->ring + dev->max_workers * (config->ring + WORKER_PKTS);
}

static int xsk_error(const struct device *dev, uint32_t queue, int err, char *why, size_t len)
{
	const char *name = dev->config->ifname;

	if (err == -EBUSY)
		snprintf(why, len, "queue %u of %s is used by another AF_XDP program: stop it, or "
			 "choose other queues with -q", queue, name);
	else if (err == -EPERM)
		snprintf(why, len, "may not open AF_XDP sockets: run as root, or with CAP_NET_RAW");
	else if (err == -EOPNOTSUPP && dev->config->copy == XSK_ZEROCOPY)
		snprintf(why, len, "the driver of %s has no zero-copy: leave -z out", name);
	else if (err == -ENOBUFS)
		snprintf(why, len, "RLIMIT_MEMLOCK is too low for the UMEM: raise it, or grant "
			 "CAP_IPC_LOCK");
	else
		snprintf(why, len, "cannot open an AF_XDP socket on queue %u of %s: %s", queue,
			 name, strerror(-err));
	return err;
}

int device_open_umem(struct device *dev, uint32_t position, char *why, size_t len)
{
	const struct config *config = dev->config;
	int err = umem_init(&dev->umem[position], frame_count(dev), frame_size(dev), config->ring);

	if (err == -EINVAL)
		snprintf(why, len, "--umem %u: fewer frames than one ring (%u): give more, or a "
			 "smaller --ring", config->umem_frames, config->ring);
	else if (err)
		xsk_error(dev, dev->queue[position], err, why, len);
	return err;
}

/*
 * The kernel lets go of a queue some time after the process that had it: a daemon
 * which takes over from a killed one may come too early.
 */
static int open_patiently(struct device *dev, struct xsk *xsk, uint32_t position)
{
	const struct config *config = dev->config;
	/* Without native XDP there is no zero-copy; asked for, it is an error of its own. */
	enum xsk_copy_mode mode = dev->steer.config.generic && config->copy == XSK_AUTO ?
					  XSK_COPY : config->copy;
	struct timespec step = { .tv_nsec = BUSY_STEP_NS };
	int err;

	for (uint64_t waited = 0;; waited += BUSY_STEP_NS) {
		err = xsk_open(xsk, &dev->umem[position], config->ifname, dev->queue[position],
			       config->ring, mode);
		if (err != -EBUSY || waited >= BUSY_LIMIT_NS)
			return err;
		nanosleep(&step, NULL);
	}
}

int device_open_xsk(struct device *dev, uint32_t position, uint32_t w, char *why, size_t len)
{
	struct xsk *xsk = device_xsk(dev, position, w);
	uint32_t queue = dev->queue[position];
	int err = open_patiently(dev, xsk, position);

	if (err)
		return xsk_error(dev, queue, err, why, len);
	err = worker_add_napi(&dev->worker[w], &xsk->src, (uint16_t)queue);
	if (err) {
		xsk_close(xsk);
		snprintf(why, len, "no memory for another worker");
	}
	return err;
}

bool device_zerocopy(const struct device *dev, uint32_t position)
{
	return device_xsk(dev, position, device_next_worker(dev, 0))->zerocopy;
}

/* How many rings have not been read up to tail[], by position and slot. */
static uint32_t rings_behind(const struct device *dev, const uint32_t *tail)
{
	uint32_t behind = 0, w;

	for (uint32_t i = 0; i < dev->nr_queues; i++) {
		device_for_each_worker(dev, w)
			behind += (int32_t)(xsk_rx_consumed(device_xsk(dev, i, w)) -
					    tail[i * dev->max_workers + w]) < 0;
	}
	return behind;
}

void device_drain(struct device *dev)
{
	uint32_t *tail = calloc((size_t)dev->nr_queues * dev->max_workers, sizeof(*tail)), w;
	struct timespec step = { .tv_nsec = DRAIN_STEP_NS };

	steer_grace();
	for (uint32_t i = 0; tail && i < dev->nr_queues; i++) {
		device_for_each_worker(dev, w)
			tail[i * dev->max_workers + w] = xsk_rx_produced(device_xsk(dev, i, w));
	}
	for (int waited = 0; tail && waited < DRAIN_LIMIT_NS; waited += DRAIN_STEP_NS) {
		if (!rings_behind(dev, tail))
			break;
		nanosleep(&step, NULL);
	}
	free(tail);
	/* Taken from the ring is not yet delivered: with nothing in hand, a worker is quiescent. */
	synchronize_rcu();
}

void device_frames(const struct device *dev, uint32_t position, struct umem_frames *frames)
{
	const struct umem *umem = &dev->umem[position];
	uint32_t w;

	*frames = (struct umem_frames){ .total = umem->frames, .free = umem_free_frames(umem) };
	frames->fill = umem_fill_frames(umem);
	device_for_each_worker(dev, w) {
		const struct xsk *xsk = device_xsk(dev, position, w);

		frames->free += __atomic_load_n(&xsk->nr_stash, __ATOMIC_RELAXED);
		frames->rx += xsk_rx_produced(xsk) - xsk_rx_consumed(xsk);
		frames->held += __atomic_load_n(&dev->worker[w].napi[position].held,
						__ATOMIC_RELAXED);
	}
}
