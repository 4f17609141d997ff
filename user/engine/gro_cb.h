/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * gro_cb.h - between the files of GRO: a packet's control block (Linux's struct
 * napi_gro_cb) and the layers' calls.
 *
 * A layer's receive function looks at the header at `off`, clears same_flow of held
 * packets that differ in what identifies a flow, and calls the next layer. It
 * returns the held packet that must go now, or NULL; it has set flush if pkt itself must
 * not be held, and same_flow if pkt was merged. (Linux: callbacks.gro_receive)
 */
#ifndef SLUICE_ENGINE_GRO_CB_H
#define SLUICE_ENGINE_GRO_CB_H

#include <string.h>

#include "engine/gro.h"

/* Layers that a packet may go through, Linux's GRO_RECURSION_LIMIT: bounds nested tags. */
#define GRO_LAYERS_MAX 15

struct gro_cb {
	struct pkt *last;	/* of its fragments; itself while there are none */
	uint64_t age;
	uint64_t pseudo;	/* sum of the addresses, for the transport checksum */
	uint16_t off;		/* from data to what is looked at; in the end, to the payload */
	uint16_t l3, l4;	/* from data to these headers */
	uint8_t layers;
	uint8_t version;	/* of IP */
	bool same_flow;
	bool flush;
	bool fixed_id;
};

_Static_assert(sizeof(struct gro_cb) <= PKT_CB_SIZE, "fits into a packet");

static inline struct gro_cb *gro_cb(const struct pkt *pkt)
{
	return (struct gro_cb *)(uintptr_t)pkt->cb;
}

/* Linux's skb_gro_len: bytes not yet looked at. */
static inline uint32_t gro_len(const struct pkt *pkt)
{
	return pkt_len(pkt) - gro_cb(pkt)->off;
}

/* The next n bytes, or NULL. */
static inline uint8_t *gro_header(const struct pkt *pkt, uint32_t n)
{
	return pkt_headlen(pkt) < gro_cb(pkt)->off + n ? NULL : pkt->data + gro_cb(pkt)->off;
}

static inline uint8_t *gro_l3(const struct pkt *pkt)
{
	return pkt->data + gro_cb(pkt)->l3;
}

static inline uint8_t *gro_l4(const struct pkt *pkt)
{
	return pkt->data + gro_cb(pkt)->l4;
}

static inline uint16_t gro_load16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline struct pkt *gro_skip(struct pkt *pkt)
{
	gro_cb(pkt)->flush = true;
	return NULL;
}

/* Over those held ones that may still be of the same flow, the youngest first as in Linux. */
#define GRO_FOR_SAME_FLOW(list, i, p)                        \
	for (unsigned int i = (list)->count; i-- > 0;)       \
		if ((p = (list)->held[i]), gro_cb(p)->same_flow)

/* The held one with these ports (source and destination, as on the wire), or NULL. */
static inline struct pkt *gro_lookup(const struct gro_list *list, const uint8_t *ports)
{
	struct pkt *p;

	GRO_FOR_SAME_FLOW(list, i, p) {
		if (!memcmp(gro_l4(p), ports, 4))
			return p;
	}
	return NULL;
}

/* By EtherType, host order. */
struct pkt *gro_receive_type(struct gro *gro, struct gro_list *list, struct pkt *pkt,
			     uint16_t type);
/* Also sets what is known of the checksum. */
struct pkt *gro_tcp_receive(struct gro *gro, struct gro_list *list, struct pkt *pkt);
struct pkt *gro_udp_receive(struct gro *gro, struct gro_list *list, struct pkt *pkt);

/* The headers of a merged packet, those of IP and what is above. */
void gro_ip_complete(struct pkt *pkt);
void gro_tcp_complete(struct pkt *pkt);
void gro_udp_complete(struct pkt *pkt);

/* Verifies the checksum of what is left at off: false if wrong. Notes in pkt what is known then. */
bool gro_csum_ok(const struct gro *gro, struct pkt *pkt, uint8_t proto, uint16_t check);
/* For a merged packet's checksum field: the sum of the pseudo-header. */
uint16_t gro_csum_pseudo(const struct pkt *pkt, uint8_t proto);

/*
 * True if pkt's IP header rules out that it follows p (Linux: gro_receive_network_flush). May
 * learn from it how the IDs of p's flow go on.
 */
bool gro_ip_differs(struct pkt *p, const struct pkt *pkt);

/* Linux's skb_gro_receive. False, and nothing done: too long, or pkt must not be merged. */
bool gro_merge(struct gro *gro, struct pkt *p, struct pkt *pkt);

#endif
