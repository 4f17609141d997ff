/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
#include "engine/eth.h"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <string.h>

#include <parse.h>

#include "engine/engine.h"
#include "engine/ip.h"
#include "engine/napi.h"
#include "engine/worker.h"

#define ETHERTYPE_8021AD 0x88a8
#define VLAN_HLEN 4
#define VLAN_VID_MASK 0x0fff

static uint16_t load_be16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return ntohs(v);
}

/*
 * Strips the tag at pkt->data. False when no device owns it; VID 0 is a priority tag of the
 * device itself. In role mirror, tags are part of the road, not of the traffic.
 */
static bool vlan_untag(const struct engine *engine, struct pkt *pkt)
{
	uint16_t vid = load_be16(pkt->data) & VLAN_VID_MASK;

	if (vid && !engine->mirror) {
		uint32_t ifindex = engine->vlan_dev ?
			__atomic_load_n(&engine->vlan_dev[vid], __ATOMIC_RELAXED) : 0;

		if (!ifindex)
			return false;
		pkt->ifindex = ifindex;
	}
	pkt->vlan_proto = pkt->protocol;
	pkt->vlan_tci = load_be16(pkt->data);
	pkt->protocol = load_be16(pkt->data + 2);
	return pkt_pull(pkt, VLAN_HLEN);
}

static bool is_tag(const struct engine *engine, const struct pkt *pkt)
{
	return pkt->protocol == ETHERTYPE_VLAN ||
	       (engine->mirror && pkt->protocol == ETHERTYPE_8021AD);
}

/* SLUICE_DROPS: beyond the tags, or without any. */
static enum sluice_drop eth_untag(const struct engine *engine, struct pkt *pkt)
{
	int tags = engine->mirror ? PARSE_TAGS : 1;

	for (int i = 0; i < tags && is_tag(engine, pkt); i++) {
		if (!pkt_may_pull(pkt, VLAN_HLEN))
			return SLUICE_DROP_ETH_SHORT;
		if (!vlan_untag(engine, pkt))
			return SLUICE_DROP_VLAN;
	}
	return SLUICE_DROPS;
}

void eth_rcv(struct worker *worker, struct pkt *pkt)
{
	enum sluice_drop reason;

	if (!pkt_pull(pkt, ETH_HLEN)) {
		pkt_drop(pkt, SLUICE_DROP_ETH_SHORT);
		return;
	}
	pkt->protocol = load_be16(pkt->data - 2);
	reason = eth_untag(worker->engine, pkt);
	if (reason != SLUICE_DROPS) {
		pkt_drop(pkt, reason);
		return;
	}
	switch (pkt->protocol) {
	case ETHERTYPE_IP:
		ip4_rcv(worker, pkt);
		break;
	case ETHERTYPE_IPV6:
		ip6_rcv(worker, pkt);
		break;
	default:
		pkt_drop(pkt, SLUICE_DROP_ETH_PROTO);
	}
}
