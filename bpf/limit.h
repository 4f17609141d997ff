/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * limit.h - what happens to packets for a target whose backlog (flow_tail -
 * flow_head) is above half of its ring:
 *
 *   heartbeat older than 200 ms --> pass to the kernel   (dead man's switch)
 *   flow above its share        --> drop, but every 64th (skb_flow_limit)
 *   else                        --> redirect; a full ring drops
 *
 * head is written by another CPU. It is read anew only when the tail has come to
 * flow_room, which is set half a ring beyond the head seen last: as long as
 * the worker keeps up that is once per half ring.
 */
#ifndef SLUICE_LIMIT_H
#define SLUICE_LIMIT_H

#include <sluice/steer.h>

#include "maps.h"

static __always_inline int limit_stalled(__u32 worker)
{
	struct sluice_heartbeat *hb = bpf_map_lookup_elem(&heartbeat, &worker);
	__u64 beat, now;

	if (!hb)
		return 0;
	beat = *(volatile __u64 *)&hb->ns;
	now = bpf_ktime_get_ns();
	if (!beat) {
		*(volatile __u64 *)&hb->ns = now;
		return 0;
	}
	/* It may beat between the two reads. */
	return (__s64)(now - beat) > (__s64)SLUICE_STALL_NS;
}

static __always_inline __u8 *limit_bucket(__u32 slot, __u32 bucket)
{
	__u32 i = slot * (flow_limit_len / 8) + bucket / 8;
	struct limit_buckets *b = bpf_map_lookup_elem(&flow_limit_bkt, &i);

	return b ? &b->packets[bucket % 8] : NULL;
}

/* Linux's skb_flow_limit for a backlog above half. */
static __always_inline int limit_flow(__u32 slot, __u32 worker, __u32 hash)
{
	const __u32 *on = bpf_map_lookup_elem(&flow_limit_on, &worker);
	struct sluice_flow_limit *fl = bpf_map_lookup_elem(&flow_limit, &slot);
	__u32 bucket = hash & (flow_limit_len - 1), at;
	__u8 *new, *old;

	if (!on || !*on || !fl)
		return 0;
	at = fl->head % SLUICE_FLOW_LIMIT_HISTORY;
	old = limit_bucket(slot, fl->history[at]);
	new = limit_bucket(slot, bucket);
	if (!old || !new)
		return 0;
	fl->history[at] = (__u16)bucket;
	fl->head = (at + 1) % SLUICE_FLOW_LIMIT_HISTORY;
	if (*old)
		--*old;
	if (++*new <= SLUICE_FLOW_LIMIT_HISTORY / 2)
		return 0;
	return ++fl->over % SLUICE_FLOW_LIMIT_ESCAPE != 0;
}

/* tail has come to room: is the backlog above half, or has head moved on? */
static __always_inline enum sluice_verdict limit_look(__u32 queue, __u32 worker, __u32 hash,
						      __u32 tail, __u32 *room, int plain)
{
	const struct queue_seqs *heads = bpf_map_lookup_elem(&flow_head, &queue);
	__u32 head;

	if (!heads)
		return SLUICE_XDP_REDIRECT;
	head = *(const volatile __u32 *)&heads->worker[worker];
	*room = head + backlog_half;
	if ((__s32)(tail - *room) <= 0)
		return SLUICE_XDP_REDIRECT;
	if (limit_stalled(worker))
		return SLUICE_XDP_PASS_STALLED;
	if (!plain && flow_limit_len &&
	    limit_flow(queue * SLUICE_MAX_WORKERS + worker, worker, hash))
		return SLUICE_XDP_DROP_FLOW_LIMIT;
	return SLUICE_XDP_REDIRECT;
}

/* tail: number of the last packet that was enqueued. worker < SLUICE_MAX_WORKERS. */
static __always_inline enum sluice_verdict limit_check(__u32 queue, __u32 worker, __u32 hash,
						       __u32 tail, int plain)
{
	struct queue_seqs *rooms = bpf_map_lookup_elem(&flow_room, &queue);

	if (!rooms || (__s32)(tail - rooms->worker[worker]) <= 0)
		return SLUICE_XDP_REDIRECT;
	return limit_look(queue, worker, hash, tail, &rooms->worker[worker], plain);
}

#endif
