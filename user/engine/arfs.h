/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * arfs.h - accelerated RFS: a flow is brought to the rx queue whose interrupts the CPU
 * takes that wants it, by a filter in the NIC (Linux: the ndo_rx_flow_steer half of
 * set_rps_cpu, and rps_may_expire_flow). RFS alone moves packets between CPUs after the NIC has
 * chosen the first one.
 *
 *   rps_sock_flow[hash] --> CPU --cpu_queue--> queue Q, another than the queue q in whose
 *   rps_dev_flow the flow is --> flow_key[hash] --> filter {addresses, ports} -> Q
 *
 *           promote()           check_coming(): seen there
 *   (none) ----------> COMING --------------------------------> HELD
 *     ^                 |  ^                                     | |
 *     |                 |  +--- move(): wanted on another queue -+ |
 *     |  check_coming():|                                          | check_held(): expired,
 *     |  not seen for   |                                          | or wanted at home
 *     |  COMING_TICKS   v                                          v
 *     +------------- LEAVING <-------------------------------------+
 *       expire(): the NIC has let go, mostly at once
 *
 * Not per packet, as in Linux, but by looking at the tables every ARFS_TICK_MS: the XDP
 * program cannot install filters. A filter expires when the flow's entry of Q no longer holds it,
 * when Q's target has processed ten times the table's entries since the flow's last
 * packet, or when another CPU wants the flow. These rules count packets: on a queue that has gone
 * silent nothing would expire, so a filter unused for ARFS_SILENT_TICKS also goes, but only if
 * another flow finds the NIC full.
 *
 * rps_dev_flow.filter is the number of the filter that brought the entry's flow. The program
 * never reads it and resets it with the entry's target; only arfs_tick() sets it, to say "held",
 * and compares it at the next look. Both write single 16-bit words. Where the reset comes just
 * before our store, the entry seems to hold a filter of before its change of target; what
 * decides about that flow is then the CPU that wants it, which is looked at each time.
 *
 * Order: as in Linux, none is promised when the NIC changes a flow's queue. Packets may wait
 * in the old queue of the NIC, unseen by anyone, while later ones come by the new one. What
 * can be had is had: a flow changes its queue when all its packets that the program has seen are
 * processed, so only those few that arrive in the moment of the change can be overtaken. A flow
 * that is never idle when looked at changes after ARFS_BUSY_LOOKS looks all the same: such flows
 * gain most. Between any two changes the order guarantee is that of rps_dev_flow.
 *
 * Owns its filters in the NIC and no others. Control thread only.
 */
#ifndef SLUICE_ENGINE_ARFS_H
#define SLUICE_ENGINE_ARFS_H

#include <stdbool.h>
#include <stdint.h>

#include <sluice/steer.h>

#include "engine/steer.h"

/* How often arfs_tick() wants to be called. The times below are in its calls. */
#define ARFS_TICK_MS 100
/* A flow whose packets do not arrive on the new queue by then does not obey the filter. */
#define ARFS_COMING_TICKS 20
/* What failed is not tried again for the same flow until it has been looked at so often. */
#define ARFS_HOLD_LOOKS 50
/* Lower: more packets are overtaken; higher: a busy flow stays longer where it is not wanted. */
#define ARFS_BUSY_LOOKS 10
/* Lower: flows that pause lose their filters where these are scarce; higher: dead ones keep them.
 */
#define ARFS_SILENT_TICKS 100
/*
 * Work of one call: entries looked at, and ns after which the NIC is asked for nothing more.
 * One request may take a driver some ms, and the control thread waits for it.
 */
#define ARFS_LOOKS 65536u
#define ARFS_TICK_NS 10000000ull
/* Of ours; a NIC that offers more is not filled. */
#define ARFS_FILTERS 16384u
#define ARFS_NO_QUEUE 0xffffu

struct nic_filter {
	struct sluice_flow flow;	/* all fields but queue are matched */
	uint32_t queue;			/* where its packets shall come */
	uint32_t location;		/* the NIC's number of it */
};

struct nic_filters;

/* What a NIC can do. -errno; -EOPNOTSUPP: not for such a flow. */
struct nic_filters_ops {
	/* How many filters can be added to those that are there, of whomever. */
	int (*capacity)(struct nic_filters *nic, uint32_t *room);
	/* Sets location. -ENOSPC: full. On failure the NIC is as before. */
	int (*add)(struct nic_filters *nic, struct nic_filter *filter);
	/* -ENOENT: it is not there, or what is there by now is another's and stays. */
	int (*del)(struct nic_filters *nic, const struct nic_filter *filter);
};

struct nic_filters {
	const struct nic_filters_ops *ops;
};

struct arfs_stat {
	uint64_t installed, moved, expired; /* moved: to another queue, not counted as installed */
	uint64_t lost;		/* the flow did not come, or the NIC's filter had gone */
	uint64_t failed;	/* the NIC refused */
	uint64_t full;		/* it had no room */
	uint64_t unknown;	/* flow_key does not know the flow */
};

/* Where things come from; tests have their own. */
struct arfs_env {
	void *ctx;
	int (*flow_key)(void *ctx, uint32_t hash, struct sluice_flow *flow);
	uint64_t (*now_ns)(void *ctx);
};

enum arfs_state {
	ARFS_FREE,
	ARFS_COMING,
	ARFS_HELD,
	ARFS_LEAVING,
};

struct arfs_filter {
	struct nic_filter nic;
	uint32_t hash;
	uint32_t last_qtail;	/* of the entry in the queue's table, at the last look */
	uint16_t home;		/* the queue without a filter */
	uint16_t next;		/* with the same bucket, or free; ARFS_FILTERS: none */
	uint16_t ticks;		/* COMING: since the start; HELD: without a packet */
	uint8_t state;
	uint8_t busy;		/* looks at which it could not move */
};

/* Shadow of an entry of rps_dev_flow: what it was when last looked at. */
struct arfs_look {
	uint32_t hash;
	uint32_t last_qtail;
	uint16_t busy;
	uint16_t hold;
};

struct arfs_table {
	const struct sluice_dev_flow *of;	/* the table that look[] shadows */
	uint32_t entries;
	struct arfs_look *look;
};

struct arfs {
	struct nic_filters *nic;
	const struct steer *steer;
	struct arfs_env env;
	uint16_t cpu_queue[SLUICE_MAX_CPUS];
	struct arfs_filter *filter;	/* [ARFS_FILTERS] */
	uint16_t *bucket;		/* [ARFS_FILTERS] by hash */
	uint16_t first_free;
	uint32_t nr;			/* filters in the NIC */
	struct arfs_table *table;	/* [nr_queues] */
	uint32_t at_queue, at_entry;	/* where the next call goes on looking */
	uint64_t until;			/* the end of this call's time */
	uint32_t room;			/* in the NIC, in this call */
	bool asked;			/* room is known */
	bool starved;			/* a flow found the NIC full in the last call */
	struct arfs_stat stat;
};

/*
 * cpu_queue: [SLUICE_MAX_CPUS], the queue that each CPU has for itself, ARFS_NO_QUEUE: none;
 * only queues that are served. nic and steer must outlive it. env NULL: the live map and
 * clock. -ENOMEM.
 */
int arfs_init(struct arfs *a, struct nic_filters *nic, const struct steer *steer,
	      const uint16_t *cpu_queue, const struct arfs_env *env);
/* Removes every filter of ours first; how many the NIC would not let go. */
uint32_t arfs_destroy(struct arfs *a);

void arfs_tick(struct arfs *a);

#endif
