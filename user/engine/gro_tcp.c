/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/* TCP as GRO sees it (Linux: tcp_gro_receive, tcp4_gro_receive, tcp_gro_complete). */
#include <netinet/in.h>
#include <string.h>

#include "engine/gro_cb.h"

#define TCP_HLEN 20
#define TCP_SEQ 4
#define TCP_ACK 8
#define TCP_DOFF 12
#define TCP_FLAGS 13
#define TCP_CSUM 16

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_URG 0x20
#define TCP_CWR 0x80

static uint32_t load32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/*
 * Whether pkt cannot follow p. All of the header counts but FIN and PSH, which may end
 * a packet, the checksum, and the urgent pointer (URG itself ends the flow). CWR is said once:
 * a packet with it is alone. len: of pkt's payload.
 */
static bool tcp_differs(struct pkt *p, const struct pkt *pkt, uint32_t len)
{
	const uint8_t *held = gro_l4(p), *th = gro_l4(pkt);
	uint32_t thlen = (th[TCP_DOFF] >> 4) * 4u;

	return held[TCP_DOFF] != th[TCP_DOFF] ||
	       th[TCP_FLAGS] & TCP_CWR ||
	       (held[TCP_FLAGS] ^ th[TCP_FLAGS]) & ~(TCP_FIN | TCP_PSH) ||
	       memcmp(held + TCP_FLAGS + 1, th + TCP_FLAGS + 1, 2) ||
	       memcmp(held + TCP_ACK, th + TCP_ACK, 4) ||
	       memcmp(held + TCP_HLEN, th + TCP_HLEN, thlen - TCP_HLEN) ||
	       gro_ip_differs(p, pkt) ||
	       len - 1 >= p->gso_size ||
	       load32(held + TCP_SEQ) + gro_len(p) != load32(th + TCP_SEQ);
}

/* Flags that end a packet, so that what they say is not delayed. */
static bool tcp_ends(const uint8_t *th)
{
	return th[TCP_FLAGS] & (TCP_URG | TCP_PSH | TCP_RST | TCP_SYN | TCP_FIN);
}

struct pkt *gro_tcp_receive(struct gro *gro, struct gro_list *list, struct pkt *pkt)
{
	const uint8_t *th = gro_header(pkt, TCP_HLEN);
	struct gro_cb *cb = gro_cb(pkt);
	uint32_t thlen, len, mss = 1;
	uint16_t check;
	struct pkt *p;
	bool ends;

	if (!th)
		return gro_skip(pkt);
	memcpy(&check, th + TCP_CSUM, sizeof(check));
	/* Not merged anyway: then whoever receives it verifies. */
	if (!cb->flush && !gro_csum_ok(gro, pkt, IPPROTO_TCP, check))
		return gro_skip(pkt);
	thlen = (th[TCP_DOFF] >> 4) * 4u;
	if (thlen < TCP_HLEN || !gro_header(pkt, thlen))
		return gro_skip(pkt);
	cb->off = (uint16_t)(cb->off + thlen);
	len = gro_len(pkt);
	p = gro_lookup(list, th);
	if (p && !tcp_differs(p, pkt, len) && gro_merge(gro, p, pkt)) {
		mss = p->gso_size;
		gro_l4(p)[TCP_FLAGS] |= th[TCP_FLAGS] & (TCP_FIN | TCP_PSH);
	}
	/* A short one is the last of its packet, and with nothing before it there is none. */
	ends = len < mss || tcp_ends(th);
	cb->flush |= ends;
	pkt->gso_type = cb->version == 4 ? PKT_GSO_TCP4 : PKT_GSO_TCP6;
	return p && (!cb->same_flow || ends) ? p : NULL;
}

void gro_tcp_complete(struct pkt *pkt)
{
	uint8_t *th = gro_l4(pkt);
	uint16_t sum = gro_csum_pseudo(pkt, IPPROTO_TCP);

	memcpy(th + TCP_CSUM, &sum, sizeof(sum));
	pkt->csum = PKT_CSUM_PARTIAL;
}
