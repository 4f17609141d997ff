/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * frame.h - the template of a generated frame, and how a number of frames is
 * divided among flows. No state, no system calls.
 *
 * Sizes are those of "64-byte frames": with the FCS, which the frame handed to
 * the kernel does not have.
 */
#ifndef SLUICE_CLI_FRAME_H
#define SLUICE_CLI_FRAME_H

#include <stdint.h>

#define FRAME_FCS 4u
#define FRAME_MAX 1518u		/* with FCS */

struct frame_spec {
	int family;		/* AF_INET or AF_INET6 */
	uint8_t smac[6];
	uint8_t dmac[6];
	uint8_t saddr[16];	/* network order; IPv4: the first 4 bytes */
	uint8_t daddr[16];
	uint32_t run;
	uint32_t size;		/* with FCS */
};

/*
 * A frame with source port, destination port, flow, sequence and UDP checksum 0.
 * Aligned, since the generator reads it in words.
 */
struct frame {
	uint8_t data[FRAME_MAX] __attribute__((aligned(8)));
	uint32_t len;		/* without FCS */
	uint32_t payload_at;	/* offset of the UDP payload */
	uint32_t csum;		/* base of payload_csum() */
};

/* The smallest size, with FCS, that holds the headers and the payload header. */
uint32_t frame_min_size(int family);

/* 0; -EINVAL: size not in [frame_min_size(), FRAME_MAX], f untouched. */
int frame_build(struct frame *f, const struct frame_spec *spec);

/*
 * How many of the first total frames, dealt to `flows` flows in turn, belong to
 * the flows [first, end).
 */
uint64_t frame_share(uint64_t total, uint32_t flows, uint32_t first, uint32_t end);

#endif
