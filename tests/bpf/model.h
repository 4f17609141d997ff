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
#include "model_packet.h"
#include "sip_ref.h"

#define M_ADDRS 8u	/* addresses that occur: even ones IPv4, odd ones IPv6 */
#define M_PORTS 4u
#define M_VIDS 4u
#define M_DENY 16u
#define M_DENY_COUNTER 100u	/* of the first one */
#define M_PROTOS 3u
#define M_RULE_COUNTER 200u	/* of the first one: see model_rule_counter() */

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
	bool mirror;
	__u32 fallback;			/* default action */
	struct {
		__u32 action;		/* 0: no rule */
		__u64 matched;
	} rule[M_ADDRS + 1][M_PORTS][M_PROTOS];	/* of users; address M_ADDRS: any */
	struct {
		bool on;
		__u32 len;
		__u64 matched;
	} deny[M_DENY];				/* prefixes of addr[d % M_ADDRS] */
};

struct outcome {
	enum sluice_verdict verdict;
	__u32 hash;
	__u32 target;
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

static const __u8 model_protos[M_PROTOS] = { IPPROTO_UDP, IPPROTO_TCP, IPPROTO_SCTP };

static inline __u32 model_rule_counter(__u32 addr, __u32 port, __u32 proto)
{
	return M_RULE_COUNTER + (addr * M_PORTS + port) * M_PROTOS + proto;
}

static inline bool model_has_device(const struct model *m, const __u8 *b)
{
	__u16 vid = (__u16)(get16(b + 14) & 0xfff);
	int i = model_find(m->vid, M_VIDS, &vid, sizeof(vid));

	return !vid || (i >= 0 && m->vlan[i]);
}

/* The same of the link header. */
static inline enum sluice_verdict model_link(const struct model *m, const struct model_packet *p,
					     const __u8 *b)
{
	if (m->mirror)
		return SLUICE_XDP_REDIRECT;
	if (memcmp(b, m->mac, 6))
		return SLUICE_XDP_PASS_MAC;
	if (p->cut)
		return SLUICE_XDP_PASS_HEADER;
	if (p->tags > 1 || (p->tags && (get16(b + 12) != 0x8100 || !model_has_device(m, b))))
		return SLUICE_XDP_PASS_VLAN;
	return SLUICE_XDP_REDIRECT;
}

/* The action of the user's rule for the packet, which counts it; 0: none. */
static inline __u32 model_user_rule(struct model *m, const struct model_packet *p)
{
	__u16 port = p->ports ? (__u16)get16(p->ports + 2) : 0;
	int n = model_find(m->port, M_PORTS, &port, sizeof(port)), a, proto = -1;

	for (unsigned int i = 0; i < M_PROTOS; i++)
		proto = model_protos[i] == p->proto ? (int)i : proto;
	if (!p->ports || n < 0 || proto < 0)
		return 0;
	a = model_addr(m, p->daddr, p->version);
	if (!m->mirror && (a < 0 || !m->local[a]))
		return 0;
	if (a < 0 || !m->rule[a][n][proto].action)
		a = M_ADDRS;
	if (m->rule[a][n][proto].action)
		m->rule[a][n][proto].matched++;
	return m->rule[a][n][proto].action;
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
	if (m->mirror && (g->flags & any) && g->action == SLUICE_ACT_XSK)
		return SLUICE_XDP_REDIRECT;
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

	if (!m->mirror && !(b[0] & 1) && memcmp(b, m->mac, 6))
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

/* SLUICE_XDP_REDIRECT, and what is to be done, or the verdict. */
static inline enum sluice_verdict model_action(struct model *m, const struct model_packet *p,
					       const __u8 *b, __u32 *action)
{
	enum sluice_verdict link = model_link(m, p, b), why = link;

	if (link == SLUICE_XDP_PASS_MAC && !(b[0] & 1))
		return why;
	if (why == SLUICE_XDP_REDIRECT)
		why = model_why(p);
	*action = link == SLUICE_XDP_REDIRECT ? model_user_rule(m, p) : 0;
	if (*action == SLUICE_ACT_PASS)
		return SLUICE_XDP_PASS_RULE;
	if (!*action && why == SLUICE_XDP_REDIRECT)
		why = model_rule(m, p->daddr, p->version, get16(p->ports + 2));
	if (!*action)
		*action = why == SLUICE_XDP_REDIRECT ? SLUICE_ACT_XSK : m->fallback;
	if (*action == SLUICE_ACT_PASS)
		return why;
	if (*action == SLUICE_ACT_DROP)
		return SLUICE_XDP_DROP_RULE;
	if (p->version)
		return SLUICE_XDP_REDIRECT;
	return why == SLUICE_XDP_PASS_HEADER ? why : SLUICE_XDP_PASS_HASH;
}

/* f, before: for model_set_clock() */
static inline struct outcome model_decide(struct model *m, const struct fixture *f, const __u8 *b,
					  __u32 len, __u32 queue, __u16 before)
{
	static const __u8 none[4];
	struct model_packet p = model_parse(b, len);
	const __u8 *ports = p.ports ? p.ports : none;
	struct outcome o = { 0 };
	__u32 action = 0;
	int deny = model_deny(m, b, len);

	if (deny >= 0) {
		m->deny[deny].matched++;
		o.verdict = SLUICE_XDP_DROP_DENY;
		return o;
	}
	o.verdict = model_action(m, &p, b, &action);
	if (o.verdict != SLUICE_XDP_REDIRECT)
		return o;
	o.hash = ref_flow_hash(own_key, p.version, (__u8)p.proto, p.saddr, p.daddr, ports,
			       ports + 2);
	model_set_clock(&m->o, f, o.hash, queue, before);
	o.verdict = action == SLUICE_ACT_XSK ? model_enqueue(&m->o, o.hash, queue, &o.target) :
					       model_enqueue_stack(&m->o, o.hash, queue, &o.target);
	return o;
}

#endif
