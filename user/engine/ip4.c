/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <string.h>

#include "engine/addr.h"
#include "engine/csum.h"
#include "engine/engine.h"
#include "engine/ip.h"
#include "engine/napi.h"
#include "engine/udp.h"
#include "engine/worker.h"

/* RFC 1122 3.2.1: what must be silently discarded. SLUICE_DROPS: nothing is wrong. */
static enum sluice_drop ip4_check(const struct pkt *pkt, const struct iphdr *ip)
{
	uint32_t len;

	if (ip->version != 4 || ip->ihl < 5)
		return SLUICE_DROP_IP_HEADER;
	if (ip->ihl > 5)
		return SLUICE_DROP_IP_OPTIONS;
	if (csum_fold(csum_partial(ip, sizeof(*ip), 0)) != 0xffff)
		return SLUICE_DROP_IP_CSUM;
	len = ntohs(ip->tot_len);
	if (len < sizeof(*ip))
		return SLUICE_DROP_IP_HEADER;
	if (len > pkt_len(pkt))
		return SLUICE_DROP_IP_TRUNCATED;
	if (ip->frag_off & htons(IP_MF | IP_OFFMASK))
		return SLUICE_DROP_IP_FRAG;
	return SLUICE_DROPS;
}

void ip4_rcv(struct worker *worker, struct pkt *pkt)
{
	struct iphdr ip;
	enum sluice_drop reason;

	if (!pkt_may_pull(pkt, sizeof(ip))) {
		pkt_drop(pkt, SLUICE_DROP_IP_TRUNCATED);
		return;
	}
	memcpy(&ip, pkt->data, sizeof(ip));
	reason = ip4_check(pkt, &ip);
	if (reason != SLUICE_DROPS) {
		pkt_drop(pkt, reason);
		return;
	}
	if (!pkt_trim(pkt, ntohs(ip.tot_len)) || !pkt_pull(pkt, sizeof(ip))) {
		pkt_drop(pkt, SLUICE_DROP_IP_TRUNCATED);
		return;
	}
	pkt->version = 4;
	pkt->tos = ip.tos;
	pkt->ttl = ip.ttl;
	pkt->l4_proto = ip.protocol;
	pkt->saddr = (struct sluice_addr){ { 0, 0, htonl(0xffff), ip.saddr } };
	pkt->daddr = (struct sluice_addr){ { 0, 0, htonl(0xffff), ip.daddr } };
	ip_deliver(worker, pkt);
}

void ip_deliver(struct worker *worker, struct pkt *pkt)
{
	const struct addr_list *local = worker->engine->local;

	if (local && !addr_listed(local, &pkt->daddr))
		pkt_drop(pkt, SLUICE_DROP_NOT_LOCAL);
	else if (pkt->l4_proto == IPPROTO_UDP)
		udp_rcv(worker, pkt);
	else
		pkt_drop(pkt, SLUICE_DROP_IP_PROTO);
}
