/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * parse.h - from the first byte of a frame to what identifies its flow, as Linux's
 * flow dissector finds it for skb_get_hash():
 *
 *   Ethernet -> up to 2 VLAN tags -> IPv4, options skipped, or IPv6, extension
 *   headers skipped -> ports of TCP, UDP, SCTP, UDP-Lite, DCCP; SPI of ESP, AH
 *
 * Fragments, the first one included, have no ports here, and so has every other
 * protocol. Tunnels are not looked into. Unlike Linux, an IPv6 flow label does not take
 * the place of the ports: both directions of a flow shall hash alike.
 *
 * Each function also says, as a verdict, why no attached socket can take the packet:
 * SLUICE_XDP_REDIRECT means that nothing speaks against it. A socket takes a whole
 * datagram behind a plain IP header. What the worker checks anyway (checksums, the UDP
 * length) is left to it: it drops for the same reasons as the kernel.
 *
 * `all` 0: the packet is of no interest once a socket cannot take it, and the rest of the
 * description is left out. A constant at each call.
 *
 * Compiles for BPF and for user space, which has but this parser for a packet that came
 * without its hash; every access is checked against end. No state, any thread.
 */
#ifndef SLUICE_PARSE_H
#define SLUICE_PARSE_H

#include <linux/types.h>
#include <bpf/bpf_endian.h>
#include <sluice/steer.h>

#ifndef unlikely
#define unlikely(x) __builtin_expect(!!(x), 0)
#endif

#define PARSE_INLINE static inline __attribute__((always_inline))

enum {
	PARSE_ETH_HLEN = 14,
	PARSE_ETH_PROTO = 12,	/* offset */
	PARSE_TAG_LEN = 4,
	PARSE_TAGS = 2,		/* one of a provider, one of a customer: 802.1ad */

	PARSE_IP4 = 0x0800,
	PARSE_IP6 = 0x86dd,
	PARSE_8021Q = 0x8100,
	PARSE_8021AD = 0x88a8,

	IP4_HLEN = 20,
	IP4_PLAIN = 0x45,	/* version 4, 5 words of header */
	IP4_TOT_LEN = 2,
	IP4_FRAG = 6,
	IP4_FRAG_BITS = 0x3fff,	/* more fragments, or an offset */
	IP4_PROTO = 9,
	IP4_SADDR = 12,
	IP4_DADDR = 16,

	IP6_HLEN = 40,
	IP6_PAYLOAD_LEN = 4,
	IP6_NEXTHDR = 6,
	IP6_SADDR = 8,
	IP6_DADDR = 24,
	IP6_FRAG_HLEN = 8,

	PROTO_HOPOPTS = 0,
	PROTO_TCP = 6,
	PROTO_UDP = 17,
	PROTO_DCCP = 33,
	PROTO_ROUTING = 43,
	PROTO_FRAGMENT = 44,
	PROTO_ESP = 50,
	PROTO_AH = 51,
	PROTO_DSTOPTS = 60,
	PROTO_SCTP = 132,
	PROTO_UDPLITE = 136,

	TCP_HLEN = 20,
	UDP_HLEN = 8,
};

/*
 * Extension headers skipped: RFC 8200, 4.1 knows four of them before what ends the chain
 * here (hop-by-hop, destination, routing, destination options), so a chain of twice
 * as many is no packet of an application. Fewer, and such flows would lose their ports; more
 * only costs the verifier. What comes behind hashes without ports.
 */
#define PARSE_EXT_MAX 8

struct parsed {
	const void *l3;
	__be16 proto;		/* EtherType of l3 */
	__u8 tags;		/* skipped */
	__u8 version;		/* 4 or 6; 0: no flow, as it is not IP or malformed */
	__u8 l4_proto;
	__u8 ports;		/* sport and dport are known, else 0 */
	__be16 sport;
	__be16 dport;
};

#ifdef __bpf__
#define PARSE_LOAD(type, p) (*(const type *)(p))
#else
/* Not aligned but in BPF, where the kernel sees to it. */
#define PARSE_LOAD(type, p) ({ type v_; __builtin_memcpy(&v_, (p), sizeof(v_)); v_; })
#endif

