/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * diag.h - the kernel's UDP sockets, of one port or all, read with NETLINK_SOCK_DIAG.
 *
 * It is the daemon's only source for what a client's socket is bound to: unlike
 * getsockname(), it takes no lock that the owner of the socket can hold.
 *
 * Ownership: struct diag belongs to the caller and holds one netlink socket of
 * the network namespace in which diag_open() was called. Threads: one at a time.
 * Errors: 0 or a count, else -errno. Calls wait for the kernel's answer only,
 * which does not depend on any other process.
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

/*
 * Calls each() for every UDP socket of the namespace that has a port, IPv4 and
 * IPv6, in no order, once the kernel has listed them all: the list is a single
 * one, but long, so that a socket may be missing because another one beside it
 * in the kernel's table was closed meanwhile, or because its bind is under way.
 * Do not conclude from this alone that a socket is gone: ask diag_udp(). 0; as
 * diag_udp(), or -ENOMEM: each() was not called.
 */
int diag_udp_all(struct diag *d, void (*each)(void *ctx, const struct diag_sock *), void *ctx);

#endif
