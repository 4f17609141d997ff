/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * steer.h - the XDP program of one device and its maps, as user space holds them.
 *
 *   steer_open (load) -> fill maps, set targets -> steer_attach -> ... -> steer_close
 *                                       steer_reload: settings that are part of the program
 *
 * Ownership: struct steer owns the program, its maps, the attachment (a
 * bpf_link, so it goes away with the process, however that ends) and the pins.
 * Of a process that dies the kernel closes the lowest descriptor first, and waits
 * at each AF_XDP socket; so that traffic is not steered to sockets half gone, the
 * link has a lower number than what is opened after steer_open().
 * Threads: the control thread only, but for the mmapped words, each of which
 * says who writes it.
 */
#ifndef SLUICE_ENGINE_STEER_H
#define SLUICE_ENGINE_STEER_H

#include <stdbool.h>
#include <stdint.h>

#include <sluice/steer.h>

#include "engine/counter.h"

struct steer_bpf;
struct steer_build;
struct cpumap_bpf;

enum steer_mode {
	STEER_AUTO,	/* native where the driver has it, else generic */
	STEER_NATIVE,
	STEER_GENERIC,
};

struct steer_config {
	uint32_t ifindex;
	uint32_t nr_queues;		/* of the device; <= SLUICE_MAX_QUEUES */
	uint32_t sock_flow_entries;	/* a power of two; 0: RFS off */
	uint64_t hash_key[2];
	bool generic;			/* will be attached in generic mode */
	bool dev_flows;			/* rps_dev_flow: without, no RFS and no order guarantee */
	uint32_t ring;			/* descriptors per target, its backlog limit; 0: no limits */
	uint32_t flow_limit_len;	/* buckets per target, a power of two >= 8; 0: no limit */
	uint32_t flow_keys;		/* entries of flow_key; 0: not kept */
	uint8_t deny;			/* families with rules: SLUICE_DENY_4 | SLUICE_DENY_6 */
	uint32_t cpu_queue;		/* packets in the queue of each cpu_map entry */
	uint64_t cpus[SLUICE_MAX_CPUS / 64];	/* bit c: cpu_map has CPU c, once it has entries */
	bool mirror;			/* frames for anybody are ours */
	uint8_t fallback;		/* enum sluice_action: the default; 0: pass */
	uint8_t bind_rules;		/* SLUICE_BIND_*: kinds of rules of users that there are */
	const uint8_t *rss_key;		/* of Toeplitz; NULL: SipHash. Must outlive it */
};

/* A queue's rps_dev_flow: the current table, and, after a resize, the former one. */
struct steer_table {
	struct sluice_dev_flow *flow;	/* mmapped, written by the XDP program; NULL: none */
	uint32_t entries;
	int fd;
};

struct steer_queue {
	struct steer_table table[2];
	uint32_t current;
	bool former_idle;		/* as last seen (steer_flow.c) */
	uint64_t former_sum;
	uint64_t targets;		/* bit w: worker w has a socket here */
};

/* Linux's limit for rps_sock_flow_entries. */
#define STEER_SOCK_FLOW_MAX (1u << 29)

/* A prefix of source addresses. Bits of addr beyond len are 0. */
struct steer_prefix {
	bool ipv6;
	uint8_t len;
	uint32_t addr[4];		/* network order; IPv4: addr[0] */
};

struct steer {
	struct steer_bpf *skel;
	struct steer_config config;
	uint32_t cpu_mask;
	int link_fd;
	int first_fd;			/* keeps a low number for link_fd; -1 once that has it */
	char pins[64];			/* directory of the pins; "" when there are none */
	struct sluice_port *port;	/* [65536] mmapped bind_port: gen is the guard's, else ours */
	uint32_t *sock_flow;		/* mmapped rps_sock_flow, by workers (rfs.h); NULL: off */
	uint32_t *flow_tail;		/* mmapped, written by the XDP program */
	uint32_t *flow_head;		/* mmapped, written by the workers */
	uint32_t *vlan_dev;		/* mmapped, written by the control thread */
	uint32_t *cpu_tail;		/* mmapped, written by the XDP program */
	struct sluice_cpu_head *cpu_head;	/* mmapped, by CPU; written by cpumap.bpf.c */
	struct cpumap_bpf *cpumap;	/* programs behind cpu_map; NULL: it has no entries */
	bool cpumap_blind;		/* none of them may see losses and idle threads */
	struct sluice_heartbeat *heartbeat;	/* mmapped, by worker, who writes it (worker.h) */
	struct steer_queue *queue;	/* [nr_queues] */
	struct counters counters;	/* of rules, in rule_count */
	struct steer_build *build;	/* steer_build.h */
};

