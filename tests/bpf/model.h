/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * model.h - the whole decision of the XDP program once more, for a reader
 * instead of for speed: bytes in, verdict and target out (model_order.h), on a small copy of
 * the state that test_random.c writes into the maps. Follows the comments of
 * include/sluice/steer.h, not the program.
 */
#ifndef TEST_MODEL_H
#define TEST_MODEL_H

#include <stdbool.h>

#include "fixture.h"
#include "model_order.h"
#include "sip_ref.h"

#define M_ADDRS 8u	/* addresses that occur: even ones IPv4, odd ones IPv6 */
#define M_PORTS 4u
#define M_VIDS 4u
#define M_DENY 16u
#define M_DENY_COUNTER 100u	/* of the first one */

struct model {
	__u8 mac[6];
	__u8 addr[M_ADDRS][16];
	bool local[M_ADDRS];
	__u32 bind[M_ADDRS][M_PORTS];		/* action; 0: no rule */
	__u16 port[M_PORTS];
	struct sluice_port gate[M_PORTS];
	__u16 vid[M_VIDS];
	__u32 vlan[M_VIDS];			/* ifindex */
	struct model_order o;
	struct {
		bool on;
		__u32 len;
		__u64 matched;
	} deny[M_DENY];				/* prefixes of addr[d % M_ADDRS] */
};

struct outcome {
	enum sluice_verdict verdict;
	__u32 hash;
	__u32 worker;
};

static inline int model_find(const void *table, unsigned int n, const void *what, size_t size)
{
	for (unsigned int i = 0; i < n; i++)
		if (!memcmp((const char *)table + i * size, what, size))
			return (int)i;
	return -1;
}

static inline int model_addr(const struct model *m, const __u8 *addr, int version)
{
	for (unsigned int i = version == 6; i < M_ADDRS; i += 2)
		if (!memcmp(m->addr[i], addr, version == 6 ? 16 : 4))
			return (int)i;
	return -1;
}

/* Offset of the IP header in *l3 and its version, or 0 and the verdict. */
static inline int model_link(const struct model *m, const __u8 *b, __u32 len, __u32 *l3,
			     enum sluice_verdict *v)
{
	unsigned int type = get16(b + 12);

	*v = SLUICE_XDP_PASS_MAC;
	if (memcmp(b, m->mac, 6))
		return 0;
	*l3 = 14;
	*v = SLUICE_XDP_PASS_VLAN;
	if (type == 0x88a8)
		return 0;
	if (type == 0x8100) {
		__u16 vid;
		int i;

		if (len < 18) {
			*v = SLUICE_XDP_PASS_HEADER;
			return 0;
		}
		vid = (__u16)(get16(b + 14) & 0xfff);
		i = model_find(m->vid, M_VIDS, &vid, sizeof(vid));
		if (vid && (i < 0 || !m->vlan[i]))
			return 0;
		type = get16(b + 16);
		if (type == 0x8100 || type == 0x88a8)
			return 0;
		*l3 = 18;
	}
	*v = SLUICE_XDP_PASS_PROTO;
	return type == 0x0800 ? 4 : type == 0x86dd ? 6 : 0;
}

/* Offset of the UDP header, or 0 and the verdict. */
static inline __u32 model_network(const __u8 *b, __u32 len, __u32 l3, int version,
				  enum sluice_verdict *v)
{
	__u32 hlen = version == 4 ? 20 : 40, total, proto;
	const __u8 *ip = b + l3;

	*v = SLUICE_XDP_PASS_HEADER;
	if (len - l3 < hlen || (version == 4 ? ip[0] != 0x45 : (ip[0] & 0xf0) != 0x60))
		return 0;
	total = version == 4 ? get16(ip + 2) : 40 + get16(ip + 4);
	if (total < hlen || total > len - l3)
		return 0;
	*v = SLUICE_XDP_PASS_FRAG;
	proto = version == 4 ? ip[9] : ip[6];
	if (version == 4 ? (get16(ip + 6) & 0x3fff) != 0 : proto == 44)
		return 0;
	*v = SLUICE_XDP_PASS_HEADER;
	if ((proto == IPPROTO_UDP && total - hlen < 8) ||
	    (proto == IPPROTO_TCP && total - hlen < 20))
		return 0;
	*v = SLUICE_XDP_PASS_L4;
	return proto == IPPROTO_UDP ? l3 + hlen : 0;
}

