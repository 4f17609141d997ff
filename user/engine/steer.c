/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
#include "engine/steer.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/steer.skel.h>
#include <hash.h>

#include "engine/steer_build.h"
#include "engine/steer_cpu.h"
#include "engine/steer_flow.h"
#include "engine/steer_map.h"

#define PIN_ROOT "/sys/fs/bpf"
#define PIN_PATH 96

static uint32_t roundup_pow_of_two(uint32_t n)
{
	uint32_t p = 1;

	while (p < n)
		p <<= 1;
	return p;
}

static int steer_size_limit(struct steer_bpf *skel, uint32_t queues, uint32_t len)
{
	uint32_t targets = queues * SLUICE_MAX_WORKERS;

	/* Eight buckets per element (bpf/maps.h). */
	return bpf_map__set_max_entries(skel->maps.flow_limit, targets) ||
	       bpf_map__set_max_entries(skel->maps.flow_limit_bkt, targets * (len / 8));
}

static int steer_size_cpus(struct steer_bpf *skel, uint32_t queues)
{
	uint32_t cpus = (uint32_t)libbpf_num_possible_cpus();

	return bpf_map__set_max_entries(skel->maps.cpu_tail, queues) ||
	       bpf_map__set_max_entries(skel->maps.cpu_head, cpus) ||
	       bpf_map__set_max_entries(skel->maps.cpu_lost, cpus) ||
	       bpf_map__set_max_entries(skel->maps.cpu_map, cpus);
}

static int steer_size_maps(struct steer_bpf *skel, const struct steer_config *config)
{
	uint32_t queues = config->nr_queues;
	/* Two entries per element (bpf/maps.h). */
	uint32_t flows = config->sock_flow_entries > 2 ? config->sock_flow_entries / 2 : 1;

	return bpf_map__set_max_entries(skel->maps.rps_map, queues) ||
	       bpf_map__set_max_entries(skel->maps.xsks_map, queues * SLUICE_MAX_WORKERS) ||
	       bpf_map__set_max_entries(skel->maps.flow_tail, queues) ||
	       bpf_map__set_max_entries(skel->maps.flow_head, queues) ||
	       bpf_map__set_max_entries(skel->maps.flow_room, queues) ||
	       bpf_map__set_max_entries(skel->maps.rps_dev_flow, 2 * queues) ||
	       bpf_map__set_max_entries(skel->maps.rps_sock_flow, flows) ||
	       (config->flow_keys &&
		bpf_map__set_max_entries(skel->maps.flow_key, config->flow_keys)) ||
	       steer_size_cpus(skel, queues) ||
	       (config->flow_limit_len && steer_size_limit(skel, queues, config->flow_limit_len)) ?
		       -EINVAL : 0;
}

static void *steer_mmap(const struct bpf_map *map)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = (size_t)bpf_map__value_size(map) * bpf_map__max_entries(map);
	void *p = mmap(NULL, (size + page - 1) & ~(page - 1), PROT_READ | PROT_WRITE, MAP_SHARED,
		       bpf_map__fd(map), 0);

	return p == MAP_FAILED ? NULL : p;
}

static void steer_munmap(void *p, const struct bpf_map *map)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = (size_t)bpf_map__value_size(map) * bpf_map__max_entries(map);

	if (p)
		munmap(p, (size + page - 1) & ~(page - 1));
}

static int steer_map_memory(struct steer *s)
{
	s->port = steer_mmap(s->skel->maps.bind_port);
	s->flow_tail = steer_mmap(s->skel->maps.flow_tail);
	s->flow_head = steer_mmap(s->skel->maps.flow_head);
	s->vlan_dev = steer_mmap(s->skel->maps.vlan_dev);
	s->sock_flow = steer_mmap(s->skel->maps.rps_sock_flow);
	s->heartbeat = steer_mmap(s->skel->maps.heartbeat);
	s->cpu_tail = steer_mmap(s->skel->maps.cpu_tail);
	s->cpu_head = steer_mmap(s->skel->maps.cpu_head);
	return s->port && s->flow_tail && s->flow_head && s->vlan_dev && s->sock_flow &&
	       s->heartbeat && s->cpu_tail && s->cpu_head ? 0 : -ENOMEM;
}

