/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * tap.h - the shared-memory ABI between the daemon and whoever looks at its packets
 * (sluice dump).
 *
 * A tap has one ring per worker, each a lane in layout, ordering and trust (lane.h), with
 * copies of frames in the place of datagrams. What finds its ring full is lost and counted in
 * the ring's `drops`; `delivered` counts the copies. `armed` is ignored: the reader is not
 * woken, and looks again after a while, so that no system call is made on the way of the
 * packets. Frames of one worker come in their order; those of several by `tstamp`.
 *
 *   data memfd, read-only                         control memfd
 *   data_offset + w * (SLUICE_LANE_HEAD + ring)   ctl_offset + w * sizeof(struct sluice_lane_ctl)
 */
#ifndef SLUICE_TAP_H
#define SLUICE_TAP_H

#include <linux/types.h>

#include <sluice/lane.h>

#define SLUICE_TAP_RING (4u << 20)	/* default: 30,000 small frames per worker */
#define SLUICE_TAP_SNAP 65600u		/* default, and the most: any merged frame */

/* Where it looks. */
enum sluice_tap_stage {
	SLUICE_TAP_RX = 0,	/* as it came from the ring */
	SLUICE_TAP_GRO = 1,	/* as GRO has left it */
	SLUICE_TAP_L4 = 2,	/* for a socket, trimmed to what its headers say */
	SLUICE_TAP_STAGES
};

/*
 * One frame, from its destination MAC address on, tags included. As long as struct
 * sluice_rec, and the next record is at SLUICE_REC_SPACE(len) as well.
 */
struct sluice_tap_rec {
	__u32 len;		/* bytes that follow: all, or the snap length */
	__u16 kind;		/* SLUICE_REC_FRAME, or SLUICE_REC_SKIP */
	__u16 gso_size;		/* 0: not merged */
	__u32 hash;		/* flow hash; 0: none so far */
	__u32 ifindex;		/* receiving device; a VLAN's own at SLUICE_TAP_L4 */
	__u64 tstamp;		/* CLOCK_REALTIME, ns, when the worker took the batch */
	__u32 wire_len;		/* bytes of the whole frame */
	__u16 queue;
	__u16 worker;
	__u8 pad[32];
};

#endif
