/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * A resize, and what the XDP program does meanwhile (bpf/dev_flow.h):
 *
 *   control word        program                                     here
 *   old, -              old table                                   new table made, put beside
 *   new, former old     busy entry of old: stays; else new table    looks until none is busy
 *   new, -              new table                                   grace period, old table freed
 *
 * Copying live entries into the new table instead would not do: an entry may
 * change between copy and swap, and entries on different workers may meet in one
 * entry of a smaller table, which can name only one of them.
 */
#include "engine/steer_flow.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/clock.h"
#include "engine/steer.h"
#include "engine/steer_map.h"

#include <bpf/steer.skel.h>

static size_t table_size(uint32_t entries)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (entries * sizeof(struct sluice_dev_flow) + page - 1) & ~(page - 1);
}

static void table_destroy(struct steer_table *t)
{
	if (t->flow)
		munmap(t->flow, table_size(t->entries));
	if (t->fd >= 0)
		close(t->fd);
	*t = (struct steer_table){ .fd = -1 };
}

static int table_create(struct steer_table *t, const struct steer *s, uint32_t entries)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	int fd;
	void *p;

	/* libbpf has forgotten the template by now. */
	steer_map_types(&opts, s->skel->obj, "sluice_dev_flow");
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "dev_flow", sizeof(uint32_t),
			    sizeof(struct sluice_dev_flow), entries, &opts);
	if (fd < 0)
		return fd;
	p = mmap(NULL, table_size(entries), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	*t = (struct steer_table){ .flow = p == MAP_FAILED ? NULL : p, .entries = entries,
				   .fd = fd };
	if (!t->flow) {
		table_destroy(t);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < entries; i++)
		t->flow[i] = (struct sluice_dev_flow)SLUICE_DEV_FLOW_UNSET;
	return 0;
}

int steer_flow_open(struct steer *s)
{
	s->queue = calloc(s->config.nr_queues, sizeof(*s->queue));
	if (!s->queue)
		return -ENOMEM;
	for (uint32_t q = 0; q < s->config.nr_queues; q++)
		s->queue[q].table[0].fd = s->queue[q].table[1].fd = -1;
	return 0;
}

void steer_flow_close(struct steer *s)
{
	for (uint32_t q = 0; s->queue && q < s->config.nr_queues; q++) {
		table_destroy(&s->queue[q].table[0]);
		table_destroy(&s->queue[q].table[1]);
	}
	free(s->queue);
	s->queue = NULL;
}

bool steer_target_seqs(const struct steer *s, uint32_t queue, uint32_t target, uint32_t *tail,
		       uint32_t *head)
{
	uint32_t slot = queue * SLUICE_MAX_WORKERS + target, cpu = target - SLUICE_TARGET_CPU;

	if (target < SLUICE_MAX_WORKERS) {
		*tail = __atomic_load_n(&s->flow_tail[slot], __ATOMIC_RELAXED);
		*head = __atomic_load_n(&s->flow_head[slot], __ATOMIC_ACQUIRE);
		return true;
	}
	if ((int)cpu >= libbpf_num_possible_cpus() || !s->cpu_head)
		return false;
	*tail = __atomic_load_n(&s->cpu_tail[queue * SLUICE_MAX_CPUS + cpu], __ATOMIC_RELAXED);
	*head = __atomic_load_n(&s->cpu_head[cpu].queue[queue], __ATOMIC_ACQUIRE);
	return true;
}

int steer_flow_key(const struct steer *s, uint32_t hash, struct sluice_flow *flow)
{
	if (!s->config.flow_keys)
		return -EOPNOTSUPP;
	return bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.flow_key), &hash, flow);
}

uint32_t steer_dev_flow_entries(const struct steer *s, uint32_t queue)
{
	return s->queue[queue].table[s->queue[queue].current].entries;
}

static void flow_publish(struct steer *s, uint32_t queue)
{
	const struct steer_queue *q = &s->queue[queue];
	uint64_t ctl = SLUICE_DEV_FLOW_CTL(q->table[q->current].entries, q->current,
					   q->table[!q->current].entries);

	__atomic_store_n(&s->skel->bss->dev_flow_ctl[queue], ctl, __ATOMIC_RELEASE);
}

/* bpf/cpu.h, cpu_flow_busy() */
static bool flow_busy_on_cpu(const struct steer *s, uint32_t queue, uint32_t cpu,
			     const struct sluice_dev_flow *flow, uint32_t tail)
{
	uint16_t now = SLUICE_CPU_STAMP(clock_kernel(CLOCK_MONOTONIC_COARSE));
	int32_t past;

	if (!steer_has_cpu(s, cpu))
		return false;
	past = (int32_t)(__atomic_load_n(&s->cpu_head[cpu].queue[queue], __ATOMIC_ACQUIRE) - tail);
	if (s->config.generic)
		past = 0;
	if (past < 0 || past >= SLUICE_CPU_SETTLED)
		return past < 0;
	return __atomic_load_n(&s->cpu_head[cpu].task, __ATOMIC_RELAXED) &&
	       (uint16_t)(now - flow->stamp) < SLUICE_CPU_SILENT;
}

