/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * captures.h - capture files byte by byte, and a mixture of frames to put into them.
 * Nothing here asks libpcap.
 */
#ifndef TEST_CAPTURES_H
#define TEST_CAPTURES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "frames.h"

#define LINK_ETHERNET 1
#define LINK_RAW 101
#define LINK_SLL 113
#define LINK_SLL2 276

enum format {
	FORMAT_MICRO,
	FORMAT_NANO,
	FORMAT_PCAPNG,
};

struct file {
	uint8_t *b;
	size_t len, room;
	enum format format;
	bool swapped;		/* big-endian */
};

static inline void file_put(struct file *f, const void *data, size_t len)
{
	if (f->room - f->len < len) {
		f->room = 2 * f->room + len;
		f->b = realloc(f->b, f->room);
		if (!f->b)
			abort();
	}
	if (len)
		memcpy(f->b + f->len, data, len);
	f->len += len;
}

static inline void file_put16(struct file *f, uint32_t v)
{
	uint8_t le[2] = { (uint8_t)v, (uint8_t)(v >> 8) }, be[2] = { le[1], le[0] };

	file_put(f, f->swapped ? be : le, 2);
}

static inline void file_put32(struct file *f, uint32_t v)
{
	if (f->swapped) {
		file_put16(f, v >> 16);
		file_put16(f, v);
	} else {
		file_put16(f, v);
		file_put16(f, v >> 16);
	}
}

static inline void file_pad(struct file *f)
{
	while (f->len % 4)
		file_put(f, "", 1);
}

/* Section header and one interface whose times are in ns. */
static inline void file_begin_ng(struct file *f, uint32_t link, uint32_t snaplen)
{
	file_put32(f, 0x0a0d0d0a);
	file_put32(f, 28);
	file_put32(f, 0x1a2b3c4d);
	file_put16(f, 1);
	file_put16(f, 0);
	file_put32(f, 0xffffffff);
	file_put32(f, 0xffffffff);
	file_put32(f, 28);

	file_put32(f, 1);
	file_put32(f, 32);
	file_put16(f, link);
	file_put16(f, 0);
	file_put32(f, snaplen);
	file_put16(f, 9);
	file_put16(f, 1);
	file_put(f, "\x09\0\0\0", 4);
	file_put32(f, 0);
	file_put32(f, 32);
}

static inline void file_begin(struct file *f, enum format format, bool swapped, uint32_t link,
			      uint32_t snaplen)
{
	*f = (struct file){ .format = format, .swapped = swapped };
	if (format == FORMAT_PCAPNG) {
		file_begin_ng(f, link, snaplen);
		return;
	}
	file_put32(f, format == FORMAT_NANO ? 0xa1b23c4d : 0xa1b2c3d4);
	file_put16(f, 2);
	file_put16(f, 4);
	file_put32(f, 0);
	file_put32(f, 0);
	file_put32(f, snaplen);
	file_put32(f, link);
}

/* The first caplen bytes of a packet of len. */
static inline void file_add(struct file *f, uint64_t ns, const void *data, uint32_t caplen,
			    uint32_t len)
{
	if (f->format == FORMAT_PCAPNG) {
		uint32_t block = 32 + (caplen + 3) / 4 * 4;

		file_put32(f, 6);
		file_put32(f, block);
		file_put32(f, 0);
		file_put32(f, (uint32_t)(ns >> 32));
		file_put32(f, (uint32_t)ns);
		file_put32(f, caplen);
		file_put32(f, len);
		file_put(f, data, caplen);
		file_pad(f);
		file_put32(f, block);
		return;
	}
	file_put32(f, (uint32_t)(ns / 1000000000));
	file_put32(f, (uint32_t)(ns % 1000000000) / (f->format == FORMAT_NANO ? 1 : 1000));
	file_put32(f, caplen);
	file_put32(f, len);
	file_put(f, data, caplen);
}

static inline void file_free(struct file *f)
{
	free(f->b);
	*f = (struct file){ 0 };
}

#define MIX_FIRST_NS 1700000000123456000ull
#define MIX_STEP_NS 1000
#define MIX_LOCAL4 "192.0.2.2"
#define MIX_LOCAL6 "2001:db8::2"
#define MIX_PORT4 5000	/* and the three above */
#define MIX_PORT6 6000

static inline uint64_t mix_time(uint32_t i)
{
	return MIX_FIRST_NS + (uint64_t)i * MIX_STEP_NS;
}

/* Bytes of payload of frame i. */
static inline uint32_t mix_payload(uint32_t i)
{
	return 4 + i * 37 % 400;
}

/*
 * Of eight, in turn: four IPv4 datagrams to MIX_LOCAL4, one IPv6 datagram to MIX_LOCAL6, no IP,
 * a wrong UDP checksum, a datagram to another host.
 */
static inline struct frame mix_frame(uint32_t i)
{
	uint32_t kind = i % 8;
	struct ends e = kind == 4 ?
		ends_of("2001:db8::1", 1000 + i % 50, MIX_LOCAL6, MIX_PORT6) :
		ends_of("192.0.2.1", 1000 + i % 50, kind == 7 ? "192.0.2.9" : MIX_LOCAL4,
			MIX_PORT4 + i % 4);
	uint8_t payload[512];
	struct frame f;

	memset(payload, (int)i, sizeof(payload));
	memcpy(payload, &i, sizeof(i));
	f = frame_udp(&e, payload, mix_payload(i));
	if (kind == 5)
		put16(f.b + 12, 0x0806);
	if (kind == 6)
		f.b[f.l4 + 9] ^= 1;
	return f;
}

/* A file of n of them, each cut to at most snaplen bytes. */
static inline void file_mix(struct file *f, enum format format, bool swapped, uint32_t n,
			    uint32_t snaplen)
{
	file_begin(f, format, swapped, LINK_ETHERNET, snaplen);
	for (uint32_t i = 0; i < n; i++) {
		struct frame frame = mix_frame(i);

		file_add(f, mix_time(i), frame.b, frame.len < snaplen ? frame.len : snaplen,
			 frame.len);
	}
}

#endif
