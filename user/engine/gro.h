/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * gro.h - generic receive offload: consecutive packets of a flow become one
 * (Linux 6.18: dev_gro_receive, gro_list_prepare, napi_gro_flush, skb_gro_receive).
 *
 *                  gro_bypass: cannot be merged, costs a few instructions
 *                 +-----------------------------------------------------+
 *   napi --+------+                                                     v
 *          +--> gro_receive --> gro_ip, gro_tcp, gro_udp --> held --> receive()
 *                                   not to be merged ------------------^
 *
 * A packet that continues a held one becomes a fragment of it (pkt_append); what
 * cannot continue lets the held one go first, so the order within a flow stays.
 * The rules of merging are Linux's to the letter: that putting a merged packet
 * through segmentation gives back the bytes that came.
 *
 * Ownership: gro_receive() takes the packet, receive() gets it, whole: data at the
 * MAC header, lengths and checksums in the headers right for the merged packet, gso_size
 * and gso_segs set. The transport checksum of a merged one is PKT_CSUM_PARTIAL.
 * What is held is held beyond gro_receive() until gro_flush(). One gro belongs to one napi
 * instance and its worker; nothing here is thread-safe.
 *
 * Not as in Linux: packets of tunnels (IPIP, SIT, GRE, FOU, VXLAN, GENEVE) and of ESP are not
 * looked into and pass as they are, like IPv6 frames whose version field does not say 6;
 * there are no lists of frames (NETIF_F_GRO_FRAGLIST), and no packets of more than 65,535
 * bytes (BIG TCP).
 */
#ifndef SLUICE_ENGINE_GRO_H
#define SLUICE_ENGINE_GRO_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/pkt.h"

/* Linux's GRO_HASH_BUCKETS and MAX_GRO_SKBS: how many flows are held at once, by flow hash. */
#define GRO_BUCKETS 8
#define GRO_HELD_MAX 8
/* Linux's GRO_LEGACY_MAX_SIZE: no merged packet is as long as that, from the network header on. */
#define GRO_MAX_SIZE 65536

struct gro_ops {
	/* Takes a packet that is done with. Does not call back into the same gro. */
	void (*receive)(void *ctx, struct pkt *pkt);
	/*
	 * Would this datagram (version, addresses, ports and ifindex are set) be a
	 * socket's that wants them merged?
	 */
	bool (*udp_asked)(void *ctx, const struct pkt *pkt);
};

/* Oldest first. */
struct gro_list {
	unsigned int count;
	struct pkt *held[GRO_HELD_MAX];
};

struct gro {
	const struct gro_ops *ops;
	void *ctx;
	uint32_t max_size;	/* Linux's gro_max_size; what exceeds GRO_MAX_SIZE is not used */
	bool csum_partial_ok;	/* a bare pseudo-header sum is as good as a right checksum */
	uint64_t now;		/* since when what comes now is held, in any unit */
	unsigned int held;	/* merged ones count once */
	struct gro_list list[GRO_BUCKETS];
};

void gro_init(struct gro *gro, const struct gro_ops *ops, void *ctx);

/* Takes pkt, whose data is at the MAC header. */
void gro_receive(struct gro *gro, struct pkt *pkt);

/*
 * Lets go of what is held since `before` (in the unit of gro->now) or earlier, and of what
 * seems to be from the future: then the clock was set back.
 */
void gro_flush(struct gro *gro, uint64_t before);

static inline void gro_flush_all(struct gro *gro)
{
	if (gro->held)
		gro_flush(gro, UINT64_MAX);
}

/*
 * How many packets are held, fragments included; *oldest: the least sequence number of
 * them, if any.
 */
unsigned int gro_waiting(const struct gro *gro, uint32_t *oldest);

#endif
