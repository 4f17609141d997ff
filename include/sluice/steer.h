/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * steer.h - the map ABI between the XDP program (bpf/) and user space.
 *
 *   NIC rx queue q --> deny4 / deny6                   may its source send to us at all?
 *                  --> bind_rule                       does a user's rule decide?
 *                  --> bind_port / bind / local_addr   is it for an attached socket?
 *                  --> default action                  what becomes of the rest?
 *                  --> flow hash
 *                  --> rps_sock_flow[hash & mask]      the CPU where the flow is consumed
 *                      else rps_map[q]                 a CPU by hash
 *                  --> cpu_worker[cpu]                 its worker w
 *                  --> rps_dev_flow[q]                 or that which still has packets of the flow
 *                  --> xsks_map[q * MAX_WORKERS + w]   its socket; rx_meta goes before the packet
 *                      or cpu_map[cpu]                 the kernel's stack on that CPU, by rule
 *
 * Ownership: the daemon creates every map and writes every rule; the XDP
 * program writes flow_tail, cpu_tail, flow_room, rps_dev_flow, flow_key, the maps of the
 * flow limit, softnet_stat, rule_count and rx_meta; the guard programs write only
 * sluice_port.gen. Workers write flow_head, heartbeat and rps_sock_flow; for the kernel's
 * sockets cpumap.bpf.c writes cpu_head and cpu_lost, rfs_kernel.bpf.c rps_sock_flow.
 * Included by BPF programs and by user space: no other header than linux/types.h, no
 * functions.
 *
 * Byte order: addresses and "be" ports are network order, all else host order.
 */
#ifndef SLUICE_STEER_H
#define SLUICE_STEER_H

#include <linux/types.h>

/* xsks_map is indexed by queue * SLUICE_MAX_WORKERS + worker. */
#define SLUICE_MAX_WORKERS 64
#define SLUICE_MAX_QUEUES 256
#define SLUICE_MAX_CPUS 1024

/*
 * A target's number: below SLUICE_MAX_WORKERS a worker, from SLUICE_TARGET_CPU on
 * the kernel's stack on CPU (number - SLUICE_TARGET_CPU); from
 * SLUICE_TARGET_CPU + SLUICE_MAX_CPUS on none.
 */
#define SLUICE_TARGET_CPU SLUICE_MAX_WORKERS

/* Linux's RPS_NO_CPU: the value of an empty rps_sock_flow entry. */
#define SLUICE_NO_CPU 0xffffu
/* cpu_worker: this CPU has no worker; rps_map decides. */
#define SLUICE_NO_WORKER 0xffffffffu

/*
 * What the XDP program writes directly before the packet (data_meta). In the
 * UMEM it ends at desc.addr. Its presence is known by the magic alone, so the
 * worker zeroes the magic before it recycles a frame.
 */
#define SLUICE_RX_MAGIC 0x7fc0510eu
struct sluice_rx_meta {
	__u32 magic;
	__u32 hash;	/* flow hash; 0: none */
	__u32 seq;	/* flow_tail or cpu_tail of (queue, target) after this packet */
	__u16 queue;
	__u16 target;
};

/* rps_map, one per queue: target CPU = cpus[(hash * len) >> 32]. */
#define SLUICE_RPS_MAX 128
struct sluice_rps_map {
	__u32 len;	/* 0: nothing is steered on this queue, XDP_PASS */
	__u16 cpus[SLUICE_RPS_MAX];
};

/*
 * rps_dev_flow: per queue an array of these, indexed by flow hash & (entries - 1):
 * where the flows of that entry are now (Linux's struct rps_dev_flow, and the
 * target, since cpu_worker may give the CPU another worker while packets wait).
 * Arrays 2 * queue and 2 * queue + 1 are one queue's; which of them is in use
 * says the queue's control word:
 *
 *    63   62 ... 32                  31       30 ... 0
 *   | 0 | entries of the former | current | entries of the current (0: none) |
 *
 * entries is 0 or a power of two; the former is looked at while its entries
 * still have packets under way after a resize (0: there is none), and is the
 * other array of the two.
 */