/*
 * Loads the program. -errno of bpf(2); -EPERM: no CAP_BPF / CAP_NET_ADMIN. On failure
 * nothing is left.
 */
int steer_open(struct steer *s, const struct steer_config *config);
void steer_close(struct steer *s);

/*
 * Attaches in the mode that config.generic says. -EOPNOTSUPP: the driver has no
 * native XDP; -EBUSY: the device has an XDP program.
 */
int steer_attach(struct steer *s);
/* Takes the program off the device: from then on no packet reaches an XSK. */
void steer_detach(struct steer *s);

/*
 * Puts a program with the settings of config in the place of the one that runs:
 * sock_flow_entries, deny, fallback, bind_rules, and dev_flows (off: only when no queue has a
 * table); all else stays as it is. Every packet is handled by the one or the other, on the same
 * maps; only rps_sock_flow is made anew, empty, when sock_flow_entries is another number or flush
 * is set, unless steer_build.h has one. Nobody may use s->sock_flow during the call then. The
 * entries of cpu_map are made before the first program that needs them, and go after the last one.
 * -ENOMEM, -errno of bpf(2), steer_cpu.h: nothing has changed.
 */
int steer_reload(struct steer *s, const struct steer_config *config, bool flush);

/*
 * Pins the maps under /sys/fs/bpf/sluice/<ifname>/ for bpftool, replacing stale ones. -errno;
 * without pins all else works.
 */
int steer_pin(struct steer *s, const char *ifname);

int steer_set_mac(struct steer *s, const uint8_t mac[6]);
/* Packets of this queue for this worker go to this XSK. */
int steer_set_target(struct steer *s, uint32_t queue, uint32_t worker, int xsk_fd);
/* Takes it back. The caller sees to it that nothing is on its way there, or accepts its loss. */
int steer_clear_target(struct steer *s, uint32_t queue, uint32_t worker);
/*
 * Packets of some flow may be under way on this worker: what is found by an entry of the queue's
 * tables. A snapshot, also of words that the program is writing.
 */
bool steer_target_busy(const struct steer *s, uint32_t queue, uint32_t worker);
int steer_set_cpu_worker(struct steer *s, uint32_t cpu, uint32_t worker);
/*
 * The program may see an element half written: entries beyond len must be CPUs
 * that might as well be chosen (steer_fill_rps).
 */
int steer_set_rps(struct steer *s, uint32_t queue, const struct sluice_rps_map *map);
int steer_get_rps(const struct steer *s, uint32_t queue, struct sluice_rps_map *map);
/* n <= SLUICE_RPS_MAX CPUs, in turn over the whole map. With n 0, only map->len is set. */
void steer_fill_rps(struct sluice_rps_map *map, const uint32_t *cpu, uint32_t n);
int steer_get_cpu_worker(const struct steer *s, uint32_t cpu, uint32_t *worker);

/*
 * Gives the queue an rps_dev_flow of so many entries, rounded up to a power of two; 0:
 * none. Under traffic no flow is reordered by it: the former table stays beside
 * the new one until the packets that went by it have been processed (bpf/dev_flow.h), which
 * steer_settle_dev_flows() finds out. -EINVAL: no such queue, more than
 * SLUICE_DEV_FLOW_MAX; -EOPNOTSUPP: loaded without dev_flows; -EBUSY: the last
 * resize has not settled; -ENOMEM. On failure nothing has changed.
 */
int steer_resize_dev_flow(struct steer *s, uint32_t queue, uint32_t entries);
/*
 * Looks once whether former tables, of any queue, are unused, and frees those that are. 0: there
 * are none; -EBUSY: some are left, look again; -errno of membarrier(2). Takes a grace period, some
 * 10 ms, unless there are none.
 */
