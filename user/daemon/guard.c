// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* guard.c - loads bpf/guard.bpf.c or bpf/guard_cgroup.bpf.c and reads its events; see guard.h. */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "bpf/guard.skel.h"
#include "bpf/guard_cgroup.skel.h"
#include "daemon/guard.h"
#include "daemon/guard_root.h"
#include "sluice/steer.h"

/* libbpf takes the record off the ring before this call; the error makes it stop after one. */
static int event_take(void *ctx, void *data, size_t size)
{
	uint32_t *port = ctx;

	if (size != sizeof(*port))
		return 0;
	memcpy(port, data, sizeof(*port));
	return -ECANCELED;
}

static int map_check(int fd)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return -errno;
	if (info.type != BPF_MAP_TYPE_ARRAY || info.key_size != sizeof(__u32) ||
	    info.value_size != sizeof(struct sluice_port) || info.max_entries != 65536)
		return -EINVAL;
	return 0;
}

/*
 * Many errors say that the kernel lacks something; EPERM is one: a lockdown may
 * bar these programs alone, silently. A caller that may not use BPF at all has
 * not come this far.
 */
static int unsupported(int err)
{
	return err == -ENOMEM ? err : -EOPNOTSUPP;
}

static int tracing_start(struct guard *g, int bind_port_fd, uint64_t netns_cookie)
{
	struct guard_bpf *skel = guard_bpf__open();
	int err;

	if (!skel)
		return -errno;
	g->tracing = skel;
	skel->rodata->netns_cookie = netns_cookie;
	err = bpf_map__reuse_fd(skel->maps.bind_port, bind_port_fd);
	if (err)
		return err;
	err = guard_bpf__load(skel);
	if (!err)
		err = guard_bpf__attach(skel);
	if (err)
		return unsupported(err);
	g->lost = &skel->bss->lost;
	return 0;
}

/* The skeleton owns the links: they end with it, and hence with the process. */
static int cgroup_attach(const struct bpf_object_skeleton *skel)
{
	int root = guard_root_open(), i, err = 0;

	if (root < 0)
		return root;
	for (i = 0; i < skel->prog_cnt && !err; i++) {
		*skel->progs[i].link = bpf_program__attach_cgroup(*skel->progs[i].prog, root);
		if (!*skel->progs[i].link)
			err = -errno;
	}
	close(root);
	return err;
}

static int cgroup_start(struct guard *g, int bind_port_fd, uint64_t netns_cookie)
{
	struct guard_cgroup_bpf *skel = guard_cgroup_bpf__open();
	int err;

	if (!skel)
		return -errno;
	g->cgroup = skel;
	skel->rodata->netns_cookie = netns_cookie;
	err = bpf_map__reuse_fd(skel->maps.bind_port, bind_port_fd);
	if (err)
		return err;
	err = guard_cgroup_bpf__load(skel);
	if (!err)
		err = cgroup_attach(skel->skeleton);
	if (err)
		return unsupported(err);
	g->lost = &skel->bss->lost;
	return 0;
}

static int events_open(struct guard *g)
{
	const struct bpf_map *map = g->kind == GUARD_TRACING ? g->tracing->maps.guard_event :
							       g->cgroup->maps.guard_event;

	g->events = ring_buffer__new(bpf_map__fd(map), event_take, &g->port, NULL);
	return g->events ? 0 : -errno;
}

int guard_open_kind(struct guard *g, enum guard_kind kind, int bind_port_fd, uint64_t netns_cookie)
{
	int err;

	*g = (struct guard){ .kind = kind };
	err = map_check(bind_port_fd);
	if (err)
		return err;
	if (kind == GUARD_TRACING)
		err = tracing_start(g, bind_port_fd, netns_cookie);
	else
		err = cgroup_start(g, bind_port_fd, netns_cookie);
	if (!err)
		err = events_open(g);
	if (err)
		guard_close(g);
	return err;
}

int guard_open(struct guard *g, int bind_port_fd, uint64_t netns_cookie)
{
	int err = guard_open_kind(g, GUARD_TRACING, bind_port_fd, netns_cookie);

	if (err == -EOPNOTSUPP)
		err = guard_open_kind(g, GUARD_CGROUP, bind_port_fd, netns_cookie);
	return err;
}

void guard_close(struct guard *g)
{
	ring_buffer__free(g->events);
	guard_bpf__destroy(g->tracing);
	guard_cgroup_bpf__destroy(g->cgroup);
	*g = (struct guard){ 0 };
}

enum guard_kind guard_kind(const struct guard *g)
{
	return g->kind;
}

int guard_fd(const struct guard *g)
{
	return ring_buffer__epoll_fd(g->events);
}

int guard_next(struct guard *g, uint16_t *port)
{
	__u64 lost = __atomic_load_n(g->lost, __ATOMIC_RELAXED);

	if (lost != g->lost_told) {
		g->lost_told = lost;
		return -ENOBUFS;
	}
	ring_buffer__consume(g->events);
	if (!g->port)
		return -EAGAIN;
	*port = (uint16_t)g->port;
	g->port = 0;
	return 0;
}
