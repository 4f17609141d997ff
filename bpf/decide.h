/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * decide.h - from a frame to what is to be done with it:
 *
 *   deny -> parse -> a user's rule -> an attached socket -> the default -> flow hash
 *
 * Twice, one of which the verifier removes: what only sockets take, under SipHash in role
 * host, is a straight line without the rest (decide_socket). Every other setting
 * (decide_more) has decide_all, which describes the whole packet first, in a function that is
 * verified on its own: how the packet was parsed does not multiply what comes after.
 */
#ifndef SLUICE_DECIDE_H
#define SLUICE_DECIDE_H

#include <sluice/steer.h>

#include "deny.h"
#include "hash.h"
#include "link.h"
#include "maps.h"
#include "parse.h"
#include "rule.h"

/* Where there is a target to be found. */
struct decision {
	__u32 hash;
	__u32 action;	/* SLUICE_ACT_XSK or SLUICE_ACT_CPUMAP */
};

static __always_inline __u32 packet_siphash(const struct parsed *p, int version)
{
	const void *ip = p->l3;

	if (version == 4)
		return flow_hash4(hash_key[0], hash_key[1], PARSE_LOAD(__u32, ip + IP4_SADDR),
				  PARSE_LOAD(__u32, ip + IP4_DADDR), p->sport, p->dport,
				  p->l4_proto);
	return flow_hash6(hash_key[0], hash_key[1], ip + IP6_SADDR, ip + IP6_DADDR, p->sport,
			  p->dport, p->l4_proto);
}

static __always_inline enum sluice_verdict socket_ip(struct decision *d, struct parsed *p,
						     const void *end, int version)
{
	enum sluice_verdict v = version == 4 ? parse_ip4(p, end, 0) : parse_ip6(p, end, 0);

	if (v == SLUICE_XDP_REDIRECT)
		v = rule_socket(p, version, 0);
	if (v == SLUICE_XDP_REDIRECT)
		*d = (struct decision){ packet_siphash(p, version), SLUICE_ACT_XSK };
	return v;
}

static __always_inline enum sluice_verdict decide_socket(struct decision *d, const void *data,
							 const void *end, __u32 deny)
{
	enum sluice_verdict why = SLUICE_XDP_REDIRECT;
	struct parsed p;

	if (unlikely(data + PARSE_ETH_HLEN > end))
		return SLUICE_XDP_PASS_HEADER;
	if (unlikely(!mac_is_ours(data))) {
		if (!mac_is_group(data) || !deny)
			return SLUICE_XDP_PASS_MAC;
		why = SLUICE_XDP_PASS_MAC;
	}
	parse_eth(&p, data);
	if (unlikely(parse_is_tag(p.proto)))
		why = link_check(why, &p, data, parse_tags(&p, end));
	if (deny && deny_frame(&p, end))
		return SLUICE_XDP_DROP_DENY;
	if (why != SLUICE_XDP_REDIRECT)
		return why;
	if (p.proto == bpf_htons(PARSE_IP4))
		return socket_ip(d, &p, end, 4);
	if (p.proto == bpf_htons(PARSE_IP6))
		return socket_ip(d, &p, end, 6);
	return SLUICE_XDP_PASS_PROTO;
}

/* Global, and so verified by itself: its results are unknown numbers to its callers. */
__noinline int parse_packet(struct xdp_md *ctx, struct parsed *result)
{
	struct parsed p;
	int why;

	if (!result)
		return SLUICE_XDP_PASS_HEADER;
	why = parse_frame(&p, (const void *)(long)ctx->data, (const void *)(long)ctx->data_end);
	p.l3 = NULL;
	*result = p;
	return why;
}

/* Of its own, as the table's addresses would crowd the stack. */
static __noinline __u32 packet_toeplitz(const struct flow_key *k)
{
	return toeplitz_hash(toeplitz_table, k);
}

static __always_inline __u32 packet_hash(const struct parsed *p, int version)
{
	struct flow_key k = { .version = (__u8)version, .ports = p->ports, .sport = p->sport,
			      .dport = p->dport };

	if (!hash_toeplitz)
		return packet_siphash(p, version);
	__builtin_memcpy(&k.saddr, p->l3 + (version == 4 ? IP4_SADDR : IP6_SADDR),
			 version == 4 ? 4 : 16);
	__builtin_memcpy(&k.daddr, p->l3 + (version == 4 ? IP4_DADDR : IP6_DADDR),
			 version == 4 ? 4 : 16);
	return packet_toeplitz(&k);
}

