/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * rule.h - what becomes of a packet?
 *
 *   a user's rule        rule_bind()     any protocol with ports
 *   an attached socket   rule_socket()   plain UDP datagrams
 *   the default          steer.bpf.c
 *
 * For a socket: first the port's gate, one array access that turns away everything else;
 * then one hash lookup: the address's own rule, or, for a port that is bound to any
 * address, whether the destination is this host's at all (else it would be forwarded
 * traffic). Where a port has both kinds of rule, the address's own comes first. In role mirror
 * every address is as good as local.
 */
#ifndef SLUICE_RULE_H
#define SLUICE_RULE_H

#include <bpf/bpf_endian.h>
#include <sluice/steer.h>

#include "maps.h"
#include "parse.h"

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
	struct sluice_bind_key key = { .addr = *daddr, .port = dport, .proto = PROTO_UDP };
	const struct sluice_bind *rule = bpf_map_lookup_elem(&bind, &key);

	if (!rule || rule->action != SLUICE_ACT_XSK)
		return 0;
	rule_matched(rule->counter);
	return 1;
}

/* any: the kind of rule for any address that fits the packet, SLUICE_PORT_ANY4 or ANY6. */
static __always_inline enum sluice_verdict rule_check(const struct sluice_addr *daddr,
						      const struct sluice_port *p, __be16 dport,
						      __u32 any, int mirror)
{
	__u32 flags = p->flags;

	if (flags & SLUICE_PORT_EXACT && bind_allows(daddr, dport))
		return SLUICE_XDP_REDIRECT;
	if (flags & any && p->action == SLUICE_ACT_XSK &&
	    (mirror || bpf_map_lookup_elem(&local_addr, daddr))) {
		rule_matched((__u32)p->counter + (any == SLUICE_PORT_ANY6));
		return SLUICE_XDP_REDIRECT;
	}
	return SLUICE_XDP_PASS_ADDR;
}

/* ::ffff:a.b.c.d stands for an IPv4 address in the maps; in an IPv6 header it is nobody's. */
static __always_inline int is_mapped(const void *addr)
{
	const __u32 *w = addr;

	return !w[0] && !w[1] && w[2] == bpf_htonl(0xffff);
}

static __always_inline void rule_daddr4(struct sluice_addr *daddr, const struct parsed *p)
{
	*daddr = (struct sluice_addr){
		.w = { 0, 0, bpf_htonl(0xffff), PARSE_LOAD(__u32, p->l3 + IP4_DADDR) },
	};
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

static __always_inline enum sluice_verdict rule_socket4(const struct parsed *p, int mirror)
{
	const struct sluice_port *port = rule_port(p->dport, SLUICE_PORT_ANY4);
	struct sluice_addr daddr;

	if (!port)
		return SLUICE_XDP_PASS_PORT;
	rule_daddr4(&daddr, p);
	return rule_check(&daddr, port, p->dport, SLUICE_PORT_ANY4, mirror);
}

static __always_inline enum sluice_verdict rule_socket6(const struct parsed *p, int mirror)
{
	const struct sluice_port *port = rule_port(p->dport, SLUICE_PORT_ANY6);

	if (!port)
		return SLUICE_XDP_PASS_PORT;
	if (unlikely(is_mapped(p->l3 + IP6_SADDR) || is_mapped(p->l3 + IP6_DADDR)))
		return SLUICE_XDP_PASS_ADDR;
	return rule_check(p->l3 + IP6_DADDR, port, p->dport, SLUICE_PORT_ANY6, mirror);
}

/* Whether an attached socket takes the datagram: SLUICE_XDP_REDIRECT, or why not. */
static __always_inline enum sluice_verdict rule_socket(const struct parsed *p, int version,
						       int mirror)
{
	return version == 4 ? rule_socket4(p, mirror) : rule_socket6(p, mirror);
}

/* kinds: of rules that there are. The action, or SLUICE_ACT_NONE where no rule matches. */
static __always_inline enum sluice_action rule_bind(const struct parsed *p, int version,
						    int mirror, __u32 kinds)
{
	struct sluice_bind_key key = { .port = p->dport, .proto = p->l4_proto };
	const struct sluice_bind *rule = NULL;
	struct sluice_addr daddr;

	if (version == 4)
		rule_daddr4(&daddr, p);
	else if (is_mapped(p->l3 + IP6_DADDR))
		return SLUICE_ACT_NONE;
	else
		__builtin_memcpy(&daddr, p->l3 + IP6_DADDR, sizeof(daddr));
	if (kinds & SLUICE_BIND_EXACT) {
		key.addr = daddr;
		rule = bpf_map_lookup_elem(&bind_rule, &key);
	}
	if (!rule && kinds & SLUICE_BIND_ANY) {
		key.addr = (struct sluice_addr){};
		rule = bpf_map_lookup_elem(&bind_rule, &key);
	}
	if (!rule || (!mirror && !bpf_map_lookup_elem(&local_addr, &daddr)))
		return SLUICE_ACT_NONE;
	rule_matched(rule->counter);
	return (enum sluice_action)rule->action;
}

#endif
