/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * hash.h - the flow hash: SipHash-1-3 under a random 128-bit key, over the two
 * endpoints in sorted order and the protocol, so that both directions of a flow
 * hash alike (as Linux's skb_get_hash) and nobody outside can aim at one worker.
 *
 *   IPv4  14 bytes  lo | proto << 48, hi        endpoint = address << 16 | port
 *   IPv6  37 bytes  lo.address, hi.address, lo.port | hi.port << 16 | proto << 32
 *
 * as 64-bit words, the last one cut to the bytes that can differ: SipHash adds the
 * length to a last word that is not full, which saves a round over whole words.
 *
 * Addresses and ports enter as they lie in memory, network order read as host
 * integers: the value is the same in the XDP program and in the daemon, but not on
 * machines of another byte order. The 64 bits are folded to 32; 0 means "no
 * hash" everywhere, so it becomes 1. A flow without ports has 0 for both.
 *
 * Instead, at choice: Toeplitz as in the RSS specification, over source, destination and,
 * where there are, source and destination port, under a key of 40 bytes. Under a NIC's key it
 * is the NIC's hash, but for 0, which is 1 here. It does not sort: both directions hash
 * alike only under a key that repeats every 16 bits. Who knows the key, or many hashes, can aim.
 *
 * Compiles for BPF and for user space; needs nothing else. No state, any thread.
 */
#ifndef SLUICE_HASH_H
#define SLUICE_HASH_H

#include <linux/types.h>

#define FLOW_INLINE static inline __attribute__((always_inline))

#define TOEPLITZ_KEY 40		/* bytes */
#define TOEPLITZ_NIBBLES 72	/* two IPv6 addresses and two ports */

/* [n][v]: what the n-th 4 bits of the input, being v, add to the hash. */
typedef __u32 toeplitz_nibble[16];

/* Ends of a flow, for callers that do not hold them in registers. */
union flow_addr {
	__u32 w[4];	/* network order; IPv4: w[0] */
	__u64 d[2];
};

struct flow_key {
	union flow_addr saddr;
	union flow_addr daddr;
	__be16 sport;
	__be16 dport;
	__u8 version;	/* 4 or 6 */
	__u8 proto;
	__u8 ports;	/* 0: it has none, and sport and dport are 0 */
};

struct sip_state {
	__u64 v0, v1, v2, v3;
};

FLOW_INLINE __u64 sip_rotl(__u64 x, unsigned int n)
{
	return x << n | x >> (64 - n);
}

FLOW_INLINE void sip_round(struct sip_state *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = sip_rotl(s->v1, 13) ^ s->v0;
	s->v3 = sip_rotl(s->v3, 16) ^ s->v2;
	s->v0 = sip_rotl(s->v0, 32) + s->v3;
	s->v2 += s->v1;
	s->v3 = sip_rotl(s->v3, 21) ^ s->v0;
	s->v1 = sip_rotl(s->v1, 17) ^ s->v2;
	s->v2 = sip_rotl(s->v2, 32);
}

FLOW_INLINE void sip_start(struct sip_state *s, __u64 k0, __u64 k1)
{
	s->v0 = k0 ^ 0x736f6d6570736575ULL;
	s->v1 = k1 ^ 0x646f72616e646f6dULL;
	s->v2 = k0 ^ 0x6c7967656e657261ULL;
	s->v3 = k1 ^ 0x7465646279746573ULL;
}

FLOW_INLINE void sip_word(struct sip_state *s, __u64 m)
{
	s->v3 ^= m;
	sip_round(s);
	s->v0 ^= m;
}

/* The len % 8 bytes after the last whole word of a message of len bytes. */
FLOW_INLINE __u64 sip_end(struct sip_state *s, __u64 rest, __u64 len)
{
	sip_word(s, rest | len << 56);
	s->v2 ^= 0xff;
	sip_round(s);
	sip_round(s);
	sip_round(s);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

FLOW_INLINE __u32 flow_fold(__u64 h)
{
	__u32 f = (__u32)(h ^ h >> 32);

	return f ? f : 1;
}

FLOW_INLINE __u32 flow_hash4(__u64 k0, __u64 k1, __u32 saddr, __u32 daddr,
			     __u16 sport, __u16 dport, __u8 proto)
{
	__u64 src = (__u64)saddr << 16 | sport;
	__u64 dst = (__u64)daddr << 16 | dport;
	/* Sorted without a branch: which end is the lower one is anybody's guess to a CPU. */
	__u64 diff = src - dst;
	__u64 less = diff & -(diff >> 63);
	struct sip_state s;

	sip_start(&s, k0, k1);
	sip_word(&s, (dst + less) | (__u64)proto << 48);
	return flow_fold(sip_end(&s, src - less, 14));
}

FLOW_INLINE int flow_swapped6(const __u64 *saddr, const __u64 *daddr, __u16 sport, __u16 dport)
{
	if (saddr[0] != daddr[0])
		return saddr[0] > daddr[0];
	if (saddr[1] != daddr[1])
		return saddr[1] > daddr[1];
	return sport > dport;
}

FLOW_INLINE __u32 flow_hash6(__u64 k0, __u64 k1, const __u64 *saddr, const __u64 *daddr,
			     __u16 sport, __u16 dport, __u8 proto)
{
	int swapped = flow_swapped6(saddr, daddr, sport, dport);
	const __u64 *lo = swapped ? daddr : saddr;
	const __u64 *hi = swapped ? saddr : daddr;
	__u64 lo_port = swapped ? dport : sport;
	__u64 hi_port = swapped ? sport : dport;
	struct sip_state s;

	sip_start(&s, k0, k1);
	sip_word(&s, lo[0]);
	sip_word(&s, lo[1]);
	sip_word(&s, hi[0]);
	sip_word(&s, hi[1]);
	return flow_fold(sip_end(&s, lo_port | hi_port << 16 | (__u64)proto << 32, 37));
}

/* The SipHash of k under key[2]: never 0. Equal to what the XDP program puts into rx_meta. */
FLOW_INLINE __u32 flow_hash(const __u64 *key, const struct flow_key *k)
{
	if (k->version == 4)
		return flow_hash4(key[0], key[1], k->saddr.w[0], k->daddr.w[0],
				  k->sport, k->dport, k->proto);
	return flow_hash6(key[0], key[1], k->saddr.d, k->daddr.d, k->sport, k->dport, k->proto);
}

/* The 32 bits of the key that begin at its bit n. */
FLOW_INLINE __u32 toeplitz_window(const __u8 *key, unsigned int n)
{
	__u64 v = 0;

	for (unsigned int i = 0; i < 5; i++)
		v = v << 8 | (n / 8 + i < TOEPLITZ_KEY ? key[n / 8 + i] : 0u);
	return (__u32)(v >> (8 - n % 8));
}

static inline void toeplitz_fill(toeplitz_nibble *table, const __u8 *key)
{
	for (unsigned int n = 0; n < TOEPLITZ_NIBBLES; n++) {
		for (unsigned int v = 0; v < 16; v++) {
			table[n][v] = 0;
			for (unsigned int bit = 0; bit < 4; bit++)
				if (v & 8u >> bit)
					table[n][v] ^= toeplitz_window(key, 4 * n + bit);
		}
	}
}

/* The w-th word of the input, as it lies in the packet. */
FLOW_INLINE __u32 toeplitz_word(const volatile toeplitz_nibble *table, unsigned int w, __be32 word)
{
	__u32 h = 0;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	word = __builtin_bswap32(word);
#endif
	for (unsigned int i = 0; i < 8; i++)
		h ^= table[8 * w + i][word >> (28 - 4 * i) & 15];
	return h;
}

/* k as a NIC hashes it under the key that table was filled with; 1 instead of 0. */
FLOW_INLINE __u32 toeplitz_hash(const volatile toeplitz_nibble *table, const struct flow_key *k)
{
	const __be16 ports[2] = { k->sport, k->dport };
	__u32 h = 0, both;

	__builtin_memcpy(&both, ports, sizeof(both));
	if (k->version == 4) {
		h = toeplitz_word(table, 0, k->saddr.w[0]) ^ toeplitz_word(table, 1, k->daddr.w[0]);
		h ^= k->ports ? toeplitz_word(table, 2, both) : 0;
		return h ? h : 1;
	}
	for (unsigned int i = 0; i < 4; i++)
		h ^= toeplitz_word(table, i, k->saddr.w[i]) ^
		     toeplitz_word(table, 4 + i, k->daddr.w[i]);
	h ^= k->ports ? toeplitz_word(table, 8, both) : 0;
	return h ? h : 1;
}

#endif
