/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * neigh.h - where the kernel would send a packet: source address, next hop and
 * the next hop's MAC address. Addresses in network order, IPv4 in the first 4
 * bytes.
 */
#ifndef SLUICE_CLI_NEIGH_H
#define SLUICE_CLI_NEIGH_H

#include <stdbool.h>
#include <stdint.h>

struct neigh_route {
	uint8_t next_hop[16];	/* gateway, or the destination itself */
	uint8_t source[16];
	bool has_source;
	uint8_t type;		/* RTN_UNICAST, RTN_LOCAL, RTN_MULTICAST, ... */
};

/* The route to daddr out of the device. 0; -ENETUNREACH and others from the kernel. */
int neigh_route(struct neigh_route *r, int family, const uint8_t *daddr, unsigned int ifindex);

/*
 * The MAC address of r's next hop, or of its group if it is multicast. Where the
 * kernel has none yet, sends one datagram to the next hop's discard port and
 * waits for up to 2.4 s. 0; -EHOSTUNREACH: nobody answered; -errno.
 */
int neigh_mac(uint8_t mac[6], const struct neigh_route *r, int family, const char *dev,
	      unsigned int ifindex);

#endif
