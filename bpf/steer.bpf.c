// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * steer.bpf.c - the XDP program at the head of the receive path:
 *
 *   deny -> parse -> rule, socket or default -> flow hash -> target worker (RPS, RFS,
 *        switch rule) -> limits -> sequence number, rx_meta -> redirect
 *
 * Every packet is counted under exactly one verdict. It is either redirected or
 * passed to the kernel unchanged, and dropped only where a rule, the default or the flow
 * limit says so. IPv4 UDP for a socket is the straight line; this program's CPU bounds the
 * packet rate of the whole system.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <sluice/steer.h>

#include "cpu.h"
#include "deny.h"
#include "dev_flow.h"
#include "flow_key.h"
#include "hash.h"
#include "limit.h"
#include "link.h"
#include "maps.h"
#include "parse.h"
#include "rps.h"
#include "rule.h"

/* Where a packet goes. */
struct target {
	__u32 hash;
	__u32 action;	/* SLUICE_ACT_XSK or SLUICE_ACT_CPUMAP */
	__u32 queue;
	__u32 number;
	__u32 slot;	/* in xsks_map */
};

/* Of its own, as the table's addresses would crowd the stack. */
static __noinline __u32 packet_toeplitz(const struct flow_key *k)
{
	return toeplitz_hash(toeplitz_table, k);
}

static __always_inline __u32 packet_hash(const struct parsed *p, int version, int toeplitz)
{
	const void *saddr = p->l3 + (version == 4 ? IP4_SADDR : IP6_SADDR);
	const void *daddr = p->l3 + (version == 4 ? IP4_DADDR : IP6_DADDR);

	if (toeplitz) {
		struct flow_key k = { .version = (__u8)version, .ports = p->ports,
				      .sport = p->sport, .dport = p->dport };

		__builtin_memcpy(&k.saddr, saddr, version == 4 ? 4 : 16);
		__builtin_memcpy(&k.daddr, daddr, version == 4 ? 4 : 16);
		return packet_toeplitz(&k);
	}
	if (version == 4)
		return flow_hash4(hash_key[0], hash_key[1], *(const __u32 *)saddr,
				  *(const __u32 *)daddr, p->sport, p->dport, p->l4_proto);
	return flow_hash6(hash_key[0], hash_key[1], saddr, daddr, p->sport, p->dport, p->l4_proto);
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
	meta->target = (__u16)t->number;
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
	t->number = to.worker;
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
		flow_key_see(ctx, at.flow, t->hash);
		dev_flow_record(at.flow, t->hash, &to, seq);
	}
	write_meta(ctx, t, seq);
	return SLUICE_XDP_REDIRECT;
}

/* As aim(), for the kernel's stack on a CPU. Here the redirect is made, too (cpu_redirect()). */
static __always_inline enum sluice_verdict aim_cpu(struct xdp_md *ctx, struct target *t,
						   int with_flows)
{
	__u32 queue = ctx->rx_queue_index, cpu, seq;
	struct cpu_flow_view at = {};
	struct cpu_seqs *tails;

	if (with_flows)
		cpu_flow_get(&at, queue, t->hash);
	cpu = cpu_wanted(t->hash, queue, at.rfs);
	if (at.flow)
		cpu = cpu_flow_guard(&at, queue, cpu);
	tails = bpf_map_lookup_elem(&cpu_tail, &queue);
	if (!tails || !cpu_redirect(cpu) || cpu >= SLUICE_MAX_CPUS)
		return SLUICE_XDP_PASS_TARGET;
	t->queue = queue;
	t->number = SLUICE_TARGET_CPU + cpu;
	seq = next_seq(&tails->cpu[cpu]);
	if (at.flow) {
		flow_key_see(ctx, at.flow, t->hash);
		cpu_flow_record(at.flow, t->hash, cpu, seq);
	}
	write_meta(ctx, t, seq);
	return SLUICE_XDP_REDIRECT_CPU;
}

/* Of the program. all: packets that no socket takes may have to be steered, too. */
struct settings {
	int all;
	int mirror;
	__u32 rules;
	__u32 fallback;		/* action */
};

/* What a rule or the default has for a packet that no socket takes; why: it does not. */
static __always_inline enum sluice_verdict act(struct target *t, const struct parsed *p,
					       enum sluice_action action, enum sluice_verdict why)
{
	t->action = action;
	switch (action) {
	case SLUICE_ACT_XSK:
	case SLUICE_ACT_CPUMAP:
		return p->version ? SLUICE_XDP_REDIRECT :
		       why == SLUICE_XDP_PASS_HEADER ? why : SLUICE_XDP_PASS_HASH;
	case SLUICE_ACT_DROP:
		return SLUICE_XDP_DROP_RULE;
	default:
		return why;
	}
}

