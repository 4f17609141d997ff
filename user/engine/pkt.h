/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * pkt.h - one packet on its way from a descriptor to a lane: sk_buff in small.
 *
 *   head        data            tail      end
 *    | rx_meta |  packet ...     |  room   |
 *                                         frag_list --> payload --> payload ...
 *
 * Stages move data (pull, push) and tail (trim, put); head and end stay. Bounds
 * are checked, and a function that finds them violated does nothing and says so: the
 * caller must look.
 *
 * Merged: what GRO put together is the first packet, whole, and the payloads of the
 * others on its frag_list. Only the first has headers, so pulling ends at its
 * own tail.
 *
 * Shared: pkt_get() counts users of one struct; pkt_clone() makes a second struct
 * for the same data, with its own data and tail. Data goes back to where it
 * came from with the last of those structs. Who shares data must not write to it, and a
 * packet is either merged or cloned.
 *
 * Packets come from a pool of the worker, filled once at start and used last-in
 * first-out, so that the few in use stay in its cache. A packet and its pool belong
 * to one worker; nothing here is thread-safe.
 */
#ifndef SLUICE_ENGINE_PKT_H
#define SLUICE_ENGINE_PKT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <sluice/steer.h>

struct napi;

#define PKT_MUST_CHECK __attribute__((warn_unused_result))

/* What is known of the transport checksum: sk_buff's ip_summed. */
enum pkt_csum {
	PKT_CSUM_NONE,		/* nothing */
	PKT_CSUM_UNNECESSARY,	/* it was found right, or is not used */
	PKT_CSUM_PARTIAL,	/* the field has the pseudo-header's sum: merged, or sent here */
};

enum pkt_gso_type {
	PKT_GSO_NONE,
	PKT_GSO_TCP4,
	PKT_GSO_TCP6,
	PKT_GSO_UDP,
};

/* For the stage that has the packet, as sk_buff's cb; what it holds ends with the stage. */
#define PKT_CB_SIZE 48

/* One user, no clones. */
#define PKT_ALONE 0x00010001u

struct pkt {
	struct pkt *next;	/* in the list of a socket, or of fragments */
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
	uint32_t hash;		/* flow hash; 0: none (dissect.h) */
	uint32_t seq;		/* sequence number; without rx_meta, that of the one before */
	uint64_t tstamp;	/* CLOCK_REALTIME in ns; of the first one, where merged */

	/* From here to `zeroed_end` a new packet has zeroes. */
	struct pkt *frag_list;
	struct pkt *origin;	/* of a clone: whose data it is */
	uint32_t frag_len;	/* bytes on frag_list */
	uint16_t gso_size;	/* payload of each merged one but perhaps the last; 0: not merged */
	uint8_t gso_type;	/* enum pkt_gso_type, where gso_size is not 0 */
	bool gso_fixed_id;	/* IPv4: all had the same ID, else each one more */
	uint8_t csum;		/* enum pkt_csum */
	uint16_t vlan_proto;	/* EtherType of the tag that was stripped, host order; 0: none */
	uint16_t vlan_tci;
	uint8_t zeroed_end[0];

	uint16_t gso_segs;	/* packets that came from the wire as this one */
	union {
		struct {
			uint16_t users;
			uint16_t datarefs;	/* structs with this data, clones included */
		};
		uint32_t refs;	/* both, to be looked at by one comparison */
	};
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
	_Alignas(8) uint8_t cb[PKT_CB_SIZE];
};

/* Bytes up to the tail, those that pointers reach. */
static inline uint32_t pkt_headlen(const struct pkt *pkt)
{
	return (uint32_t)(pkt->tail - pkt->data);
}

/* All bytes, fragments included. */
static inline uint32_t pkt_len(const struct pkt *pkt)
{
	return pkt_headlen(pkt) + pkt->frag_len;
}

static inline uint32_t pkt_headroom(const struct pkt *pkt)
{
	return (uint32_t)(pkt->data - pkt->head);
}

static inline bool pkt_cloned(const struct pkt *pkt)
{
	return pkt->origin || pkt->datarefs > 1;
}

/* The next n bytes for reading, or NULL when there are fewer in one piece. */
static inline void *pkt_may_pull(const struct pkt *pkt, uint32_t n)
{
	return pkt_headlen(pkt) < n ? NULL : pkt->data;
}

