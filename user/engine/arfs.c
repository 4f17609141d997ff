// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "engine/arfs.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/clock.h"

#define NONE ARFS_FILTERS
/* A filter that the NIC will not let go is tried so often at the end. */
#define LAST_TRIES 3

static int live_flow_key(void *ctx, uint32_t hash, struct sluice_flow *flow)
{
	return steer_flow_key(ctx, hash, flow);
}

static uint64_t live_now(void *ctx)
{
	(void)ctx;
	return clock_kernel(CLOCK_MONOTONIC);
}

/* --- what the tables say --- */

/* One entry, read member by member: the program writes it meanwhile. */
struct entry {
	uint32_t hash;
	uint32_t last_qtail;
	uint32_t target;
	uint32_t filter;
};

static const struct steer_table *table_of(const struct arfs *a, uint32_t queue)
{
	const struct steer_queue *q = &a->steer->queue[queue];

	return &q->table[q->current];
}

static struct sluice_dev_flow *slot_of(const struct arfs *a, uint32_t queue, uint32_t hash)
{
	const struct steer_table *t = table_of(a, queue);

	return t->flow ? &t->flow[hash & (t->entries - 1)] : NULL;
}

/* False: it is nobody's. */
static bool entry_read(const struct sluice_dev_flow *from, struct entry *e)
{
	e->hash = __atomic_load_n(&from->hash, __ATOMIC_RELAXED);
	e->target = __atomic_load_n(&from->target, __ATOMIC_RELAXED);
	e->filter = __atomic_load_n(&from->filter, __ATOMIC_RELAXED);
	e->last_qtail = __atomic_load_n(&from->last_qtail, __ATOMIC_RELAXED);
	return e->hash && e->target < SLUICE_TARGET_CPU + SLUICE_MAX_CPUS;
}

/* How far its target is past the entry's last packet; negative: packets are under way. */
static int32_t entry_past(const struct arfs *a, uint32_t queue, const struct entry *e)
{
	uint32_t tail, head = 0;

	return steer_target_seqs(a->steer, queue, e->target, &tail, &head) ?
		       (int32_t)(head - e->last_qtail) : 0;
}

/* The queue of the CPU that wants the flow. False: nobody does. */
static bool wanted_queue(const struct arfs *a, uint32_t hash, uint32_t *queue)
{
	const struct steer *s = a->steer;
	uint32_t size = s->config.sock_flow_entries, val;

	if (!size)
		return false;
	val = __atomic_load_n(&s->sock_flow[hash & (size - 1)], __ATOMIC_RELAXED);
	if (steer_sock_flow_empty(s, hash & (size - 1), val) || (val ^ hash) & ~s->cpu_mask)
		return false;
	*queue = a->cpu_queue[(val & s->cpu_mask) % SLUICE_MAX_CPUS];
	return true;
}

/* --- our filters --- */

static uint16_t *bucket_of(struct arfs *a, uint32_t hash)
{
	return &a->bucket[(hash ^ hash >> 16) % ARFS_FILTERS];
}

static struct arfs_filter *filter_find(struct arfs *a, uint32_t hash)
{
	uint32_t i = *bucket_of(a, hash);

	while (i != NONE && a->filter[i].hash != hash)
		i = a->filter[i].next;
	return i == NONE ? NULL : &a->filter[i];
}

static uint16_t filter_number(const struct arfs *a, const struct arfs_filter *f)
{
	return (uint16_t)(f - a->filter);
}

static void filter_insert(struct arfs *a, uint32_t hash, const struct nic_filter *nic,
			  uint32_t home)
{
	uint16_t i = a->first_free, *bucket = bucket_of(a, hash);

	a->first_free = a->filter[i].next;
	a->filter[i] = (struct arfs_filter){
		.nic = *nic,
		.hash = hash,
		.home = (uint16_t)home,
		.next = *bucket,
	};
	*bucket = i;
	a->nr++;
}

