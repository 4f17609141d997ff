/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * maps.h - the maps of steer.bpf.c; include/sluice/steer.h says what they mean
 * and who writes them. Sizes given here are defaults: before the load, user
 * space sets those of rps_map, flow_tail, flow_head and flow_room (queues),
 * rps_dev_flow (2 * queues), xsks_map (queues * SLUICE_MAX_WORKERS), rps_sock_flow
 * (half its entries: see below), bind and local_addr; flow_key, if kept; and, with a flow
 * limit, flow_limit (like xsks_map) and flow_limit_bkt (that * table length / 8); cpu_tail
 * (queues), and cpu_head, cpu_lost and cpu_map (possible CPUs).
 *
 * The kernel rounds the elements of an array up to 8 bytes. Where user space maps
 * an array of __u32 into its memory, several go into one element, so that they
 * lie side by side as steer.h promises, and twice as many share a cache line.
 */
#ifndef SLUICE_MAPS_H
#define SLUICE_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <sluice/steer.h>

#include "cpu_head.h"
#include "hash.h"
#include "sock_flow.h"

#ifndef unlikely
#define unlikely(x) __builtin_expect(!!(x), 0)
#endif

#define DEFAULT_QUEUES 4

/* Settings, fixed at the load: the verifier removes what they switch off. */
const volatile __u64 hash_key[2] = {};
const volatile __u32 sock_flow_mask = 0;	/* entries of rps_sock_flow - 1; 0: RFS is off */
const volatile __u32 cpu_mask = 0;		/* bits of a rps_sock_flow entry that are the CPU */
const volatile __u8 generic_mode = 0;		/* generic XDP: several CPUs may share a queue */
const volatile __u8 dev_flows = 0;		/* queues may have an rps_dev_flow; 0: no RFS */
const volatile __u32 backlog_half = 0;		/* half of a target's ring; 0: no limits */
const volatile __u32 flow_limit_len = 0;	/* buckets per target; 0: no flow limit */
const volatile __u8 cpumap = 0;			/* something may have SLUICE_ACT_CPUMAP */

const volatile __u8 decide_more = 0;		/* 0: none of the next four is on */
const volatile __u8 role_mirror = 0;		/* frames for anybody are ours */
const volatile __u8 default_action = SLUICE_ACT_PASS;	/* for what no rule and no socket takes */
const volatile __u8 bind_rules = 0;		/* SLUICE_BIND_*: what bind_rule has */
const volatile __u8 hash_toeplitz = 0;		/* instead of SipHash */

const volatile __u8 flow_keys = 0;		/* flow_key is kept */

/* Families with deny rules (SLUICE_DENY_4, SLUICE_DENY_6): no other's trie is looked at. */
const volatile __u8 deny_families = 0;

/* As toeplitz_fill() makes it. Last, so that the settings lie side by side. */
const volatile __u32 toeplitz_table[TOEPLITZ_NIBBLES][16] = {};

/* The device's own address, kept current by user space; and two bytes to be read with it. */
__u8 dev_mac[8] __attribute__((aligned(8))) = {};

/* Else only the template of an inner map named the type, and the object lacked its members. */
static const volatile struct sluice_dev_flow dev_flow_type __attribute__((used));

/* Control words of rps_dev_flow, by queue (steer.h); written by user space. */
__u64 dev_flow_ctl[SLUICE_MAX_QUEUES] = {};

/* flow_tail and flow_head entry q * SLUICE_MAX_WORKERS + w is [q].worker[w]. */
struct queue_seqs {
	__u32 worker[SLUICE_MAX_WORKERS];
};

/* cpu_tail entry q * SLUICE_MAX_CPUS + c is [q].cpu[c]. */
struct cpu_seqs {
	__u32 cpu[SLUICE_MAX_CPUS];
};

/* flow_limit_bkt entry i is [i / 8].packets[i % 8]. */
struct limit_buckets {
	__u8 packets[8];
};

struct vlan_table {
	__u32 ifindex[SLUICE_VLAN_IDS];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SLUICE_DENY_MAX);
	__type(key, struct sluice_deny4_key);
	__type(value, struct sluice_deny);
} deny4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SLUICE_DENY_MAX);
	__type(key, struct sluice_deny6_key);
	__type(value, struct sluice_deny);
} deny6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SLUICE_RULE_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} rule_count SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct sluice_port);
} bind_port SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct sluice_bind_key);
	__type(value, struct sluice_bind);
} bind SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SLUICE_BIND_RULES);
	__type(key, struct sluice_bind_key);
	__type(value, struct sluice_bind);
} bind_rule SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct sluice_addr);
	__type(value, __u32);
} local_addr SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct vlan_table);
} vlan_dev SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, DEFAULT_QUEUES);
	__type(key, __u32);
	__type(value, struct sluice_rps_map);
} rps_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_CPUS);
	__type(key, __u32);
	__type(value, __u32);
} cpu_worker SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, DEFAULT_QUEUES * SLUICE_MAX_WORKERS);
	__type(key, __u32);
	__type(value, __u32);
} xsks_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, DEFAULT_QUEUES);
	__type(key, __u32);
	__type(value, struct queue_seqs);
} flow_tail SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, DEFAULT_QUEUES);
	__type(key, __u32);
	__type(value, struct queue_seqs);
} flow_head SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, DEFAULT_QUEUES);
	__type(key, __u32);
	__type(value, struct queue_seqs);
} flow_room SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bpf_cpumap_val);
} cpu_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, DEFAULT_QUEUES);
	__type(key, __u32);
	__type(value, struct cpu_seqs);
} cpu_tail SEC(".maps");

/* One queue's flows; its size is the queue's own. */
struct dev_flow_table {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sluice_dev_flow);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2 * DEFAULT_QUEUES);
	__type(key, __u32);
	__array(values, struct dev_flow_table);
} rps_dev_flow SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sluice_flow);
} flow_key SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SLUICE_MAX_WORKERS);
	__type(key, __u32);
	__type(value, struct sluice_heartbeat);
} heartbeat SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_WORKERS);
	__type(key, __u32);
	__type(value, __u32);
} flow_limit_on SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sluice_flow_limit);
} flow_limit SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct limit_buckets);
} flow_limit_bkt SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sluice_xdp_stat);
} softnet_stat SEC(".maps");

#endif
