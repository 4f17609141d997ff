/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * eth.h - link layer: Ethernet and one 802.1Q tag (Linux: eth_type_trans,
 * skb_vlan_untag, vlan_do_receive), then dispatch by EtherType.
 */
#ifndef SLUICE_ENGINE_ETH_H
#define SLUICE_ENGINE_ETH_H

#include "engine/pkt.h"

struct worker;

/* Consumes pkt, whose data is at the destination MAC address. */
void eth_rcv(struct worker *worker, struct pkt *pkt);

#endif