/* What a rule or the default has for the packet; why: of passing it. */
static __always_inline enum sluice_verdict act(const struct parsed *p, __u32 action,
					       enum sluice_verdict why)
{
	if (action == SLUICE_ACT_DROP)
		return SLUICE_XDP_DROP_RULE;
	if (action != SLUICE_ACT_XSK && action != SLUICE_ACT_CPUMAP)
		return why;
	if (p->version)
		return SLUICE_XDP_REDIRECT;
	return why == SLUICE_XDP_PASS_HEADER ? why : SLUICE_XDP_PASS_HASH;
}

/* link: why the frame is for nobody here, whatever its IP header says; why: for no socket. */
static __always_inline enum sluice_verdict all_ip(struct decision *d, const struct parsed *p,
						  enum sluice_verdict link,
						  enum sluice_verdict why, int version)
{
	__u32 action = SLUICE_ACT_NONE;

	if (link != SLUICE_XDP_REDIRECT)
		why = link;
	else if (bind_rules && p->ports)
		action = rule_bind(p, version, role_mirror, bind_rules);
	if (action != SLUICE_ACT_NONE) {
		why = act(p, action, SLUICE_XDP_PASS_RULE);
	} else {
		if (why == SLUICE_XDP_REDIRECT)
			why = rule_socket(p, version, role_mirror);
		action = why == SLUICE_XDP_REDIRECT ? SLUICE_ACT_XSK : default_action;
		why = act(p, action, why);
	}
	if (why == SLUICE_XDP_REDIRECT)
		*d = (struct decision){ packet_hash(p, version), action };
	return why;
}

static __always_inline enum sluice_verdict decide_whole(struct xdp_md *ctx, struct decision *d)
{
	enum sluice_verdict link = SLUICE_XDP_REDIRECT, why;
	const void *data, *end;
	struct parsed p = {};

	why = parse_packet(ctx, &p);
	data = (const void *)(long)ctx->data;
	end = (const void *)(long)ctx->data_end;
	if (data + PARSE_ETH_HLEN > end)
		return SLUICE_XDP_PASS_HEADER;
	if (!role_mirror && !mac_is_ours(data)) {
		if (!mac_is_group(data))
			return SLUICE_XDP_PASS_MAC;
		link = SLUICE_XDP_PASS_MAC;
	}
	p.l3 = data + PARSE_ETH_HLEN + PARSE_TAG_LEN * (p.tags & 3u);
	if (deny_families && deny_frame(&p, end))
		return SLUICE_XDP_DROP_DENY;
	if (!role_mirror && p.tags && p.proto && data + PARSE_ETH_HLEN + PARSE_TAG_LEN <= end)
		link = link_check(link, &p, data, SLUICE_XDP_REDIRECT);
	/* The lengths are known, as is the verdict below, but not to the verifier. */
	if (p.proto == bpf_htons(PARSE_IP4) && p.l3 + IP4_HLEN <= end)
		return all_ip(d, &p, link, why, 4);
	if (p.proto == bpf_htons(PARSE_IP6) && p.l3 + IP6_HLEN <= end)
		return all_ip(d, &p, link, why, 6);
	if (link != SLUICE_XDP_REDIRECT)
		why = link;
	return act(&p, default_action, why);
}

/* In one register, so that the straight line has its decision in registers, too. */
static __noinline __u64 decide_all(struct xdp_md *ctx)
{
	struct decision d = {};
	enum sluice_verdict v = decide_whole(ctx, &d);

	return (__u64)d.hash << 32 | d.action << 8 | v;
}

/* SLUICE_XDP_REDIRECT: to be steered, as *d says; else what becomes of the packet. */
static __always_inline enum sluice_verdict decide(struct xdp_md *ctx, struct decision *d,
						  int plain)
{
	if (!plain && decide_more) {
		__u64 all = decide_all(ctx);

		*d = (struct decision){ (__u32)(all >> 32), (__u8)(all >> 8) };
		return (__u8)all < SLUICE_XDP_VERDICTS ? (__u8)all : SLUICE_XDP_PASS_HEADER;
	}
	return decide_socket(d, (const void *)(long)ctx->data, (const void *)(long)ctx->data_end,
			     plain ? 0 : deny_families);
}

#endif