#define SLUICE_NO_FILTER 0xffffu
struct sluice_dev_flow {
	__u16 cpu;		/* SLUICE_NO_CPU: unset */
	__u16 filter;		/* hardware filter (engine/arfs.h); SLUICE_NO_FILTER: none */
	__u32 last_qtail;	/* sequence number of the last packet, on target */
	__u32 hash;		/* of the last packet */
	__u16 target;		/* SLUICE_NO_CPU: unset */
	__u16 stamp;		/* of the last packet: SLUICE_CPU_STAMP(); a CPU's only */
};
#define SLUICE_DEV_FLOW_UNSET \
	{ .cpu = SLUICE_NO_CPU, .filter = SLUICE_NO_FILTER, .target = SLUICE_NO_CPU }
#define SLUICE_DEV_FLOW_MAX (1u << 24)
#define SLUICE_DEV_FLOW_ENTRIES(ctl) ((__u32)(ctl) & 0x7fffffffu)
#define SLUICE_DEV_FLOW_CURRENT(ctl) ((__u32)(ctl) >> 31)
#define SLUICE_DEV_FLOW_FORMER(ctl) ((__u32)((ctl) >> 32))
#define SLUICE_DEV_FLOW_CTL(entries, current, former) \
	((__u64)(former) << 32 | (__u64)(current) << 31 | (entries))

/*
 * cpu_head, mmapable array by CPU: what cpumap.bpf.c has seen there of the packets for
 * the kernel's stack. It runs before the stack does, so a flow may leave the CPU when
 *
 *   (s32)(queue[q] - last_qtail) >= SLUICE_CPU_SETTLED        or
 *   (s32)(queue[q] - last_qtail) >= 0, and task is 0 or the flow silent for SLUICE_CPU_SILENT
 *
 * The kernel's thread takes 8 packets at a time, and its GRO may hold 64 (8 buckets of 8):
 * those before are in the socket. When the thread sleeps, all are. Where its sleep cannot
 * be seen (no tp_btf programs), task never becomes 0, and silence decides.
 *
 * Stamps are units of 2^20 ns (1.05 ms) of CLOCK_MONOTONIC_COARSE, which may lag by a tick
 * (10 ms at most, CONFIG_HZ >= 100), and the unit by one: 21 units are 10 ms at least, and
 * 22 at most where the tick is short. Stamps wrap after 68.7 s: a flow silent for as long
 * as that may be taken for one that is not, which only delays its move.
 */
#define SLUICE_CPU_SETTLED 80
#define SLUICE_CPU_SILENT 21
#define SLUICE_CPU_STAMP(ns) ((__u16)((ns) >> 20))
struct sluice_cpu_head {
	__u64 task;	/* the kernel's thread, 0 when it has nothing left to do */
	__u64 received;
	__u64 pad[6];
	__u32 queue[SLUICE_MAX_QUEUES];	/* number of the last packet seen */
};

/*
 * flow_limit, array by target (like xsks_map): Linux's struct sd_flow_limit. A
 * target's packets in history[] by bucket are counted in flow_limit_bkt, an array of
 * __u8 by target * table length + bucket. flow_limit_on, array of __u32 by worker: not
 * 0 where the limit applies.
 */
#define SLUICE_FLOW_LIMIT_HISTORY 128
/*
 * tail - head overestimates what lies in the ring when packets were lost in it, until
 * a later one is processed: so one in so many passes. Too low, and the limit leaks; too
 * high, and a flow alone on its worker is cut off for longer after an overrun.
 */
#define SLUICE_FLOW_LIMIT_ESCAPE 64
struct sluice_flow_limit {
	__u32 head;	/* next of history[] */
	__u32 over;	/* packets beyond the limit, those let through included */
	__u16 history[SLUICE_FLOW_LIMIT_HISTORY];
};
#define SLUICE_FLOW_LIMIT_LEN 4096	/* Linux's netdev_flow_limit_table_len */
#define SLUICE_FLOW_LIMIT_LEN_MAX 65536

/*
 * heartbeat, mmapable array by worker: when it was last seen at work, in
 * CLOCK_MONOTONIC. 0: it sleeps until packets come; the XDP program then
 * writes the time when it first found the worker's backlog above half, since from
 * then on the worker should be waking up.
 */
