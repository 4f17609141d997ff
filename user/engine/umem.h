/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * umem.h - the packet memory of one NIC queue and its fill ring.
 *
 *        +-----------> fill ring ---kernel---> rx ring of an XSK --+
 *        |                                                        v
 *   umem_recycle <--- stash of the XSK <--- napi, lanes <--- xsk_peek
 *        |  ^
 *        v  |  what the fill ring has no room for
 *       pool (last in, first out)
 *
 * A frame is in exactly one place:
 *     pool + stashes (free) + fill + rx + held + kernel = frames
 * where kernel is what the kernel's pool keeps between two rings: in copy mode
 * at most one frame, once a full rx ring has refused one; in zero-copy mode
 * what the NIC was given.
 *
 * One UMEM per queue: all XSKs of a queue share its fill ring, and frames never
 * leave their queue. The fill ring is single producer: the lock makes the
 * queue's workers take turns; a worker that does not get it keeps its frames in
 * its XSK's stash and tries after its next batch.
 */
#ifndef SLUICE_ENGINE_UMEM_H
#define SLUICE_ENGINE_UMEM_H

#include <pthread.h>
#include <stdint.h>
#include <xdp/xsk.h>

struct umem {
	struct xsk_umem *umem;
	struct xsk_ring_prod fill;
	struct xsk_ring_cons comp;	/* sluice does not send; the kernel wants one */
	uint8_t *area;
	uint64_t size;			/* bytes of area */
	uint32_t frames;
	uint32_t frame_size;
	pthread_mutex_t lock;		/* fill (producing) and pool */
	uint64_t *pool;
	uint32_t nr_pool;
};

/* Where the frames of a queue are; a snapshot, exact when no traffic flows. */
struct umem_frames {
	uint32_t total, free, fill, rx, held;
};

/*
 * frames: at least fill_size, else -EINVAL; frame_size: 2048 or 4096;
 * fill_size: a power of two. Fills the fill ring. -ENOMEM; -EPERM: no
 * CAP_NET_RAW; -ENOBUFS: RLIMIT_MEMLOCK without CAP_IPC_LOCK.
 */
int umem_init(struct umem *umem, uint32_t frames, uint32_t frame_size, uint32_t fill_size);
/* After its XSKs. Also of one that umem_init() failed on or that is zeroed. */
void umem_destroy(struct umem *umem);

/*
 * Gives n frames back. The number taken: n, or 0 when another worker has the
 * lock. Any worker of the queue.
 */
unsigned int umem_recycle(struct umem *umem, const uint64_t *frame, unsigned int n);

/* Frames in the pool, and in the fill ring. Any thread; a snapshot. */
uint32_t umem_free_frames(const struct umem *umem);
uint32_t umem_fill_frames(const struct umem *umem);

#endif
