/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * diag.h - the kernel's UDP sockets on one port, read with NETLINK_SOCK_DIAG.
 *
 * It is the daemon's only source for what a client's socket is bound to: unlike
 * getsockname(), it takes no lock that the owner of the socket can hold.
 *
 * Ownership: struct diag belongs to the caller and holds one netlink socket of
 * the network namespace in which diag_open() was called. Threads: one at a time.
 * Errors: 0 or a count, else -errno. diag_udp() waits for the kernel's answer
 * only, which does not depend on any other process.
 */
#ifndef SLUICE_DIAG_H
#define SLUICE_DIAG_H

#include <stdbool.h>
#include <stdint.h>
#include "sluice/steer.h"

struct mnl_socket;

struct diag {
	struct mnl_socket *nl;
	uint32_t seq;
};

struct diag_sock {
	uint64_t cookie;		/* SO_COOKIE */
	struct sluice_addr local;	/* AF_INET: ::ffff:a.b.c.d, any address: ::ffff:0.0.0.0 */
	struct sluice_addr peer;
	uint16_t port;			/* host order */
	uint16_t peer_port;		/* host order; 0: not connected */
	uint8_t family;			/* AF_INET, AF_INET6 */
	uint8_t state;			/* TCP_ESTABLISHED: connected; TCP_CLOSE */
	bool v6only;			/* IPV6_V6ONLY; false for a connected socket: not known */
	uint32_t ifindex;		/* SO_BINDTODEVICE; 0: none */
	uint32_t uid;
	uint32_t inode;			/* 0: no process has it open any more */
};

/* As socket(2). */
int diag_open(struct diag *d);
void diag_close(struct diag *d);

/*
 * All UDP sockets, IPv4 and IPv6, whose local port is `port` (host order), in no
 * order. How many there are, of which the first max are in out[]: a result
 * greater than max says that some are missing. A socket whose family changes
 * meanwhile may appear twice. -EAGAIN: the table kept changing; -ENOENT: the
 * kernel has no udp_diag; -EPERM. out[] is undefined on failure.
 */
int diag_udp(struct diag *d, uint16_t port, struct diag_sock *out, unsigned int max);

#endif
