/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/* eth.h - link layer: Ethernet (Linux: eth_type_trans). */
#ifndef SLUICE_ENGINE_ETH_H
#define SLUICE_ENGINE_ETH_H

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "engine/pkt.h"

static inline uint16_t load_be16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return ntohs(v);
}

/*
 * Sets the protocol and moves data behind the header. False, and nothing done, when the frame
 * is shorter than that.
 */
static inline bool eth_rcv(struct pkt *pkt)
{
	if (!pkt_pull(pkt, ETH_HLEN))
		return false;
	pkt->protocol = load_be16(pkt->data - sizeof(pkt->protocol));
	return true;
}

#endif
