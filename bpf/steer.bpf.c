// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * steer.bpf.c - the XDP program at the head of the receive path:
 *
 *   deny -> parse -> rule -> flow hash -> target worker (RPS, RFS, switch rule) -> limits
 *        -> sequence number, rx_meta -> redirect
 *
 * Every packet is counted under exactly one verdict. It is either redirected or
 * passed to the kernel unchanged, and dropped only where a rule or the flow limit says
 * so. IPv4 UDP is the straight line; this program's CPU bounds the packet rate of the
 * whole system.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <sluice/steer.h>

#include "deny.h"
#include "dev_flow.h"
#include "flow_key.h"
#include "hash.h"
#include "limit.h"
#include "maps.h"
#include "parse.h"
#include "rps.h"
#include "rule.h"

/* Where a packet goes. */
struct target {
	__u32 hash;
	__u32 queue;
	__u32 worker;
	__u32 slot;	/* in xsks_map */
};

static __always_inline enum sluice_verdict steer_ip4(__u32 *hash, const void *l3, const void *end)
{
	const struct sluice_port *p;
	const struct l4_ports *l4;
	const struct iphdr *ip;
	struct sluice_addr daddr;
	enum sluice_verdict v;

	v = parse_ip4(&ip, &l4, l3, end);
	if (v != SLUICE_XDP_REDIRECT)
		return v;
	if (unlikely(ip->protocol != IPPROTO_UDP))
		return SLUICE_XDP_PASS_L4;
	p = rule_port(l4->dport, SLUICE_PORT_ANY4);
	if (!p)
		return SLUICE_XDP_PASS_PORT;
	daddr = (struct sluice_addr){ .w = { 0, 0, bpf_htonl(0xffff), ip->daddr } };
	v = rule_check(&daddr, p, l4->dport, SLUICE_PORT_ANY4);
	if (v != SLUICE_XDP_REDIRECT)
		return v;
	*hash = flow_hash4(hash_key[0], hash_key[1], ip->saddr, ip->daddr, l4->sport, l4->dport,
			   IPPROTO_UDP);
	return SLUICE_XDP_REDIRECT;
}

static __always_inline enum sluice_verdict steer_ip6(__u32 *hash, const void *l3, const void *end)
{
	const struct sluice_port *p;
	const struct l4_ports *l4;
	const struct ipv6hdr *ip;
	enum sluice_verdict v;

	v = parse_ip6(&ip, &l4, l3, end);
	if (v != SLUICE_XDP_REDIRECT)
		return v;
	if (unlikely(ip->nexthdr != IPPROTO_UDP))
		return SLUICE_XDP_PASS_L4;
	p = rule_port(l4->dport, SLUICE_PORT_ANY6);
	if (!p)
		return SLUICE_XDP_PASS_PORT;
	if (unlikely(is_mapped(&ip->saddr) || is_mapped(&ip->daddr)))
		return SLUICE_XDP_PASS_ADDR;
	v = rule_check((const struct sluice_addr *)&ip->daddr, p, l4->dport,
		       SLUICE_PORT_ANY6);
	if (v != SLUICE_XDP_REDIRECT)
		return v;
	*hash = flow_hash6(hash_key[0], hash_key[1], (const __u64 *)&ip->saddr,
			   (const __u64 *)&ip->daddr, l4->sport, l4->dport, IPPROTO_UDP);
	return SLUICE_XDP_REDIRECT;
}

static __always_inline __u32 next_seq(__u32 *tail)
{
	if (generic_mode)
		return __sync_fetch_and_add(tail, 1) + 1;
	return ++*tail;
}

/*
 * Must end where the packet begins, or the worker would not find it. A packet
 * without it (no headroom, a driver without metadata, or with its own) goes on
 * all the same: the worker computes the hash.
 */
