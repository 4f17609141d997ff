/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * payload.h - what `sluice gen` sends and `sluice recv` checks.
 *
 *   UDP payload:  | magic | run | flow | seq | pattern ...
 *                 0       4     8      12    16
 *
 * run differs between two runs of the generator, flow counts from 0 in each
 * run, seq from 0 in each flow and wraps. Byte i of the payload, from 16 on, is
 * payload_byte(i). All fields are big-endian. Shared with bpf/gen.bpf.c: no
 * other header than linux/types.h.
 */
#ifndef SLUICE_CLI_PAYLOAD_H
#define SLUICE_CLI_PAYLOAD_H

#include <linux/types.h>

#define PAYLOAD_MAGIC 0x736c7567u

/* Destination ports of one run at most; a power of two. */
#define PAYLOAD_PORTS 64

struct payload_head {
	__be32 magic;
	__be32 run;
	__be32 flow;
	__be32 seq;
};

static inline __u8 payload_byte(__u32 i)
{
	return (__u8)(i * 31 + 7);
}

/*
 * The UDP checksum of a frame whose sum with these four fields 0 is base (16-bit
 * words as they lie in memory, folded to 16 bits). All of them begin at an even
 * offset, so words in memory order may be added whatever the host's byte order
 * is. A result of 0 is sent as 0xffff (RFC 768).
 */
static inline __u16 payload_csum(__u32 base, __be16 sport, __be16 dport, __be32 flow, __be32 seq)
{
	__u32 sum = base + sport + dport + (flow & 0xffff) + (flow >> 16) + (seq & 0xffff) +
		    (seq >> 16);

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff ? 0xffff : (__u16)~sum;
}

#endif
