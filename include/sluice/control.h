/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * control.h - messages on the daemon's control socket,
 * /run/sluice/<netns cookie>-<ifname>.sock (AF_UNIX, SOCK_SEQPACKET).
 *
 *   client                       daemon
 *   ATTACH {fd}          --->
 *                        <---    ATTACHED {data memfd, control memfd, wake socket}   or REFUSED
 *   DETACH, STOP         --->    DONE or REFUSED
 *   QUERY                --->    ANSWER {memfd with one JSON document}  or REFUSED
 *   RULE, RPS            --->    DONE or REFUSED
 *   TAP                  --->    TAPPED {data memfd, control memfd}  or REFUSED
 *
 * Every request gets one answer with the same `id`, in order. Host byte order.
 * A message with a wrong magic, version, type or length, or with another number
 * of descriptors than its type has, ends the connection. Closing the connection
 * detaches every socket of it, and ends its tap, of which it has one at most and then no
 * sockets. RULE, RPS, TAP, and the queries named so are for root
 * only, as SO_PEERCRED says who asks: others get REFUSED, EPERM.
 */
#ifndef SLUICE_CONTROL_H
#define SLUICE_CONTROL_H

#include <linux/types.h>

#include <sluice/steer.h>

#define SLUICE_CTL_DIR "/run/sluice"
#define SLUICE_CTL_MAGIC 0x736c6331u
#define SLUICE_CTL_VERSION 1
#define SLUICE_CTL_TEXT 200
#define SLUICE_CTL_LANES 8192	/* lanes per client at most: slots in the control memfd */

enum sluice_ctl_type {
	SLUICE_CTL_ATTACH = 1,	/* one descriptor: the UDP socket */
	SLUICE_CTL_DETACH = 2,
	SLUICE_CTL_STOP = 3,	/* rule out, lane stays */
	SLUICE_CTL_QUERY = 4,
	SLUICE_CTL_RULE = 5,	/* root */
	SLUICE_CTL_RPS = 6,	/* root */
	SLUICE_CTL_TAP = 7,	/* root; see sluice/tap.h */
	SLUICE_CTL_REQUESTS,	/* all others are answers */
	SLUICE_CTL_ATTACHED = 101,	/* three descriptors: data (read-only), control, wake */
	SLUICE_CTL_DONE = 102,
	SLUICE_CTL_ANSWER = 103,	/* one descriptor */
	SLUICE_CTL_REFUSED = 104,
	SLUICE_CTL_TAPPED = 105,	/* two descriptors: data (read-only), control */
};

enum sluice_ctl_query {
	SLUICE_QUERY_STAT = 1,
	SLUICE_QUERY_SOCK = 2,
	SLUICE_QUERY_FLOW = 3,
	SLUICE_QUERY_RULE = 4,		/* root */
	SLUICE_QUERY_RPS = 5,		/* root */
	SLUICE_QUERY_EXPLAIN = 6,	/* root; about u.query.flow */
};

/* A flow as its packets have it; all in network order but family. IPv4: addresses as ::ffff:a.b.c.d. */
struct sluice_ctl_flow {
	struct sluice_addr saddr;
	struct sluice_addr daddr;
	__be16 sport;
	__be16 dport;
	__u8 family;	/* 4 or 6 */
	__u8 proto;	/* IPPROTO_UDP */
	__u16 pad;
};

/* What to do with the rules that drop by source address. */
enum sluice_ctl_rule {
	SLUICE_RULE_ADD = 1,
	SLUICE_RULE_DEL = 2,
	SLUICE_RULE_FLUSH = 3,	/* all of them */
};

enum sluice_ctl_rps {
	SLUICE_RPS_CPUS = 1,	/* the mask of one queue */
	SLUICE_RPS_ENTRIES = 2,	/* the size of rps_sock_flow, for all */
};

/* The socket has UDP_GRO: its records may be merged (lane.h). Other flags must be 0. */
#define SLUICE_ATTACH_GRO 0x1u

struct sluice_ctl_msg {
	__u32 magic;
	__u16 version;
	__u16 type;
	__u32 id;	/* chosen by the client */
	__u32 lane;	/* DETACH, STOP, ATTACHED: slot number */
	union {
		struct {
			__u32 lane_bytes;	/* 0: default */
			__u32 port;		/* hint: local port, host order */
			__u32 flags;		/* SLUICE_ATTACH_ */
		} attach;
		struct {
			__u32 what;	/* enum sluice_ctl_query */
			struct sluice_ctl_flow flow;	/* EXPLAIN */
		} query;
		struct {
			__u32 verb;	/* enum sluice_ctl_rule */
			__u8 family;	/* 4 or 6 */
			__u8 len;	/* of the prefix */
			__u16 pad;
			__u32 addr[4];	/* network order; IPv4: addr[0]; the bits beyond len are 0 */
		} rule;
		struct {
			__u32 what;	/* enum sluice_ctl_rps */
			__u32 queue;	/* CPUS */
			__u32 entries;	/* ENTRIES */
			__u32 pad;
			__u64 cpus[SLUICE_MAX_CPUS / 64];	/* CPUS: bit c % 64 of word c / 64 */
		} rps;
		struct {
			__u32 stage;		/* enum sluice_tap_stage */
			__u32 snaplen;		/* bytes kept of a frame; 0: the default */
			__u32 ring_bytes;	/* of each ring; 0: the default */
		} tap;
		struct {
			__u64 data_offset;	/* of the first ring's struct sluice_lane_head */
			__u64 ctl_offset;	/* of the first ring's struct sluice_lane_ctl */
			__u32 ring_bytes;
			__u32 rings;
		} tapped;
		struct {
			__u64 data_offset;	/* of struct sluice_lane_head in the data memfd */
			__u64 ctl_offset;	/* of struct sluice_lane_ctl in the control memfd */
			__u32 ring_bytes;
			__u32 state;		/* enum sluice_lane_state */
			char text[SLUICE_CTL_TEXT];	/* what attached traffic bypasses, or what it waits for; "" */
		} attached;
		struct {
			__s32 error;	/* errno, positive */
			char text[SLUICE_CTL_TEXT];	/* what, why, what to do */
		} refused;
	} u;
};

#endif
