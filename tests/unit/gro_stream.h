/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * gro_stream.h - what GRO is fed with: up to GRO_STREAM_MAX frames of one to ten
 * interleaved flows, all drawn from one seed; one poll, or one in eight times up to three.
 * Most packets continue their flow as a sender would; the rest differ from that in one way
 * each, and the list of ways (enum gro_twist) is what the rules of GRO are about.
 */
#ifndef TEST_GRO_STREAM_H
#define TEST_GRO_STREAM_H

#include <stdbool.h>

#include "frames.h"

/* A poll's weight. A poll of less is complete. */
#define GRO_POLL 64
#define GRO_STREAM_MAX (3 * GRO_POLL - 2)
#define GRO_FLOWS_MAX 10

/* UDP ports: those of sockets with UDP_GRO, and those of sockets without. */
#define GRO_PORT_ASKED 7000
#define GRO_PORT_OTHER 7100
#define GRO_PORTS 3

#define GRO_PAYLOAD_MAX 3000

struct gro_random {
	uint64_t state;
};

/* splitmix64 */
static inline uint32_t gro_next(struct gro_random *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (uint32_t)(z >> 32);
}

static inline uint32_t gro_below(struct gro_random *r, uint32_t n)
{
	return gro_next(r) % n;
}

static inline bool gro_chance(struct gro_random *r, uint32_t percent)
{
	return gro_below(r, 100) < percent;
}

enum gro_ids { GRO_ID_INCREMENTS, GRO_ID_FIXED, GRO_ID_RANDOM };

/* A packet to be, and the state of the flow that it is a copy of. */
struct gro_spec {
	bool v6;
	bool udp;
	uint8_t mac;		/* last byte of the destination */
	uint8_t saddr[16], daddr[16];
	uint16_t sport, dport;
	uint8_t ttl, tos;
	uint32_t label;
	uint16_t id;
	uint16_t frag;		/* the IPv4 fragment field, flags included */
	uint8_t ext[40];	/* IPv6 extension headers, next header of the last one 0xff */
	uint8_t ext_first;	/* next header in the IPv6 header, if there are any */
	uint8_t ext_len;
	uint32_t seq, ack;
	uint16_t flags;		/* the 4 reserved bits and the flags of TCP */
	uint16_t window, urgent;
	uint8_t opt[40];
	uint8_t opt_len;
	uint16_t len;		/* of the payload */
	/* Lies. */
	uint8_t proto;		/* in place of TCP's or UDP's number; 0: none */
	uint16_t ethertype;	/* in place of IP's; 0: none */
	uint8_t doff;		/* 0: the right one */
	uint8_t pad;		/* bytes behind the packet */
	int ip_len, udp_len;	/* added to the right ones */
	uint8_t cut;		/* bytes missing at the end */
	bool ip_options, bad_ip_csum, bad_csum, no_csum;
};

struct gro_flow {
	struct gro_spec next;
	enum gro_ids ids;
	uint16_t mss;
};

struct gro_stream {
	unsigned int nr;
	struct frame frame[GRO_STREAM_MAX];
};

/* How a packet differs from the next one of its flow. */
enum gro_twist {
	TWIST_NONE,
	/* may still be merged */
	TWIST_FIN, TWIST_PSH, TWIST_SHORT, TWIST_URGENT_POINTER,
	/* of any packet */
	TWIST_LONG, TWIST_EMPTY, TWIST_ONE_BYTE, TWIST_PAD, TWIST_CUT, TWIST_MAC, TWIST_TTL,
	TWIST_TOS, TWIST_DF, TWIST_FRAG, TWIST_RESERVED_BIT, TWIST_ID, TWIST_ID_BACK,
	TWIST_IP_OPTIONS,
	TWIST_IP_CSUM, TWIST_CSUM, TWIST_IP_LEN, TWIST_LABEL, TWIST_EXT, TWIST_ADDRESS, TWIST_PORT,
	TWIST_SWAP, TWIST_PROTO, TWIST_FRAGMENT6, TWIST_ETHERTYPE,
	/* of TCP */
	TWIST_SEQ_GAP, TWIST_SEQ_AGAIN, TWIST_SEQ_BACK, TWIST_ACK, TWIST_WINDOW, TWIST_SYN,
	TWIST_RST, TWIST_URG, TWIST_NO_ACK, TWIST_ECE, TWIST_CWR, TWIST_AE, TWIST_RESERVED_FLAGS,
	TWIST_DOFF,
	TWIST_OPT_VALUE, TWIST_OPT_MORE, TWIST_OPT_LESS,
	/* of UDP */
	TWIST_UDP_NO_CSUM, TWIST_UDP_LEN,
	TWISTS
};

