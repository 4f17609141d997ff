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

#include <bpf/bpf_endian.h>
#include <sluice/steer.h>

#include "maps.h"
#include "parse.h"

static __always_inline int flow_key_read4(struct sluice_flow *f, const void *l3, const void *end)
{
	const struct l4_ports *l4;
	const struct iphdr *ip;

	if (parse_ip4(&ip, &l4, l3, end) != SLUICE_XDP_REDIRECT)
		return -1;
	f->saddr = (struct sluice_addr){ .w = { 0, 0, bpf_htonl(0xffff), ip->saddr } };
	f->daddr = (struct sluice_addr){ .w = { 0, 0, bpf_htonl(0xffff), ip->daddr } };
	f->sport = l4->sport;
	f->dport = l4->dport;
	f->family = 4;
	f->proto = ip->protocol;
	return 0;
}

static __always_inline int flow_key_read6(struct sluice_flow *f, const void *l3, const void *end)
{
	const struct l4_ports *l4;
	const struct ipv6hdr *ip;

	if (parse_ip6(&ip, &l4, l3, end) != SLUICE_XDP_REDIRECT)
		return -1;
	f->saddr = *(const struct sluice_addr *)&ip->saddr;
	f->daddr = *(const struct sluice_addr *)&ip->daddr;
	f->sport = l4->sport;
	f->dport = l4->dport;
	f->family = 6;
	f->proto = ip->nexthdr;
	return 0;
}

static __noinline int flow_key_note(struct xdp_md *ctx, __u32 hash)
{
	const void *data = (const void *)(long)ctx->data;
	const void *end = (const void *)(long)ctx->data_end;
	__u16 queue = (__u16)ctx->rx_queue_index;
	struct sluice_flow *known, f = {};
	struct parsed_l2 l2;

	known = bpf_map_lookup_elem(&flow_key, &hash);
	if (known) {
		if (known->queue != queue)
			known->queue = queue;
		return 0;
	}
	if (parse_eth(&l2, data, end) != SLUICE_XDP_REDIRECT)
		return -1;
	f.queue = queue;
	if (l2.proto == bpf_htons(ETH_P_IP) ? flow_key_read4(&f, l2.l3, end) :
					      flow_key_read6(&f, l2.l3, end))
		return -1;
	return (int)bpf_map_update_elem(&flow_key, &hash, &f, BPF_ANY);
}

#endif
