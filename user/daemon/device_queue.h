/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * device_queue.h - the packet memory and the AF_XDP sockets of the queues. A queue is named by
 * its position in device.queue[]. Control thread only.
 */
#ifndef SLUICE_DAEMON_DEVICE_QUEUE_H
#define SLUICE_DAEMON_DEVICE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct device;

/* Where the frames of a queue are; a snapshot, exact when no traffic flows. */
struct umem_frames;

/* Which queues are served, by configuration. -EINVAL and why. */
int device_queues(struct device *dev, char *why, size_t len);

/* The UMEM of a queue, for max_workers. -errno and why. */
int device_open_umem(struct device *dev, uint32_t position, char *why, size_t len);

/*
 * An XSK on this queue for the worker of a slot, and its napi instance; not yet known to the
 * XDP program. -errno and why: nothing is left.
 */
int device_open_xsk(struct device *dev, uint32_t position, uint32_t w, char *why, size_t len);

/* Whether the queue's sockets got zero-copy. */
bool device_zerocopy(const struct device *dev, uint32_t position);

/*
 * Returns when every packet that a rule in place until now let through has been
 * processed, or after 100 ms, when a worker does not get to run.
 */
void device_drain(struct device *dev);

void device_frames(const struct device *dev, uint32_t position, struct umem_frames *frames);

#endif
