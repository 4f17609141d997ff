/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * gro_bypass.h - the way round GRO for what it would only pass, and leave what it holds
 * alone: datagrams for sockets that did not ask, which is almost everything that
 * comes, and what is neither TCP nor UDP.
 */
#ifndef SLUICE_ENGINE_GRO_BYPASS_H
#define SLUICE_ENGINE_GRO_BYPASS_H

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>

#include "engine/engine.h"
#include "engine/pkt.h"
#include "engine/vlan.h"

/* pkt: data at the MAC header. False is always right. */
static inline bool gro_bypass(const struct engine *engine, const struct pkt *pkt)
{
	const uint8_t *data = pkt->data, *ip = data + ETH_HLEN;
	uint32_t len = pkt_headlen(pkt);
	uint16_t type, dport;

	if (len < ETH_HLEN + sizeof(struct iphdr) + sizeof(struct udphdr))
		return true;
	memcpy(&type, data + 2 * ETH_ALEN, sizeof(type));
	if (type == htons(ETHERTYPE_IP)) {
		if (ip[offsetof(struct iphdr, protocol)] != IPPROTO_UDP)
			return ip[offsetof(struct iphdr, protocol)] != IPPROTO_TCP;
		memcpy(&dport, ip + sizeof(struct iphdr) + 2, sizeof(dport));
	} else if (type == htons(ETHERTYPE_IPV6)) {
		if (len < ETH_HLEN + sizeof(struct ip6_hdr) + sizeof(struct udphdr) ||
		    ip[offsetof(struct ip6_hdr, ip6_nxt)] != IPPROTO_UDP)
			return false;
		memcpy(&dport, ip + sizeof(struct ip6_hdr) + 2, sizeof(dport));
	} else {
		return !vlan_is_tag(ntohs(type));
	}
	return !udp_port_asked(&engine->udp, dport);
}

#endif
