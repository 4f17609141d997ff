// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "engine/vlan.h"

#include "engine/engine.h"
#include "engine/eth.h"

/* The ifindex of what the packet becomes by this tag; 0: nobody's. */
static uint32_t vlan_owner(const struct engine *engine, const struct pkt *pkt, uint16_t vid)
{
	if (!vid || engine->mirror)
		return pkt->ifindex;
	if (pkt->protocol != VLAN_8021Q || pkt->ifindex != engine->ifindex || !engine->vlan_dev)
		return 0;
	return __atomic_load_n(&engine->vlan_dev[vid], __ATOMIC_RELAXED);
}

enum vlan_result vlan_receive(const struct engine *engine, struct pkt *pkt)
{
	uint32_t owner;

	if (!vlan_is_tag(pkt->protocol))
		return VLAN_NONE;
	if (!pkt_may_pull(pkt, VLAN_HLEN))
		return VLAN_SHORT;
	owner = vlan_owner(engine, pkt, load_be16(pkt->data) & VLAN_VID_MASK);
	if (!owner)
		return VLAN_FOREIGN;
	pkt->ifindex = owner;
	pkt->vlan_proto = pkt->protocol;
	pkt->vlan_tci = load_be16(pkt->data);
	pkt->protocol = load_be16(pkt->data + 2);
	return pkt_pull(pkt, VLAN_HLEN) ? VLAN_STRIPPED : VLAN_SHORT;
}
