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
 *   RULE, RPS, WORKER    --->    DONE or REFUSED
 *   TAP                  --->    TAPPED {data memfd, control memfd}  or REFUSED
 *
 * Every request gets one answer with the same `id`, in order. Host byte order.
 * A message with a wrong magic, version, type or length, or with another number
 * of descriptors than its type has, ends the connection. Closing the connection
 * detaches every socket of it, and ends its tap, of which it has one at most and then no
 * sockets. RULE, RPS, WORKER, TAP, and the queries named so are for root
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
	SLUICE_CTL_WORKER = 7,	/* root; answered when the worker runs, or is gone */
	SLUICE_CTL_TAP = 8,	/* root; see sluice/tap.h */
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
	SLUICE_QUERY_FLOW = 3,		/* a slice of a table: u.query.flows; parts > 0: root */
	SLUICE_QUERY_RULE = 4,		/* root */
	SLUICE_QUERY_RPS = 5,		/* root */
	SLUICE_QUERY_EXPLAIN = 6,	/* root; about u.query.flow */
	SLUICE_QUERY_WORKER = 7,	/* root */
};

/* A flow as its packets have it; in network order but family. IPv4: as ::ffff:a.b.c.d. */
struct sluice_ctl_flow {
	struct sluice_addr saddr;
	struct sluice_addr daddr;
	__be16 sport;
	__be16 dport;
	__u8 family;	/* 4 or 6 */
	__u8 proto;	/* IPPROTO_UDP */
	__u16 pad;
};

/*
 * Which part of which flow table is asked for. A table may be too large for one answer: the
 * answer covers the entries from start on, and says by `next` where to go on; without it the
 * part is complete. Its flows may come and go in between.
 */
#define SLUICE_FLOWS_SRC 0x1u	/* conditions that apply; 0: all flows */
#define SLUICE_FLOWS_DST 0x2u
#define SLUICE_FLOWS_ADDR 0x4u	/* either end */
#define SLUICE_FLOWS_SPORT 0x8u
#define SLUICE_FLOWS_DPORT 0x10u
#define SLUICE_FLOWS_PORT 0x20u	/* either end */
#define SLUICE_FLOWS_PROTO 0x40u
#define SLUICE_FLOWS_HASH 0x80u
#define SLUICE_FLOWS_COUNT 0x100u	/* tell their number only */
struct sluice_ctl_flows {
	__u32 part;	/* 0: rps_sock_flow; i + 1: rps_dev_flow of the i-th queue served */
	__u32 start;
	__u32 cond;
	__u32 hash;
	struct sluice_addr src;	/* a prefix: the bits beyond its length are 0 */
	struct sluice_addr dst;
	struct sluice_addr addr;
	__be16 sport;
	__be16 dport;
	__be16 port;
	__u8 src_len;	/* of 128 bits, also of an IPv4 address */
	__u8 dst_len;
	__u8 proto;
	__u8 pad[7];
};

/* What to do with rules, or with the default action. */
enum sluice_ctl_rule {
	SLUICE_RULE_ADD = 1,
	SLUICE_RULE_DEL = 2,
	SLUICE_RULE_FLUSH = 3,		/* all of a kind */
	SLUICE_RULE_DEFAULT = 4,	/* action is the default from now on */
};

enum sluice_ctl_rule_kind {
	SLUICE_RULE_ANY = 0,	/* FLUSH: of every kind */
	SLUICE_RULE_DENY = 1,	/* drops by source address: family, len, addr */
	SLUICE_RULE_BIND = 2,	/* proto, port, and, family not 0, addr; ADD: action */
};

/* CPUS and FLOW_CNT may come together: both are set, or nothing is. */
enum sluice_ctl_rps {
	SLUICE_RPS_CPUS = 1,	/* the mask of one queue */
	SLUICE_RPS_ENTRIES = 2,	/* the size of rps_sock_flow, for all */
	SLUICE_RPS_KERNEL_RFS = 4,	/* RFS for the kernel's sockets: entries is 0 or 1 */
	SLUICE_RPS_ARFS = 16,	/* the same of filters in the NIC */
	SLUICE_RPS_FLOW_CNT = 32,	/* the size of one queue's rps_dev_flow */
};

enum sluice_ctl_worker {
	SLUICE_WORKER_ADD = 1,
	SLUICE_WORKER_DEL = 2,
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
			union {
				struct sluice_ctl_flow flow;	/* EXPLAIN */
				struct sluice_ctl_flows flows;	/* FLOW */
			};
		} query;
		struct {
			__u32 verb;	/* enum sluice_ctl_rule */
			__u8 family;	/* 4 or 6; BIND: 0 is any address */
			__u8 len;	/* of the prefix */
			__u8 kind;	/* enum sluice_ctl_rule_kind */
			__u8 proto;	/* one that has ports */
			__u32 addr[4];	/* network order; IPv4: addr[0]; 0 beyond len */
			__u32 action;	/* enum sluice_action */
			__be16 port;
			__u16 pad;
		} rule;
		struct {
			__u32 what;	/* enum sluice_ctl_rps */
			__u32 queue;	/* CPUS, FLOW_CNT */
			__u32 entries;	/* ENTRIES; KERNEL_RFS, ARFS: 0 or 1 */
			__u32 flow_cnt;	/* FLOW_CNT */
			/* CPUS: bit c % 64 of word c / 64 */
			__u64 cpus[SLUICE_MAX_CPUS / 64];
		} rps;
		struct {
			__u32 verb;	/* enum sluice_ctl_worker */
			__u32 cpu;
		} worker;
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
			/* What attached traffic bypasses, or what it waits for; "". */
			char text[SLUICE_CTL_TEXT];
		} attached;
		struct {
			char text[SLUICE_CTL_TEXT];	/* what else has come of it; mostly "" */
		} done;
		struct {
			__s32 error;	/* errno, positive */
			char text[SLUICE_CTL_TEXT];	/* what, why, what to do */
		} refused;
	} u;
};

#endif
