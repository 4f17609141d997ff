/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * frames.h - UDP frames for the tests of the engine, byte by byte. The checksum
 * here is RFC 1071 read aloud, 16 bits at a time, and shares nothing with
 * engine/csum.h. Ports and lengths in host order.
 */
#ifndef TEST_FRAMES_H
#define TEST_FRAMES_H

#include <arpa/inet.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FRAME_MAX 3840
#define FRAME_L3 14

struct ends {
	int version;		/* 4 or 6 */
	uint8_t saddr[16];	/* IPv4: first 4 bytes */
	uint8_t daddr[16];
	uint16_t sport;
	uint16_t dport;
};

struct frame {
	uint8_t b[FRAME_MAX];
	uint32_t len;
	uint32_t l3;		/* offsets of the headers */
	uint32_t l4;
	int version;
};

static inline void put16(uint8_t *p, unsigned int v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline unsigned int get16(const uint8_t *p)
{
	return (unsigned int)p[0] << 8 | p[1];
}

/* The ones' complement sum of big-endian words, the carry taken in at once. */
static inline uint32_t ref_sum(uint32_t sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
		if (sum > 0xffff)
			sum -= 0xffff;
	}
	return sum;
}

static inline struct ends ends_of(const char *saddr, unsigned int sport, const char *daddr,
				  unsigned int dport)
{
	struct ends e = { .version = 4, .sport = (uint16_t)sport, .dport = (uint16_t)dport };

	if (inet_pton(AF_INET, saddr, e.saddr) == 1 && inet_pton(AF_INET, daddr, e.daddr) == 1)
		return e;
	e.version = 6;
	inet_pton(AF_INET6, saddr, e.saddr);
	inet_pton(AF_INET6, daddr, e.daddr);
	return e;
}

static inline uint32_t frame_ip_csum(struct frame *f)
{
	uint32_t sum;

	put16(f->b + f->l3 + 10, 0);
	sum = ref_sum(0, f->b + f->l3, 20);
	put16(f->b + f->l3 + 10, 0xffff - sum);
	return 0xffff - sum;
}

/* The sum over the pseudo-header, as a local sender leaves it for the device to complete. */
static inline uint32_t frame_pseudo(const struct frame *f)
{
	const uint8_t *l4 = f->b + f->l4;
	uint8_t tail[4] = { l4[4], l4[5], 0, 17 };
	const uint8_t *l3 = f->b + f->l3;
	uint32_t sum = f->version == 4 ? ref_sum(0, l3 + 12, 8) : ref_sum(0, l3 + 8, 32);

	return ref_sum(sum, tail, 4);
}

/* The right checksum over what the UDP length covers; 0 becomes 0xffff (RFC 768). */
static inline uint32_t frame_udp_csum(struct frame *f)
{
	uint8_t *l4 = f->b + f->l4;
	uint32_t sum;

	put16(l4 + 6, 0);
	sum = 0xffff - ref_sum(frame_pseudo(f), l4, get16(l4 + 4));
	sum = sum ? sum : 0xffff;
	put16(l4 + 6, sum);
	return sum;
}

static inline uint8_t *frame_put_ip(uint8_t *p, const struct ends *e, unsigned int l4_len)
{
	if (e->version == 4) {
		p[0] = 0x45;
		put16(p + 2, 20 + l4_len);
		put16(p + 6, 0x4000);
		p[8] = 64;
		p[9] = 17;
		memcpy(p + 12, e->saddr, 4);
		memcpy(p + 16, e->daddr, 4);
		return p + 20;
	}
	p[0] = 0x60;
	put16(p + 4, l4_len);
	p[6] = 17;
	p[7] = 64;
	memcpy(p + 8, e->saddr, 16);
	memcpy(p + 24, e->daddr, 16);
	return p + 40;
}

/* A right frame. */
static inline struct frame frame_udp(const struct ends *e, const void *payload, size_t len)
{
	struct frame f = { .l3 = FRAME_L3, .version = e->version };
	uint8_t *p;

	memset(f.b, 0x11, 12);
	put16(f.b + 12, e->version == 4 ? 0x0800 : 0x86dd);
	p = frame_put_ip(f.b + FRAME_L3, e, (unsigned int)len + 8);
	f.l4 = (uint32_t)(p - f.b);
	put16(p, e->sport);
	put16(p + 2, e->dport);
	put16(p + 4, (unsigned int)len + 8);
	if (len)
		memcpy(p + 8, payload, len);
	f.len = f.l4 + 8 + (uint32_t)len;
	if (e->version == 4)
		frame_ip_csum(&f);
	frame_udp_csum(&f);
	return f;
}

/* Puts a tag before the EtherType. */
static inline void frame_tag(struct frame *f, unsigned int tpid, unsigned int tci)
{
	memmove(f->b + 16, f->b + 12, f->len - 12);
	put16(f->b + 12, tpid);
	put16(f->b + 14, tci);
	f->len += 4;
	f->l3 += 4;
	f->l4 += 4;
}

#endif
