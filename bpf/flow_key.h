/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * flow_key.h - which flow a hash stands for: its addresses and ports, kept in the map
 * flow_key for those who look at the tables (`sluice flow show`) and for filters in the NIC.
 *
 * Not on the straight way: only the packet that finds another flow's hash in its entry of
 * rps_dev_flow comes here, once per flow if it has the entry for itself. Of flows that share an
 * entry each packet may, so that what is known already is only looked up, not written
 * again; the look-up also keeps it from being the least recently used. A subprogram that reads
 * the headers again costs such a packet more and all others nothing, not even registers.
 */
#ifndef SLUICE_FLOW_KEY_H
#define SLUICE_FLOW_KEY_H

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <sluice/steer.h>

#include "maps.h"
#include "parse.h"

static __always_inline void flow_key_fill(struct sluice_flow *f, const struct parsed *p)
{
	if (p->version == 4) {
		const void *ip = p->l3;

		f->saddr.w[2] = f->daddr.w[2] = bpf_htonl(0xffff);
		f->saddr.w[3] = *(const __u32 *)(ip + IP4_SADDR);
		f->daddr.w[3] = *(const __u32 *)(ip + IP4_DADDR);
	} else {
		f->saddr = *(const struct sluice_addr *)(p->l3 + IP6_SADDR);
		f->daddr = *(const struct sluice_addr *)(p->l3 + IP6_DADDR);
	}
	f->sport = p->sport;
	f->dport = p->dport;
	f->family = p->version;
	f->proto = p->l4_proto;
}

static __noinline int flow_key_note(struct xdp_md *ctx, __u32 hash)
{
	const void *data = (const void *)(long)ctx->data;
	const void *end = (const void *)(long)ctx->data_end;
	__u16 queue = (__u16)ctx->rx_queue_index;
	struct sluice_flow *known, f = {};
	struct parsed p;

	known = bpf_map_lookup_elem(&flow_key, &hash);
	if (known) {
		if (known->queue != queue)
			known->queue = queue;
		return 0;
	}
	parse_frame(&p, data, end);
	if (!p.version)
		return -1;
	flow_key_fill(&f, &p);
	f.queue = queue;
	return (int)bpf_map_update_elem(&flow_key, &hash, &f, BPF_ANY);
}

/* A packet is about to be recorded in an entry that holds what the last one left there. */
static __always_inline void flow_key_see(struct xdp_md *ctx, const struct sluice_dev_flow *flow,
					 __u32 hash)
{
	if (unlikely(flow->hash != hash))
		flow_key_note(ctx, hash);
}

#endif
