/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * VLAN tags, IPv4 and IPv6 as GRO sees them (Linux: vlan_gro_receive,
 * inet_gro_receive, ipv6_gro_receive, and their complete functions).
 */
#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <string.h>

#include "engine/csum.h"
#include "engine/gro_bypass.h"
#include "engine/gro_cb.h"

#define IP4_HLEN 20
#define IP4_LEN 2
#define IP4_ID 4
#define IP4_FRAG 6
#define IP4_PROTO 9
#define IP4_CSUM 10
#define IP4_SADDR 12

#define IP6_HLEN 40
#define IP6_LEN 4
#define IP6_NEXT 6
#define IP6_HOPS 7
#define IP6_SADDR 8

static void store16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

bool gro_csum_ok(const struct gro *gro, struct pkt *pkt, uint8_t proto, uint16_t check)
{
	uint32_t len = gro_len(pkt);
	uint64_t pseudo = gro_cb(pkt)->pseudo + htonl(len) + htonl(proto);

	if (csum_fold(csum_partial(pkt->data + gro_cb(pkt)->off, len, pseudo)) == 0xffff) {
		pkt->csum = PKT_CSUM_UNNECESSARY;
		return true;
	}
	if (!gro->csum_partial_ok || check != csum_fold(pseudo))
		return false;
	pkt->csum = PKT_CSUM_PARTIAL;
	return true;
}

uint16_t gro_csum_pseudo(const struct pkt *pkt, uint8_t proto)
{
	uint32_t len = pkt_len(pkt) - gro_cb(pkt)->l4;

	return csum_fold(gro_cb(pkt)->pseudo + htonl(len) + htonl(proto));
}

static struct pkt *transport(struct gro *gro, struct gro_list *list, struct pkt *pkt,
			     uint8_t proto)
{
	struct gro_cb *cb = gro_cb(pkt);

	cb->l4 = cb->off;
	if (++cb->layers >= GRO_LAYERS_MAX)
		return gro_skip(pkt);
	if (proto == IPPROTO_TCP)
		return gro_tcp_receive(gro, list, pkt);
	return gro_udp_receive(gro, list, pkt);
}

static bool is_transport(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP;
}

static struct pkt *ip4_receive(struct gro *gro, struct gro_list *list, struct pkt *pkt)
{
	struct gro_cb *cb = gro_cb(pkt);
	const uint8_t *ip = gro_header(pkt, IP4_HLEN);
	struct pkt *p;

	if (!ip || !is_transport(ip[IP4_PROTO]) || ip[0] != 0x45 ||
	    gro_load16(ip + IP4_FRAG) & (IP_MF | IP_OFFMASK) ||
	    csum_fold(csum_partial(ip, IP4_HLEN, 0)) != 0xffff)
		return gro_skip(pkt);
	GRO_FOR_SAME_FLOW(list, i, p) {
		const uint8_t *held = p->data + cb->off;

		gro_cb(p)->same_flow = held[IP4_PROTO] == ip[IP4_PROTO] &&
				       !memcmp(held + IP4_SADDR, ip + IP4_SADDR, 8);
	}
	/* Padded, cut, or with the reserved bit: not to be merged, but its flow ends here. */
	cb->flush |= gro_load16(ip + IP4_LEN) != gro_len(pkt) || gro_load16(ip + IP4_FRAG) & ~IP_DF;
	cb->pseudo = csum_partial(ip + IP4_SADDR, 8, 0);
	cb->version = 4;
	cb->l3 = cb->off;
	cb->off = (uint16_t)(cb->off + IP4_HLEN);
	return transport(gro, list, pkt, ip[IP4_PROTO]);
}

/* Steps over those extension headers that Linux steps over; what follows them. */
static uint8_t ip6_pull_extensions(struct pkt *pkt, uint8_t next)
{
	struct gro_cb *cb = gro_cb(pkt);

	while (next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS) {
		const uint8_t *h = gro_header(pkt, 8);
		uint32_t len;

		if (!h)
			break;
		len = 8u + 8u * h[1];
		if (!gro_header(pkt, len))
			break;
		next = h[0];
		cb->off = (uint16_t)(cb->off + len);
	}
	return next;
}

/* len: of all headers. Traffic class and hop limit differ within a flow. */
static bool ip6_same_flow(const uint8_t *a, const uint8_t *b, uint32_t len)
{
	return (a[0] & 0xf0) == (b[0] & 0xf0) && (a[1] & 0x0f) == (b[1] & 0x0f) &&
	       !memcmp(a + 2, b + 2, 2) && a[IP6_NEXT] == b[IP6_NEXT] &&
	       !memcmp(a + IP6_SADDR, b + IP6_SADDR, len - IP6_SADDR);
}

