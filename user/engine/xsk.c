/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
#include "engine/xsk.h"

#include <errno.h>
#include <linux/if_xdp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static struct xsk *xsk_of(struct source *src)
{
	return (struct xsk *)((char *)src - offsetof(struct xsk, src));
}

static unsigned int xsk_peek(struct source *src, struct rx_desc *desc, unsigned int n)
{
	struct xsk *xsk = xsk_of(src);
	const struct umem *umem = xsk->umem;
	uint32_t idx;

	n = xsk_ring_cons__peek(&xsk->rx, n, &idx);
	for (unsigned int i = 0; i < n; i++) {
		const struct xdp_desc *rx = xsk_ring_cons__rx_desc(&xsk->rx, idx + i);
		uint64_t frame = rx->addr & ~(uint64_t)(umem->frame_size - 1);
		bool valid = rx->addr < umem->size &&
			     rx->len <= frame + umem->frame_size - rx->addr;

		desc[i] = (struct rx_desc){
			.data = valid ? umem->area + rx->addr : NULL,
			.len = rx->len,
			.room = (uint32_t)(rx->addr - frame),
			.frame = frame,
			.drop = SLUICE_DROP_DESC,
		};
	}
	/* The descriptors are copied: the kernel may have their slots. */
	if (n)
		xsk_ring_cons__release(&xsk->rx, n);
	return n;
}

static void xsk_recycle(struct source *src, const uint64_t *frame, unsigned int n)
{
	struct xsk *xsk = xsk_of(src);

	memcpy(&xsk->stash[xsk->nr_stash], frame, n * sizeof(*frame));
	n += xsk->nr_stash;
	n -= umem_recycle(xsk->umem, xsk->stash, n);
	__atomic_store_n(&xsk->nr_stash, n, __ATOMIC_RELAXED);
}

static bool xsk_pending(const struct source *src)
{
	const struct xsk *xsk = xsk_of((struct source *)(uintptr_t)src);

	return __atomic_load_n(xsk->rx.producer, __ATOMIC_RELAXED) !=
	       __atomic_load_n(xsk->rx.consumer, __ATOMIC_RELAXED);
}

static const struct source_ops xsk_ops = {
	.peek = xsk_peek,
	.recycle = xsk_recycle,
	.pending = xsk_pending,
};

int xsk_open(struct xsk *xsk, struct umem *umem, const char *ifname, uint32_t queue,
	     uint32_t rx_size, enum xsk_copy_mode mode)
{
	static const uint16_t bind_flags[] = {
		[XSK_AUTO] = 0,
		[XSK_COPY] = XDP_COPY,
		[XSK_ZEROCOPY] = XDP_ZEROCOPY,
	};
	struct xsk_socket_config config = {
		.rx_size = rx_size,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		.bind_flags = bind_flags[mode],
	};
	struct xdp_options options = { 0 };
	socklen_t len = sizeof(options);
	int err;

	*xsk = (struct xsk){ .umem = umem, .src = { .ops = &xsk_ops, .fd = -1 } };
	xsk->stash = calloc(umem->frames, sizeof(*xsk->stash));
	if (!xsk->stash)
		return -ENOMEM;
	err = xsk_socket__create_shared(&xsk->xsk, ifname, queue, umem->umem, &xsk->rx, NULL,
					&umem->fill, &umem->comp, &config);
	if (err) {
		xsk->xsk = NULL;
		xsk_close(xsk);
		return err;
	}
	xsk->src.fd = xsk_socket__fd(xsk->xsk);
	if (!getsockopt(xsk->src.fd, SOL_XDP, XDP_OPTIONS, &options, &len))
		xsk->zerocopy = options.flags & XDP_OPTIONS_ZEROCOPY;
	return 0;
}

/* The frames whose return had to wait: nobody else knows of them. */
static void xsk_empty_stash(struct xsk *xsk)
{
	while (xsk->nr_stash) {
		xsk->nr_stash -= umem_recycle(xsk->umem, xsk->stash, xsk->nr_stash);
		if (xsk->nr_stash)
			sched_yield();
	}
}

void xsk_close(struct xsk *xsk)
{
	xsk_empty_stash(xsk);
	if (xsk->xsk)
		xsk_socket__delete(xsk->xsk);
	free(xsk->stash);
	*xsk = (struct xsk){ .src.fd = -1 };
}

int xsk_fd(const struct xsk *xsk)
{
	return xsk->src.fd;
}

int xsk_loss(const struct xsk *xsk, struct xsk_loss *loss)
{
	struct xdp_statistics stats = { 0 };
	socklen_t len = sizeof(stats);

	if (getsockopt(xsk->src.fd, SOL_XDP, XDP_STATISTICS, &stats, &len))
		return -errno;
	loss->rx_dropped = stats.rx_dropped;
	loss->ring_full = stats.rx_ring_full;
	return 0;
}

uint32_t xsk_rx_produced(const struct xsk *xsk)
{
	return __atomic_load_n(xsk->rx.producer, __ATOMIC_ACQUIRE);
}

uint32_t xsk_rx_consumed(const struct xsk *xsk)
{
	return __atomic_load_n(xsk->rx.consumer, __ATOMIC_ACQUIRE);
}
