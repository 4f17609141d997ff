/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * UDP as GRO sees it (Linux: udp_gro_receive, udp_gro_receive_segment,
 * udp_gro_complete_segment): only for sockets that asked for it.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "engine/gro_cb.h"

#define UDP_HLEN 8
#define UDP_LEN 4
#define UDP_CSUM 6

/* Linux's UDP_GRO_CNT_MAX: so that many small datagrams do not bind too much memory. */
#define UDP_SEGS_MAX 64

static bool udp_asked(const struct gro *gro, struct pkt *pkt, const uint8_t *uh)
{
	const uint8_t *ip = gro_l3(pkt);

	pkt->version = gro_cb(pkt)->version;
	memcpy(&pkt->sport, uh, 2);
	memcpy(&pkt->dport, uh + 2, 2);
	if (pkt->version == 4) {
		pkt->saddr = pkt->daddr = (struct sluice_addr){ { 0, 0, htonl(0xffff), 0 } };
		memcpy(&pkt->saddr.w[3], ip + 12, 4);
		memcpy(&pkt->daddr.w[3], ip + 16, 4);
	} else {
		memcpy(&pkt->saddr, ip + 8, 16);
		memcpy(&pkt->daddr, ip + 24, 16);
	}
	return gro->ops->udp_asked(gro->ctx, pkt);
}

/* len: the UDP length of pkt. A shorter datagram may be the last of a packet. */
static struct pkt *udp_segment(struct gro *gro, struct gro_list *list, struct pkt *pkt,
			       uint16_t len)
{
	const uint8_t *uh = gro_l4(pkt);
	struct pkt *p = gro_lookup(list, uh);
	uint16_t held;

	if (!p)
		return NULL;
	held = gro_load16(gro_l4(p) + UDP_LEN);
	if (gro_ip_differs(p, pkt) || len > held)
		return p;
	if (!gro_merge(gro, p, pkt) || len != held || p->gso_segs >= UDP_SEGS_MAX)
		return p;
	return NULL;
}

struct pkt *gro_udp_receive(struct gro *gro, struct gro_list *list, struct pkt *pkt)
{
	const uint8_t *uh = gro_header(pkt, UDP_HLEN);
	struct gro_cb *cb = gro_cb(pkt);
	uint16_t check, len;

	if (!uh || !udp_asked(gro, pkt, uh))
		return gro_skip(pkt);
	memcpy(&check, uh + UDP_CSUM, sizeof(check));
	if (!cb->flush && check && !gro_csum_ok(gro, pkt, IPPROTO_UDP, check))
		return gro_skip(pkt);
	if (!cb->flush && !check)
		pkt->csum = PKT_CSUM_UNNECESSARY;
	/* Without a checksum there is none to make for the parts: as with GSO. */
	len = gro_load16(uh + UDP_LEN);
	if (!check || len <= UDP_HLEN || len != gro_len(pkt))
		return gro_skip(pkt);
	cb->off = UDP_HLEN + cb->l4;
	pkt->gso_type = PKT_GSO_UDP;
	return udp_segment(gro, list, pkt, len);
}

void gro_udp_complete(struct pkt *pkt)
{
	uint8_t *uh = gro_l4(pkt);
	uint16_t len = htons((uint16_t)(pkt_len(pkt) - gro_cb(pkt)->l4));
	uint16_t sum = gro_csum_pseudo(pkt, IPPROTO_UDP);

	memcpy(uh + UDP_LEN, &len, sizeof(len));
	memcpy(uh + UDP_CSUM, &sum, sizeof(sum));
	pkt->csum = PKT_CSUM_PARTIAL;
}
