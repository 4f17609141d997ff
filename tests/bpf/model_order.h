/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * model_order.h - Linux's rules for the target of a flow (get_rps_cpu, set_rps_cpu,
 * enqueue_to_backlog, skb_flow_limit) on a small copy of the state, and where sluice
 * means to differ:
 *
 *   D1  the switch rule guards every change of target; Linux's only the one to
 *       the CPU that RFS names, and what rps_map says goes at once
 *   D2  a target is a worker, which may serve several CPUs
 *   D3  every 64th packet beyond the flow limit passes
 *   D4  a worker that does not run loses its packets to the kernel
 *   D5  after a resize a busy entry of the former table holds
 *   D6  a target may be the kernel's stack on a CPU, whose progress is known as struct
 *       sluice_cpu_head says; entries that a worker's packets need are not for these
 */
#ifndef TEST_MODEL_ORDER_H
#define TEST_MODEL_ORDER_H

#include <stdbool.h>
#include <time.h>

#include "fixture.h"

#define M_CPUS 8u
#define M_WORKERS 5u
#define M_LIMIT_LEN 16u

struct model_limit {
	__u32 head, over;
	__u16 history[SLUICE_FLOW_LIMIT_HISTORY];
	__u8 packets[M_LIMIT_LEN];
};

struct model_order {
	__u32 sock_flow[SOCK_FLOWS];
	__u32 sock_flow_mask, cpu_mask;
	struct sluice_rps_map rps[QUEUES];
	__u32 worker[M_CPUS];
	bool slot[QUEUES][M_WORKERS];
	__u32 tail[SLOTS], head[SLOTS];
	struct sluice_dev_flow flow[2 * QUEUES][DEV_FLOWS];
	bool dev_flows[QUEUES], former[QUEUES];
	__u32 current[QUEUES];
	__u32 half;			/* 0: no limits */
	bool dead[M_WORKERS], limited[M_WORKERS];
	bool limits;
	struct model_limit limit[SLOTS];
	bool cpu_on[M_CPUS], thread[M_CPUS];
	__u32 cpu_tail[QUEUES][M_CPUS], cpu_head[QUEUES][M_CPUS];
	__u16 now;			/* SLUICE_CPU_STAMP() */
};

struct model_target {
	__u32 cpu, worker;
};

static inline struct model_target model_cpu(const struct model_order *m, __u32 cpu)
{
	return (struct model_target){ cpu, cpu < M_CPUS ? m->worker[cpu] : SLUICE_NO_WORKER };
}

static inline bool model_online(const struct model_order *m, __u32 queue, __u32 worker)
{
	return worker < M_WORKERS && m->slot[queue][worker];
}

/* The condition that get_rps_cpu() asks before it switches. */
static inline bool model_may_switch(const struct model_order *m, __u32 queue,
				    const struct sluice_dev_flow *rflow)
{
	__u32 slot = queue * SLUICE_MAX_WORKERS + rflow->target;

	return rflow->cpu == SLUICE_NO_CPU || rflow->target == SLUICE_NO_CPU ||
	       !model_online(m, queue, rflow->target) ||
	       (__s32)(m->head[slot] - rflow->last_qtail) >= 0;
}

/* The CPU that sock_flow_table or, else, the map names. */
static inline struct model_target model_next_cpu(const struct model_order *m, __u32 hash,
						 __u32 queue, bool flow_table)
{
	const struct sluice_rps_map *map = &m->rps[queue];
	struct model_target t;

	if (flow_table && m->sock_flow_mask) {
		__u32 ident = m->sock_flow[hash & m->sock_flow_mask];

		t = model_cpu(m, ident & m->cpu_mask);
		if (ident != SLUICE_NO_CPU && !((ident ^ hash) & ~m->cpu_mask) &&
		    t.worker < SLUICE_MAX_WORKERS)
			return t;
	}
	if (!map->len)
		return (struct model_target){ SLUICE_NO_CPU, SLUICE_NO_WORKER };
	return model_cpu(m, map->cpus[(__u64)hash * map->len / 0x100000000ULL]);
}

/* Sets *rflow to the flow's entry, NULL: none. */
static inline struct model_target model_get_rps_cpu(struct model_order *m, __u32 hash, __u32 queue,
						    struct sluice_dev_flow **rflow)
{
	__u32 i = hash % DEV_FLOWS, current = 2 * queue + m->current[queue];
	struct sluice_dev_flow *former = &m->flow[current ^ 1][i];
	bool stay = m->former[queue] && !model_may_switch(m, queue, former);
	struct model_target next;

