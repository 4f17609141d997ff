/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * A resize, and what the XDP program does meanwhile (bpf/dev_flow.h):
 *
 *   control word        program                                     here
 *   old, -              old table                                   new table made, put beside
 *   new, former old     busy entry of old: stays; else new table    waits until none is busy
 *   new, -              new table                                   grace period, old table freed
 *
 * Copying live entries into the new table instead would not do: an entry may
 * change between copy and swap, and entries on different workers may meet in one
 * entry of a smaller table, which can name only one of them.
 */
#include "engine/steer_flow.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "engine/steer.h"

#include <bpf/steer.skel.h>

/*
 * A flow that fills its worker's ring all the time keeps its entry busy; most
 * are not within some ms. Too low: resizes end unsettled; too high: the control
 * thread answers nobody meanwhile.
 */
#define SETTLE_LIMIT_NS 1000000000ull
#define SETTLE_STEP_NS 1000000

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

/* What makes `bpftool map dump` print fields. libbpf has forgotten the template by now. */
static void table_types(struct bpf_map_create_opts *opts, const struct steer *s)
{
	const struct btf *btf = bpf_object__btf(s->skel->obj);
	int key = btf__find_by_name_kind(btf, "__u32", BTF_KIND_TYPEDEF);
	int value = btf__find_by_name_kind(btf, "sluice_dev_flow", BTF_KIND_STRUCT);

	if (key < 0 || value < 0)
		return;
	opts->btf_fd = (uint32_t)bpf_object__btf_fd(s->skel->obj);
	opts->btf_key_type_id = (uint32_t)key;
	opts->btf_value_type_id = (uint32_t)value;
}

static int table_create(struct steer_table *t, const struct steer *s, uint32_t entries)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	int fd;
	void *p;

	table_types(&opts, s);
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "dev_flow", sizeof(uint32_t),
			    sizeof(struct sluice_dev_flow), entries, &opts);
	if (fd < 0)
		return fd;
	p = mmap(NULL, table_size(entries), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	*t = (struct steer_table){ .flow = p == MAP_FAILED ? NULL : p, .entries = entries, .fd = fd };
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

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* bpf/cpu.h, cpu_flow_busy() */
static bool flow_busy_on_cpu(const struct steer *s, uint32_t queue, uint32_t cpu,
			     const struct sluice_dev_flow *flow, uint32_t tail)
{
	uint16_t now = SLUICE_CPU_STAMP(clock_ns(CLOCK_MONOTONIC_COARSE));
	int32_t past;

	if (!steer_has_cpu(s, cpu))
		return false;
	past = (int32_t)(__atomic_load_n(&s->cpu_head[cpu].queue[queue], __ATOMIC_ACQUIRE) - tail);
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

static bool flow_any_busy(const struct steer *s, uint32_t queue, const struct steer_table *t)
{
	for (uint32_t i = 0; i < t->entries; i++) {
		if (flow_busy(s, queue, &t->flow[i]))
			return true;
	}
	return false;
}

/*
 * An entry that is not busy is unset by the next run of the program that finds it, and
 * never busy again; but a run that found it busy may still write. So two looks with a grace
 * period between: after it, no run is left that began before the first.
 */
static int flow_wait(const struct steer *s, uint32_t queue, const struct steer_table *t)
{
	const struct timespec step = { .tv_nsec = SETTLE_STEP_NS };
	uint64_t end = clock_ns(CLOCK_MONOTONIC) + SETTLE_LIMIT_NS;
	bool idle = false;

	do {
		int err = steer_grace();
		bool busy = flow_any_busy(s, queue, t);

		if (err)
			return err;
		if (idle && !busy)
			return 0;
		idle = !busy;
		if (busy)
			nanosleep(&step, NULL);
	} while (clock_ns(CLOCK_MONOTONIC) < end);
	return -EBUSY;
}

int steer_settle_dev_flow(struct steer *s, uint32_t queue)
{
	struct steer_queue *q = &s->queue[queue];
	struct steer_table *former = &q->table[!q->current], old = *former;
	uint32_t index = 2 * queue + !q->current;
	int err;

	if (!old.entries)
		return 0;
	err = flow_wait(s, queue, former);
	if (err)
		return err;
	*former = (struct steer_table){ .fd = -1 };
	flow_publish(s, queue);
	err = steer_grace();
	bpf_map_delete_elem(bpf_map__fd(s->skel->maps.rps_dev_flow), &index);
	table_destroy(&old);
	return err;
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
		err = bpf_map_update_elem(bpf_map__fd(s->skel->maps.rps_dev_flow), &index, &next->fd,
					  BPF_ANY);
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
	int err;

	if (queue >= s->config.nr_queues || entries > SLUICE_DEV_FLOW_MAX)
		return -EINVAL;
	if (!s->config.dev_flows)
		return entries ? -EOPNOTSUPP : 0;
	entries = roundup_entries(entries);
	err = steer_settle_dev_flow(s, queue);
	if (err || entries == steer_dev_flow_entries(s, queue))
		return err;
	err = flow_replace(s, queue, entries);
	if (err)
		return err;
	err = steer_settle_dev_flow(s, queue);
	return err == -EBUSY ? 0 : err;
}
