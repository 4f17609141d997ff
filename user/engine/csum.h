/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * csum.h - the Internet checksum (RFC 1071), the only place that computes it.
 *
 * Sums are kept unfolded in 64 bits and in memory order: what is summed and
 * what the result is compared with are both network order, so no swap is needed.
 */
#ifndef SLUICE_ENGINE_CSUM_H
#define SLUICE_ENGINE_CSUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <sluice/steer.h>

static inline uint64_t csum_add(uint64_t sum, uint64_t word)
{
	sum += word;
	return sum + (sum < word);
}

/* Adds len bytes at p, an odd last byte padded with zero. */
static inline uint64_t csum_partial(const void *p, size_t len, uint64_t sum)
{
	const uint8_t *b = p;
	uint64_t w;

	for (; len >= 32; b += 32, len -= 32) {
		uint64_t v[4];

		memcpy(v, b, 32);
		sum = csum_add(sum, v[0]);
		sum = csum_add(sum, v[1]);
		sum = csum_add(sum, v[2]);
		sum = csum_add(sum, v[3]);
	}
	for (; len >= 8; b += 8, len -= 8) {
		memcpy(&w, b, 8);
		sum = csum_add(sum, w);
	}
	w = 0;
	memcpy(&w, b, len);
	return csum_add(sum, w);
}

/* 16-bit sum, not complemented. */
static inline uint16_t csum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/*
 * The pseudo-header of RFC 768 / RFC 8200 8.1; len in bytes, host order. IPv4 addresses
 * are the mapped ones.
 */
static inline uint64_t csum_pseudo(const struct sluice_addr *saddr, const struct sluice_addr *daddr,
				   int version, uint8_t proto, uint32_t len)
{
	uint64_t sum = (uint64_t)htonl(len) + htonl(proto);

	if (version == 4)
		return sum + saddr->w[3] + daddr->w[3];
	return csum_partial(daddr, sizeof(*daddr), csum_partial(saddr, sizeof(*saddr), sum));
}

#endif
