// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* datagram.c - see datagram.h. */
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <string.h>

#include "cli/datagram.h"
#include "engine/csum.h"

static void build_ip4(uint8_t *at, const struct sluice_rec *rec, uint32_t l4_len)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = 5,
		.tos = rec->tos,
		.tot_len = htons((uint16_t)(sizeof(ip) + l4_len)),
		.frag_off = htons(IP_DF),
		.ttl = rec->ttl,
		.protocol = IPPROTO_UDP,
	};

	memcpy(&ip.saddr, rec->saddr, sizeof(ip.saddr));
	memcpy(&ip.daddr, rec->daddr, sizeof(ip.daddr));
	ip.check = (uint16_t)~csum_fold(csum_partial(&ip, sizeof(ip), 0));
	memcpy(at, &ip, sizeof(ip));
}

static void build_ip6(uint8_t *at, const struct sluice_rec *rec, uint32_t l4_len)
{
	struct ip6_hdr ip = {
		.ip6_flow = htonl(6u << 28 | (uint32_t)rec->tos << 20),
		.ip6_plen = htons((uint16_t)l4_len),
		.ip6_nxt = IPPROTO_UDP,
		.ip6_hlim = rec->ttl,
	};

	memcpy(&ip.ip6_src, rec->saddr, sizeof(ip.ip6_src));
	memcpy(&ip.ip6_dst, rec->daddr, sizeof(ip.ip6_dst));
	memcpy(at, &ip, sizeof(ip));
}

static void build_udp(uint8_t *at, const struct sluice_rec *rec, uint32_t l4_len)
{
	struct udphdr udp = {
		.source = rec->sport,
		.dest = rec->dport,
		.len = htons((uint16_t)l4_len),
	};
	uint32_t addr_len = rec->version == 4 ? 4 : 16;
	uint64_t sum = (uint64_t)htonl(l4_len) + htonl(IPPROTO_UDP);

	sum = csum_partial(rec->saddr, addr_len, csum_partial(rec->daddr, addr_len, sum));
	sum = csum_partial(&udp, sizeof(udp), sum);
	udp.check = (uint16_t)~csum_fold(csum_partial(rec + 1, rec->len, sum));
	/* RFC 768: 0 would mean that there is none. */
	if (!udp.check)
		udp.check = 0xffff;
	memcpy(at, &udp, sizeof(udp));
	memcpy(at + sizeof(udp), rec + 1, rec->len);
}

uint32_t datagram_build(uint8_t *packet, const struct sluice_rec *rec)
{
	bool v4 = rec->version == 4;
	uint32_t head = v4 ? sizeof(struct iphdr) : sizeof(struct ip6_hdr);
	uint32_t max = 65535 - (v4 ? head : 0), l4_len;

	if (rec->len > max - sizeof(struct udphdr))
		return 0;
	l4_len = (uint32_t)sizeof(struct udphdr) + rec->len;
	if (v4)
		build_ip4(packet, rec, l4_len);
	else
		build_ip6(packet, rec, l4_len);
	build_udp(packet + head, rec, l4_len);
	return head + l4_len;
}
