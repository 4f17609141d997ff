/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * ip.h - the network layer: IPv4 (ip4.c; Linux: ip_rcv_core, ip_local_deliver)
 * and IPv6 (ip6.c; Linux: ip6_rcv_core, ip6_input).
 *
 * Headers are validated and trailing padding is cut off. That the destination
 * is this host's was decided by the XDP program; without one, engine->local
 * says. Packets with options or extension headers, and fragments, are the
 * kernel's: they do not come here through the XDP program, and are dropped with
 * their own reason if they do.
 */
#ifndef SLUICE_ENGINE_IP_H
#define SLUICE_ENGINE_IP_H

#include "engine/pkt.h"

struct worker;

/* Both consume pkt, whose data is at the IP header. */
void ip4_rcv(struct worker *worker, struct pkt *pkt);
void ip6_rcv(struct worker *worker, struct pkt *pkt);

/* Hands a validated packet, data at the transport header, to its protocol. Consumes pkt. */
void ip_deliver(struct worker *worker, struct pkt *pkt);

#endif