#define SLUICE_STALL_NS 200000000ull
struct sluice_heartbeat {
	__u64 ns;
	__u64 pad[7];	/* one line each: workers write theirs all the time */
};

/* An IPv6 address, or an IPv4 one as ::ffff:a.b.c.d. */
struct sluice_addr {
	__u32 w[4];
};

/*
 * flow_key, LRU hash from the flow hash to what the flow's packets have in their headers,
 * since a hash alone tells nobody which flow it is. Written by the XDP program when a flow
 * arrives in an entry of rps_dev_flow that held another one, so not for each packet. Of two
 * flows with one hash, and of a flow's two directions, the first to come is there.
 */
#define SLUICE_FLOW_KEYS 65536	/* entries by default */
#define SLUICE_FLOW_KEYS_MAX (1u << 24)
struct sluice_flow {
	struct sluice_addr saddr;
	struct sluice_addr daddr;
	__be16 sport;	/* ports are 0 where the flow was hashed without */
	__be16 dport;
	__u16 queue;	/* that its last new arrival was on */
	__u8 family;	/* 4 or 6 */
	__u8 proto;	/* IPPROTO_UDP, ... */
};

/* What a rule, or the default, does with its packets. Values are ABI. */
enum sluice_action {
	SLUICE_ACT_NONE = 0,	/* no rule */
	SLUICE_ACT_XSK = 1,	/* redirect to a worker */
	SLUICE_ACT_CPUMAP = 2,	/* redirect to a CPU's kernel stack */
	SLUICE_ACT_DROP = 3,
	SLUICE_ACT_PASS = 4,	/* to the kernel, on the CPU that received it */
};
#define SLUICE_ACTION_LIST(X) \
	X(XSK, "xsk") X(CPUMAP, "cpumap") X(DROP, "drop") X(PASS, "pass")

/*
 * deny4, deny6: LPM tries on the source address; what matches is dropped, whatever
 * its protocol, if the frame is for the device's MAC address or a group's. Looked at
 * only by a program that was loaded with rules there to be looked at.
 */
#define SLUICE_DENY_MAX 8192	/* rules per family */
#define SLUICE_DENY_4 0x1u	/* families, in settings of the program */
#define SLUICE_DENY_6 0x2u
struct sluice_deny4_key {
	__u32 prefixlen;	/* 0..32 */
	__u32 addr;
};
struct sluice_deny6_key {
	__u32 prefixlen;	/* 0..128 */
	__u32 addr[4];
};
struct sluice_deny {
	__u32 counter;		/* in rule_count */
};

/*
 * rule_count, per-CPU array of __u64: packets that a rule matched. Rules name their
 * counter; 0 belongs to none and takes what is not counted by rule.
 */
#define SLUICE_RULE_COUNTERS 32768

/*
 * bind_port, array indexed by UDP port (host order): the first thing looked at
 * for a datagram, and the gate that closes at once when anything about the
 * sockets on that port changes.
 *
 *   open == gen            rules of this port hold (flags, and `bind`)
 *   open != gen            closed: XDP_PASS, the kernel's sockets decide
 *
 * The guard (guard.bpf.c, or guard_cgroup.bpf.c where that may not run) adds 1 to
 * gen (atomically) whenever a UDP socket of the daemon's network namespace with
 * that port is bound, closed, connected, disconnected or re-bound. The daemon reads
 * gen, looks at the kernel's sockets, and then writes open = the gen it had read:
 * a change in between leaves the gate closed.
 */
#define SLUICE_PORT_WATCH 0x1u	/* the guard acts on this port */
#define SLUICE_PORT_ANY4 0x2u	/* rule for any local IPv4 address (see local_addr) */
#define SLUICE_PORT_ANY6 0x4u	/* rule for any local IPv6 address */
#define SLUICE_PORT_ANY (SLUICE_PORT_ANY4 | SLUICE_PORT_ANY6)
#define SLUICE_PORT_EXACT 0x8u	/* rules for single addresses are in `bind` */
struct sluice_port {
	__u32 gen;
	__u32 open;
	__u32 flags;
	__u16 action;	/* enum sluice_action of the ANY rules */
	__u16 counter;	/* of the ANY4 rule in rule_count; the ANY6 rule's is the next one */
};