static bool flow_busy(const struct steer *s, uint32_t queue, const struct sluice_dev_flow *flow)
{
	uint32_t worker = __atomic_load_n(&flow->target, __ATOMIC_RELAXED);
	uint32_t tail = __atomic_load_n(&flow->last_qtail, __ATOMIC_RELAXED);
	uint32_t slot = queue * SLUICE_MAX_WORKERS + worker;

	if (worker >= SLUICE_TARGET_CPU)
		return flow_busy_on_cpu(s, queue, worker - SLUICE_TARGET_CPU, flow, tail);
	if (!(s->queue[queue].targets >> worker & 1))
		return false;
	return (int32_t)(__atomic_load_n(&s->flow_head[slot], __ATOMIC_ACQUIRE) - tail) < 0;
}

bool steer_target_busy(const struct steer *s, uint32_t queue, uint32_t worker)
{
	for (int i = 0; i < 2; i++) {
		const struct steer_table *t = &s->queue[queue].table[i];

		for (uint32_t e = 0; e < t->entries; e++) {
			if (__atomic_load_n(&t->flow[e].target, __ATOMIC_RELAXED) == worker &&
			    flow_busy(s, queue, &t->flow[e]))
				return true;
		}
	}
	return false;
}

/*
 * One look at the former table. An entry that is not busy is unset by the next run of the program
 * that finds it, and never busy again; but a run that found it busy may still write, and the next
 * ones find it busy by that. So two looks with a grace period between, and nothing written from the
 * one to the other: a packet recorded adds to the sum of last_qtail, an entry unset does not.
 */
static bool flow_settled(struct steer *s, uint32_t queue)
{
	struct steer_queue *q = &s->queue[queue];
	const struct steer_table *t = &q->table[!q->current];
	bool busy = false, settled;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < t->entries; i++) {
		sum += __atomic_load_n(&t->flow[i].last_qtail, __ATOMIC_RELAXED);
		busy |= flow_busy(s, queue, &t->flow[i]);
	}
	settled = !busy && q->former_idle && q->former_sum == sum;
	q->former_idle = !busy;
	q->former_sum = sum;
	return settled;
}

/* The table that no run of the program looks at after the next grace period. */
static void flow_retire(struct steer *s, uint32_t queue, struct steer_table *retired)
{
	struct steer_queue *q = &s->queue[queue];

	*retired = q->table[!q->current];
	q->table[!q->current] = (struct steer_table){ .fd = -1 };
	q->former_idle = false;
	flow_publish(s, queue);
}

int steer_settle_dev_flows(struct steer *s)
{
	struct steer_table *retired = NULL;
	bool left = false;
	int err;

	for (uint32_t q = 0; q < s->config.nr_queues; q++)
		left |= s->queue[q].table[!s->queue[q].current].entries > 0;
	if (!left)
		return 0;
	retired = calloc(s->config.nr_queues, sizeof(*retired));
	if (!retired)
		return -ENOMEM;
	left = false;
	for (uint32_t q = 0; q < s->config.nr_queues; q++) {
		retired[q].fd = -1;
		if (!s->queue[q].table[!s->queue[q].current].entries)
			continue;
		if (flow_settled(s, q))
			flow_retire(s, q, &retired[q]);
		else
			left = true;
	}
	/* For the tables that go, and between this look and the next. */
	err = steer_grace();
	for (uint32_t q = 0; q < s->config.nr_queues; q++) {
		uint32_t index = 2 * q + !s->queue[q].current;

		if (retired[q].fd >= 0)
			bpf_map_delete_elem(bpf_map__fd(s->skel->maps.rps_dev_flow), &index);
		table_destroy(&retired[q]);
	}
	free(retired);
	return err ? err : left ? -EBUSY : 0;
}

static uint32_t roundup_entries(uint32_t n)
{
	uint32_t p = 1;

	while (p < n)
		p <<= 1;
	return n ? p : 0;
}

static int flow_replace(struct steer *s, uint32_t queue, uint32_t entries)
{
	struct steer_queue *q = &s->queue[queue];
	struct steer_table *next = &q->table[!q->current];
	uint32_t index = 2 * queue + !q->current;
	int err;

	if (entries) {
		err = table_create(next, s, entries);
		if (err)
			return err;
		err = bpf_map_update_elem(bpf_map__fd(s->skel->maps.rps_dev_flow), &index,
					  &next->fd, BPF_ANY);
		if (err) {
			table_destroy(next);
			return err;
		}
	}
	q->current = !q->current;
	flow_publish(s, queue);
	return 0;
}

int steer_resize_dev_flow(struct steer *s, uint32_t queue, uint32_t entries)
{
	if (queue >= s->config.nr_queues || entries > SLUICE_DEV_FLOW_MAX)
		return -EINVAL;
	if (!s->config.dev_flows)
		return entries ? -EOPNOTSUPP : 0;
	entries = roundup_entries(entries);
	if (entries == steer_dev_flow_entries(s, queue))
		return 0;
	if (s->queue[queue].table[!s->queue[queue].current].entries)
		return -EBUSY;
	return flow_replace(s, queue, entries);
}
