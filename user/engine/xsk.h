/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * xsk.h - one AF_XDP socket: the source (source.h) of the napi instance of one
 * (queue, worker). Only its worker calls the source's functions; open, close
 * and statistics are the control thread's.
 */
#ifndef SLUICE_ENGINE_XSK_H
#define SLUICE_ENGINE_XSK_H

#include <stdbool.h>
#include <stdint.h>
#include <xdp/xsk.h>

#include "engine/source.h"
#include "engine/umem.h"

enum xsk_copy_mode {
	XSK_AUTO,	/* zero-copy where the driver has it */
	XSK_COPY,
	XSK_ZEROCOPY,
};

struct xsk {
	struct source src;
	struct xsk_socket *xsk;
	struct xsk_ring_cons rx;
	struct umem *umem;
	uint64_t *stash;	/* frames whose return waits for the umem's lock */
	uint32_t nr_stash;
	bool zerocopy;		/* what the kernel gave */
};

/*
 * Binds a new XSK to (ifname, queue) over umem; the first one of a umem decides
 * its mode. rx_size: descriptors, a power of two. -EBUSY: the queue has a
 * foreign XSK; -EOPNOTSUPP: no zero-copy here; -EINVAL: no such queue; -ENOMEM; -EPERM.
 * The umem must outlive it.
 */
int xsk_open(struct xsk *xsk, struct umem *umem, const char *ifname, uint32_t queue,
	     uint32_t rx_size, enum xsk_copy_mode mode);
/*
 * Its worker has stopped, and its ring is empty, or its frames are lost. The first XSK of a
 * umem stays in the kernel, unused, as long as the umem does, since the fill ring is its own.
 */
void xsk_close(struct xsk *xsk);

int xsk_fd(const struct xsk *xsk);

/* Packets for this socket that the kernel dropped. -errno. */
struct xsk_loss {
	uint64_t rx_dropped;	/* no frame in the fill ring, or the packet larger than a frame */
	uint64_t ring_full;
};
int xsk_loss(const struct xsk *xsk, struct xsk_loss *loss);

/* Positions of the rx ring: what the kernel has put in, what the worker has taken. Any thread. */
uint32_t xsk_rx_produced(const struct xsk *xsk);
uint32_t xsk_rx_consumed(const struct xsk *xsk);

#endif