#define GRO_FIN 0x001
#define GRO_SYN 0x002
#define GRO_RST 0x004
#define GRO_PSH 0x008
#define GRO_ACK 0x010
#define GRO_URG 0x020
#define GRO_ECE 0x040
#define GRO_CWR 0x080
#define GRO_AE 0x100

static inline void gro_put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

/* One or two of hop-by-hop, routing and destination options, 8 or 16 bytes each. */
static inline void gro_draw_ext(struct gro_random *r, struct gro_spec *s)
{
	static const uint8_t kind[] = { 0, 43, 60 };
	unsigned int n = 1 + gro_below(r, 2);
	uint8_t *next = &s->ext_first;

	s->ext_len = 0;
	for (unsigned int i = 0; i < n; i++) {
		uint8_t *h = s->ext + s->ext_len;
		unsigned int size = 8 + 8 * gro_below(r, 2);

		/* Hop-by-hop comes first or not at all. */
		*next = kind[i ? 1 + gro_below(r, 2) : gro_below(r, 3)];
		memset(h, 0, size);
		h[1] = (uint8_t)(size / 8 - 1);
		h[2] = 1;
		h[3] = (uint8_t)(size - 4);
		h[5] = (uint8_t)gro_below(r, 2);
		next = h;
		s->ext_len = (uint8_t)(s->ext_len + size);
	}
	*next = 0xff;
}

static inline void gro_draw_options(struct gro_random *r, struct gro_spec *s)
{
	static const uint8_t tstamp[12] = { 1, 1, 8, 10, 0, 1, 2, 3, 0, 4, 5, 6 };

	s->opt_len = 0;
	if (gro_chance(r, 60)) {
		memcpy(s->opt, tstamp, sizeof(tstamp));
		s->opt_len = sizeof(tstamp);
	}
	if (gro_chance(r, 10)) {
		memset(s->opt + s->opt_len, 1, 4);
		s->opt_len = (uint8_t)(s->opt_len + 4);
	}
}

/* Flows share addresses or ports now and then: what tells them apart may be one field. */
static inline void gro_draw_ends(struct gro_random *r, struct gro_spec *s)
{
	const uint8_t v4[4] = { 10, 99, 0, 1 }, v6[16] = { 0xfd, 0x99, [15] = 1 };
	bool asked = gro_chance(r, 80);

	memcpy(s->saddr, s->v6 ? v6 : v4, s->v6 ? 16 : 4);
	memcpy(s->daddr, s->saddr, 16);
	s->saddr[s->v6 ? 15 : 3] = (uint8_t)(10 + gro_below(r, 3));
	s->sport = (uint16_t)(40000 + gro_below(r, 3));
	s->dport = (uint16_t)((s->udp && !asked ? GRO_PORT_OTHER : GRO_PORT_ASKED) +
			      gro_below(r, GRO_PORTS));
}

static inline void gro_draw_flow(struct gro_random *r, struct gro_flow *f)
{
	static const uint16_t sizes[] = { 1, 2, 8, 12, 18, 100, 536, 1000, 1448, 1448, 1460,
					  GRO_PAYLOAD_MAX - 400 };
	struct gro_spec *s = &f->next;

	memset(f, 0, sizeof(*f));
	s->v6 = gro_chance(r, 40);
	s->udp = gro_chance(r, 35);
	s->mac = (uint8_t)gro_below(r, 20) ? 1 : 2;
	gro_draw_ends(r, s);
	s->ttl = 64;
	s->tos = (uint8_t)(gro_chance(r, 80) ? 0 : gro_next(r));
	s->label = gro_chance(r, 50) ? 0 : gro_next(r) & 0xfffff;
	s->id = (uint16_t)(gro_chance(r, 20) ? 0xffff - gro_below(r, 30) : gro_next(r));
	f->ids = gro_chance(r, 65) ? GRO_ID_INCREMENTS :
		 gro_chance(r, 80) ? GRO_ID_FIXED : GRO_ID_RANDOM;
	s->frag = gro_chance(r, 60) ? 0x4000 : 0;
	if (s->v6 && gro_chance(r, 20))
		gro_draw_ext(r, s);
	s->seq = gro_chance(r, 20) ? 0u - gro_below(r, 5000) : gro_next(r);
	s->ack = gro_next(r);
	s->flags = GRO_ACK;
	s->window = (uint16_t)gro_next(r);
	if (!s->udp)
		gro_draw_options(r, s);
	f->mss = sizes[gro_below(r, sizeof(sizes) / sizeof(sizes[0]))];
	if (gro_chance(r, 10))
		f->mss = (uint16_t)(1 + gro_below(r, GRO_PAYLOAD_MAX - 400));
	s->len = f->mss;
}