/* bind, hash: rules for one local address. The address is local when the daemon inserts it. */
struct sluice_bind_key {
	struct sluice_addr addr;
	__be16 port;
	__u8 proto;	/* IPPROTO_UDP */
	__u8 pad;
};
struct sluice_bind {
	__u32 action;
	__u32 counter;	/* in rule_count */
};

/*
 * bind_rule, hash of struct sluice_bind_key -> struct sluice_bind: rules of users, looked at
 * before bind_port, for any protocol with ports; addr all 0: any address, of both families.
 * The rule for the address comes before that. In role host they take what is sent to the
 * device's MAC address (untagged, or in a VLAN that has an up device) and to an address
 * in local_addr; in role mirror, whatever matches. Which kinds there are is a setting of the
 * program, so that it looks only for those.
 */
#define SLUICE_BIND_RULES 8192
#define SLUICE_BIND_ANY 0x1u	/* rules for any address */
#define SLUICE_BIND_EXACT 0x2u	/* rules for single addresses */
#define SLUICE_BIND_CPUMAP 0x4u	/* rules with SLUICE_ACT_CPUMAP */

/* local_addr, hash: struct sluice_addr -> ifindex, unicast addresses of this host but loopback. */

/* vlan_dev, array by VLAN ID (802.1Q): ifindex of the up VLAN device on this device, else 0. */
#define SLUICE_VLAN_IDS 4096

/* One verdict for each packet that the XDP program saw. */
#define SLUICE_VERDICT_LIST(X)                                              \
	X(REDIRECT, "redirect", "redirected to a worker")                   \
	X(PASS_MAC, "pass_mac", "destination MAC is not the device's")      \
	X(PASS_VLAN, "pass_vlan", "VLAN without an up device, or nested")   \
	X(PASS_PROTO, "pass_proto", "not IPv4 or IPv6")                     \
	X(PASS_HEADER, "pass_header", "malformed, or with IP options")      \
	X(PASS_FRAG, "pass_frag", "fragment")                               \
	X(PASS_L4, "pass_l4", "not UDP, or behind extension headers")       \
	X(PASS_PORT, "pass_port", "no rule for the port, or its gate shut") \
	X(PASS_ADDR, "pass_addr", "destination address has no rule")        \
	X(PASS_TARGET, "pass_target", "no worker or CPU is there for it")   \
	X(DROP_DENY, "drop_deny", "source address is denied")               \
	X(PASS_STALLED, "pass_stalled", "its worker does not run")          \
	X(DROP_FLOW_LIMIT, "drop_flow_limit", "backlog above half, mostly of this flow") \
	X(REDIRECT_CPU, "redirect_cpu", "redirected to the kernel's stack on a CPU")            \
	X(PASS_RULE, "pass_rule", "a rule says so")                         \
	X(DROP_RULE, "drop_rule", "a rule or the default says so")          \
	X(PASS_HASH, "pass_hash", "no flow hash, so it cannot be steered")

enum sluice_verdict {
#define X(id, name, text) SLUICE_XDP_##id,
	SLUICE_VERDICT_LIST(X)
#undef X
	SLUICE_XDP_VERDICTS
};

/* softnet_stat, per-CPU array of one: received by XDP = the sum of all verdicts. */
struct sluice_xdp_stat {
	__u64 verdict[SLUICE_XDP_VERDICTS];
};

/*
 * flow_tail, flow_head: mmapable arrays of __u32 indexed like xsks_map. tail
 * counts packets enqueued by XDP to (queue, worker), head those that the worker
 * has fully processed or that were lost before one of these; both wrap. flow_room, of
 * the same layout: up to which tail the program need not look at head, since the
 * backlog (tail - head) is not above half of its limit. rps_sock_flow: mmapable array of __u32 in
 * Linux's layout, (hash & ~cpu_mask) | cpu. cpu_worker: array of __u32 by CPU.
 *
 * cpu_tail: mmapable array of __u32 by queue * SLUICE_MAX_CPUS + cpu: packets enqueued by
 * XDP to cpu_map[cpu]. cpu_lost: array of __u64 by CPU: those that found its queue full.
 */

#endif
