/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * lane.h - the shared-memory ABI between the daemon and a client.
 *
 * A lane is one byte ring per attached socket. Workers of the daemon produce
 * (serialised by a lock in the daemon's private memory); the client consumes.
 *
 *   data memfd (per client, read-only to it)      control memfd (per client)
 *   lane i: +0     struct sluice_lane_head        slot i: struct sluice_lane_ctl
 *           +4096  ring: size bytes
 *
 *   ring:  ... | rec | payload | pad | rec | payload | pad | SKIP ----> end
 *              ^ consumer & (size-1)          producer & (size-1) ^
 *
 * producer and consumer count bytes for ever; producer - consumer <= size. A
 * record is contiguous and starts at a multiple of SLUICE_REC_ALIGN; where one
 * does not fit before the end, a SKIP record fills the rest.
 *
 * Ordering: (A) the producer stores `producer` with release after the records;
 * (B) the client loads it with acquire: A pairs with B. (C) the client stores
 * `consumer` with release after it has read the records; (D) the producer
 * loads it with acquire before it overwrites them: C pairs with D.
 *
 * Wake-up. Client: find the lane empty, drain the wake descriptor, store
 * armed = 1, full fence (E), load `producer` again; not empty: consume, do not
 * sleep. Producer: store `producer`, then (F: sequentially consistent) load
 * armed; if 1, exchange it with 0 and, if it was 1, send one byte on the wake descriptor. E pairs
 * with F: one of the two sees the other's store.
 *
 * Trust: the daemon believes nothing in sluice_lane_ctl. It reads each value
 * once, checks it, and disconnects a client whose consumer runs backwards or
 * past the producer. The client may trust the daemon.
 *
 * Byte order: host, but for ports and addresses (network order).
 */
#ifndef SLUICE_LANE_H
#define SLUICE_LANE_H

#include <linux/types.h>

#define SLUICE_LANE_MAGIC 0x6c616e65u
#define SLUICE_LANE_HEAD 4096u		/* bytes before the ring */
#define SLUICE_REC_ALIGN 64u
#define SLUICE_LANE_MIN (256u << 10)	/* ring bytes: several datagrams of 65,535 bytes */
#define SLUICE_LANE_MAX (64u << 20)
#define SLUICE_LANE_DEFAULT (2u << 20)

/* What feeds the client now; written by the daemon, informative. */
enum sluice_lane_state {
	SLUICE_LANE_WAITING = 0,	/* reuseport group: other members are not attached */
	SLUICE_LANE_ACTIVE = 1,		/* the rule is in place */
	SLUICE_LANE_WITHDRAWN = 2,	/* kernel path, because another socket shares the port */
	SLUICE_LANE_GONE = 3,		/* kernel path for good: the socket left its address */
};

struct sluice_lane_head {
	__u32 magic;
	__u32 size;		/* ring bytes, a power of two */
	__u32 state;		/* enum sluice_lane_state */
	__u32 pad;
	__u64 producer __attribute__((aligned(128)));
	__u64 drops __attribute__((aligned(128)));	/* datagrams that found the lane full */
	__u64 delivered;				/* datagrams put into the lane */
};

struct sluice_lane_ctl {
	__u64 consumer __attribute__((aligned(128)));
	__u32 cpu;		/* where the client ran when it stored consumer */
	__u32 armed __attribute__((aligned(128)));	/* 1: wake me */
};

enum sluice_rec_kind {
	SLUICE_REC_DATA = 1,
	SLUICE_REC_SKIP = 2,	/* len bytes follow, up to the end of the ring */
	SLUICE_REC_FRAME = 3,	/* in the ring of a tap only (tap.h) */
};

/*
 * One datagram, or for a socket with UDP_GRO several of one flow. The payload follows; the next
 * record starts at SLUICE_REC_SPACE(len) from this one.
 */
struct sluice_rec {
	__u32 len;		/* payload bytes */
	__u16 kind;		/* enum sluice_rec_kind */
	__u16 gso_size;		/* merged: of each but perhaps the last; 0: not merged */
	__u32 hash;		/* flow hash */
	__u32 ifindex;		/* receiving device */
	__u64 tstamp;		/* CLOCK_REALTIME, ns, when the worker took the batch */
	__be16 sport;
	__be16 dport;
	__u8 version;		/* 4 or 6 */
	__u8 tos;		/* IPv4 TOS or IPv6 traffic class */
	__u8 ttl;		/* or hop limit */
	__u8 pad;
	__u8 saddr[16];		/* IPv4: the first 4 bytes, the rest 0 */
	__u8 daddr[16];
};

#define SLUICE_REC_SPACE(len) \
	(((__u32)sizeof(struct sluice_rec) + (__u32)(len) + SLUICE_REC_ALIGN - 1) & \
	 ~(SLUICE_REC_ALIGN - 1))

#endif
