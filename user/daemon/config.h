/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * config.h - the daemon's settings. One table binds each option to its field
 * and its line of --help. No globals, any thread.
 */
#ifndef SLUICE_DAEMON_CONFIG_H
#define SLUICE_DAEMON_CONFIG_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hash.h>
#include <sluice/steer.h>

#include "engine/arfs.h"
#include "engine/steer.h"
#include "engine/xsk.h"

/* Workers without --workers: the first so many CPUs that the daemon may run on. */
#define CONFIG_WORKERS_DEFAULT 8
/*
 * Descriptors of one XSK's ring, and of a queue's fill ring. A worker that is not
 * scheduled for 2 ms loses packets above 2 M/s; larger rings stretch the memory
 * that the copy cycles through, past the cache.
 */
#define CONFIG_RING_DEFAULT 4096
/*
 * Two flows in one entry are steered by hash half of the time. 64 flows share
 * one in 1 % of the starts at this size; a page is touched only where a flow is.
 */
#define CONFIG_SOCK_FLOW_DEFAULT 262144
/* Flows of one queue under way at a time; those that share an entry wait for each other. */
#define CONFIG_DEV_FLOW_DEFAULT 4096
/*
 * Packets that may wait for the kernel's thread on one CPU (CPUMAP). Too low, and they are
 * lost while another task has the CPU: at 450,000 a second, which is what a stack takes,
 * this is 4.5 ms, one or two time slices. Too high, and they are received late and pass
 * through memory that is no longer cached. The kernel allows 16,384 and hands over 8 at a time.
 */
#define CONFIG_CPU_QUEUE_DEFAULT 2048
#define CONFIG_CPU_QUEUE_MIN 64
#define CONFIG_CPU_QUEUE_MAX 16384

struct config {
	char ifname[IF_NAMESIZE];
	uint32_t queue[SLUICE_MAX_QUEUES];
	uint32_t nr_queues;		/* 0: all of the device's */
	uint32_t cpu[SLUICE_MAX_WORKERS];
	uint32_t nr_workers;		/* at the start */
	uint32_t max_workers;		/* for which packet memory is made; at least nr_workers */
	uint32_t umem_frames;		/* per queue; 0: as many as the rings need */
	uint32_t ring;			/* descriptors, a power of two */
	uint32_t sock_flow_entries;	/* a power of two; 0: RFS off */
	uint32_t dev_flow_entries;	/* per queue, a power of two; 0: no RFS, no order guarantee */
	uint32_t flow_limit[SLUICE_MAX_WORKERS];	/* CPUs; none: no flow limit */
	uint32_t nr_flow_limit;
	uint32_t flow_limit_len;	/* buckets, a power of two */
	uint32_t flow_keys;		/* flows known by more than their hash; 0: none */
	bool arfs;
	bool arfs_queues;		/* arfs_queue[] is given */
	uint16_t arfs_queue[SLUICE_MAX_CPUS];	/* the rx queue of each CPU; ARFS_NO_QUEUE: none */
	uint64_t cpus[SLUICE_MAX_CPUS / 64];	/* bit c: CPUMAP may use CPU c */
	uint32_t cpu_queue;
	bool kernel_rfs;
	bool mirror;			/* role: frames for anybody; else host */
	uint8_t fallback;		/* enum sluice_action: the default */
	bool toeplitz;			/* instead of SipHash */
	bool has_rss_key;		/* else it is random */
	uint8_t rss_key[TOEPLITZ_KEY];
	enum xsk_copy_mode copy;
	enum steer_mode mode;
	bool help;
	bool version;
};

/*
 * Reads the command line. 0; -EINVAL with one sentence in why (what, why, what
 * to do). cfg is complete only on success.
 */
int config_parse(struct config *cfg, int argc, char **argv, char *why, size_t len);

/*
 * Can the role have this default action? Else the reason in why, and -EINVAL: in role host
 * nothing may take from the kernel what no socket has asked for.
 */
int config_check_default(bool mirror, uint8_t action, char *why, size_t len);

/* The text of --help, to stdout. */
void config_help(void);

/*
 * A list of numbers and ranges, "0,2-5", ascending or not, each below limit and
 * named once. 0 with out[0..*nr); -EINVAL; -ERANGE: a number >= limit; -E2BIG:
 * more than max.
 */
int config_list(const char *text, uint32_t limit, uint32_t *out, uint32_t *nr, uint32_t max);

#endif
