// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "engine/steer_build.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/steer.h"
#include "engine/steer_map.h"

#include <bpf/steer.skel.h>

struct steer_build {
	struct bpf_map_create_opts opts;
	uint32_t entries;
	uint32_t value_size;
	uint32_t max_entries;
	int fd;			/* or -errno; valid once done */
	atomic_bool done;
	pthread_t thread;
};

static void *build(void *arg)
{
	struct steer_build *b = arg;

	b->fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "rps_sock_flow", sizeof(uint32_t), b->value_size,
			       b->max_entries, &b->opts);
	if (b->opts.btf_fd)
		close((int)b->opts.btf_fd);
	atomic_store_explicit(&b->done, true, memory_order_release);
	return NULL;
}

/* The program whose types these are may be replaced before the thread needs them. */
static void own_types(struct bpf_map_create_opts *opts)
{
	int fd = opts->btf_fd ? fcntl((int)opts->btf_fd, F_DUPFD_CLOEXEC, 0) : -1;

	opts->btf_fd = fd < 0 ? 0 : (uint32_t)fd;
	if (fd < 0)
		opts->btf_key_type_id = opts->btf_value_type_id = 0;
}

static int start_thread(struct steer_build *b, const cpu_set_t *cpus)
{
	pthread_attr_t attr;
	int err;

	pthread_attr_init(&attr);
	if (cpus)
		pthread_attr_setaffinity_np(&attr, sizeof(*cpus), cpus);
	err = pthread_create(&b->thread, &attr, build, b);
	pthread_attr_destroy(&attr);
	return err;
}

int steer_build_start(struct steer *s, uint32_t entries, const cpu_set_t *cpus)
{
	const struct bpf_map *map = s->skel->maps.rps_sock_flow;
	struct steer_build *b = calloc(1, sizeof(*b));
	int err;

	if (!b)
		return -ENOMEM;
	steer_build_drop(s);
	b->fd = -1;
	b->entries = entries;
	b->value_size = bpf_map__value_size(map);
	b->max_entries = entries / (b->value_size / (uint32_t)sizeof(uint32_t));
	b->opts.sz = sizeof(b->opts);
	b->opts.map_flags = bpf_map__map_flags(map);
	steer_map_types(&b->opts, s->skel->obj, "sock_flow_pair");
	own_types(&b->opts);
	err = start_thread(b, cpus);
	if (err) {
		if (b->opts.btf_fd)
			close((int)b->opts.btf_fd);
		free(b);
		return -err;
	}
	s->build = b;
	return 0;
}

int steer_build_poll(const struct steer *s, uint32_t entries)
{
	const struct steer_build *b = s->build;

	if (!b || b->entries != entries)
		return -ENOENT;
	if (!atomic_load_explicit(&b->done, memory_order_acquire))
		return -EAGAIN;
	return b->fd < 0 ? b->fd : 0;
}

int steer_build_take(struct steer *s, uint32_t entries)
{
	int fd = -1;

	if (!steer_build_poll(s, entries)) {
		fd = s->build->fd;
		s->build->fd = -1;
	}
	return fd;
}

void steer_build_drop(struct steer *s)
{
	struct steer_build *b = s->build;

	if (!b)
		return;
	pthread_join(b->thread, NULL);
	if (b->fd >= 0)
		close(b->fd);
	free(b);
	s->build = NULL;
}
