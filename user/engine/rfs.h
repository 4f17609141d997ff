/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * rfs.h - receive flow steering, the recording half: where a flow was consumed
 * goes into rps_sock_flow, which the XDP program reads (Linux:
 * rps_record_sock_flow). Any worker may record at any time; an entry is one
 * word, and the last writer wins.
 */
#ifndef SLUICE_ENGINE_RFS_H
#define SLUICE_ENGINE_RFS_H

#include <stdint.h>

struct rfs {
	uint32_t *sock_flow;	/* the mmapped map; NULL: RFS is off */
	uint32_t mask;		/* entries - 1 */
	uint32_t cpu_mask;	/* Linux's rps_cpu_mask: a power of two above any CPU, - 1 */
};

/*
 * The table is replaced under traffic between the two; meanwhile nothing is
 * recorded. Control thread: it waits until no worker uses the old table.
 */
void rfs_pause(struct rfs *rfs);
/* sock_flow NULL: RFS is off from now on. */
void rfs_resume(struct rfs *rfs, uint32_t *sock_flow, uint32_t mask);

/* hash 0 is no flow and records nothing. */
void rfs_record(const struct rfs *rfs, uint32_t hash, uint32_t cpu);

#endif
