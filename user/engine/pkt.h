/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * pkt.h - one packet on its way from a descriptor to a lane: sk_buff in small.
 *
 *   head        data            tail      end
 *    | rx_meta |  packet ...     |  room   |
 *
 * Stages move data (pull) and tail (trim); head and end stay. Packets come from
 * a pool of the worker, filled once at start and used last-in first-out, so
 * that the few in use stay in its cache. A packet and its pool belong to one
 * worker; nothing here is thread-safe.
 */
#ifndef SLUICE_ENGINE_PKT_H
#define SLUICE_ENGINE_PKT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sluice/steer.h>

struct napi;

struct pkt {
	struct pkt *next;	/* in the list of a socket */
	uint8_t *head;
	uint8_t *data;
	uint8_t *tail;
	uint8_t *end;
	uint8_t *mac;		/* link-layer header; headers before data stay where they are */
	struct napi *napi;	/* whose books it is in */
	struct napi *home;	/* where it came from, while another worker has it (backlog.h) */
	struct pkt *away_next;	/* home's list of those */
	struct pkt *away_prev;
	uint64_t frame;
	uint32_t hash;		/* flow hash; 0: not computed */
	uint32_t seq;		/* sequence number; without rx_meta, that of the one before */
	uint32_t ifindex;	/* receiving device; a VLAN's own after the tag was stripped */
	uint16_t protocol;	/* EtherType, host order */
	uint16_t sport;		/* network order */
	uint16_t dport;
	uint8_t version;	/* 4 or 6 */
	uint8_t tos;
	uint8_t ttl;
	uint8_t l4_proto;
	struct sluice_addr saddr;	/* IPv4 as ::ffff:a.b.c.d */
	struct sluice_addr daddr;
};

static inline uint32_t pkt_len(const struct pkt *pkt)
{
	return (uint32_t)(pkt->tail - pkt->data);
}

/* The next n bytes for reading, or NULL when the packet is shorter. */
static inline void *pkt_may_pull(const struct pkt *pkt, uint32_t n)
{
	return pkt_len(pkt) < n ? NULL : pkt->data;
}

/* Removes n bytes from the front. False, and nothing done, when the packet is shorter. */
static inline bool pkt_pull(struct pkt *pkt, uint32_t n)
{
	if (pkt_len(pkt) < n)
		return false;
	pkt->data += n;
	return true;
}

/* Cuts the packet to len bytes. False, and nothing done, when it is shorter. */
static inline bool pkt_trim(struct pkt *pkt, uint32_t len)
{
	if (pkt_len(pkt) < len)
		return false;
	pkt->tail = pkt->data + len;
	return true;
}

struct pkt_pool {
	struct pkt *all;
	struct pkt **free;
	unsigned int nr_free;
	unsigned int size;
};

/* -ENOMEM. */
int pkt_pool_init(struct pkt_pool *pool, unsigned int size);
void pkt_pool_destroy(struct pkt_pool *pool);

/*
 * NULL when all are in use. Fields but the four pointers, napi and frame are for the
 * stages to set.
 */
static inline struct pkt *pkt_get(struct pkt_pool *pool)
{
	return pool->nr_free ? pool->free[--pool->nr_free] : NULL;
}

static inline void pkt_put(struct pkt_pool *pool, struct pkt *pkt)
{
	pool->free[pool->nr_free++] = pkt;
}

#endif