static inline void gro_twist_tcp(struct gro_random *r, struct gro_spec *s, enum gro_twist twist)
{
	switch (twist) {
	case TWIST_FIN: s->flags |= GRO_FIN; break;
	case TWIST_PSH: s->flags |= GRO_PSH; break;
	case TWIST_URGENT_POINTER: s->urgent = (uint16_t)gro_next(r); break;
	case TWIST_SEQ_GAP: s->seq += 1 + gro_below(r, 2000); break;
	case TWIST_SEQ_AGAIN: s->seq -= s->len; break;
	case TWIST_SEQ_BACK: s->seq -= 1 + gro_below(r, 20); break;
	case TWIST_ACK: s->ack += gro_below(r, 2) ? 1 : gro_next(r); break;
	case TWIST_WINDOW: s->window ^= (uint16_t)(1u << gro_below(r, 16)); break;
	case TWIST_SYN: s->flags |= GRO_SYN; break;
	case TWIST_RST: s->flags |= GRO_RST; break;
	case TWIST_URG: s->flags |= GRO_URG; break;
	case TWIST_NO_ACK: s->flags ^= GRO_ACK; break;
	case TWIST_ECE: s->flags ^= GRO_ECE; break;
	case TWIST_CWR: s->flags ^= GRO_CWR; break;
	case TWIST_AE: s->flags ^= GRO_AE; break;
	case TWIST_RESERVED_FLAGS: s->flags ^= (uint16_t)(0x200u << gro_below(r, 3)); break;
	case TWIST_DOFF: s->doff = (uint8_t)gro_below(r, 16); break;
	case TWIST_OPT_VALUE: s->opt[gro_below(r, 40)] ^= 1; break;
	case TWIST_OPT_MORE:
		s->opt_len = (uint8_t)(s->opt_len < 36 ? s->opt_len + 4 : 40);
		break;
	case TWIST_OPT_LESS: s->opt_len = (uint8_t)(s->opt_len > 3 ? s->opt_len - 4 : 0); break;
	default: break;
	}
}

static inline void gro_twist_ip(struct gro_random *r, struct gro_spec *s, enum gro_twist twist)
{
	/* ICMP, IGMP, DCCP, ICMPv6, none, OSPF, SCTP, experimental; not those of tunnels. */
	static const uint8_t others[] = { 1, 2, 33, 58, 59, 89, 132, 253 };

	switch (twist) {
	case TWIST_PAD: s->pad = (uint8_t)(1 + gro_below(r, 40)); break;
	case TWIST_CUT: s->cut = (uint8_t)(1 + gro_below(r, 80)); break;
	case TWIST_MAC: s->mac ^= 4; break;
	case TWIST_TTL: s->ttl--; break;
	case TWIST_TOS: s->tos ^= (uint8_t)(1u << gro_below(r, 8)); break;
	case TWIST_DF: s->frag ^= 0x4000; break;
	case TWIST_FRAG:
		s->frag |= (uint16_t)(gro_chance(r, 50) ? 0x2000 : 1 + gro_below(r, 100));
		break;
	case TWIST_RESERVED_BIT: s->frag |= 0x8000; break;
	case TWIST_ID: s->id = (uint16_t)(s->id + 1 + gro_below(r, 3)); break;
	case TWIST_ID_BACK: s->id = (uint16_t)(s->id - 1 - gro_below(r, 4)); break;
	case TWIST_IP_OPTIONS: s->ip_options = true; break;
	case TWIST_IP_CSUM: s->bad_ip_csum = true; break;
	case TWIST_CSUM: s->bad_csum = true; break;
	case TWIST_IP_LEN: s->ip_len = (int)gro_below(r, 41) - 20; break;
	case TWIST_LABEL: s->label ^= 1u << gro_below(r, 20); break;
	case TWIST_EXT:
		if (s->ext_len)
			s->ext[5] ^= 1;
		else if (s->v6)
			gro_draw_ext(r, s);
		break;
	case TWIST_ADDRESS:
		(gro_chance(r, 50) ? s->saddr : s->daddr)[gro_below(r, s->v6 ? 16 : 4)] ^= 8;
		break;
	case TWIST_PORT: s->sport ^= 1; break;
	case TWIST_PROTO: s->proto = others[gro_below(r, sizeof(others))]; break;
	case TWIST_ETHERTYPE: s->ethertype = gro_chance(r, 50) ? 0x0806 : 100; break;
	case TWIST_FRAGMENT6:
		s->ext_first = 44;
		s->ext_len = 8;
		memcpy(s->ext, (const uint8_t[8]){ 0xff, 0, 0, 1 }, 8);
		break;
	case TWIST_UDP_NO_CSUM: s->no_csum = true; break;
	case TWIST_UDP_LEN: s->udp_len = (int)gro_below(r, 31) - 20; break;
	default: break;
	}
}