static void filter_remove(struct arfs *a, struct arfs_filter *f)
{
	uint16_t i = filter_number(a, f), *link = bucket_of(a, f->hash);

	while (*link != i)
		link = &a->filter[*link].next;
	*link = f->next;
	f->state = ARFS_FREE;
	f->next = a->first_free;
	a->first_free = i;
	a->nr--;
}

/* The flow must be seen on its queue now. What its entry there is by chance does not count. */
static void filter_coming(const struct arfs *a, struct arfs_filter *f)
{
	const struct sluice_dev_flow *slot = slot_of(a, f->nic.queue, f->hash);
	struct entry e;

	f->state = ARFS_COMING;
	f->ticks = 0;
	f->busy = 0;
	f->last_qtail = slot && entry_read(slot, &e) ? e.last_qtail : 0;
}

/* --- asking the NIC --- */

static bool in_time(const struct arfs *a)
{
	return a->env.now_ns(a->env.ctx) < a->until;
}

static bool has_room(struct arfs *a)
{
	if (!a->asked && a->nic->ops->capacity(a->nic, &a->room))
		a->room = 0;
	a->asked = true;
	if (a->room && a->nr < ARFS_FILTERS)
		return true;
	a->starved = true;
	a->stat.full++;
	return false;
}

static int nic_add(struct arfs *a, struct nic_filter *filter)
{
	int err = a->nic->ops->add(a->nic, filter);

	if (!err) {
		a->room--;
	} else if (err == -ENOSPC) {
		a->room = 0;
		a->starved = true;
		a->stat.full++;
	} else {
		a->stat.failed++;
	}
	return err;
}

/* False: the NIC still has it. */
static bool nic_del(struct arfs *a, struct arfs_filter *f)
{
	int err = a->nic->ops->del(a->nic, &f->nic);

	if (err && err != -ENOENT) {
		a->stat.failed++;
		return false;
	}
	if (err)
		a->stat.lost++;
	else if (a->asked)
		a->room++;
	return true;
}

