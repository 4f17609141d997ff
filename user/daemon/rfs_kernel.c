// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "daemon/rfs_kernel.h"

#include <errno.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* A type that the skeleton names. */
#include <hash.h>
#include <bpf/rfs_kernel.skel.h>

#include "daemon/guard_root.h"

static int prepare(struct rfs_kernel_bpf *skel, const struct steer *s, uint64_t netns_cookie)
{
	skel->rodata->hash_key[0] = s->config.hash_key[0];
	skel->rodata->hash_key[1] = s->config.hash_key[1];
	skel->rodata->sock_flow_mask = s->config.sock_flow_entries - 1;
	skel->rodata->cpu_mask = s->cpu_mask;
	skel->rodata->netns_cookie = netns_cookie;
	skel->rodata->hash_toeplitz = s->config.rss_key != NULL;
	if (s->config.rss_key)
		toeplitz_fill((toeplitz_nibble *)skel->rodata->toeplitz_table, s->config.rss_key);
	return bpf_map__reuse_fd(skel->maps.rps_sock_flow, steer_sock_flow_fd(s));
}

/* The skeleton owns the link. */
static int arrives_attach(struct rfs_kernel_bpf *skel)
{
	int root = guard_root_open(), err = 0;

	if (root < 0)
		return root;
	skel->links.arrives = bpf_program__attach_cgroup(skel->progs.arrives, root);
	if (!skel->links.arrives)
		err = -errno;
	close(root);
	return err;
}

static int open_kind(struct rfs_kernel *r, enum rfs_kernel_kind kind, const struct steer *s,
		     uint64_t netns_cookie)
{
	struct rfs_kernel_bpf *skel = rfs_kernel_bpf__open();
	int err;

	if (!skel)
		return -errno;
	bpf_program__set_autoload(skel->progs.arrives, kind == RFS_KERNEL_FULL);
	bpf_program__set_autoload(skel->progs.received,
				  kind == RFS_KERNEL_FULL || kind == RFS_KERNEL_CONN);
	bpf_program__set_autoload(skel->progs.consumes, kind == RFS_KERNEL_FENTRY);
	err = prepare(skel, s, netns_cookie);
	if (!err)
		err = rfs_kernel_bpf__load(skel);
	if (!err)
		err = rfs_kernel_bpf__attach(skel);
	if (!err && kind == RFS_KERNEL_FULL)
		err = arrives_attach(skel);
	if (err) {
		rfs_kernel_bpf__destroy(skel);
		return err;
	}
	*r = (struct rfs_kernel){ .kind = kind, .skel = skel };
	return 0;
}

int rfs_kernel_open(struct rfs_kernel *r, const struct steer *s, uint64_t netns_cookie)
{
	int err = -EOPNOTSUPP;

	*r = (struct rfs_kernel){ 0 };
	if (!s->config.sock_flow_entries)
		return -EINVAL;
	/* Many errors say that the kernel lacks something, as for guard.c. */
	for (int kind = RFS_KERNEL_FULL; err && err != -ENOMEM && kind <= RFS_KERNEL_TCP; kind++)
		err = open_kind(r, (enum rfs_kernel_kind)kind, s, netns_cookie);
	return err && err != -ENOMEM ? -EOPNOTSUPP : err;
}

void rfs_kernel_close(struct rfs_kernel *r)
{
	rfs_kernel_bpf__destroy(r->skel);
	*r = (struct rfs_kernel){ 0 };
}

const char *rfs_kernel_warning(const struct rfs_kernel *r)
{
	switch (r->kind) {
	case RFS_KERNEL_CONN:
		return "no cgroup tree can be had: of the kernel's UDP sockets only connected ones are "
		       "followed by RFS";
	case RFS_KERNEL_TCP:
		return "the kernel has neither the tracepoint sock_recv_length (Linux 6.3) nor fentry "
		       "programs: of its sockets only TCP is followed by RFS";
	default:
		return NULL;
	}
}
