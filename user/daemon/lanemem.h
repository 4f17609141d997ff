/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * lanemem.h - the shared memory of one client: a data memfd that it can only
 * read, and a control memfd that it can write (include/sluice/lane.h).
 *
 * Both have their final size from the start and are sealed against any other
 * (a client that truncates its file would kill whoever reads it); pages exist
 * only where a lane is, and are given back with it. Control thread only.
 */
#ifndef SLUICE_DAEMON_LANEMEM_H
#define SLUICE_DAEMON_LANEMEM_H

#include <stdbool.h>
#include <stdint.h>

#include <sluice/control.h>
#include <sluice/lane.h>

/* Lanes of one client in bytes, and so what it can make the daemon allocate. */
#define LANEMEM_MAX (1ull << 30)

struct lanemem_slot {
	uint64_t offset;		/* in the data memfd */
	uint64_t bytes;			/* 0: the slot is free */
	struct sluice_lane_head *head;	/* the daemon's mapping */
};

struct lanemem {
	int data_fd;			/* ours, read-write */
	int data_ro_fd;			/* the client's */
	int ctl_fd;
	struct sluice_lane_ctl *ctl;	/* all slots, mapped */
	struct lanemem_slot *slot;	/* [SLUICE_CTL_LANES] */
	uint64_t used;
};

/* -errno; on failure nothing is left. */
int lanemem_init(struct lanemem *mem);
void lanemem_destroy(struct lanemem *mem);

/*
 * A slot for a lane of ring_bytes, zeroed, with armed set. Its number, or
 * -ENOSPC: no slot, or above LANEMEM_MAX; -ENOMEM.
 */
int lanemem_alloc(struct lanemem *mem, uint32_t ring_bytes);
/* Nobody may write into the lane any more. The client keeps its mapping, of zeroes. */
void lanemem_free(struct lanemem *mem, uint32_t slot);

#endif