static void let_go(const struct arfs *a, const struct arfs_filter *f)
{
	struct sluice_dev_flow *slot = slot_of(a, f->nic.queue, f->hash);
	uint16_t held = filter_number(a, f);

	if (slot)
		__atomic_compare_exchange_n(&slot->filter, &held, (uint16_t)SLUICE_NO_FILTER, false,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* Its queue's entry still tells of packets that the filter brought: no reason for another one. */
static void hold_back(const struct arfs *a, const struct arfs_filter *f)
{
	const struct arfs_table *t = &a->table[f->nic.queue];

	if (t->look)
		t->look[f->hash & (t->entries - 1)].hold = ARFS_HOLD_LOOKS;
}

/* Whose time it is not yet is asked again at the next call. */
static void expire(struct arfs *a, struct arfs_filter *f)
{
	if (f->state != ARFS_LEAVING) {
		let_go(a, f);
		hold_back(a, f);
		f->state = ARFS_LEAVING;
	}
	if (in_time(a) && nic_del(a, f)) {
		a->stat.expired++;
		filter_remove(a, f);
	}
}

/* --- filters that are there --- */

/* The flow is wanted on another queue. */
static void move(struct arfs *a, struct arfs_filter *f, uint32_t to)
{
	struct nic_filter nic = f->nic;

	if (to == ARFS_NO_QUEUE || to == f->home || !table_of(a, to)->flow) {
		expire(a, f);
		return;
	}
	if (!in_time(a) || !nic_del(a, f))
		return;
	let_go(a, f);
	nic.queue = to;
	if (nic_add(a, &nic)) {
		a->stat.expired++;
		filter_remove(a, f);
		return;
	}
	f->nic = nic;
	a->stat.moved++;
	filter_coming(a, f);
}

/* Linux's rps_may_expire_flow, and silence where the NIC is full. */
static bool may_expire(const struct arfs *a, const struct arfs_filter *f, const struct entry *e)
{
	uint32_t entries = table_of(a, f->nic.queue)->entries;

	if (e->filter != filter_number(a, f))
		return true;
	if (entry_past(a, f->nic.queue, e) >= (int64_t)10 * entries)
		return true;
	return a->starved && f->ticks >= ARFS_SILENT_TICKS;
}

static void check_coming(struct arfs *a, struct arfs_filter *f, struct sluice_dev_flow *slot,
			 const struct entry *e)
{
	if (slot && e->hash == f->hash && e->last_qtail != f->last_qtail) {
		__atomic_store_n(&slot->filter, filter_number(a, f), __ATOMIC_RELAXED);
		f->state = ARFS_HELD;
		f->ticks = 0;
		f->last_qtail = e->last_qtail;
	} else if (++f->ticks > ARFS_COMING_TICKS) {
		a->stat.lost++;
		expire(a, f);
	}
}

static void check_held(struct arfs *a, struct arfs_filter *f, const struct entry *e)
{
	uint32_t to;

	if (e->last_qtail != f->last_qtail)
		f->ticks = 0;
	else if (f->ticks < ARFS_SILENT_TICKS)
		f->ticks++;
	f->last_qtail = e->last_qtail;
	/* First, as the flow's new target has taken the filter out of its entry. */
	if (e->hash == f->hash && wanted_queue(a, f->hash, &to) && to != f->nic.queue) {
		if (entry_past(a, f->nic.queue, e) >= 0 || f->busy++ >= ARFS_BUSY_LOOKS)
			move(a, f, to);
		return;
	}
	f->busy = 0;
	if (may_expire(a, f, e))
		expire(a, f);
}

static void check(struct arfs *a, struct arfs_filter *f)
{
	struct sluice_dev_flow *slot = slot_of(a, f->nic.queue, f->hash);
	struct entry e = { 0 };

	if (slot && !entry_read(slot, &e))
		e = (struct entry){ .filter = SLUICE_NO_FILTER };
	if (f->state == ARFS_LEAVING || !slot)
		expire(a, f);
	else if (f->state == ARFS_COMING)
		check_coming(a, f, slot, &e);
	else
		check_held(a, f, &e);
}

/* --- flows that want one --- */

static void promote(struct arfs *a, struct arfs_look *look, uint32_t from, uint32_t to)
{
	struct nic_filter nic = { .queue = to };
	int err;

	if (!in_time(a) || !has_room(a))
		return;
	if (a->env.flow_key(a->env.ctx, look->hash, &nic.flow)) {
		a->stat.unknown++;
		look->hold = ARFS_HOLD_LOOKS;
		return;
	}
	err = nic_add(a, &nic);
	if (err) {
		if (err != -ENOSPC)
			look->hold = ARFS_HOLD_LOOKS;
		return;
	}
	a->stat.installed++;
	/* Should the flow not come, it is not tried again at once. */
	look->hold = ARFS_COMING_TICKS + ARFS_HOLD_LOOKS;
	look->busy = 0;
	filter_insert(a, look->hash, &nic, from);
	filter_coming(a, filter_find(a, look->hash));
}

/* Whether packets of this flow have come since the last look. */
static bool look_again(struct arfs_look *look, const struct entry *e)
{
	bool alive = look->hash == e->hash && look->last_qtail != e->last_qtail;

	if (look->hash != e->hash)
		*look = (struct arfs_look){ .hash = e->hash };
	look->last_qtail = e->last_qtail;
	if (look->hold) {
		look->hold--;
		return false;
	}
	return alive;
}

static void look_at(struct arfs *a, uint32_t queue, uint32_t i)
{
	struct arfs_look *look = &a->table[queue].look[i];
	struct entry e;
	uint32_t to;

	if (!entry_read(&a->table[queue].of[i], &e) || !look_again(look, &e))
		return;
	if (!wanted_queue(a, e.hash, &to) || to == ARFS_NO_QUEUE || to == queue ||
	    !table_of(a, to)->flow || filter_find(a, e.hash)) {
		look->busy = 0;
		return;
	}
	if (entry_past(a, queue, &e) < 0 && look->busy++ < ARFS_BUSY_LOOKS)
		return;
	promote(a, look, queue, to);
}

/* Its entries hold no filters any more: the flows must be seen again. */
static void table_changed(struct arfs *a, uint32_t queue)
{
	for (uint32_t i = 0; i < ARFS_FILTERS; i++) {
		struct arfs_filter *f = &a->filter[i];

		if (f->state == ARFS_HELD && f->nic.queue == queue)
			filter_coming(a, f);
	}
}

/* After a resize, from scratch. Without memory for it, this queue is not looked at. */
static void follow_table(struct arfs *a, uint32_t queue)
{
	const struct steer_table *now = table_of(a, queue);
	struct arfs_table *t = &a->table[queue];

	if (t->of == now->flow && t->entries == now->entries)
		return;
	free(t->look);
	*t = (struct arfs_table){ .of = now->flow, .entries = now->entries };
	if (now->flow)
		t->look = calloc(now->entries, sizeof(*t->look));
	table_changed(a, queue);
}

static void follow_tables(struct arfs *a)
{
	for (uint32_t q = 0; q < a->steer->config.nr_queues; q++)
		follow_table(a, q);
}

static void scan(struct arfs *a)
{
	uint32_t nr_queues = a->steer->config.nr_queues, left = ARFS_LOOKS, ends = 0;

	/* No entry twice: of the queue begun at only the rest. */
	while (left && ends < nr_queues) {
		const struct arfs_table *t = &a->table[a->at_queue];

		for (; t->look && left && a->at_entry < t->entries; a->at_entry++, left--)
			look_at(a, a->at_queue, a->at_entry);
		if (t->look && a->at_entry < t->entries)
			break;
		a->at_entry = 0;
		a->at_queue = (a->at_queue + 1) % nr_queues;
		ends++;
	}
}

void arfs_tick(struct arfs *a)
{
	a->until = a->env.now_ns(a->env.ctx) + ARFS_TICK_NS;
	a->asked = false;
	follow_tables(a);
	for (uint32_t i = 0; i < ARFS_FILTERS && a->nr; i++) {
		if (a->filter[i].state != ARFS_FREE)
			check(a, &a->filter[i]);
	}
	a->starved = false;
	scan(a);
}

int arfs_init(struct arfs *a, struct nic_filters *nic, const struct steer *steer,
	      const uint16_t *cpu_queue, const struct arfs_env *env)
{
	*a = (struct arfs){ .nic = nic, .steer = steer };
	a->env = (struct arfs_env){ (void *)(uintptr_t)steer, live_flow_key, live_now };
	if (env)
		a->env = *env;
	for (uint32_t cpu = 0; cpu < SLUICE_MAX_CPUS; cpu++)
		a->cpu_queue[cpu] = cpu_queue[cpu];
	a->filter = calloc(ARFS_FILTERS, sizeof(*a->filter));
	a->bucket = calloc(ARFS_FILTERS, sizeof(*a->bucket));
	a->table = calloc(steer->config.nr_queues, sizeof(*a->table));
	if (!a->filter || !a->bucket || !a->table) {
		arfs_destroy(a);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < ARFS_FILTERS; i++) {
		a->bucket[i] = NONE;
		a->filter[i].next = (uint16_t)(i + 1);
	}
	return 0;
}

uint32_t arfs_destroy(struct arfs *a)
{
	uint32_t left;

	a->until = UINT64_MAX;
	for (uint32_t try = 0; try < LAST_TRIES && a->nr; try++) {
		for (uint32_t i = 0; i < ARFS_FILTERS; i++) {
			if (a->filter[i].state != ARFS_FREE)
				expire(a, &a->filter[i]);
		}
	}
	left = a->nr;
	for (uint32_t q = 0; a->table && q < a->steer->config.nr_queues; q++)
		free(a->table[q].look);
	free(a->table);
	free(a->bucket);
	free(a->filter);
	*a = (struct arfs){ 0 };
	return left;
}
