/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * deny.h - rules that drop by source address: the longest prefix counts the packet.
 *
 * They come before everything else, so that they hold for every protocol, fragments
 * included, and for multicast and broadcast. Frames for another station's address
 * are not this host's business and stay untouched. What is too short to have a
 * source address is left to the parser. Without rules, the program is loaded without this.
 */
#ifndef SLUICE_DENY_H
#define SLUICE_DENY_H

#include "maps.h"
#include "parse.h"
#include "rule.h"

#define DENY_TAGS 2	/* the outer of 802.1ad, and one of 802.1Q within */

static __always_inline int deny_hit(const struct sluice_deny *rule)
{
	if (!rule)
		return 0;
	rule_matched(rule->counter);
	return 1;
}

static __always_inline int deny_ip4(const void *l3, const void *end)
{
	const struct iphdr *ip = l3;
	struct sluice_deny4_key key = { .prefixlen = 32 };

	if ((const void *)(ip + 1) > end)
		return 0;
	key.addr = ip->saddr;
	return deny_hit(bpf_map_lookup_elem(&deny4, &key));
}

static __always_inline int deny_ip6(const void *l3, const void *end)
{
	const struct ipv6hdr *ip = l3;
	struct sluice_deny6_key key = { .prefixlen = 128 };

	if ((const void *)(ip + 1) > end)
		return 0;
	__builtin_memcpy(key.addr, &ip->saddr, sizeof(key.addr));
	return deny_hit(bpf_map_lookup_elem(&deny6, &key));
}

static __always_inline int deny_frame(const void *data, const void *end)
{
	const struct ethhdr *eth = data;
	const void *l3 = eth + 1;
	__be16 proto;

	if (l3 > end || !(eth->h_dest[0] & 1 || mac_is_ours(eth)))
		return 0;
	proto = *(const __be16 *)(data + offsetof(struct ethhdr, h_proto));
	for (int i = 0; i < DENY_TAGS && is_tag(proto); i++) {
		const struct vlan_tag *tag = l3;

		if ((const void *)(tag + 1) > end)
			return 0;
		proto = tag->proto;
		l3 = tag + 1;
	}
	if (deny_families & SLUICE_DENY_4 && proto == bpf_htons(ETH_P_IP))
		return deny_ip4(l3, end);
	if (deny_families & SLUICE_DENY_6 && proto == bpf_htons(ETH_P_IPV6))
		return deny_ip6(l3, end);
	return 0;
}

#endif
