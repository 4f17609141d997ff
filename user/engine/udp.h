/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * udp.h - UDP: validation, checksum, and the table from port to sockets
 * (Linux: __udp4_lib_rcv, __udp4_lib_lookup, compute_score, reuseport_select_sock).
 *
 * The table is read by every worker under RCU (QSBR flavour: a worker is
 * quiescent between rounds) and written by the control thread alone, a whole
 * port at a time: the entries of a port are an immutable array, in the order in
 * which the kernel has its sockets, replaced by one pointer.
 */
#ifndef SLUICE_ENGINE_UDP_H
#define SLUICE_ENGINE_UDP_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <urcu-qsbr.h>

#include <sluice/steer.h>

#include "engine/pkt.h"

struct engine;
struct sock;
struct worker;

/* What a socket accepts: its kernel binding. */
struct udp_key {
	struct sluice_addr local;	/* all zero: any. IPv4 as ::ffff:a.b.c.d */
	struct sluice_addr peer;	/* all zero: not connected */
	uint16_t peer_port;		/* network order; 0: not connected */
	uint32_t ifindex;		/* bound device; 0: any */
	bool ipv6;			/* family AF_INET6 */
	bool v6only;
};

struct udp_entry {
	struct udp_key key;
	struct sock *sk;
	uint32_t group;		/* the same for members of one SO_REUSEPORT group; 0: none */
};

struct udp_port {
	unsigned int nr;
	bool gro;	/* some socket here asked for merged datagrams */
	struct udp_entry entry[];
};

struct udp_table {
	struct udp_port *port[65536];	/* by host order */
	struct udp_port *rest;		/* of all ports that have none */
};

/*
 * Replaces the entries of a port (nr 0: none). -ENOMEM: nothing changed. The
 * old entries may be in use until the caller's next synchronize_rcu(), after
 * which they are freed here: returns when that has happened. Control thread.
 */
int udp_table_set(struct udp_table *table, uint16_t port, const struct udp_entry *entry,
		  unsigned int nr);
/* As udp_table_set(), of all ports that have no entries of their own. */
int udp_table_set_rest(struct udp_table *table, const struct udp_entry *entry, unsigned int nr);
/* No worker may run any more. */
void udp_table_destroy(struct udp_table *table);

/*
 * The socket that Linux would choose among these, or NULL. Reader side. pkt: version,
 * addresses, ports, ifindex, hash.
 */
struct sock *udp_lookup(const struct udp_table *table, const struct pkt *pkt);

/*
 * Whether GRO may merge a datagram to this port (network order) at all: a look at one byte, for
 * the many that it may not. Reader side.
 */
static inline bool udp_port_asked(const struct udp_table *table, uint16_t dport)
{
	const struct udp_port *port = rcu_dereference(table->port[ntohs(dport)]);

	if (!port)
		port = rcu_dereference(table->rest);
	return port && port->gro;
}

/* Whether it is for a socket that asked (Linux: udp4_gro_lookup_skb). pkt: as for udp_lookup(). */
bool udp_gro_asked(const struct engine *engine, const struct pkt *pkt);

/* Consumes pkt, whose data is at the UDP header, tail at the end of the IP payload. */
void udp_rcv(struct worker *worker, struct pkt *pkt);

#endif
