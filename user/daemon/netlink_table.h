/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * netlink_table.h - what the kernel reported (netlink.h), shared by the files of
 * this object alone.
 *
 *   netlink.c       the socket: subscription, reading everything
 *      | messages
 *   netlink_link.c  table of links: the device itself, VLAN devices
 *   netlink_addr.c  table of addresses
 *      | settle
 *   netlink_ops     the caller
 *
 * The tables hold everything that the kernel reported. What has been reported
 * to the caller is a mark on one entry (`reported`), and is brought up to date by
 * addr_settle() and vlan_settle() after each change, whatever caused it.
 *
 * Ownership: each table belongs to its file, which alone adds and removes. A
 * pointer to an entry is good until the next message.
 */
#ifndef SLUICE_NETLINK_TABLE_H
#define SLUICE_NETLINK_TABLE_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "daemon/netlink.h"

#define NETLINK_BUF_BYTES 32768

struct link {
	unsigned int ifindex;
	unsigned int seen;	/* the reading that had it last */
	unsigned int lower;	/* VLAN device: on which device of this namespace */
	uint16_t vid;
	bool vlan;		/* an 802.1Q device */
	bool up;
	bool reported;		/* to ops->vlan, as the device of its vid */
};

struct addr {
	struct sluice_addr addr;
	unsigned int ifindex;
	unsigned int seen;
	bool usable;		/* neither tentative nor failed */
	bool reported;		/* to ops->addr_added, with this ifindex */
};

struct netlink {
	struct mnl_socket *nl;
	const struct netlink_ops *ops;
	void *ctx;
	struct netlink_device device;
	bool known;		/* the device has been found */
	bool stale;		/* reading everything failed */
	bool changed;		/* another message came into the reading, or was lost */
	int error;		/* of a message in the reading */
	uint32_t seq;
	unsigned int reading;	/* number of the current or last reading */
	struct link *links;
	struct addr *addrs;
	size_t nr_links, nr_addrs;
	_Alignas(struct nlmsghdr) char buf[NETLINK_BUF_BYTES];
};

/* NULL: no such link. */
struct link *link_find(const struct netlink *n, unsigned int ifindex);
/* RTM_NEWLINK, RTM_DELLINK. 0, -ENOMEM. */
int link_message(struct netlink *n, const struct nlmsghdr *nlh);
/* Removes the links that the last reading did not have. */
void links_sweep(struct netlink *n);

/* RTM_NEWADDR, RTM_DELADDR. 0, -ENOMEM. */
int addr_message(struct netlink *n, const struct nlmsghdr *nlh);
/* Reports what has changed because the link has: whether its addresses count. */
void addrs_settle(struct netlink *n, unsigned int ifindex);
/* Removes the addresses that the last reading did not have. */
void addrs_sweep(struct netlink *n);

#endif
