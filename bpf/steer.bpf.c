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
#include "decide.h"
#include "dev_flow.h"
#include "flow_key.h"
#include "limit.h"
#include "maps.h"
#include "rps.h"

/* Where a packet goes. */
struct target {
	__u32 hash;
	__u32 queue;
	__u32 number;
	__u32 slot;	/* in xsks_map */
};

static __always_inline __u32 next_seq(__u32 *tail, int plain)
{
	if (!plain && generic_mode)
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
					       int with_flows, int plain)
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
	if (plain || backlog_half)
		v = limit_check(queue, to.worker, t->hash, tails->worker[to.worker], plain);
	if (v != SLUICE_XDP_REDIRECT)
		return v;
	seq = next_seq(&tails->worker[to.worker], plain);
	if (at.flow) {
		if (plain || flow_keys)
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
	seq = next_seq(&tails->cpu[cpu], 0);
	if (at.flow) {
		if (flow_keys)
			flow_key_see(ctx, at.flow, t->hash);
		cpu_flow_record(at.flow, t->hash, cpu, seq);
	}
	if (!generic_mode)
		write_meta(ctx, t, seq);
	return SLUICE_XDP_REDIRECT_CPU;
}

static __always_inline void count(enum sluice_verdict v)
{
	__u32 zero = 0;
	struct sluice_xdp_stat *st = bpf_map_lookup_elem(&softnet_stat, &zero);

	if (st)
		st->verdict[v]++;
}

/* To what the program returns: the redirect has been made. */
static __always_inline int finish_cpu(struct xdp_md *ctx, struct target *t)
{
	enum sluice_verdict v = dev_flows ? aim_cpu(ctx, t, 1) : aim_cpu(ctx, t, 0);

	count(v);
	return v == SLUICE_XDP_REDIRECT_CPU ? XDP_REDIRECT : XDP_PASS;
}

/* plain is a constant at each call. */
static __always_inline int steer_packet(struct xdp_md *ctx, int plain)
{
	struct decision d;
	struct target t;
	enum sluice_verdict v = decide(ctx, &d, plain);

	if (v == SLUICE_XDP_REDIRECT) {
		t.hash = d.hash;
		if (!plain && cpumap && d.action == SLUICE_ACT_CPUMAP)
			return finish_cpu(ctx, &t);
		v = plain || dev_flows ? aim(ctx, &t, 1, plain) : aim(ctx, &t, 0, plain);
	}
	count(v);
	if (v == SLUICE_XDP_REDIRECT)
		return (int)bpf_redirect_map(&xsks_map, t.slot, XDP_PASS);
	if (v == SLUICE_XDP_DROP_DENY || v == SLUICE_XDP_DROP_FLOW_LIMIT ||
	    v == SLUICE_XDP_DROP_RULE)
		return XDP_DROP;
	return XDP_PASS;
}

/* Whatever the settings ask for. */
SEC("xdp")
int steer(struct xdp_md *ctx)
{
	return steer_packet(ctx, 0);
}

/*
 * The settings that few change as they are by default, when compiled: the verifier removes
 * what a setting switches off, but not the reading of it, so here it costs nothing at all.
 */
SEC("xdp")
int steer_plain(struct xdp_md *ctx)
{
	return steer_packet(ctx, 1);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