static inline void gro_twist(struct gro_random *r, struct gro_spec *s, enum gro_twist twist)
{
	switch (twist) {
	case TWIST_SHORT:
		s->len = (uint16_t)gro_below(r, s->len);
		break;
	case TWIST_LONG:
		s->len = (uint16_t)(s->len + 1 + gro_below(r, 200));
		break;
	case TWIST_EMPTY:
		s->len = 0;
		break;
	case TWIST_ONE_BYTE:
		s->len = 1;
		break;
	default:
		gro_twist_ip(r, s, twist);
		if (!s->udp)
			gro_twist_tcp(r, s, twist);
	}
}

static inline uint8_t gro_proto(const struct gro_spec *s)
{
	return s->proto ? s->proto : s->udp ? 17 : 6;
}

static inline uint8_t *gro_put_ip4(uint8_t *p, const struct gro_spec *s, unsigned int len)
{
	unsigned int hlen = s->ip_options ? 24 : 20;

	p[0] = (uint8_t)(0x40 | hlen / 4);
	p[1] = s->tos;
	put16(p + 2, (unsigned int)((int)(hlen + len) + s->ip_len) & 0xffff);
	put16(p + 4, s->id);
	put16(p + 6, s->frag);
	p[8] = s->ttl;
	p[9] = gro_proto(s);
	put16(p + 10, 0);
	memcpy(p + 12, s->saddr, 4);
	memcpy(p + 16, s->daddr, 4);
	memset(p + 20, 1, hlen - 20);
	put16(p + 10, (0xffff - ref_sum(0, p, hlen)) ^ (s->bad_ip_csum ? 0x100 : 0));
	return p + hlen;
}

static inline uint8_t *gro_put_ip6(uint8_t *p, const struct gro_spec *s, unsigned int len)
{
	uint8_t l4 = gro_proto(s), *next = p + 6;

	gro_put32(p, 0x60000000 | (uint32_t)s->tos << 20 | s->label);
	put16(p + 4, (unsigned int)((int)(len + s->ext_len) + s->ip_len) & 0xffff);
	*next = l4;
	p[7] = s->ttl;
	memcpy(p + 8, s->saddr, 16);
	memcpy(p + 24, s->daddr, 16);
	memcpy(p + 40, s->ext, s->ext_len);
	for (unsigned int at = 0; at < s->ext_len; at += 8 + 8u * p[40 + at + 1]) {
		*next = at ? *next : s->ext_first;
		next = p + 40 + at;
		if (*next == 0xff)
			*next = l4;
	}
	return p + 40 + s->ext_len;
}

static inline uint8_t *gro_put_l4(uint8_t *p, const struct gro_spec *s, unsigned int len)
{
	unsigned int doff = s->doff ? s->doff : 5u + s->opt_len / 4;

	put16(p, s->sport);
	put16(p + 2, s->dport);
	if (s->udp) {
		put16(p + 4, (unsigned int)((int)len + s->udp_len) & 0xffff);
		return p + 8;
	}
	gro_put32(p + 4, s->seq);
	gro_put32(p + 8, s->ack);
	put16(p + 12, doff << 12 | s->flags);
	put16(p + 14, s->window);
	put16(p + 18, s->urgent);
	memcpy(p + 20, s->opt, s->opt_len);
	return p + 20 + s->opt_len;
}