/*
 * A new table is all 0, which means empty but in the first slots (steer_sock_flow_empty). So a
 * large one is not written, page by page, before its flows come.
 */
static void steer_clear_flows(uint32_t *sock_flow, uint32_t entries, uint32_t cpu_mask)
{
	for (uint32_t i = 0; i < entries && i <= cpu_mask; i++)
		sock_flow[i] = SLUICE_NO_CPU;
}

/* What Linux's tables hold at the start: no CPU anywhere, every gate shut. */
static int steer_clear(struct steer *s)
{
	steer_clear_flows(s->sock_flow, s->config.sock_flow_entries, s->cpu_mask);
	for (uint32_t i = 0; i < 65536; i++)
		s->port[i].gen = 1;
	for (uint32_t cpu = 0; cpu < SLUICE_MAX_CPUS; cpu++) {
		int err = steer_set_cpu_worker(s, cpu, SLUICE_NO_WORKER);

		if (err)
			return err;
	}
	return 0;
}

/* What steer_plain was compiled for (bpf/steer.bpf.c). */
static bool steer_is_plain(const struct steer_config *config)
{
	return config->dev_flows && config->flow_keys && config->ring && !config->generic &&
	       !config->flow_limit_len && !config->deny && !config->bind_rules && !config->mirror &&
	       !config->rss_key && !steer_cpu_needed(config) &&
	       (!config->fallback || config->fallback == SLUICE_ACT_PASS);
}

/* The other one is not loaded. */
static struct bpf_program *steer_program(struct steer_bpf *skel)
{
	return bpf_program__autoload(skel->progs.steer) ? skel->progs.steer :
							  skel->progs.steer_plain;
}

/* What is compiled into the program. */
static void steer_set_options(struct steer_bpf *skel, const struct steer_config *config,
			      uint32_t cpu_mask)
{
	skel->rodata->hash_key[0] = config->hash_key[0];
	skel->rodata->hash_key[1] = config->hash_key[1];
	skel->rodata->sock_flow_mask =
		config->sock_flow_entries ? config->sock_flow_entries - 1 : 0;
	skel->rodata->cpu_mask = cpu_mask;
	skel->rodata->generic_mode = config->generic;
	skel->rodata->deny_families = config->deny;
	skel->rodata->dev_flows = config->dev_flows;
	skel->rodata->backlog_half = config->ring / 2;
	skel->rodata->flow_limit_len = config->flow_limit_len;
	skel->rodata->flow_keys = config->flow_keys > 0;
	skel->rodata->cpumap = steer_cpu_needed(config);
	skel->rodata->role_mirror = config->mirror;
	skel->rodata->default_action = config->fallback ? config->fallback : SLUICE_ACT_PASS;
	skel->rodata->bind_rules = config->bind_rules;
	skel->rodata->hash_toeplitz = config->rss_key != NULL;
	skel->rodata->decide_more = config->mirror || config->bind_rules || config->rss_key ||
				    skel->rodata->default_action != SLUICE_ACT_PASS;
	bpf_program__set_autoload(skel->progs.steer, !steer_is_plain(config));
	bpf_program__set_autoload(skel->progs.steer_plain, steer_is_plain(config));
	if (config->rss_key)
		toeplitz_fill((toeplitz_nibble *)skel->rodata->toeplitz_table, config->rss_key);
}