	*rflow = stay ? former : m->dev_flows[queue] ? &m->flow[current][i] : NULL;
	if (m->former[queue] && !stay)
		former->target = SLUICE_NO_CPU;
	next = model_next_cpu(m, hash, queue, *rflow != NULL);
	if (*rflow && (*rflow)->target != next.worker && !model_may_switch(m, queue, *rflow))
		return (struct model_target){ (*rflow)->cpu, (*rflow)->target };
	return next;
}

static inline bool model_flow_limit(struct model_limit *fl, __u32 hash)
{
	__u16 new_flow = (__u16)(hash & (M_LIMIT_LEN - 1));
	__u16 old_flow = fl->history[fl->head];

	fl->history[fl->head] = new_flow;
	fl->head = (fl->head + 1) % SLUICE_FLOW_LIMIT_HISTORY;
	if (fl->packets[old_flow])
		fl->packets[old_flow]--;
	if (++fl->packets[new_flow] <= SLUICE_FLOW_LIMIT_HISTORY / 2)
		return false;
	return ++fl->over % 64 != 0;
}

/*
 * The verdict for a datagram that has a rule; with SLUICE_XDP_REDIRECT it is enqueued on
 * *worker.
 */
static inline enum sluice_verdict model_enqueue(struct model_order *m, __u32 hash, __u32 queue,
						__u32 *worker)
{
	struct sluice_dev_flow *rflow;
	struct model_target t = model_get_rps_cpu(m, hash, queue, &rflow);
	__u32 slot = queue * SLUICE_MAX_WORKERS + t.worker;

	if (!model_online(m, queue, t.worker))
		return SLUICE_XDP_PASS_TARGET;
	*worker = t.worker;
	if (m->half && m->tail[slot] - m->head[slot] > m->half) {
		if (m->dead[t.worker])
			return SLUICE_XDP_PASS_STALLED;
		if (m->limits && m->limited[t.worker] && model_flow_limit(&m->limit[slot], hash))
			return SLUICE_XDP_DROP_FLOW_LIMIT;
	}
	m->tail[slot]++;
	if (rflow) {
		if (rflow->target != t.worker)
			rflow->filter = SLUICE_NO_FILTER;
		rflow->cpu = (__u16)t.cpu;
		rflow->target = (__u16)t.worker;
		rflow->last_qtail = m->tail[slot];
		rflow->hash = hash;
	}
	return SLUICE_XDP_REDIRECT;
}

static inline bool model_cpu_busy(const struct model_order *m, __u32 queue,
				  const struct sluice_dev_flow *rflow)
{
	__u32 cpu = (__u32)rflow->target - SLUICE_TARGET_CPU;
	__s32 past;

	if (rflow->target < SLUICE_TARGET_CPU || cpu >= M_CPUS || !m->cpu_on[cpu])
		return false;
	past = (__s32)(m->cpu_head[queue][cpu] - rflow->last_qtail);
	if (past < 0)
		return true;
	return past < 80 && m->thread[cpu] && (__u16)(m->now - rflow->stamp) < 21;
}

static inline bool model_worker_busy(const struct model_order *m, __u32 queue,
				     const struct sluice_dev_flow *rflow)
{
	return rflow->target < SLUICE_TARGET_CPU && !model_may_switch(m, queue, rflow);
}

static inline bool model_cpu_there(const struct model_order *m, __u32 cpu)
{
	return cpu < M_CPUS && m->cpu_on[cpu];
}

static inline __u32 model_next_stack(const struct model_order *m, __u32 hash, __u32 queue,
				     bool flow_table)
{
	const struct sluice_rps_map *map = &m->rps[queue];

	if (flow_table && m->sock_flow_mask) {
		__u32 ident = m->sock_flow[hash & m->sock_flow_mask];

		if (ident != SLUICE_NO_CPU && !((ident ^ hash) & ~m->cpu_mask) &&
		    model_cpu_there(m, ident & m->cpu_mask))
			return ident & m->cpu_mask;
	}
	return map->len ? map->cpus[(__u64)hash * map->len / 0x100000000ULL] : SLUICE_NO_CPU;
}