/* link: why the frame is for no socket, but for its IP header. version: a constant. */
static __always_inline enum sluice_verdict decide_ip(struct target *t, struct parsed *p,
						     const void *end, const struct settings *set,
						     enum sluice_verdict link, int version)
{
	enum sluice_verdict why = version == 4 ? parse_ip4(p, end, set->all) :
						 parse_ip6(p, end, set->all);
	enum sluice_action action = SLUICE_ACT_NONE;

	if (link != SLUICE_XDP_REDIRECT)
		why = link;
	else if (set->rules && p->ports)
		action = rule_bind(p, version, set->mirror, set->rules);
	if (action == SLUICE_ACT_NONE) {
		if (why == SLUICE_XDP_REDIRECT)
			why = rule_socket(p, version, set->mirror);
		action = why == SLUICE_XDP_REDIRECT ? SLUICE_ACT_XSK : set->fallback;
	} else {
		why = SLUICE_XDP_PASS_RULE;
	}
	why = act(t, p, action, why);
	if (why == SLUICE_XDP_REDIRECT)
		t->hash = packet_hash(p, version, set->all && hash_toeplitz);
	return why;
}

static __always_inline enum sluice_verdict decide_frame(struct target *t, const void *data,
							const void *end,
							const struct settings *set)
{
	enum sluice_verdict why = SLUICE_XDP_REDIRECT, v;
	struct parsed p;

	if (unlikely(data + PARSE_ETH_HLEN > end))
		return SLUICE_XDP_PASS_HEADER;
	if (!set->mirror && unlikely(!mac_is_ours(data))) {
		if (!mac_is_group(data) || (!set->all && !deny_families))
			return SLUICE_XDP_PASS_MAC;
		why = SLUICE_XDP_PASS_MAC;
	}
	parse_eth(&p, data);
	if (unlikely(parse_is_tag(p.proto))) {
		v = parse_tags(&p, end);
		if (!set->mirror && v == SLUICE_XDP_REDIRECT)
			v = vlan_check(&p, data);
		if (why == SLUICE_XDP_REDIRECT)
			why = v;
	}
	if (deny_families && deny_frame(&p, end))
		return SLUICE_XDP_DROP_DENY;
	if (!set->all && why != SLUICE_XDP_REDIRECT)
		return why;
	if (p.proto == bpf_htons(PARSE_IP4))
		return decide_ip(t, &p, end, set, why, 4);
	if (p.proto == bpf_htons(PARSE_IP6))
		return decide_ip(t, &p, end, set, why, 6);
	return act(t, &p, set->fallback, why == SLUICE_XDP_REDIRECT ? SLUICE_XDP_PASS_PROTO : why);
}

static __noinline enum sluice_verdict decide_all(struct target *t, const void *data,
						 const void *end)
{
	const struct settings set = { .all = 1, .mirror = role_mirror, .rules = bind_rules,
				      .fallback = default_action };

	return decide_frame(t, data, end, &set);
}

/*
 * To the action and the hash. SLUICE_XDP_REDIRECT: there is a target to be found.
 * Two copies, one of which the verifier removes: what only sockets take, with SipHash, is
 * the straight line.
 */
static __always_inline enum sluice_verdict decide(struct target *t, const void *data,
						  const void *end)
{
	const struct settings sockets = { .fallback = SLUICE_ACT_PASS };

	if (role_mirror || bind_rules || default_action != SLUICE_ACT_PASS || hash_toeplitz)
		return decide_all(t, data, end);
	return decide_frame(t, data, end, &sockets);
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
	struct target t;
	enum sluice_verdict v = decide(&t, (const void *)(long)ctx->data,
				       (const void *)(long)ctx->data_end);

	if (cpumap && v == SLUICE_XDP_REDIRECT && t.action == SLUICE_ACT_CPUMAP) {
		v = dev_flows ? aim_cpu(ctx, &t, 1) : aim_cpu(ctx, &t, 0);
		count(v);
		return v == SLUICE_XDP_REDIRECT_CPU ? XDP_REDIRECT : XDP_PASS;
	}
	if (v == SLUICE_XDP_REDIRECT)
		v = dev_flows ? aim(ctx, &t, 1) : aim(ctx, &t, 0);
	count(v);
	if (v == SLUICE_XDP_REDIRECT)
		return (int)bpf_redirect_map(&xsks_map, t.slot, XDP_PASS);
	if (v == SLUICE_XDP_DROP_DENY || v == SLUICE_XDP_DROP_FLOW_LIMIT ||
	    v == SLUICE_XDP_DROP_RULE)
		return XDP_DROP;
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
