/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * parse.h - from the first byte of a frame to its ports, every access checked
 * against data_end. A verdict other than SLUICE_XDP_REDIRECT ends the packet
 * ("let the kernel have it"); SLUICE_XDP_REDIRECT means "still a candidate".
 *
 *   Ethernet (own address) -> at most one 802.1Q tag -> IPv4 without options
 *   or IPv6 without extension headers -> UDP or TCP
 *
 * What the worker checks anyway (checksums, the UDP length) is left to it: it
 * drops for the same reasons as the kernel. What it cannot take (options,
 * fragments, other protocols) must end here.
 */
#ifndef SLUICE_PARSE_H
#define SLUICE_PARSE_H

#include <stddef.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <sluice/steer.h>

#include "maps.h"

#define VLAN_VID_MASK 0x0fff
#define IP_MF_OR_OFFSET 0x3fff
#define IPV4_NO_OPTIONS 0x45	/* version 4, 5 words of header */
#define UDP_HLEN 8
#define TCP_HLEN 20
#define NEXTHDR_FRAGMENT 44

struct vlan_tag {
	__be16 tci;
	__be16 proto;
};

/* The link layer's result. */
struct parsed_l2 {
	const void *l3;
	__be16 proto;	/* EtherType of l3 */
};

/* TCP and UDP begin alike. */
struct l4_ports {
	__be16 sport;
	__be16 dport;
};

static __always_inline int mac_is_ours(const struct ethhdr *eth)
{
	const __u8 *mac = eth->h_dest;

	return *(const __u32 *)mac == *(const __u32 *)dev_mac &&
	       *(const __u16 *)(mac + 4) == *(const __u16 *)(dev_mac + 4);
}

/* VID 0 is a priority tag: the frame belongs to the device itself. */
static __always_inline int vlan_has_device(__be16 tci)
{
	__u32 vid = bpf_ntohs(tci) & VLAN_VID_MASK, zero = 0;
	const struct vlan_table *vlans;

	if (!vid)
		return 1;
	vlans = bpf_map_lookup_elem(&vlan_dev, &zero);
	return vlans && vlans->ifindex[vid];
}

static __always_inline int is_tag(__be16 proto)
{
	return proto == bpf_htons(ETH_P_8021Q) || proto == bpf_htons(ETH_P_8021AD);
}

static __always_inline enum sluice_verdict parse_vlan(struct parsed_l2 *l2, const void *end)
{
	const struct vlan_tag *tag = l2->l3;

	if (l2->proto == bpf_htons(ETH_P_8021AD))
		return SLUICE_XDP_PASS_VLAN;
	if ((const void *)(tag + 1) > end)
		return SLUICE_XDP_PASS_HEADER;
	if (is_tag(tag->proto) || !vlan_has_device(tag->tci))
		return SLUICE_XDP_PASS_VLAN;
	l2->proto = tag->proto;
	l2->l3 = tag + 1;
	return SLUICE_XDP_REDIRECT;
}

static __always_inline enum sluice_verdict parse_eth(struct parsed_l2 *l2, const void *data,
						     const void *end)
{
	const struct ethhdr *eth = data;

	if (unlikely((const void *)(eth + 1) > end))
		return SLUICE_XDP_PASS_HEADER;
	if (!mac_is_ours(eth))
		return SLUICE_XDP_PASS_MAC;
	/* struct ethhdr is packed: by its name the field would be read byte by byte. */
	l2->proto = *(const __be16 *)(data + offsetof(struct ethhdr, h_proto));
	l2->l3 = eth + 1;
	if (unlikely(is_tag(l2->proto)))
		return parse_vlan(l2, end);
	return SLUICE_XDP_REDIRECT;
}

/*
 * l4_len: what the IP header leaves for the transport. That it lies in the frame
 * is known here, but not to the verifier.
 */
static __always_inline enum sluice_verdict parse_l4(const struct l4_ports **ports, __u8 proto,
						    const void *l4, __u32 l4_len, const void *end)
{
	*ports = l4;
	if (proto == IPPROTO_UDP) {
		if (unlikely(l4_len < UDP_HLEN || l4 + UDP_HLEN > end))
			return SLUICE_XDP_PASS_HEADER;
		return SLUICE_XDP_REDIRECT;
	}
	if (proto == IPPROTO_TCP) {
		if (unlikely(l4_len < TCP_HLEN || l4 + TCP_HLEN > end))
			return SLUICE_XDP_PASS_HEADER;
		return SLUICE_XDP_REDIRECT;
	}
	return SLUICE_XDP_PASS_L4;
}

static __always_inline enum sluice_verdict parse_ip4(const struct iphdr **ip4,
						     const struct l4_ports **ports,
						     const void *l3, const void *end)
{
	const struct iphdr *ip = l3;
	__u32 len;

	if (unlikely((const void *)(ip + 1) > end || *(const __u8 *)l3 != IPV4_NO_OPTIONS))
		return SLUICE_XDP_PASS_HEADER;
	len = bpf_ntohs(ip->tot_len);
	if (unlikely(len < sizeof(*ip) || l3 + len > end))
		return SLUICE_XDP_PASS_HEADER;
	if (unlikely(ip->frag_off & bpf_htons(IP_MF_OR_OFFSET)))
		return SLUICE_XDP_PASS_FRAG;
	*ip4 = ip;
	return parse_l4(ports, ip->protocol, l3 + sizeof(*ip), len - (__u32)sizeof(*ip), end);
}

static __always_inline enum sluice_verdict parse_ip6(const struct ipv6hdr **ip6,
						     const struct l4_ports **ports,
						     const void *l3, const void *end)
{
	const struct ipv6hdr *ip = l3;
	const void *l4 = l3 + sizeof(*ip);
	__u32 len;

	if (unlikely(l4 > end || *(const __u8 *)l3 >> 4 != 6))
		return SLUICE_XDP_PASS_HEADER;
	len = bpf_ntohs(ip->payload_len);
	if (unlikely(l4 + len > end))
		return SLUICE_XDP_PASS_HEADER;
	if (unlikely(ip->nexthdr == NEXTHDR_FRAGMENT))
		return SLUICE_XDP_PASS_FRAG;
	*ip6 = ip;
	return parse_l4(ports, ip->nexthdr, l4, len, end);
}

#endif
