/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * rule.h - is the datagram for an attached socket? First the port's gate, one
 * array access that turns away everything else; then one hash lookup: the
 * address's own rule, or, for a port that is bound to any address, whether the
 * destination is this host's at all (else it would be forwarded traffic).
 * Where a port has both kinds of rule, the address's own comes first.
 */
#ifndef SLUICE_RULE_H
#define SLUICE_RULE_H

#include <linux/in.h>
#include <linux/in6.h>
#include <bpf/bpf_endian.h>
#include <sluice/steer.h>

#include "maps.h"

/*
 * open and gen are read in one access: the guard's increment between two would
 * let through what it has just shut.
 */
static __always_inline int gate_is_open(const struct sluice_port *p)
{
	__u64 both = *(const volatile __u64 *)p;

	return (__u32)both == (__u32)(both >> 32);
}

static __always_inline void rule_matched(__u32 counter)
{
	__u64 *n = bpf_map_lookup_elem(&rule_count, &counter);

	if (n)
		++*n;
}

static __always_inline int bind_allows(const struct sluice_addr *daddr, __be16 dport)
{
	struct sluice_bind_key key = { .addr = *daddr, .port = dport, .proto = IPPROTO_UDP };
	const struct sluice_bind *rule = bpf_map_lookup_elem(&bind, &key);

	if (!rule || rule->action != SLUICE_ACT_XSK)
		return 0;
	rule_matched(rule->counter);
	return 1;
}

/* any: the kind of rule for any address that fits the packet, SLUICE_PORT_ANY4 or ANY6. */
static __always_inline enum sluice_verdict rule_check(const struct sluice_addr *daddr,
						      const struct sluice_port *p, __be16 dport,
						      __u32 any)
{
	__u32 flags = p->flags;

	if (flags & SLUICE_PORT_EXACT && bind_allows(daddr, dport))
		return SLUICE_XDP_REDIRECT;
	if (flags & any && p->action == SLUICE_ACT_XSK && bpf_map_lookup_elem(&local_addr, daddr)) {
		rule_matched((__u32)p->counter + (any == SLUICE_PORT_ANY6));
		return SLUICE_XDP_REDIRECT;
	}
	return SLUICE_XDP_PASS_ADDR;
}

/* ::ffff:a.b.c.d stands for an IPv4 address in the maps; in an IPv6 header it is nobody's. */
static __always_inline int is_mapped(const struct in6_addr *addr)
{
	const __u32 *w = addr->s6_addr32;

	return !w[0] && !w[1] && w[2] == bpf_htonl(0xffff);
}

/* The port's entry, or NULL when its gate is shut or it has no rule for such a packet. */
static __always_inline const struct sluice_port *rule_port(__be16 dport, __u32 any)
{
	__u32 port = bpf_ntohs(dport);
	const struct sluice_port *p = bpf_map_lookup_elem(&bind_port, &port);

	if (!p || !gate_is_open(p) || !(p->flags & (any | SLUICE_PORT_EXACT)))
		return NULL;
	return p;
}

#endif
