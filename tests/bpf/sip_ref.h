/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * sip_ref.h - SipHash-c-d on bytes, straight from the paper (Aumasson and
 * Bernstein, 2012), and the flow hash spelt out on top of it: what bpf/hash.h
 * is compared with. Shares nothing with it.
 */
#ifndef TEST_SIP_REF_H
#define TEST_SIP_REF_H

#include <linux/types.h>
#include <string.h>

static inline __u64 ref_le64(const __u8 *p)
{
	__u64 v = 0;

	for (int i = 7; i >= 0; i--)
		v = v << 8 | p[i];
	return v;
}

static inline void ref_rotate(__u64 *x, int n)
{
	*x = *x << n | *x >> (64 - n);
}

static inline void ref_half(__u64 *a, __u64 *b, __u64 *c, __u64 *d, int rb, int rd)
{
	*a += *b;
	*c += *d;
	ref_rotate(b, rb);
	ref_rotate(d, rd);
	*b ^= *a;
	*d ^= *c;
	ref_rotate(a, 32);
}

static inline void ref_rounds(__u64 v[4], int n)
{
	while (n--) {
		ref_half(&v[0], &v[1], &v[2], &v[3], 13, 16);
		ref_half(&v[2], &v[1], &v[0], &v[3], 17, 21);
	}
}

static inline __u64 ref_siphash(int c, int d, const __u64 key[2], const __u8 *msg, size_t len)
{
	static const char text[] = "somepseudorandomlygeneratedbytes";
	__u8 padded[72] = { 0 };
	__u64 v[4];

	for (int i = 0; i < 4; i++) {
		v[i] = key[i & 1];
		for (int b = 0; b < 8; b++)
			v[i] ^= (__u64)(__u8)text[8 * i + 7 - b] << 8 * b;
	}
	memcpy(padded, msg, len);
	padded[len / 8 * 8 + 7] = (__u8)len;
	for (size_t i = 0; i <= len / 8; i++) {
		__u64 m = ref_le64(padded + 8 * i);

		v[3] ^= m;
		ref_rounds(v, c);
		v[0] ^= m;
	}
	v[2] ^= 0xff;
	ref_rounds(v, d);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static inline void ref_put(__u8 *p, __u64 v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (__u8)(v >> 8 * i);
}

/* An end of a flow as a string of bytes that sorts as hash.h says; host byte order matters. */
struct ref_end {
	__u64 a[2];
	__u16 port;
};

static inline struct ref_end ref_end(const __u8 *addr, const __u8 *port, int version)
{
	struct ref_end e = { { 0, 0 }, 0 };
	__u32 v4;

	memcpy(&v4, addr, 4);
	if (version == 6)
		memcpy(e.a, addr, 16);
	else
		e.a[0] = v4;
	memcpy(&e.port, port, 2);
	return e;
}

static inline int ref_above(const struct ref_end *x, const struct ref_end *y)
{
	if (x->a[0] != y->a[0])
		return x->a[0] > y->a[0];
	if (x->a[1] != y->a[1])
		return x->a[1] > y->a[1];
	return x->port > y->port;
}

/* Addresses and ports as they stand in the packet. */
static inline __u32 ref_flow_hash(const __u64 key[2], int version, __u8 proto, const __u8 *saddr,
				  const __u8 *daddr, const __u8 *sport, const __u8 *dport)
{
	struct ref_end lo = ref_end(saddr, sport, version), hi = ref_end(daddr, dport, version);
	__u8 m[40];
	__u64 h;

	if (ref_above(&lo, &hi)) {
		struct ref_end t = lo;

		lo = hi;
		hi = t;
	}
	if (version == 6) {
		ref_put(m, lo.a[0]);
		ref_put(m + 8, lo.a[1]);
		ref_put(m + 16, hi.a[0]);
		ref_put(m + 24, hi.a[1]);
		ref_put(m + 32, lo.port + ((__u64)hi.port << 16) + ((__u64)proto << 32));
		h = ref_siphash(1, 3, key, m, 37);
	} else {
		ref_put(m, (lo.a[0] << 16) + lo.port + ((__u64)proto << 48));
		ref_put(m + 8, (hi.a[0] << 16) + hi.port);
		h = ref_siphash(1, 3, key, m, 14);
	}
	h = (h ^ h >> 32) & 0xffffffff;
	return h ? (__u32)h : 1;
}

#endif
