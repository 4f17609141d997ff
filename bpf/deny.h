/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * deny.h - rules that drop by source address: the longest prefix counts the packet.
 *
 * They come before everything else, so that they hold for every protocol, fragments
 * included, and for multicast and broadcast. Frames for another station's address are not
 * this host's business and stay untouched, but in role mirror, where all are. What is too
 * short to have a source address is left to the parser. Without rules, the program is
 * loaded without this.
 */
#ifndef SLUICE_DENY_H
#define SLUICE_DENY_H

#include "maps.h"
#include "parse.h"
#include "rule.h"

static __always_inline int deny_hit(const struct sluice_deny *rule)
{
	if (!rule)
		return 0;
	rule_matched(rule->counter);
	return 1;
}

static __always_inline int deny_ip4(const void *l3, const void *end)
{
	struct sluice_deny4_key key = { .prefixlen = 32 };

	if (l3 + IP4_HLEN > end)
		return 0;
	key.addr = PARSE_LOAD(__u32, l3 + IP4_SADDR);
	return deny_hit(bpf_map_lookup_elem(&deny4, &key));
}

static __always_inline int deny_ip6(const void *l3, const void *end)
{
	struct sluice_deny6_key key = { .prefixlen = 128 };

	if (l3 + IP6_HLEN > end)
		return 0;
	__builtin_memcpy(key.addr, l3 + IP6_SADDR, sizeof(key.addr));
	return deny_hit(bpf_map_lookup_elem(&deny6, &key));
}

/* Of a frame for this host, beyond its tags. */
static __always_inline int deny_frame(const struct parsed *p, const void *end)
{
	if (deny_families & SLUICE_DENY_4 && p->proto == bpf_htons(PARSE_IP4))
		return deny_ip4(p->l3, end);
	if (deny_families & SLUICE_DENY_6 && p->proto == bpf_htons(PARSE_IP6))
		return deny_ip6(p->l3, end);
	return 0;
}

#endif
