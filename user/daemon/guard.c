// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* guard.c - loads bpf/guard.bpf.c and reads its events; see guard.h. */
#include <errno.h>
#include <string.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "bpf/guard.skel.h"
#include "daemon/guard.h"
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

static int skel_start(struct guard_bpf *skel, int bind_port_fd, uint64_t netns_cookie)
{
	int err;

	skel->rodata->netns_cookie = netns_cookie;
	err = bpf_map__reuse_fd(skel->maps.bind_port, bind_port_fd);
	if (err)
		return err;
	err = guard_bpf__load(skel);
	if (!err)
		err = guard_bpf__attach(skel);
	return err ? unsupported(err) : 0;
}

int guard_open(struct guard *g, int bind_port_fd, uint64_t netns_cookie)
{
	int err;

	memset(g, 0, sizeof(*g));
	err = map_check(bind_port_fd);
	if (err)
		return err;
	g->skel = guard_bpf__open();
	if (!g->skel)
		return -errno;
	err = skel_start(g->skel, bind_port_fd, netns_cookie);
	if (err)
		goto out;
	g->events = ring_buffer__new(bpf_map__fd(g->skel->maps.guard_event), event_take,
				     &g->port, NULL);
	if (g->events)
		return 0;
	err = -errno;
out:
	guard_close(g);
	return err;
}

void guard_close(struct guard *g)
{
	ring_buffer__free(g->events);
	guard_bpf__destroy(g->skel);
	memset(g, 0, sizeof(*g));
}

int guard_fd(const struct guard *g)
{
	return ring_buffer__epoll_fd(g->events);
}

int guard_next(struct guard *g, uint16_t *port)
{
	uint64_t lost = __atomic_load_n(&g->skel->bss->lost, __ATOMIC_RELAXED);

	if (lost != g->lost) {
		g->lost = lost;
		return -ENOBUFS;
	}
	ring_buffer__consume(g->events);
	if (!g->port)
		return -EAGAIN;
	*port = (uint16_t)g->port;
	g->port = 0;
	return 0;
}
