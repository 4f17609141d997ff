/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/* random_packet.h - packets of every kind that the parser knows, and damaged ones. */
#ifndef TEST_RANDOM_PACKET_H
#define TEST_RANDOM_PACKET_H

#include "packet.h"

/* Another protocol, options, extension headers, a fragment: each at times. */
static inline void random_kind(__u64 *rng, struct spec *s)
{
	static const __u8 protos[] = { IPPROTO_TCP, IPPROTO_TCP, IPPROTO_SCTP, IPPROTO_SCTP,
				       IPPROTO_UDPLITE, IPPROTO_DCCP, IPPROTO_ESP, IPPROTO_AH,
				       IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_GRE };
	static const __u8 exts[] = { IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS,
				     IPPROTO_FRAGMENT };

	if (rnd_below(rng, 2))
		s->proto = protos[rnd_below(rng, sizeof(protos))];
	s->options = (__u8)(rnd_below(rng, 2) ? 4 * rnd_below(rng, 11) : 0);
	if (!rnd_below(rng, 3))
		s->frag = (__u16)(rnd_below(rng, 2) ? 0x2000 : rnd_below(rng, 0x4000));
	s->exts = (__u8)(rnd_below(rng, 2) ? rnd_below(rng, SPEC_EXTS + 1) : 0);
	for (__u32 i = 0; i < s->exts; i++) {
		s->ext[i] = exts[rnd_below(rng, i + 1 < s->exts || rnd_below(rng, 2) ? 3 : 4)];
		s->ext_len[i] = (__u8)(rnd_below(rng, 4) ? 0 : rnd_below(rng, 2));
	}
}

/* Mostly none; else a few bytes changed, most of them of the IP header on, or the end cut off. */
static inline void random_damage(__u64 *rng, struct frame *p)
{
	switch (rnd_below(rng, 6)) {
	case 0:
		for (__u32 n = 1 + rnd_below(rng, 3); n; n--) {
			__u32 at = rnd_below(rng, 3) ? p->l3 + rnd_below(rng, p->len - p->l3) :
						       rnd_below(rng, p->len);

			p->b[at] = (__u8)(rnd_below(rng, 2) ? rnd(rng) :
					  p->b[at] ^ 1u << rnd_below(rng, 8));
		}
		break;
	case 1:
		p->len = 14 + rnd_below(rng, p->len - 13);
		break;
	default:
		break;
	}
}

#endif
