// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "engine/steer_cpu.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>

#include <bpf/cpumap.skel.h>
#include <bpf/steer.skel.h>

#include "engine/steer_map.h"

static bool config_has_cpu(const struct steer_config *config, uint32_t cpu)
{
	return cpu < SLUICE_MAX_CPUS && config->cpus[cpu / 64] >> cpu % 64 & 1;
}

static uint32_t possible_cpus(const struct steer *s)
{
	return bpf_map__max_entries(s->skel->maps.cpu_map);
}

/* How the programs beside the XDP program fare decides nothing but how much is known. */
static int programs_load(struct steer *s, bool tracing)
{
	struct cpumap_bpf *skel = cpumap_bpf__open();
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);
	int err;

	if (!skel)
		return -errno;
	bpf_program__set_autoload(skel->progs.sleeping, tracing);
	bpf_program__set_autoload(skel->progs.enqueued, tracing);
	err = bpf_obj_get_info_by_fd(bpf_map__fd(s->skel->maps.cpu_map), &info, &len);
	if (!err)
		err = bpf_map__reuse_fd(skel->maps.cpu_head, bpf_map__fd(s->skel->maps.cpu_head));
	if (!err)
		err = bpf_map__reuse_fd(skel->maps.cpu_lost, bpf_map__fd(s->skel->maps.cpu_lost));
	skel->rodata->cpu_map_id = (int32_t)info.id;
	if (!err)
		err = cpumap_bpf__load(skel);
	if (!err && tracing)
		err = cpumap_bpf__attach(skel);
	if (err) {
		cpumap_bpf__destroy(skel);
		return err;
	}
	s->cpumap = skel;
	s->cpumap_blind = !tracing;
	return 0;
}

static int programs_open(struct steer *s)
{
	int err = programs_load(s, true);

	if (err && err != -ENOMEM)
		err = programs_load(s, false);
	return err == -EPERM || err == -EINVAL ? -EOPNOTSUPP : err;
}

static int entries_add(struct steer *s, const struct steer_config *config)
{
	struct bpf_cpumap_val value = {
		.qsize = config->cpu_queue,
		.bpf_prog.fd = bpf_program__fd(s->cpumap->progs.cpumap),
	};
	int err = 0, n = 0;

	for (uint32_t cpu = 0; !err && cpu < possible_cpus(s); cpu++) {
		if (!config_has_cpu(config, cpu))
			continue;
		err = steer_update(s->skel->maps.cpu_map, &cpu, &value);
		n++;
	}
	return err || n ? err : -EINVAL;
}

int steer_cpu_open(struct steer *s, const struct steer_config *config)
{
	int err = s->cpumap ? 0 : programs_open(s);

	if (err)
		return err;
	err = entries_add(s, config);
	if (err)
		steer_cpu_close(s);
	return err;
}

void steer_cpu_close(struct steer *s)
{
	if (!s->cpumap)
		return;
	for (uint32_t cpu = 0; cpu < possible_cpus(s); cpu++)
		bpf_map_delete_elem(bpf_map__fd(s->skel->maps.cpu_map), &cpu);
	cpumap_bpf__destroy(s->cpumap);
	s->cpumap = NULL;
}

bool steer_has_cpu(const struct steer *s, uint32_t cpu)
{
	return s->cpumap && cpu < possible_cpus(s) && config_has_cpu(&s->config, cpu);
}

int steer_cpu_stat(const struct steer *s, uint32_t cpu, struct steer_cpu_stat *stat)
{
	uint64_t lost = 0;

	*stat = (struct steer_cpu_stat){ 0 };
	if (cpu >= possible_cpus(s))
		return -EINVAL;
	stat->received = __atomic_load_n(&s->cpu_head[cpu].received, __ATOMIC_RELAXED);
	if (bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.cpu_lost), &cpu, &lost))
		return -errno;
	stat->lost = lost;
	for (uint32_t q = 0; q < s->config.nr_queues; q++)
		stat->enqueued += __atomic_load_n(&s->cpu_tail[q * SLUICE_MAX_CPUS + cpu],
						  __ATOMIC_RELAXED);
	return 0;
}