int steer_open(struct steer *s, const struct steer_config *config)
{
	int cpus = libbpf_num_possible_cpus(), err;

	*s = (struct steer){ .config = *config, .link_fd = -1, .first_fd = -1 };
	if (cpus < 0)
		return cpus;
	if (cpus > SLUICE_MAX_CPUS || !config->nr_queues || config->nr_queues > SLUICE_MAX_QUEUES ||
	    (config->flow_limit_len && config->flow_limit_len < 8))
		return -EINVAL;
	s->cpu_mask = roundup_pow_of_two((uint32_t)cpus) - 1;
	s->first_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	s->skel = s->first_fd < 0 ? NULL : steer_bpf__open();
	if (!s->skel) {
		err = -errno;
		steer_close(s);
		return err;
	}
	steer_set_options(s->skel, config, s->cpu_mask);
	err = steer_size_maps(s->skel, config);
	if (!err)
		err = steer_bpf__load(s->skel);
	if (!err)
		err = steer_map_memory(s);
	if (!err)
		err = steer_clear(s);
	if (!err)
		err = steer_flow_open(s);
	if (!err && steer_cpu_needed(config))
		err = steer_cpu_open(s, config);
	if (err)
		steer_close(s);
	return err;
}

/* Only what a user reads: not the sections of the object. */
static bool steer_map_is_pinned(const struct bpf_map *map)
{
	return !strchr(bpf_map__name(map), '.');
}

static void steer_pin_path(const struct steer *s, const struct bpf_map *map, char *path, size_t len)
{
	snprintf(path, len, "%s/%s", s->pins, bpf_map__name(map));
}

/* In place of what is pinned there: the map of a daemon that was killed, or the old one. */
static int steer_pin_map(const struct steer *s, const struct bpf_map *map)
{
	char path[PIN_PATH];

	steer_pin_path(s, map, path, sizeof(path));
	unlink(path);
	return bpf_obj_pin(bpf_map__fd(map), path);
}

static void steer_unpin(struct steer *s)
{
	struct bpf_map *map;
	char path[PIN_PATH];

	if (!s->pins[0])
		return;
	bpf_object__for_each_map(map, s->skel->obj) {
		steer_pin_path(s, map, path, sizeof(path));
		unlink(path);
	}
	rmdir(s->pins);
	rmdir(PIN_ROOT "/sluice");
	s->pins[0] = 0;
}

void steer_close(struct steer *s)
{
	steer_detach(s);
	if (s->first_fd >= 0)
		close(s->first_fd);
	s->first_fd = -1;
	if (!s->skel)
		return;
	steer_unpin(s);
	steer_build_drop(s);
	steer_cpu_close(s);
	steer_flow_close(s);
	steer_munmap(s->cpu_head, s->skel->maps.cpu_head);
	steer_munmap(s->cpu_tail, s->skel->maps.cpu_tail);
	steer_munmap(s->heartbeat, s->skel->maps.heartbeat);
	steer_munmap(s->port, s->skel->maps.bind_port);
	steer_munmap(s->flow_tail, s->skel->maps.flow_tail);
	steer_munmap(s->flow_head, s->skel->maps.flow_head);
	steer_munmap(s->vlan_dev, s->skel->maps.vlan_dev);
	steer_munmap(s->sock_flow, s->skel->maps.rps_sock_flow);
	steer_bpf__destroy(s->skel);
	s->skel = NULL;
}

/* Not the values of the options, nor a table that is made anew. */
static int steer_share_maps(struct steer_bpf *skel, const struct steer_bpf *from, bool new_flows,
			    int flows_fd)
{
	struct bpf_map *map, *old;
	int err = 0;

	if (flows_fd >= 0)
		err = bpf_map__reuse_fd(skel->maps.rps_sock_flow, flows_fd);
	bpf_object__for_each_map(map, skel->obj) {
		if (err)
			break;
		if (map == skel->maps.rodata || (new_flows && map == skel->maps.rps_sock_flow))
			continue;
		old = bpf_object__find_map_by_name(from->obj, bpf_map__name(map));
		err = old ? bpf_map__reuse_fd(map, bpf_map__fd(old)) : -ENOENT;
	}
	return err;
}

