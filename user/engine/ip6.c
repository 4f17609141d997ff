/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
#include <arpa/inet.h>
#include <netinet/ip6.h>
#include <string.h>

#include "engine/ip.h"
#include "engine/napi.h"

static bool ip6_is_extension(uint8_t nexthdr)
{
	return nexthdr == IPPROTO_HOPOPTS || nexthdr == IPPROTO_ROUTING ||
	       nexthdr == IPPROTO_DSTOPTS;
}

void ip6_rcv(struct worker *worker, struct pkt *pkt)
{
	struct ip6_hdr ip;
	uint32_t flow;

	if (!pkt_may_pull(pkt, sizeof(ip))) {
		pkt_drop(pkt, SLUICE_DROP_IP_TRUNCATED);
		return;
	}
	memcpy(&ip, pkt->data, sizeof(ip));
	flow = ntohl(ip.ip6_flow);
	/* ::ffff:a.b.c.d means an IPv4 address in every table here; on the wire it is nobody's. */
	if (flow >> 28 != 6 || IN6_IS_ADDR_V4MAPPED(&ip.ip6_src) ||
	    IN6_IS_ADDR_V4MAPPED(&ip.ip6_dst)) {
		pkt_drop(pkt, SLUICE_DROP_IP_HEADER);
		return;
	}
	if (!pkt_pull(pkt, sizeof(ip)) || !pkt_trim(pkt, ntohs(ip.ip6_plen))) {
		pkt_drop(pkt, SLUICE_DROP_IP_TRUNCATED);
		return;
	}
	if (ip.ip6_nxt == IPPROTO_FRAGMENT) {
		pkt_drop(pkt, SLUICE_DROP_IP_FRAG);
		return;
	}
	if (ip6_is_extension(ip.ip6_nxt)) {
		pkt_drop(pkt, SLUICE_DROP_IP_OPTIONS);
		return;
	}
	pkt->version = 6;
	pkt->tos = (uint8_t)(flow >> 20);
	pkt->ttl = ip.ip6_hlim;
	pkt->l4_proto = ip.ip6_nxt;
	memcpy(&pkt->saddr, &ip.ip6_src, sizeof(pkt->saddr));
	memcpy(&pkt->daddr, &ip.ip6_dst, sizeof(pkt->daddr));
	ip_deliver(worker, pkt);
}