PARSE_INLINE __u8 parse_8(const void *p)
{
	return *(const __u8 *)p;
}

PARSE_INLINE __u16 parse_16(const void *p)
{
	return PARSE_LOAD(__u16, p);
}

PARSE_INLINE int parse_is_tag(__be16 proto)
{
	return proto == bpf_htons(PARSE_8021Q) || proto == bpf_htons(PARSE_8021AD);
}

/* Beyond the tags. What is too short for them has no proto. */
PARSE_INLINE enum sluice_verdict parse_tags(struct parsed *p, const void *end)
{
	for (int i = 0; i < PARSE_TAGS && parse_is_tag(p->proto); i++) {
		if (p->l3 + PARSE_TAG_LEN > end) {
			p->proto = 0;
			return SLUICE_XDP_PASS_HEADER;
		}
		p->proto = parse_16(p->l3 + 2);
		p->l3 += PARSE_TAG_LEN;
		p->tags++;
	}
	return SLUICE_XDP_REDIRECT;
}

/* To l3 and proto, tags not looked at. The frame holds an Ethernet header. */
PARSE_INLINE void parse_eth(struct parsed *p, const void *data)
{
	*p = (struct parsed){ .l3 = data + PARSE_ETH_HLEN };
	p->proto = parse_16(data + PARSE_ETH_PROTO);
}

/*
 * Bytes of its header that a protocol must have for its ports (TCP, UDP: the whole of it),
 * and where they are. 0: it has none.
 */
PARSE_INLINE __u32 parse_ports_need(__u8 proto, __u32 *at)
{
	*at = 0;
	switch (proto) {
	case PROTO_UDP:
		return UDP_HLEN;
	case PROTO_TCP:
		return TCP_HLEN;
	case PROTO_SCTP:
	case PROTO_UDPLITE:
	case PROTO_DCCP:
	case PROTO_ESP:
		return 4;
	case PROTO_AH:
		*at = 4;
		return 8;
	default:
		return 0;
	}
}

PARSE_INLINE void parse_ports(struct parsed *p, const void *at)
{
	p->sport = parse_16(at);
	p->dport = parse_16(at + 2);
	p->ports = 1;
}

/*
 * len: what the IP header leaves for the transport. That it lies in the frame is known
 * here, but not to the verifier.
 */
PARSE_INLINE enum sluice_verdict parse_l4(struct parsed *p, const void *l4, __u32 len,
					  const void *end, int all)
{
	__u32 need, at;

	if (p->l4_proto == PROTO_UDP) {
		if (unlikely(len < UDP_HLEN || l4 + UDP_HLEN > end))
			return SLUICE_XDP_PASS_HEADER;
		parse_ports(p, l4);
		return SLUICE_XDP_REDIRECT;
	}
	if (!all)
		return SLUICE_XDP_PASS_L4;
	need = parse_ports_need(p->l4_proto, &at);
	if (need && len >= need && l4 + need <= end)
		parse_ports(p, l4 + at);
	return SLUICE_XDP_PASS_L4;
}

/* Behind a header with options; len is that of the packet. */
PARSE_INLINE void parse_ip4_options(struct parsed *p, __u32 len, const void *end)
{
	__u32 hlen = (parse_8(p->l3) & 15u) * 4;

	if (parse_8(p->l3) >> 4 != 4 || hlen < IP4_HLEN || len < hlen || p->l3 + len > end)
		return;
	p->version = 4;
	p->l4_proto = parse_8(p->l3 + IP4_PROTO);
	if (!(parse_16(p->l3 + IP4_FRAG) & bpf_htons(IP4_FRAG_BITS)))
		parse_l4(p, p->l3 + hlen, len - hlen, end, 1);
}