static struct pkt *ip6_receive(struct gro *gro, struct gro_list *list, struct pkt *pkt)
{
	struct gro_cb *cb = gro_cb(pkt);
	const uint8_t *ip = gro_header(pkt, IP6_HLEN);
	uint16_t l3 = cb->off, len;
	struct pkt *p;
	uint8_t proto;

	if (!ip || ip[0] >> 4 != 6)
		return gro_skip(pkt);
	cb->off = (uint16_t)(cb->off + IP6_HLEN);
	cb->flush |= gro_load16(ip + IP6_LEN) != gro_len(pkt);
	proto = ip6_pull_extensions(pkt, ip[IP6_NEXT]);
	if (!is_transport(proto))
		return gro_skip(pkt);
	len = (uint16_t)(cb->off - l3);
	GRO_FOR_SAME_FLOW(list, i, p) {
		/* Equal bytes are equal chains of headers, so other lengths are other flows. */
		gro_cb(p)->same_flow = gro_cb(p)->l4 == cb->off &&
				       ip6_same_flow(p->data + l3, ip, len);
	}
	cb->pseudo = csum_partial(ip + IP6_SADDR, 32, 0);
	cb->version = 6;
	cb->l3 = l3;
	return transport(gro, list, pkt, proto);
}

static struct pkt *gro_vlan_receive(struct gro *gro, struct gro_list *list, struct pkt *pkt)
{
	struct gro_cb *cb = gro_cb(pkt);
	const uint8_t *tag = gro_header(pkt, VLAN_HLEN);
	struct pkt *p;

	if (!tag || ++cb->layers >= GRO_LAYERS_MAX)
		return gro_skip(pkt);
	GRO_FOR_SAME_FLOW(list, i, p)
		gro_cb(p)->same_flow = !memcmp(p->data + cb->off, tag, VLAN_HLEN);
	cb->off = (uint16_t)(cb->off + VLAN_HLEN);
	return gro_receive_type(gro, list, pkt, gro_load16(tag + 2));
}

struct pkt *gro_receive_type(struct gro *gro, struct gro_list *list, struct pkt *pkt,
			     uint16_t type)
{
	switch (type) {
	case ETHERTYPE_IP:
		return ip4_receive(gro, list, pkt);
	case ETHERTYPE_IPV6:
		return ip6_receive(gro, list, pkt);
	case VLAN_8021Q:
	case VLAN_8021AD:
		return gro_vlan_receive(gro, list, pkt);
	default:
		return gro_skip(pkt);
	}
}

/* IDs go up by one with each packet, or are all the same: the second one decides. */
static bool ip4_differs(struct pkt *p, const uint8_t *held, const uint8_t *ip)
{
	uint16_t step = (uint16_t)(gro_load16(ip + IP4_ID) - gro_load16(held + IP4_ID));
	struct gro_cb *cb = gro_cb(p);

	/* Not length and checksum. TOS, and TTL. */
	if (held[1] != ip[1] || held[8] != ip[8] || (held[IP4_FRAG] ^ ip[IP4_FRAG]) & IP_DF >> 8)
		return true;
	if (p->gso_segs == 1 && !step)
		cb->fixed_id = true;
	return step != (cb->fixed_id ? 0 : p->gso_segs);
}

bool gro_ip_differs(struct pkt *p, const struct pkt *pkt)
{
	const uint8_t *held = gro_l3(p), *ip = gro_l3(pkt);

	if (gro_cb(pkt)->version == 4)
		return ip4_differs(p, held, ip);
	return held[0] != ip[0] || (held[1] ^ ip[1]) & 0xf0 || held[IP6_HOPS] != ip[IP6_HOPS];
}

void gro_ip_complete(struct pkt *pkt)
{
	const struct gro_cb *cb = gro_cb(pkt);
	uint32_t len = pkt_len(pkt) - cb->l3;
	uint8_t *ip = gro_l3(pkt);
	uint16_t sum;

	pkt->gso_fixed_id = cb->fixed_id;
	if (cb->version == 4) {
		store16(ip + IP4_LEN, len);
		store16(ip + IP4_CSUM, 0);
		sum = (uint16_t)~csum_fold(csum_partial(ip, IP4_HLEN, 0));
		memcpy(ip + IP4_CSUM, &sum, sizeof(sum));
	} else {
		store16(ip + IP6_LEN, len - IP6_HLEN);
	}
	if (pkt->gso_type == PKT_GSO_UDP)
		gro_udp_complete(pkt);
	else
		gro_tcp_complete(pkt);
}
