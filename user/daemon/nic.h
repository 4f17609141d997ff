/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * nic.h - n-tuple filters of a network device (engine/arfs.h: struct nic_filters) by ethtool
 * ioctls, and which rx queue's interrupts go to which CPU.
 *
 * A rule lives at a location of the device's table. Drivers choose one themselves, or have it
 * chosen: then the last free one, so that rules of the administrator come first, and the table
 * is read before each insertion, since a rule put where another one is replaces it. Before a
 * rule is deleted it is read: what is not exactly ours stays. Control thread only.
 */
#ifndef SLUICE_DAEMON_NIC_H
#define SLUICE_DAEMON_NIC_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/arfs.h"

/* One ethtool request. data: its structure. -errno. */
typedef int (*nic_ioctl)(void *ctx, const char *ifname, void *data);

struct nic {
	struct nic_filters filters;	/* first: what the engine is given */
	char ifname[IF_NAMESIZE];
	nic_ioctl ioctl;
	void *ctx;
	int fd;
	bool chooses;			/* the driver chooses locations */
};

/*
 * ioctl NULL: the kernel's. -EOPNOTSUPP: no such filters; -ENXIO: switched off; -errno; each with
 * a sentence in why. On failure nothing is left open.
 */
int nic_open(struct nic *nic, const char *ifname, nic_ioctl ioctl, void *ctx, char *why,
	     size_t len);
/* Filters stay: the engine removes them. */
void nic_close(struct nic *nic);

/*
 * The rx queue that each CPU has for itself: the one whose interrupt goes to the fewest CPUs,
 * this one among them. Read from ROOT/sys/class/net/IFNAME/device (or its parent)/msi_irqs and
 * ROOT/proc/irq/N; root "" for the system's own. cpu_queue: [SLUICE_MAX_CPUS], ARFS_NO_QUEUE:
 * none. How many queues were found; -ENOENT: the device has no such interrupts.
 */
int nic_read_irqs(const char *root, const char *ifname, uint16_t *cpu_queue);

/* The rx queue in an interrupt's name, such as "eth0-TxRx-3"; -1: it is no rx queue's. */
int nic_irq_queue(const char *name);

#endif
