/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * guard.h - learns from the kernel, at once, that the UDP sockets on a watched
 * port have changed.
 *
 * BPF programs hook the kernel's bind, connect and close. They advance `gen` in
 * the shared map bind_port, which shuts the port's gate for the XDP program
 * without waiting for the daemon; then they report the port here, so that the
 * daemon looks at the sockets and opens the gate again:
 *
 *   (GUARD_CGROUP: wait) read gen; diag_udp(port); decide; open = the gen that was read
 *
 * There are two kinds. GUARD_TRACING (bpf/guard.bpf.c, fentry and fexit) sees
 * each change on entry and on return, in every process. GUARD_CGROUP
 * (bpf/guard_cgroup.bpf.c) is for kernels without BTF, or whose lockdown bars the
 * first. It sees most changes before they are made, and some not at all:
 * disconnect (connect to AF_UNSPEC), a port bound implicitly, processes outside of
 * the cgroup tree visible from here, the close of a socket bound before the guard
 * was opened; and between a bind and its report the gate stays open for some
 * instructions. Its reader must also check the tables from time to time.
 *
 * Ownership: struct guard belongs to the caller, must not move while it is open,
 * and ends with guard_close(), or with the process: nothing is pinned. The map
 * stays the caller's.
 * Threads: one at a time. Errors: 0 or -errno; nothing blocks.
 *
 * Not seen by either: a group joined, programs of type sk_lookup. GUARD_TRACING
 * does not see what changes the datagrams that a socket takes without touching its
 * place in the tables (SO_ATTACH_FILTER, SO_ATTACH_REUSEPORT_EBPF, UDP_ENCAP);
 * GUARD_CGROUP does.
 */
#ifndef SLUICE_GUARD_H
#define SLUICE_GUARD_H

#include <linux/types.h>
#include <stdint.h>

/*
 * GUARD_CGROUP: how long to wait between a report and the look at the tables,
 * for the call that was reported on its way to be over. Too low, and the daemon
 * sees what was, opens the gate on it, and only its periodic check finds the
 * mistake: the reported process may be preempted, for a few milliseconds (a
 * scheduler slice) where the CPU is shared. Too high, and every change keeps the
 * port's traffic on the kernel path for longer than it needs.
 */
#define GUARD_SETTLE_MS 10

enum guard_kind {
	GUARD_TRACING,
	GUARD_CGROUP,
};

struct guard_bpf;
struct guard_cgroup_bpf;
struct ring_buffer;

struct guard {
	enum guard_kind kind;
	struct guard_bpf *tracing;		/* one of the two */
	struct guard_cgroup_bpf *cgroup;
	struct ring_buffer *events;
	const __u64 *lost;	/* counted by the programs */
	__u64 lost_told;	/* as far as guard_next() has told */
	uint32_t port;		/* read by guard_next(); 0: none */
};

/*
 * Hooks the sockets of the network namespace with this cookie (SO_NETNS_COOKIE),
 * by tracing if that can run, else by cgroups. bind_port_fd: the map bind_port
 * (sluice/steer.h). -EOPNOTSUPP: the kernel can do neither, or bars it: watch the
 * port by other means; -EINVAL: not that map; -EPERM: no BPF; -ENOMEM.
 */
int guard_open(struct guard *g, int bind_port_fd, uint64_t netns_cookie);
/* The same with one kind only: for tests. */
int guard_open_kind(struct guard *g, enum guard_kind kind, int bind_port_fd, uint64_t netns_cookie);
/* Also after a failed guard_open(). */
void guard_close(struct guard *g);

enum guard_kind guard_kind(const struct guard *g);
/* Readable when guard_next() has something to say. */
int guard_fd(const struct guard *g);
/*
 * The next port (host order) whose sockets changed, or are about to. -EAGAIN:
 * none; -ENOBUFS, once: reports were lost, look at every watched port.
 */
int guard_next(struct guard *g, uint16_t *port);

#endif