static inline enum sluice_verdict model_rule(const struct model *m, const __u8 *daddr, int version,
					     unsigned int dport)
{
	__u16 port = (__u16)dport;
	int p = model_find(m->port, M_PORTS, &port, sizeof(port));
	int a = model_addr(m, daddr, version);
	__u32 any = version == 4 ? SLUICE_PORT_ANY4 : SLUICE_PORT_ANY6;
	const struct sluice_port *g;

	if (p < 0)
		return SLUICE_XDP_PASS_PORT;
	g = &m->gate[p];
	if (g->open != g->gen || !(g->flags & (any | SLUICE_PORT_EXACT)))
		return SLUICE_XDP_PASS_PORT;
	if (a < 0)
		return SLUICE_XDP_PASS_ADDR;
	if ((g->flags & SLUICE_PORT_EXACT) && m->bind[a][p] == SLUICE_ACT_XSK)
		return SLUICE_XDP_REDIRECT;
	if ((g->flags & any) && g->action == SLUICE_ACT_XSK && m->local[a])
		return SLUICE_XDP_REDIRECT;
	return SLUICE_XDP_PASS_ADDR;
}

static inline bool model_in_prefix(const __u8 *addr, const __u8 *prefix, __u32 len)
{
	for (__u32 i = 0; i < len; i++)
		if ((addr[i / 8] ^ prefix[i / 8]) >> (7 - i % 8) & 1)
			return false;
	return true;
}

/* The rule of the longest prefix that the source is in, or -1. */
static inline int model_deny(const struct model *m, const __u8 *b, __u32 len)
{
	__u32 l3 = 14, best = 0;
	int found = -1, version, tags = 0;
	const __u8 *saddr;

	if (!(b[0] & 1) && memcmp(b, m->mac, 6))
		return -1;
	for (; tags < 2 && (get16(b + l3 - 2) == 0x8100 || get16(b + l3 - 2) == 0x88a8); tags++) {
		l3 += 4;
		if (len < l3)
			return -1;
	}
	version = get16(b + l3 - 2) == 0x0800 ? 4 : get16(b + l3 - 2) == 0x86dd ? 6 : 0;
	if (!version || len < l3 + (version == 4 ? 20 : 40))
		return -1;
	saddr = b + l3 + (version == 4 ? 12 : 8);
	for (unsigned int d = 0; d < M_DENY; d++) {
		if (!m->deny[d].on || (d % 2 ? 6 : 4) != version || m->deny[d].len < best ||
		    !model_in_prefix(saddr, m->addr[d % M_ADDRS], m->deny[d].len))
			continue;
		found = (int)d;
		best = m->deny[d].len;
	}
	return found;
}

static inline struct outcome model_decide(struct model *m, const __u8 *b, __u32 len, __u32 queue)
{
	struct outcome o = { 0 };
	const __u8 *saddr, *daddr;
	__u32 l3 = 0, l4;
	int version, deny = model_deny(m, b, len);

	if (deny >= 0) {
		m->deny[deny].matched++;
		o.verdict = SLUICE_XDP_DROP_DENY;
		return o;
	}
	version = model_link(m, b, len, &l3, &o.verdict);
	if (!version)
		return o;
	l4 = model_network(b, len, l3, version, &o.verdict);
	if (!l4)
		return o;
	saddr = b + l3 + (version == 4 ? 12 : 8);
	daddr = b + l3 + (version == 4 ? 16 : 24);
	o.verdict = model_rule(m, daddr, version, get16(b + l4 + 2));
	if (o.verdict != SLUICE_XDP_REDIRECT)
		return o;
	o.hash = ref_flow_hash(own_key, version, IPPROTO_UDP, saddr, daddr, b + l4, b + l4 + 2);
	o.verdict = model_enqueue(&m->o, o.hash, queue, &o.worker);
	return o;
}

#endif