static inline void gro_put_csum(const struct gro_spec *s, uint8_t *l4, unsigned int len)
{
	uint8_t *check = l4 + (s->udp ? 6 : 16), tail[4] = { 0, s->udp ? 17 : 6 };
	uint32_t sum;

	put16(check, 0);
	if (s->udp && s->no_csum)
		return;
	put16(tail + 2, len);
	sum = ref_sum(ref_sum(0, s->saddr, s->v6 ? 16 : 4), s->daddr, s->v6 ? 16 : 4);
	sum = 0xffff - ref_sum(ref_sum(sum, tail, 4), l4, len);
	sum = s->udp && !sum ? 0xffff : sum;
	put16(check, sum ^ (s->bad_csum ? 0x10 : 0));
}

static inline void gro_build(const struct gro_spec *s, struct frame *f)
{
	unsigned int len = (s->udp ? 8u : 20u + s->opt_len) + s->len;
	uint8_t *l4, *p;

	memset(f, 0, offsetof(struct frame, b) + 160);
	f->version = s->v6 ? 6 : 4;
	f->l3 = FRAME_L3;
	memset(f->b, 0x02, 12);
	f->b[5] = s->mac;
	put16(f->b + 12, s->ethertype ? s->ethertype : s->v6 ? 0x86dd : 0x0800);
	l4 = s->v6 ? gro_put_ip6(f->b + FRAME_L3, s, len) : gro_put_ip4(f->b + FRAME_L3, s, len);
	p = gro_put_l4(l4, s, len);
	for (unsigned int i = 0; i < s->len; i++)
		p[i] = (uint8_t)((s->seq + i) * 7 >> 2);
	gro_put_csum(s, l4, len);
	f->l4 = (uint32_t)(l4 - f->b);
	f->len = f->l4 + len;
	memset(f->b + f->len, 0x5a, s->pad);
	f->len += s->pad;
	f->len -= s->cut < f->len - FRAME_L3 ? s->cut : f->len - FRAME_L3;
}

/* The next packet of the flow, which goes on behind it. */
static inline void gro_draw_packet(struct gro_random *r, struct gro_flow *f, struct frame *frame,
				   enum gro_twist twist)
{
	struct gro_spec s = f->next;

	gro_twist(r, &s, twist);
	gro_build(&s, frame);
	/* Bytes that were sent count, whatever became of the packet; and some twists stay. */
	f->next.seq = s.seq + s.len;
	if (gro_chance(r, 50)) {
		f->next.ttl = s.ttl;
		f->next.tos = s.tos;
		f->next.ack = s.ack;
		f->next.window = s.window;
		f->next.flags = (uint16_t)(s.flags & ~(GRO_FIN | GRO_PSH | GRO_SYN | GRO_RST));
		f->next.opt_len = s.opt_len;
		memcpy(f->next.opt, s.opt, sizeof(s.opt));
		f->next.frag = s.frag & 0x4000;
		f->next.label = s.label;
	}
	f->next.id = s.id;
	if (f->ids == GRO_ID_INCREMENTS)
		f->next.id++;
	else if (f->ids == GRO_ID_RANDOM)
		f->next.id = (uint16_t)gro_next(r);
}

/* The stream of this seed. */
static inline void gro_draw(struct gro_stream *st, uint64_t seed)
{
	static const uint8_t twists[] = { 0, 2, 5, 10, 30, 80 };
	struct gro_random r = { .state = seed * 0x2545f4914f6cdd1d + 1 };
	unsigned int flows = gro_chance(&r, 40) ? 1 : 1 + gro_below(&r, GRO_FLOWS_MAX);
	unsigned int share = twists[gro_below(&r, sizeof(twists))], run = 0, at = 0;
	bool bursts = gro_chance(&r, 50);
	struct gro_flow flow[GRO_FLOWS_MAX];

	for (unsigned int i = 0; i < flows; i++)
		gro_draw_flow(&r, &flow[i]);
	st->nr = gro_chance(&r, 30) ? GRO_POLL - 1 : 1 + gro_below(&r, GRO_POLL - 1);
	if (gro_chance(&r, 12))
		st->nr = 1 + gro_below(&r, GRO_STREAM_MAX);
	for (unsigned int i = 0; i < st->nr; i++) {
		enum gro_twist twist = gro_chance(&r, share) ? gro_below(&r, TWISTS) : TWIST_NONE;

		if (!run--) {
			at = gro_below(&r, flows);
			run = bursts ? gro_below(&r, 20) : 0;
		}
		gro_draw_packet(&r, &flow[at], &st->frame[i], twist);
		if (twist == TWIST_SWAP && i) {
			struct frame f = st->frame[i];

			st->frame[i] = st->frame[i - 1];
			st->frame[i - 1] = f;
		}
	}
}

#endif
