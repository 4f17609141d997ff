// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* frame.c - builds the template of a generated frame. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <string.h>

#include "cli/frame.h"
#include "cli/payload.h"

#define FRAME_TTL 64

/* Adds the 16-bit words of data as they lie in memory (RFC 1071). */
static uint64_t sum_words(const void *data, uint32_t len, uint64_t sum)
{
	const uint8_t *p = data;
	uint16_t word;

	for (; len > 1; len -= 2, p += 2) {
		memcpy(&word, p, 2);
		sum += word;
	}
	if (len) {
		word = 0;
		memcpy(&word, p, 1);
		sum += word;
	}
	return sum;
}

static uint16_t sum_fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static uint32_t l3_size(int family)
{
	return family == AF_INET ? sizeof(struct iphdr) : sizeof(struct ip6_hdr);
}

static uint32_t payload_offset(int family)
{
	return (uint32_t)(sizeof(struct ether_header) + l3_size(family) + sizeof(struct udphdr));
}

uint32_t frame_min_size(int family)
{
	uint32_t size = payload_offset(family) + (uint32_t)sizeof(struct payload_head) + FRAME_FCS;

	return size < ETHER_MIN_LEN ? ETHER_MIN_LEN : size;
}

static void build_ip4(uint8_t *at, const struct frame_spec *spec, uint32_t l4_len)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = 5,
		.tot_len = htons((uint16_t)(sizeof(ip) + l4_len)),
		.frag_off = htons(IP_DF),
		.ttl = FRAME_TTL,
		.protocol = IPPROTO_UDP,
	};

	memcpy(&ip.saddr, spec->saddr, 4);
	memcpy(&ip.daddr, spec->daddr, 4);
	ip.check = (uint16_t)~sum_fold(sum_words(&ip, sizeof(ip), 0));
	memcpy(at, &ip, sizeof(ip));
}

static void build_ip6(uint8_t *at, const struct frame_spec *spec, uint32_t l4_len)
{
	struct ip6_hdr ip = {
		.ip6_flow = htonl(6u << 28),
		.ip6_plen = htons((uint16_t)l4_len),
		.ip6_nxt = IPPROTO_UDP,
		.ip6_hlim = FRAME_TTL,
	};

	memcpy(&ip.ip6_src, spec->saddr, 16);
	memcpy(&ip.ip6_dst, spec->daddr, 16);
	memcpy(at, &ip, sizeof(ip));
}

static void build_payload(uint8_t *at, uint32_t run, uint32_t len)
{
	struct payload_head head = { .magic = htonl(PAYLOAD_MAGIC), .run = htonl(run) };

	memcpy(at, &head, sizeof(head));
	for (uint32_t i = sizeof(head); i < len; i++)
		at[i] = payload_byte(i);
}

int frame_build(struct frame *f, const struct frame_spec *spec)
{
	uint32_t at = payload_offset(spec->family), addr_len = spec->family == AF_INET ? 4 : 16;
	struct ether_header eth = {
		.ether_type = htons(spec->family == AF_INET ? ETHERTYPE_IP : ETHERTYPE_IPV6),
	};
	struct udphdr udp = { 0 };
	uint32_t l4_len;
	uint64_t sum;

	if (spec->size < frame_min_size(spec->family) || spec->size > FRAME_MAX)
		return -EINVAL;
	memset(f, 0, sizeof(*f));
	f->len = spec->size - FRAME_FCS;
	f->payload_at = at;
	l4_len = f->len - at + (uint32_t)sizeof(udp);

	memcpy(eth.ether_shost, spec->smac, ETH_ALEN);
	memcpy(eth.ether_dhost, spec->dmac, ETH_ALEN);
	memcpy(f->data, &eth, sizeof(eth));
	if (spec->family == AF_INET)
		build_ip4(f->data + sizeof(eth), spec, l4_len);
	else
		build_ip6(f->data + sizeof(eth), spec, l4_len);
	udp.len = htons((uint16_t)l4_len);
	memcpy(f->data + at - sizeof(udp), &udp, sizeof(udp));
	build_payload(f->data + at, spec->run, f->len - at);

	/* The pseudo-header's length and protocol, in either family (RFC 768, RFC 8200 8.1). */
	sum = sum_words(spec->saddr, addr_len, udp.len + (uint64_t)htons(IPPROTO_UDP));
	sum = sum_words(spec->daddr, addr_len, sum);
	f->csum = sum_fold(sum_words(f->data + at - sizeof(udp), l4_len, sum));
	return 0;
}

uint64_t frame_share(uint64_t total, uint32_t flows, uint32_t first, uint32_t end)
{
	uint64_t each = total / flows, rest = total % flows;
	uint64_t extra = rest <= first ? 0 : rest - first;

	if (extra > end - first)
		extra = end - first;
	return each * (end - first) + extra;
}