/* Removes n bytes from the front. False, and nothing done, when there are fewer in one piece. */
PKT_MUST_CHECK static inline bool pkt_pull(struct pkt *pkt, uint32_t n)
{
	if (pkt_headlen(pkt) < n)
		return false;
	pkt->data += n;
	return true;
}

/* Takes n bytes before the front. False, and nothing done, when there is less room. */
PKT_MUST_CHECK static inline bool pkt_push(struct pkt *pkt, uint32_t n)
{
	if (pkt_headroom(pkt) < n)
		return false;
	pkt->data -= n;
	return true;
}

/* Takes n bytes behind the tail. False, and nothing done: no such room, or fragments follow. */
PKT_MUST_CHECK static inline bool pkt_put(struct pkt *pkt, uint32_t n)
{
	if (pkt->frag_list || (size_t)(pkt->end - pkt->tail) < n)
		return false;
	pkt->tail += n;
	return true;
}

/* Leaves n bytes of room before an empty packet. False, and nothing done: not empty, no room. */
PKT_MUST_CHECK static inline bool pkt_reserve(struct pkt *pkt, uint32_t n)
{
	if (pkt_len(pkt) || (size_t)(pkt->end - pkt->tail) < n)
		return false;
	pkt->data += n;
	pkt->tail += n;
	return true;
}

PKT_MUST_CHECK bool pkt_cut(struct pkt *pkt, uint32_t len);

/* Cuts the packet to len bytes. False, and nothing done, when it is shorter. */
PKT_MUST_CHECK static inline bool pkt_trim(struct pkt *pkt, uint32_t len)
{
	return pkt_len(pkt) == len || pkt_cut(pkt, len);
}

/*
 * Puts the payload of frag, data to tail, behind all of pkt. last: the last of its fragments,
 * or pkt itself when it has none. The caller counts gso_segs. False, and nothing done:
 * one of them is cloned, or frag has fragments or another user.
 */
PKT_MUST_CHECK bool pkt_append(struct pkt *pkt, struct pkt *last, struct pkt *frag);

/*
 * Undoes merging: pkt keeps its own bytes, and the fragments, linked by next, become
 * packets with its addresses and the like. The first of them; NULL: there are none.
 */
struct pkt *pkt_split(struct pkt *pkt);

void pkt_copy_frags(const struct pkt *pkt, uint8_t *to);

/* Copies all pkt_len() bytes. */
static inline void pkt_copy(const struct pkt *pkt, uint8_t *to)
{
	memcpy(to, pkt->data, pkt_headlen(pkt));
	if (pkt->frag_list)
		pkt_copy_frags(pkt, to + pkt_headlen(pkt));
}

/* Memory that it keeps from being used otherwise, in bytes; that of clones counts with each. */
uint32_t pkt_truesize(const struct pkt *pkt);

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
 * One user, not merged, not cloned. NULL when all are in use. Fields but the four pointers,
 * napi, frame and those said to be zero are for the stages to set.
 */
static inline struct pkt *pkt_alloc(struct pkt_pool *pool)
{
	struct pkt *pkt;

	if (!pool->nr_free)
		return NULL;
	pkt = pool->free[--pool->nr_free];
	memset(&pkt->frag_list, 0,
	       offsetof(struct pkt, zeroed_end) - offsetof(struct pkt, frag_list));
	pkt->gso_segs = 1;
	pkt->refs = PKT_ALONE;
	return pkt;
}

/* One more user, who calls pkt_free() too. */
static inline struct pkt *pkt_get(struct pkt *pkt)
{
	pkt->users++;
	return pkt;
}

/* The same bytes once more, with bounds of its own. NULL: all are in use, or pkt is merged. */
PKT_MUST_CHECK struct pkt *pkt_clone(struct pkt_pool *pool, struct pkt *pkt);

/*
 * One user less. Structs that are not used any more go back to the pool; before that,
 * gone() is called for each whose data nobody uses: pkt, or whose clone it was, or its fragments.
 */
void pkt_free_shared(struct pkt_pool *pool, struct pkt *pkt, void (*gone)(struct pkt *pkt));

static inline void pkt_free(struct pkt_pool *pool, struct pkt *pkt, void (*gone)(struct pkt *pkt))
{
	if (pkt->refs != PKT_ALONE || pkt->frag_list) {
		pkt_free_shared(pool, pkt, gone);
		return;
	}
	gone(pkt);
	pool->free[pool->nr_free++] = pkt;
}

#endif