/* The entry that speaks for the flow's packets on CPUs, NULL: none does. */
static inline struct sluice_dev_flow *model_stack_entry(struct model_order *m, __u32 hash,
							__u32 queue, bool *stay)
{
	__u32 i = hash % DEV_FLOWS, current = 2 * queue + m->current[queue];
	struct sluice_dev_flow *former = &m->flow[current ^ 1][i], *rflow = &m->flow[current][i];

	*stay = m->former[queue] && model_cpu_busy(m, queue, former);
	if (*stay)
		return former;
	if (m->former[queue] && !model_worker_busy(m, queue, former))
		former->target = SLUICE_NO_CPU;
	return m->dev_flows[queue] && !model_worker_busy(m, queue, rflow) ? rflow : NULL;
}

/* As model_enqueue(), for a datagram whose rule says CPUMAP. */
static inline enum sluice_verdict model_enqueue_stack(struct model_order *m, __u32 hash,
						      __u32 queue, __u32 *target)
{
	bool stay;
	struct sluice_dev_flow *rflow = model_stack_entry(m, hash, queue, &stay);
	__u32 cpu = model_next_stack(m, hash, queue, m->dev_flows[queue]);

	if (rflow && rflow->target != SLUICE_TARGET_CPU + cpu && model_cpu_busy(m, queue, rflow))
		cpu = (__u32)rflow->target - SLUICE_TARGET_CPU;
	if (!model_cpu_there(m, cpu))
		return SLUICE_XDP_PASS_TARGET;
	*target = SLUICE_TARGET_CPU + cpu;
	m->cpu_tail[queue][cpu]++;
	if (rflow) {
		if (rflow->target != *target)
			rflow->filter = SLUICE_NO_FILTER;
		rflow->cpu = (__u16)cpu;
		rflow->target = (__u16)*target;
		rflow->last_qtail = m->cpu_tail[queue][cpu];
		rflow->hash = hash;
		rflow->stamp = m->now;
	}
	return SLUICE_XDP_REDIRECT_CPU;
}

static inline __u16 model_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return SLUICE_CPU_STAMP((__u64)ts.tv_sec * 1000000000u + (__u64)ts.tv_nsec);
}

/*
 * The time the program saw, which ran when the clock said `before` or later: only this packet
 * can have been recorded at a later time.
 */
static inline void model_set_clock(struct model_order *m, const struct fixture *f, __u32 hash,
				   __u32 queue, __u16 before)
{
	__u16 passed = (__u16)(model_clock() - before);

	m->now = before;
	for (__u32 t = 2 * queue; t < 2 * queue + 2; t++) {
		__u16 stamp = f->flow[t] ? f->flow[t][hash % DEV_FLOWS].stamp : before;

		if (stamp != before && (__u16)(stamp - before) <= passed)
			m->now = stamp;
	}
}

static inline void model_order_init(struct model_order *m, const struct fixture *f)
{
	memset(m, 0, sizeof(*m));
	for (__u32 i = 0; i < SOCK_FLOWS; i++)
		m->sock_flow[i] = SLUICE_NO_CPU;
	for (__u32 i = 0; i < M_CPUS; i++)
		m->worker[i] = SLUICE_NO_WORKER;
	for (__u32 t = 0; t < 2 * QUEUES; t++)
		for (__u32 i = 0; i < DEV_FLOWS; i++)
			m->flow[t][i] = (struct sluice_dev_flow)SLUICE_DEV_FLOW_UNSET;
	for (__u32 q = 0; q < QUEUES; q++)
		m->dev_flows[q] = f->flow[2 * q] != NULL;
}

/* Tails and every entry of every table are as the program left them. */
static inline void model_order_check(const struct model_order *m, const struct fixture *f)
{
	for (__u32 i = 0; i < SLOTS; i++)
		assert_int_equal(f->tail[i], m->tail[i]);
	for (__u32 q = 0; q < QUEUES; q++)
		for (__u32 cpu = 0; cpu < SLUICE_MAX_CPUS; cpu++)
			assert_int_equal(f->cpu_tail[q * SLUICE_MAX_CPUS + cpu],
					 cpu < M_CPUS ? m->cpu_tail[q][cpu] : 0);
	for (__u32 t = 0; t < 2 * QUEUES; t++)
		if (f->flow[t])
			assert_memory_equal(f->flow[t], m->flow[t], sizeof(m->flow[t]));
}

#endif