/* From here on nothing fails. old: as struct steer was with the program before. */
static void steer_replaced(struct steer *s, const struct steer *old)
{
	if (s->sock_flow != old->sock_flow) {
		if (s->pins[0])
			steer_pin_map(s, s->skel->maps.rps_sock_flow);
		steer_munmap(old->sock_flow, old->skel->maps.rps_sock_flow);
	}
	steer_bpf__destroy(old->skel);
}

static int steer_replace(struct steer *s, const struct steer_config *config, bool flush)
{
	bool new_flows = flush || config->sock_flow_entries != s->config.sock_flow_entries;
	struct steer old = *s;
	struct steer_bpf *skel = steer_bpf__open();
	uint32_t *flows = NULL;
	int err, flows_fd;

	if (!skel)
		return -errno;
	flows_fd = new_flows ? steer_build_take(s, config->sock_flow_entries) : -1;
	steer_set_options(skel, config, s->cpu_mask);
	err = steer_size_maps(skel, config);
	if (!err)
		err = steer_share_maps(skel, s->skel, new_flows, flows_fd);
	if (!err)
		err = steer_bpf__load(skel);
	if (flows_fd >= 0)
		close(flows_fd);
	if (!err && new_flows) {
		flows = steer_mmap(skel->maps.rps_sock_flow);
		err = flows ? 0 : -ENOMEM;
	}
	if (flows)
		steer_clear_flows(flows, config->sock_flow_entries, s->cpu_mask);
	if (!err && s->link_fd >= 0)
		err = bpf_link_update(s->link_fd, bpf_program__fd(steer_program(skel)), NULL);
	if (err) {
		steer_munmap(flows, skel->maps.rps_sock_flow);
		steer_bpf__destroy(skel);
		return err;
	}
	if (new_flows)
		steer_build_drop(s);
	s->skel = skel;
	s->config.sock_flow_entries = config->sock_flow_entries;
	s->config.deny = config->deny;
	s->config.dev_flows = config->dev_flows;
	s->config.fallback = config->fallback;
	s->config.bind_rules = config->bind_rules;
	s->sock_flow = flows ? flows : s->sock_flow;
	steer_replaced(s, &old);
	return 0;
}

int steer_reload(struct steer *s, const struct steer_config *config, bool flush)
{
	int err = steer_cpu_needed(config) && !s->cpumap ? steer_cpu_open(s, &s->config) : 0;

	if (err)
		return err;
	err = steer_replace(s, config, flush);
	if (!steer_cpu_needed(&s->config) && s->cpumap) {
		steer_grace();
		steer_cpu_close(s);
	}
	return err;
}

int steer_attach(struct steer *s)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts,
		    .flags = s->config.generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
	int fd = bpf_link_create(bpf_program__fd(steer_program(s->skel)), (int)s->config.ifindex,
				 BPF_XDP, &opts);

	if (fd < 0)
		return fd;
	s->link_fd = dup3(fd, s->first_fd, O_CLOEXEC);
	close(fd);
	if (s->link_fd < 0)
		return -errno;
	s->first_fd = -1;
	return 0;
}

void steer_detach(struct steer *s)
{
	if (s->link_fd >= 0)
		close(s->link_fd);
	s->link_fd = -1;
}

int steer_pin(struct steer *s, const char *ifname)
{
	struct bpf_map *map;
	char path[PIN_PATH];
	int err = 0;

	snprintf(path, sizeof(path), PIN_ROOT "/sluice");
	if (mkdir(path, 0755) && errno != EEXIST)
		return -errno;
	snprintf(s->pins, sizeof(s->pins), PIN_ROOT "/sluice/%s", ifname);
	if (mkdir(s->pins, 0755) && errno != EEXIST) {
		err = -errno;
		s->pins[0] = 0;
		rmdir(path);
		return err;
	}
	bpf_object__for_each_map(map, s->skel->obj) {
		if (!steer_map_is_pinned(map))
			continue;
		err = steer_pin_map(s, map);
		if (err)
			break;
	}
	if (err)
		steer_unpin(s);
	return err;
}

