/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * netlink.h - follows one device, the VLAN devices on it, and the unicast
 * addresses of this network namespace (rtnetlink).
 *
 *   netlink_open()   subscribes, reads everything, reports addresses and VLANs
 *   netlink_read()   reports changes; reads everything again where the kernel
 *                    lost messages (ENOBUFS), and reports the differences
 *
 * An address counts while the kernel would take a packet to it: its device is up,
 * and an IPv6 one is neither tentative nor a failed duplicate. Loopback addresses
 * (127.0.0.0/8, ::1) never count; a link-local one (fe80::/10) only on the device
 * itself, since it means nothing on another.
 *
 * Ownership: struct netlink belongs to the caller until netlink_close().
 * Threads: one at a time; callbacks run inside netlink_open(), netlink_read()
 * and netlink_message(), and must not call these or netlink_close().
 * Errors: 0 or -errno. Reading everything waits for the kernel's answer only.
 */
#ifndef SLUICE_NETLINK_H
#define SLUICE_NETLINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include "sluice/steer.h"

struct netlink;
struct nlmsghdr;

enum netlink_state {
	NETLINK_DOWN,
	NETLINK_UP,
	NETLINK_GONE,	/* removed, or moved to another namespace; final */
};

/* The device as last reported by the kernel. */
struct netlink_device {
	unsigned int ifindex;
	unsigned int mtu;
	unsigned int rx_queues;		/* IFLA_NUM_RX_QUEUES: allocated, not all in use */
	enum netlink_state state;
	uint8_t mac[6];			/* all 0 where it has none of 6 bytes */
	char name[IFNAMSIZ];
	char kind[16];			/* IFLA_INFO_KIND, "veth"; "" for hardware */
};

/* All must be set. */
struct netlink_ops {
	/*
	 * One report per address, however many devices have it; again, with another
	 * ifindex, when the device reported first loses it and another has it still.
	 */
	void (*addr_added)(void *ctx, const struct sluice_addr *addr, unsigned int ifindex);
	/* No device has it any more. */
	void (*addr_removed)(void *ctx, const struct sluice_addr *addr);
	/* ifindex: the 802.1Q device for vid on the device, which is up; 0: there is none. */
	void (*vlan)(void *ctx, uint16_t vid, unsigned int ifindex);
	/* Of the device. Not called for what netlink_open() found: see netlink_device(). */
	void (*mac)(void *ctx, const uint8_t mac[6]);
	void (*mtu)(void *ctx, unsigned int mtu);
	void (*state)(void *ctx, enum netlink_state state);
};

/*
 * -ENODEV: no such device; -ENOMEM; else as socket(2). `ops` must outlive *n.
 * Callbacks of a call that fails in the end may have run.
 */
int netlink_open(struct netlink **n, const char *ifname, const struct netlink_ops *ops, void *ctx);
/* NULL is allowed. No callbacks. */
void netlink_close(struct netlink *n);

/* Readable when netlink_read() has something to do. */
int netlink_fd(const struct netlink *n);
/* Handles all that has come. -ENOMEM, or what reading everything failed with: call again. */
int netlink_read(struct netlink *n);

const struct netlink_device *netlink_device(const struct netlink *n);
/*
 * Receive queues in use: rx and combined channels (ETHTOOL_GCHANNELS), else
 * netlink_device.rx_queues, at least 1. Asks the driver.
 */
unsigned int netlink_rx_queues(const struct netlink *n);

/* What netlink_read() does with each message, whose length must be right. 0, -ENOMEM. */
int netlink_message(struct netlink *n, const struct nlmsghdr *nlh);

#endif
