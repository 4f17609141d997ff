/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * device_worker.h - workers that are added and removed under traffic: no packet is lost, and none
 * is overtaken by a later one of its flow.
 *
 * added:    XSKs -> thread -> xsks_map -> cpu_worker, rps_map: the switch rule moves the flows
 * removed:  cpu_worker, rps_map without it -> no packet on its way there any more
 *           -> xsks_map without it -> thread joined, XSKs closed, the slot is free
 *
 *   device_worker_del
 *        |
 *        v            nothing recorded is under way, and nothing came for a grace period
 *   [catching up] -----------------------------------------------------> [draining] --> gone
 *        |                                                                   ^
 *        |  1 s: its backlog never ends (leave_by_force)                     |
 *        +--> all others hold --> its flows may move --> it drains ----------+
 *
 * While it catches up, its flows leave it one by one, each as it has nothing under way (bpf/
 * dev_flow.h). Flows that always have something there must be torn off: they may go where they
 * belong at once, but the workers there take nothing until it has drained, so what is
 * behind stays behind. Their rings may overflow meanwhile; only an overloaded worker comes to that.
 *
 * Control thread only.
 */
#ifndef SLUICE_DAEMON_DEVICE_WORKER_H
#define SLUICE_DAEMON_DEVICE_WORKER_H

#include <stddef.h>
#include <stdint.h>

struct device;

/*
 * -EINVAL: no such CPU, or it is not online, or not allowed; -EEXIST: it has a worker; -ENOSPC: the
 * packet memory was made for fewer; -EBUSY: one is being removed; -ENOMEM, -errno. With a
 * sentence in why; nothing has changed then.
 */
int device_worker_add(struct device *dev, uint32_t cpu, char *why, size_t len);

/*
 * Begins to remove the worker on this CPU. 0: device_worker_step() goes on, until it says that it
 * is done; note, or "", is what the user should know. -ENOENT: it has none; -EINVAL: it is the
 * last one; -EBUSY; -errno of bpf(2). With a sentence in note; nothing has changed then.
 */
int device_worker_del(struct device *dev, uint32_t cpu, char *note, size_t len);

/*
 * -EAGAIN: call again, soon; 0: the worker is gone; -EALREADY: none is being removed. Takes a grace
 * period, or some more when flows are torn off; 2 s when threads do not get to run.
 */
int device_worker_step(struct device *dev);

#endif