int steer_set_mac(struct steer *s, const uint8_t mac[6])
{
	memcpy(s->skel->bss->dev_mac, mac, 6);
	return 0;
}

int steer_set_target(struct steer *s, uint32_t queue, uint32_t worker, int xsk_fd)
{
	uint32_t slot = queue * SLUICE_MAX_WORKERS + worker;
	int err = steer_update(s->skel->maps.xsks_map, &slot, &xsk_fd);

	if (!err)
		s->queue[queue].targets |= 1ull << worker;
	return err;
}

int steer_clear_target(struct steer *s, uint32_t queue, uint32_t worker)
{
	uint32_t slot = queue * SLUICE_MAX_WORKERS + worker;

	s->queue[queue].targets &= ~(1ull << worker);
	return bpf_map_delete_elem(bpf_map__fd(s->skel->maps.xsks_map), &slot);
}

int steer_set_cpu_worker(struct steer *s, uint32_t cpu, uint32_t worker)
{
	return steer_update(s->skel->maps.cpu_worker, &cpu, &worker);
}

int steer_set_rps(struct steer *s, uint32_t queue, const struct sluice_rps_map *map)
{
	return steer_update(s->skel->maps.rps_map, &queue, map);
}

int steer_set_flow_limit(struct steer *s, uint32_t worker, bool on)
{
	uint32_t value = on;

	if (!s->config.flow_limit_len)
		return -EOPNOTSUPP;
	return steer_update(s->skel->maps.flow_limit_on, &worker, &value);
}

uint64_t steer_flow_limited(const struct steer *s, uint32_t target)
{
	struct sluice_flow_limit fl = { 0 };

	if (!s->config.flow_limit_len ||
	    bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.flow_limit), &target, &fl))
		return 0;
	/* All but every 64th were dropped (bpf/limit.h). */
	return fl.over - fl.over / SLUICE_FLOW_LIMIT_ESCAPE;
}

int steer_get_rps(const struct steer *s, uint32_t queue, struct sluice_rps_map *map)
{
	return bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.rps_map), &queue, map);
}

void steer_fill_rps(struct sluice_rps_map *map, const uint32_t *cpu, uint32_t n)
{
	map->len = n;
	for (uint32_t i = 0; n && i < SLUICE_RPS_MAX; i++)
		map->cpus[i] = (uint16_t)cpu[i % n];
}

int steer_get_cpu_worker(const struct steer *s, uint32_t cpu, uint32_t *worker)
{
	return bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.cpu_worker), &cpu, worker);
}

int steer_grace(void)
{
	/* The program runs in an RCU read-side section; this command is synchronize_rcu(). */
	return syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0 ? -errno : 0;
}

int steer_stat(const struct steer *s, struct sluice_xdp_stat *stat)
{
	int cpus = libbpf_num_possible_cpus(), err;
	struct sluice_xdp_stat *each;
	uint32_t zero = 0;

	if (cpus < 0)
		return cpus;
	each = calloc((size_t)cpus, sizeof(*each));
	if (!each)
		return -ENOMEM;
	err = bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.softnet_stat), &zero, each);
	if (!err) {
		memset(stat, 0, sizeof(*stat));
		for (int cpu = 0; cpu < cpus; cpu++)
			for (int v = 0; v < SLUICE_XDP_VERDICTS; v++)
				stat->verdict[v] += each[cpu].verdict[v];
	}
	free(each);
	return err;
}

int steer_bind_port_fd(const struct steer *s)
{
	return bpf_map__fd(s->skel->maps.bind_port);
}

int steer_sock_flow_fd(const struct steer *s)
{
	return bpf_map__fd(s->skel->maps.rps_sock_flow);
}
