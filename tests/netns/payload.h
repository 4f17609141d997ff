/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * payload.h - datagrams whose every byte is known to their receiver.
 *
 * A header {magic, flow, seq, tag, len}, then bytes of a generator seeded with
 * (flow, seq, tag). The tag is the port a datagram is meant for: a receiver on
 * another port that sees it has got somebody else's. Host byte order; sender
 * and receiver run on one machine.
 */
#ifndef TESTS_PAYLOAD_H
#define TESTS_PAYLOAD_H

#include <stdint.h>
#include <string.h>

#define PAYLOAD_MAGIC 0x70617973u

struct payload {
	uint32_t magic;
	uint32_t flow;
	uint64_t seq;
	uint32_t tag;
	uint32_t len;
};

#define PAYLOAD_MIN sizeof(struct payload)
#define PAYLOAD_MAX 65507u

/* xorshift64*; a state of 0 would stay 0. */
static inline uint64_t payload_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * 0x2545f4914f6cdd1dull;
}

static inline uint64_t payload_seed(uint32_t flow, uint64_t seq, uint32_t tag)
{
	uint64_t s = (seq << 32) ^ ((uint64_t)flow << 16) ^ tag ^ 0x9e3779b97f4a7c15ull;

	return s ? s : 1;
}

/* The bytes after the header. `check` compares instead of writing; -1: a byte differs. */
static inline int payload_body(uint8_t *p, size_t len, uint64_t state, int check)
{
	size_t off, n;
	uint64_t r;

	for (off = 0; off < len; off += n) {
		r = payload_random(&state);
		n = len - off < sizeof(r) ? len - off : sizeof(r);
		if (!check)
			memcpy(p + off, &r, n);
		else if (memcmp(p + off, &r, n))
			return -1;
	}
	return 0;
}

/* len in [PAYLOAD_MIN, PAYLOAD_MAX] */
static inline void payload_fill(uint8_t *p, uint32_t len, uint32_t flow, uint64_t seq, uint32_t tag)
{
	struct payload h = { PAYLOAD_MAGIC, flow, seq, tag, len };

	memcpy(p, &h, sizeof(h));
	payload_body(p + sizeof(h), len - sizeof(h), payload_seed(flow, seq, tag), 0);
}

/* 0 with *h set, -1 when any byte is not what payload_fill() wrote */
static inline int payload_check(const uint8_t *p, size_t len, struct payload *h)
{
	if (len < sizeof(*h))
		return -1;
	memcpy(h, p, sizeof(*h));
	if (h->magic != PAYLOAD_MAGIC || h->len != len)
		return -1;
	return payload_body((uint8_t *)(uintptr_t)p + sizeof(*h), len - sizeof(*h),
			    payload_seed(h->flow, h->seq, h->tag), 1);
}

#endif
