/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * rfs_kernel.h - RFS for programs that know nothing of sluice: BPF programs on the
 * kernel's receive calls (bpf/rfs_kernel.bpf.c) record where its sockets are read.
 *
 * What a kernel can do is found out when it is switched on:
 *
 *   RFS_KERNEL_FULL    Linux 6.3 or newer, and a cgroup tree
 *   RFS_KERNEL_FENTRY  older, with fentry programs
 *   RFS_KERNEL_CONN    UDP only where the socket is connected: no cgroup tree is in sight
 *   RFS_KERNEL_TCP     no UDP: neither the hook of 6.3 nor fentry programs
 *
 * Ownership: struct rfs_kernel belongs to the caller; the hooks end with rfs_kernel_close(),
 * or with the process. Control thread only.
 */
#ifndef SLUICE_RFS_KERNEL_H
#define SLUICE_RFS_KERNEL_H

#include <stdint.h>

#include "engine/steer.h"

enum rfs_kernel_kind {
	RFS_KERNEL_OFF,
	RFS_KERNEL_FULL,
	RFS_KERNEL_FENTRY,
	RFS_KERNEL_CONN,
	RFS_KERNEL_TCP,
};

struct rfs_kernel_bpf;

/* All 0: off. */
struct rfs_kernel {
	enum rfs_kernel_kind kind;
	struct rfs_kernel_bpf *skel;
};

/*
 * Records the sockets of the network namespace with this cookie (SO_NETNS_COOKIE) in the
 * rps_sock_flow of s as it is now: a table of another size needs a new call. -EINVAL: RFS is
 * off; -EOPNOTSUPP: the kernel can do none of it, or bars it; -ENOMEM. It stays off then.
 */
int rfs_kernel_open(struct rfs_kernel *r, const struct steer *s, uint64_t netns_cookie);
/* Also when it is off. */
void rfs_kernel_close(struct rfs_kernel *r);

/* What the operator should know is not recorded, or NULL. */
const char *rfs_kernel_warning(const struct rfs_kernel *r);

#endif