PARSE_INLINE enum sluice_verdict parse_ip4(struct parsed *p, const void *end, int all)
{
	__u32 len;

	if (unlikely(p->l3 + IP4_HLEN > end))
		return SLUICE_XDP_PASS_HEADER;
	len = bpf_ntohs(parse_16(p->l3 + IP4_TOT_LEN));
	if (unlikely(parse_8(p->l3) != IP4_PLAIN)) {
		if (all)
			parse_ip4_options(p, len, end);
		return SLUICE_XDP_PASS_HEADER;
	}
	if (unlikely(len < IP4_HLEN || p->l3 + len > end))
		return SLUICE_XDP_PASS_HEADER;
	p->version = 4;
	p->l4_proto = parse_8(p->l3 + IP4_PROTO);
	if (unlikely(parse_16(p->l3 + IP4_FRAG) & bpf_htons(IP4_FRAG_BITS)))
		return SLUICE_XDP_PASS_FRAG;
	return parse_l4(p, p->l3 + IP4_HLEN, len - IP4_HLEN, end, all);
}

PARSE_INLINE int parse_is_ext(__u8 proto)
{
	return proto == PROTO_HOPOPTS || proto == PROTO_ROUTING || proto == PROTO_DSTOPTS;
}

/*
 * The chain that begins with p->l4_proto, which ends as that of what lies behind; len: of
 * the payload. A fragment header ends it: what follows is there in one fragment only.
 */
PARSE_INLINE void parse_ip6_chain(struct parsed *p, __u32 len, const void *end)
{
	__u32 at = 0;

	for (int i = 0; i < PARSE_EXT_MAX && parse_is_ext(p->l4_proto); i++) {
		const void *ext = p->l3 + IP6_HLEN + at;

		if (at + 8 > len || ext + 8 > end)
			return;
		p->l4_proto = parse_8(ext);
		at += (parse_8(ext + 1) + 1u) * 8;
	}
	if (p->l4_proto == PROTO_FRAGMENT) {
		const void *frag = p->l3 + IP6_HLEN + at;

		if (at + IP6_FRAG_HLEN <= len && frag + IP6_FRAG_HLEN <= end)
			p->l4_proto = parse_8(frag);
	} else if (!parse_is_ext(p->l4_proto) && at <= len) {
		parse_l4(p, p->l3 + IP6_HLEN + at, len - at, end, 1);
	}
}

PARSE_INLINE enum sluice_verdict parse_ip6(struct parsed *p, const void *end, int all)
{
	const void *l4 = p->l3 + IP6_HLEN;
	__u32 len;

	if (unlikely(l4 > end || parse_8(p->l3) >> 4 != 6))
		return SLUICE_XDP_PASS_HEADER;
	len = bpf_ntohs(parse_16(p->l3 + IP6_PAYLOAD_LEN));
	if (unlikely(l4 + len > end))
		return SLUICE_XDP_PASS_HEADER;
	p->version = 6;
	p->l4_proto = parse_8(p->l3 + IP6_NEXTHDR);
	if (unlikely(p->l4_proto == PROTO_FRAGMENT || parse_is_ext(p->l4_proto))) {
		enum sluice_verdict why = p->l4_proto == PROTO_FRAGMENT ? SLUICE_XDP_PASS_FRAG :
									  SLUICE_XDP_PASS_L4;
		if (all)
			parse_ip6_chain(p, len, end);
		return why;
	}
	return parse_l4(p, l4, len, end, all);
}

/* All of it, for a frame of any length. */
PARSE_INLINE enum sluice_verdict parse_frame(struct parsed *p, const void *data, const void *end)
{
	enum sluice_verdict why;

	*p = (struct parsed){ 0 };
	if (data + PARSE_ETH_HLEN > end)
		return SLUICE_XDP_PASS_HEADER;
	parse_eth(p, data);
	why = parse_tags(p, end);
	if (p->proto == bpf_htons(PARSE_IP4))
		return parse_ip4(p, end, 1);
	if (p->proto == bpf_htons(PARSE_IP6))
		return parse_ip6(p, end, 1);
	return why == SLUICE_XDP_REDIRECT ? SLUICE_XDP_PASS_PROTO : why;
}

#endif
