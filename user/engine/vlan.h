/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * vlan.h - tags, 802.1Q and 802.1ad, one at a time (Linux: skb_vlan_untag,
 * vlan_do_receive, and what __netif_receive_skb_core does with VID 0).
 *
 * In role host a tag is stripped when the packet becomes a VLAN device's by it: an 802.1Q
 * tag that engine->vlan_dev knows, on a packet of the device itself. A VLAN device on
 * top of a VLAN device is the kernel's, and its packets do not come here. VID 0 is a
 * priority tag and changes no device. In role mirror tags are part of the road: all are
 * stripped, and the device stays.
 */
#ifndef SLUICE_ENGINE_VLAN_H
#define SLUICE_ENGINE_VLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/pkt.h"

struct engine;

#define VLAN_8021Q 0x8100
#define VLAN_8021AD 0x88a8
#define VLAN_HLEN 4
#define VLAN_VID_MASK 0x0fff

enum vlan_result {
	VLAN_NONE,	/* no tag */
	VLAN_STRIPPED,	/* another round */
	VLAN_FOREIGN,	/* no device owns it; it is still there */
	VLAN_SHORT,	/* the packet ends in it */
};

static inline bool vlan_is_tag(uint16_t protocol)
{
	return protocol == VLAN_8021Q || protocol == VLAN_8021AD;
}

/* pkt: protocol set, data behind it. */
enum vlan_result vlan_receive(const struct engine *engine, struct pkt *pkt);

#endif
