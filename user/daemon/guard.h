/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * guard.h - learns from the kernel, at once, that the UDP sockets on a watched
 * port have changed.
 *
 * The BPF programs (bpf/guard.bpf.c) hook the kernel's bind, connect and close.
 * They advance `gen` in the shared map bind_port, which shuts the port's gate
 * for the XDP program without waiting for the daemon; then they report the port
 * here, so that the daemon looks at the sockets and opens the gate again:
 *
 *   read gen; diag_udp(port); decide; open = the gen that was read
 *
 * Ownership: struct guard belongs to the caller, must not move while it is open,
 * and ends with guard_close(), or with the process: nothing is pinned. The map
 * stays the caller's.
 * Threads: one at a time. Errors: 0 or -errno; nothing blocks.
 *
 * Not seen: an option that changes which datagrams a socket takes without
 * touching its place in the tables (SO_ATTACH_FILTER, UDP_ENCAP,
 * SO_ATTACH_REUSEPORT_EBPF, a group joined), programs of type sk_lookup.
 */
#ifndef SLUICE_GUARD_H
#define SLUICE_GUARD_H

#include <stdint.h>

struct guard_bpf;
struct ring_buffer;

struct guard {
	struct guard_bpf *skel;
	struct ring_buffer *events;
	uint32_t port;		/* read by guard_next(); 0: none */
	uint64_t lost;		/* as far as guard_next() has told */
};

/*
 * Hooks the sockets of the network namespace with this cookie (SO_NETNS_COOKIE).
 * bind_port_fd: the map bind_port (sluice/steer.h). -EOPNOTSUPP: the kernel has
 * no BTF, or no fentry, or not these functions, or its lockdown bars them: watch
 * the port by other means; -EINVAL: not that map; -EPERM: no BPF; -ENOMEM.
 */
int guard_open(struct guard *g, int bind_port_fd, uint64_t netns_cookie);
/* Also after a failed guard_open(). */
void guard_close(struct guard *g);

/* Readable when guard_next() has something to say. */
int guard_fd(const struct guard *g);
/*
 * The next port (host order) whose sockets changed. -EAGAIN: none; -ENOBUFS,
 * once: reports were lost, look at every watched port.
 */
int guard_next(struct guard *g, uint16_t *port);

#endif