static __always_inline void write_meta(struct xdp_md *ctx, const struct target *t, __u32 seq)
{
	struct sluice_rx_meta *meta;
	void *data;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*meta)))
		return;
	meta = (void *)(long)ctx->data_meta;
	data = (void *)(long)ctx->data;
	if ((void *)(meta + 1) > data)
		return;
	/* Merged into one comparison, the two would prove nothing to the verifier. */
	barrier_var(data);
	if ((void *)(meta + 1) < data)
		return;
	meta->magic = SLUICE_RX_MAGIC;
	meta->hash = t->hash;
	meta->seq = seq;
	meta->queue = (__u16)t->queue;
	meta->worker = (__u16)t->worker;
}

/*
 * What is not redirected must leave no trace: nothing is numbered that nobody will receive.
 * with_flows is a constant at each call: two copies, one of which the verifier removes.
 */
static __always_inline enum sluice_verdict aim(struct xdp_md *ctx, struct target *t,
					       int with_flows)
{
	__u32 queue = ctx->rx_queue_index, seq;
	struct dev_flow_view at = {};
	enum sluice_verdict v = SLUICE_XDP_REDIRECT;
	struct queue_seqs *tails;
	struct rps_target to;

	if (with_flows)
		dev_flow_get(&at, queue, t->hash);
	rps_wanted(&to, t->hash, queue, at.flow != NULL);
	if (at.flow)
		dev_flow_guard(&at, queue, &to);
	if (to.worker >= SLUICE_MAX_WORKERS)
		return SLUICE_XDP_PASS_TARGET;
	t->queue = queue;
	t->worker = to.worker;
	t->slot = queue * SLUICE_MAX_WORKERS + to.worker;
	if (!bpf_map_lookup_elem(&xsks_map, &t->slot))
		return SLUICE_XDP_PASS_TARGET;
	tails = bpf_map_lookup_elem(&flow_tail, &queue);
	if (!tails)
		return SLUICE_XDP_PASS_TARGET;
	if (backlog_half)
		v = limit_check(queue, to.worker, t->hash, tails->worker[to.worker]);
	if (v != SLUICE_XDP_REDIRECT)
		return v;
	seq = next_seq(&tails->worker[to.worker]);
	if (at.flow) {
		if (flow_keys && unlikely(at.flow->hash != t->hash))
			flow_key_note(ctx, t->hash);
		dev_flow_record(at.flow, t->hash, &to, seq);
	}
	write_meta(ctx, t, seq);
	return SLUICE_XDP_REDIRECT;
}

static __always_inline enum sluice_verdict decide(struct xdp_md *ctx, struct target *t)
{
	const void *data = (const void *)(long)ctx->data;
	const void *end = (const void *)(long)ctx->data_end;
	struct parsed_l2 l2;
	enum sluice_verdict v;

	if (deny_families && deny_frame(data, end))
		return SLUICE_XDP_DROP_DENY;
	v = parse_eth(&l2, data, end);
	if (v != SLUICE_XDP_REDIRECT)
		return v;
	if (l2.proto == bpf_htons(ETH_P_IP))
		v = steer_ip4(&t->hash, l2.l3, end);
	else if (l2.proto == bpf_htons(ETH_P_IPV6))
		v = steer_ip6(&t->hash, l2.l3, end);
	else
		return SLUICE_XDP_PASS_PROTO;
	if (v != SLUICE_XDP_REDIRECT)
		return v;
	return dev_flows ? aim(ctx, t, 1) : aim(ctx, t, 0);
}

static __always_inline void count(enum sluice_verdict v)
{
	__u32 zero = 0;
	struct sluice_xdp_stat *st = bpf_map_lookup_elem(&softnet_stat, &zero);

	if (st)
		st->verdict[v]++;
}

SEC("xdp")
int steer(struct xdp_md *ctx)
{
	struct target t = {};
	enum sluice_verdict v = decide(ctx, &t);

	count(v);
	if (v == SLUICE_XDP_REDIRECT)
		return (int)bpf_redirect_map(&xsks_map, t.slot, XDP_PASS);
	if (v == SLUICE_XDP_DROP_DENY || v == SLUICE_XDP_DROP_FLOW_LIMIT)
		return XDP_DROP;
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