int steer_settle_dev_flows(struct steer *s);
/* Entries of the queue's table in force. */
uint32_t steer_dev_flow_entries(const struct steer *s, uint32_t queue);

/*
 * Whether this entry of rps_sock_flow is empty. 0 is what a new table holds; a flow's entry can be
 * 0 only in the slots up to cpu_mask, of which each hash that would be recorded so has one.
 */
static inline bool steer_sock_flow_empty(const struct steer *s, uint32_t slot, uint32_t entry)
{
	return entry == SLUICE_NO_CPU || (!entry && slot > s->cpu_mask);
}

/*
 * How many packets were enqueued to a target (its number) by this queue, and processed
 * there. False: there is no such target.
 */
bool steer_target_seqs(const struct steer *s, uint32_t queue, uint32_t target, uint32_t *tail,
		       uint32_t *head);
/* The flow that has this hash; -EOPNOTSUPP: they are not kept; -ENOENT: not known. */
int steer_flow_key(const struct steer *s, uint32_t hash, struct sluice_flow *flow);

/* Whether the flow limit applies to this worker; needs flow_limit_len. */
int steer_set_flow_limit(struct steer *s, uint32_t worker, bool on);
/* Packets that the limit has cost this target (queue * SLUICE_MAX_WORKERS + worker). */
uint64_t steer_flow_limited(const struct steer *s, uint32_t target);

int steer_local_add(struct steer *s, const struct sluice_addr *addr, uint32_t ifindex);
int steer_local_del(struct steer *s, const struct sluice_addr *addr);
bool steer_is_local(const struct steer *s, const struct sluice_addr *addr);
/* Exact rules; port in network order; counter from steer_counter_get(). */
int steer_bind_add(struct steer *s, const struct sluice_addr *addr, uint16_t port,
		   uint32_t counter);
bool steer_bind_find(const struct steer *s, const struct sluice_addr *addr, uint16_t port);
int steer_bind_del(struct steer *s, const struct sluice_addr *addr, uint16_t port);

/* Deny rules. They are looked at only by a program loaded with their family in config.deny. */
int steer_deny_add(struct steer *s, const struct steer_prefix *prefix, uint32_t counter);
int steer_deny_del(struct steer *s, const struct steer_prefix *prefix);
/* The counter of the rule for one source address, as the program finds it; -ENOENT: none. */
int steer_deny_find(const struct steer *s, const struct sluice_addr *addr, bool ipv6,
		    uint32_t *counter);

/* Rules of users, looked at only by a program loaded with their kinds in config.bind_rules. */
int steer_rule_add(struct steer *s, const struct sluice_bind_key *key,
		   const struct sluice_bind *rule);
int steer_rule_del(struct steer *s, const struct sluice_bind_key *key);
bool steer_rule_find(const struct steer *s, const struct sluice_bind_key *key,
		     struct sluice_bind *rule);

/* n counters in a row, at 0; their first, or 0 when none is left. */
uint32_t steer_counter_get(struct steer *s, uint32_t n);
void steer_counter_put(struct steer *s, uint32_t first, uint32_t n);
/* Sums over all CPUs. -ENOMEM, -errno of bpf(2). */
int steer_counter_read(const struct steer *s, uint32_t counter, uint64_t *packets);

/*
 * Returns when every packet whose processing by the program had begun has left it. -errno
 * of membarrier(2).
 */
int steer_grace(void);

/* Sums the verdicts of all CPUs. */
int steer_stat(const struct steer *s, struct sluice_xdp_stat *stat);

/* An entry of cpu_map is there. */
bool steer_has_cpu(const struct steer *s, uint32_t cpu);

/* Of one CPU: enqueued by XDP (modulo 2^32 per queue), received there, lost in a full queue. */
struct steer_cpu_stat {
	uint64_t enqueued, received, lost;
};

/* -EINVAL: no such CPU; -errno of bpf(2). With cpumap_blind, lost is always 0. */
int steer_cpu_stat(const struct steer *s, uint32_t cpu, struct steer_cpu_stat *stat);

int steer_bind_port_fd(const struct steer *s);
int steer_sock_flow_fd(const struct steer *s);

#endif
