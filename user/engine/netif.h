/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * netif.h - from the ring to a protocol (Linux: __netif_receive_skb_core):
 *
 *   netif_receive --> taps --> eth --> +-> tag? vlan.h --- stripped ----+
 *                                      |     | none                     |
 *                                      |   hooks --- NETIF_ANOTHER -----+
 *                                      |     | all accept               |
 *                                      +-----|--------------------------+
 *                                            v
 *   backlog.h -----------------------> netif_deliver --> IPv4, IPv6, registered types
 *
 * Taps see each packet once, with its tags, on the worker that received it; hooks
 * see it once per round, without. What nothing takes is dropped for one reason.
 *
 * Not Linux's: one handler per EtherType, as there is nothing to clone for more
 * (who only wants to look takes a tap), and a limit on rounds.
 *
 * Threads: netif_receive and netif_deliver by the worker; the tables are read by
 * every worker under RCU (QSBR) and changed by the control thread alone, whose
 * calls return when no worker uses the old ones any more.
 */
#ifndef SLUICE_ENGINE_NETIF_H
#define SLUICE_ENGINE_NETIF_H

#include <stdint.h>

#include "engine/pkt.h"

struct worker;

/* EtherTypes below are lengths; such frames have this type (Linux: eth_type_trans). */
#define NETIF_8022_BELOW 0x0600
#define NETIF_TYPE_8022 0x0004

/* Tags and rounds of hooks together. Linux has none; a hook could go on for ever. */
#define NETIF_ROUNDS 8

/* A protocol. Ownership: the registrant's, from registration until netif_type_del() returns. */
struct packet_type {
	uint16_t type;		/* EtherType, host order */
	/* Consumes pkt, whose data is at the network header. */
	void (*func)(struct worker *worker, struct pkt *pkt, const struct packet_type *pt);
	struct packet_type *next;
};

/* What a hook has decided (Linux: rx_handler_result). */
enum netif_verdict {
	NETIF_ACCEPT,		/* goes on to the next hook */
	NETIF_DROP,		/* is dropped, for the reason SLUICE_DROP_HOOK */
	NETIF_CONSUMED,		/* is the hook's: it delivers, drops or hands it off */
	NETIF_ANOTHER,		/* its protocol, data or device has changed: once more */
};

/* Ownership as of struct packet_type. */
struct netif_hook {
	int priority;		/* lower ones first; of equal ones the older first */
	/* pkt: data at the network header, or at a tag that no device owns. */
	enum netif_verdict (*func)(struct worker *worker, struct pkt *pkt,
				   const struct netif_hook *hook);
	struct netif_hook *next;
};

#define NETIF_TYPE_BUCKETS 16	/* Linux's PTYPE_HASH_SIZE */

/* All zero: IPv4 and IPv6 only, no hooks. */
struct netif {
	struct packet_type *type[NETIF_TYPE_BUCKETS];
	struct netif_hook *hook;
};

/* -EEXIST: the type has a handler (IPv4 and IPv6 have). */
int netif_type_add(struct netif *netif, struct packet_type *pt);
/* -ENOENT: it is not registered. */
int netif_type_del(struct netif *netif, struct packet_type *pt);

/* -EEXIST: it is registered. */
int netif_hook_add(struct netif *netif, struct netif_hook *hook);
/* -ENOENT: it is not registered. */
int netif_hook_del(struct netif *netif, struct netif_hook *hook);

/* Consumes pkt: data and mac at the destination MAC address. */
void netif_receive(struct worker *worker, struct pkt *pkt);

/* Consumes pkt: data at the network header, protocol set. */
void netif_deliver(struct worker *worker, struct pkt *pkt);

#endif
