/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * model_packet.h - what identifies the flow of a frame, once more and for a reader: after
 * Linux's __skb_flow_dissect() as skb_get_hash() calls it, with the differences that
 * bpf/parse.h names. Shares nothing with it.
 */
#ifndef TEST_MODEL_PACKET_H
#define TEST_MODEL_PACKET_H

#include <stdbool.h>

#include <sluice/steer.h>

#include "packet.h"

struct model_packet {
	unsigned int tags;	/* before l3 */
	unsigned int type;	/* EtherType at l3 */
	bool cut;		/* within a tag */
	__u32 l3;
	int version;		/* 0: no flow */
	unsigned int proto;
	const __u8 *saddr, *daddr;
	const __u8 *ports;	/* NULL: none */
	bool fragment, options;
	bool chain;		/* of extension headers */
	bool plain;		/* a UDP header right behind the IP header, and all of it there */
};

static inline void model_tags(struct model_packet *p, const __u8 *b, __u32 len)
{
	p->l3 = 14;
	p->type = get16(b + 12);
	while (p->tags < 2 && (p->type == 0x8100 || p->type == 0x88a8)) {
		if (len < p->l3 + 4) {
			p->cut = true;
			return;
		}
		p->type = get16(b + p->l3 + 2);
		p->l3 += 4;
		p->tags++;
	}
}

/* proto_ports_offset() of Linux. l4: what the IP header leaves, left bytes of it. */
static inline void model_ports(struct model_packet *p, const __u8 *l4, __u32 left)
{
	switch (p->proto) {
	case IPPROTO_UDP:
		p->ports = left >= 8 ? l4 : NULL;
		break;
	case IPPROTO_TCP:
		p->ports = left >= 20 ? l4 : NULL;
		break;
	case IPPROTO_SCTP:
	case IPPROTO_UDPLITE:
	case IPPROTO_DCCP:
	case IPPROTO_ESP:
		p->ports = left >= 4 ? l4 : NULL;
		break;
	case IPPROTO_AH:
		p->ports = left >= 8 ? l4 + 4 : NULL;
		break;
	default:
		break;
	}
}

static inline void model_ip4(struct model_packet *p, const __u8 *ip, __u32 len)
{
	__u32 hlen, total;

	if (len < 20 || ip[0] >> 4 != 4)
		return;
	hlen = (ip[0] & 15u) * 4;
	total = get16(ip + 2);
	if (hlen < 20 || total < hlen || total > len)
		return;
	p->version = 4;
	p->proto = ip[9];
	p->saddr = ip + 12;
	p->daddr = ip + 16;
	p->options = hlen > 20;
	p->fragment = get16(ip + 6) & 0x3fff;
	if (!p->fragment)
		model_ports(p, ip + hlen, total - hlen);
}

static inline void model_ip6(struct model_packet *p, const __u8 *ip, __u32 len)
{
	__u32 left, headers = 0;
	const __u8 *at = ip + 40;

	if (len < 40 || ip[0] >> 4 != 6 || len - 40 < (left = get16(ip + 4)))
		return;
	p->version = 6;
	p->proto = ip[6];
	p->saddr = ip + 8;
	p->daddr = ip + 24;
	p->fragment = p->proto == IPPROTO_FRAGMENT;
	while (p->proto == IPPROTO_HOPOPTS || p->proto == IPPROTO_ROUTING ||
	       p->proto == IPPROTO_DSTOPTS) {
		__u32 size;

		p->chain = true;
		if (headers++ == 8 || left < 8)
			return;
		size = (at[1] + 1u) * 8;
		p->proto = at[0];
		/* A header that ends beyond the packet has nothing behind it. */
		left = left > size ? left - size : 0;
		at += size;
	}
	if (p->proto == IPPROTO_FRAGMENT) {
		if (left >= 8)
			p->proto = at[0];
		return;
	}
	model_ports(p, at, left);
}

static inline struct model_packet model_parse(const __u8 *b, __u32 len)
{
	struct model_packet p = { 0 };

	model_tags(&p, b, len);
	if (p.cut)
		return p;
	if (p.type == 0x0800)
		model_ip4(&p, b + p.l3, len - p.l3);
	else if (p.type == 0x86dd)
		model_ip6(&p, b + p.l3, len - p.l3);
	p.plain = p.ports && p.proto == IPPROTO_UDP && !p.options && !p.chain;
	return p;
}

/* Why no socket can take it, MAC address and VLAN aside; SLUICE_XDP_REDIRECT: one may. */
static inline enum sluice_verdict model_why(const struct model_packet *p)
{
	if (p->cut)
		return SLUICE_XDP_PASS_HEADER;
	if (p->type != 0x0800 && p->type != 0x86dd)
		return SLUICE_XDP_PASS_PROTO;
	if (!p->version || p->options)
		return SLUICE_XDP_PASS_HEADER;
	if (p->fragment)
		return SLUICE_XDP_PASS_FRAG;
	if (p->chain || p->proto != IPPROTO_UDP)
		return SLUICE_XDP_PASS_L4;
	return p->plain ? SLUICE_XDP_REDIRECT : SLUICE_XDP_PASS_HEADER;
}

#endif
