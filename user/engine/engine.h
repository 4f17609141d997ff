/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * engine.h - what all workers of one device share. The daemon fills it before
 * the first worker starts and frees it after the last one has stopped; in
 * between only the tables inside change, each by its own rule (netif.h, tap.h, udp.h:
 * RCU; rfs.h, flow_head: single words).
 */
#ifndef SLUICE_ENGINE_ENGINE_H
#define SLUICE_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include <sluice/steer.h>

#include <hash.h>

#include "engine/netif.h"
#include "engine/rfs.h"
#include "engine/tap.h"
#include "engine/udp.h"

/* What to do with UDP checksums. */
enum csum_mode {
	CSUM_VERIFY,		/* right, or zero over IPv4 */
	CSUM_PARTIAL_OK,	/* also the bare pseudo-header sum of a local sender on a veth */
};

struct addr_list;
struct clock;

struct engine {
	uint32_t ifindex;
	enum csum_mode csum;
	uint32_t gro_max_size;		/* Linux's (gro.h); 0: GRO is off */
	uint64_t gro_flush_timeout;	/* Linux's: ns that GRO holds a packet; 0: for one poll */
	/* As the XDP program's, for packets that came without rx_meta (dissect.h). */
	__u64 hash_key[2];
	bool toeplitz;			/* instead of SipHash */
	uint8_t rss_key[TOEPLITZ_KEY];
	toeplitz_nibble rss_table[TOEPLITZ_NIBBLES];	/* toeplitz_fill() from rss_key */
	bool mirror;			/* frames are for anybody: tags are skipped */
	const uint32_t *vlan_dev;	/* by VLAN ID: ifindex or 0; NULL: no VLANs */
	const struct addr_list *local;	/* this host's addresses; NULL: who steers has looked */
	const struct clock *clock;	/* virtual time, by which no thread sleeps; or NULL */
	uint32_t *flow_head;		/* by queue * SLUICE_MAX_WORKERS + worker, or NULL */
	struct sluice_heartbeat *heartbeat;	/* by worker; NULL: nobody reads it */
	struct rfs rfs;
	struct taps taps;
	struct netif netif;
	struct udp_table udp;
	int broken_fd;			/* eventfd: a client broke the rules of its lane; or -1 */
};

#endif
