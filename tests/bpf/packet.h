/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/* packet.h - frames for the tests of the XDP program, and a repeatable random source. */
#ifndef TEST_PACKET_H
#define TEST_PACKET_H

#include <arpa/inet.h>
#include <linux/types.h>
#include <netinet/in.h>
#include <string.h>

#define FRAME_MAX 512
#define SPEC_EXTS 10

/* What to build; the zero value is an untagged IPv4 frame of protocol 0. */
struct spec {
	__u8 dmac[6];
	unsigned int tags;	/* 0..2 */
	__u16 tpid[2];
	__u16 tci[2];
	__u8 version;		/* 6, else IPv4 */
	__u8 proto;
	__u8 saddr[16];		/* IPv4: first 4 bytes */
	__u8 daddr[16];
	__u16 sport;
	__u16 dport;
	__u16 payload;		/* bytes after a UDP header */
	__u8 options;		/* IPv4: bytes of them, a multiple of 4 up to 40 */
	__u16 frag;		/* more-fragments bit and offset, as in the IPv4 header */
	__u8 exts;		/* IPv6: extension headers */
	__u8 ext[SPEC_EXTS];
	__u8 ext_len[SPEC_EXTS];	/* in 8 bytes, beyond the first 8 */
};

struct frame {
	__u8 b[FRAME_MAX];
	__u32 len;
	__u32 l3;		/* offset of the IP header */
};

static inline __u64 rnd(__u64 *state)
{
	__u64 z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static inline __u32 rnd_below(__u64 *state, __u32 n)
{
	return (__u32)(rnd(state) % n);
}

static inline void put16(__u8 *p, unsigned int v)
{
	p[0] = (__u8)(v >> 8);
	p[1] = (__u8)v;
}

static inline unsigned int get16(const __u8 *p)
{
	return (unsigned int)p[0] << 8 | p[1];
}

static inline __u8 *put_l2(__u8 *p, const struct spec *s)
{
	memcpy(p, s->dmac, 6);
	memset(p + 6, 0x22, 6);
	p += 12;
	for (unsigned int i = 0; i < s->tags; i++, p += 4) {
		put16(p, s->tpid[i]);
		put16(p + 2, s->tci[i]);
	}
	put16(p, s->version == 6 ? 0x86dd : 0x0800);
	return p + 2;
}

static inline __u8 *put_ip4(__u8 *p, const struct spec *s, unsigned int l4_len)
{
	p[0] = (__u8)(0x45 + s->options / 4);
	put16(p + 2, 20 + s->options + l4_len);
	put16(p + 6, s->frag ? s->frag : 0x4000);
	p[8] = 64;
	p[9] = s->proto;
	memcpy(p + 12, s->saddr, 4);
	memcpy(p + 16, s->daddr, 4);
	memset(p + 20, 1, s->options);
	return p + 20 + s->options;
}

static inline __u8 *put_ip6(__u8 *p, const struct spec *s, unsigned int l4_len)
{
	__u8 *next = p + 6, *end = p + 40;

	p[0] = 0x60;
	p[7] = 64;
	memcpy(p + 8, s->saddr, 16);
	memcpy(p + 24, s->daddr, 16);
	for (unsigned int i = 0; i < s->exts; i++) {
		*next = s->ext[i];
		next = end;
		end[1] = s->ext[i] == IPPROTO_FRAGMENT ? 0 : s->ext_len[i];
		end += (end[1] + 1) * 8;
	}
	*next = s->proto;
	put16(p + 4, (unsigned int)(end - p) - 40 + l4_len);
	return end;
}

/* A frame that is valid but for checksums, which this program leaves to the worker. */
static inline struct frame frame_build(const struct spec *s)
{
	unsigned int l4_len = (s->proto == IPPROTO_TCP ? 20u : 8u) + s->payload;
	struct frame f = { 0 };
	__u8 *p = put_l2(f.b, s);

	f.l3 = (__u32)(p - f.b);
	p = s->version == 6 ? put_ip6(p, s, l4_len) : put_ip4(p, s, l4_len);
	put16(p, s->sport);
	put16(p + 2, s->dport);
	if (s->proto == IPPROTO_UDP)
		put16(p + 4, l4_len);
	f.len = (__u32)(p - f.b) + l4_len;
	return f;
}

static inline void set_v4(__u8 *addr, const char *text)
{
	memset(addr, 0, 16);
	inet_pton(AF_INET, text, addr);
}

static inline void set_v6(__u8 *addr, const char *text)
{
	inet_pton(AF_INET6, text, addr);
}

#endif
