// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "engine/backlog.h"

#include <errno.h>
#include <stdlib.h>
#include <urcu-qsbr.h>

#include "engine/netif.h"
#include "engine/sock.h"
#include "engine/stat.h"
#include "engine/worker.h"

#define LINE 128

int backlog_init(struct worker *worker)
{
	struct backlog *b = aligned_alloc(LINE, (sizeof(*b) + LINE - 1) & ~(size_t)(LINE - 1));

	if (!b)
		return -ENOMEM;
	*b = (struct backlog){ .max = BACKLOG_MAX, .napi = { .worker = worker } };
	worker->backlog = b;
	return 0;
}

void backlog_destroy(struct worker *worker)
{
	if (worker->backlog)
		free(worker->backlog->limit);
	free(worker->backlog);
	worker->backlog = NULL;
}

int backlog_set_limit(struct worker *worker, uint32_t len)
{
	struct backlog_limit *old = worker->backlog->limit, *new = NULL;

	if (len > BACKLOG_LIMIT_LEN_MAX || (len & (len - 1)))
		return -EINVAL;
	if (len) {
		new = calloc(1, sizeof(*new) + len * sizeof(new->bucket[0]));
		if (!new)
			return -ENOMEM;
		new->mask = len - 1;
	}
	rcu_assign_pointer(worker->backlog->limit, new);
	synchronize_rcu();
	free(old);
	return 0;
}

/* Pushes the list first..last, the first on top. True: the stack was empty. */
static bool stack_push(struct pkt **stack, struct pkt *first, struct pkt *last)
{
	struct pkt *top = __atomic_load_n(stack, __ATOMIC_RELAXED);

	/*
	 * (A) pairs with (B): the packets are complete for whoever takes them.
	 * (F) pairs with (E): the load of armed stays behind it, in backlog_kick().
	 */
	do {
		last->next = top;
	} while (!__atomic_compare_exchange_n(stack, &top, first, true, __ATOMIC_SEQ_CST,
					      __ATOMIC_RELAXED));
	return !top;
}

static struct pkt *stack_take(struct pkt **stack)
{
	if (!__atomic_load_n(stack, __ATOMIC_RELAXED))
		return NULL;
	/* (B) pairs with (A). */
	return __atomic_exchange_n(stack, NULL, __ATOMIC_ACQUIRE);
}

/* The last packet pushed comes last. */
static struct pkt *stack_turn(struct pkt *top, unsigned int *n)
{
	struct pkt *list = NULL;

	for (*n = 0; top; ++*n) {
		struct pkt *next = top->next;

		top->next = list;
		list = top;
		top = next;
	}
	return list;
}

/* skb_flow_limit, but that several producers count at once; each packet is counted once. */
static bool backlog_limited(struct backlog *b, const struct pkt *pkt, uint32_t queued)
{
	struct backlog_limit *fl;
	uint32_t bucket, at, old;

	if (queued < b->max / 2)
		return false;
	fl = rcu_dereference(b->limit);
	if (!fl)
		return false;
	bucket = pkt->hash & fl->mask;
	at = __atomic_fetch_add(&fl->head, 1, __ATOMIC_RELAXED) % BACKLOG_HISTORY;
	old = __atomic_exchange_n(&fl->history[at], bucket + 1, __ATOMIC_RELAXED);
	if (old)
		__atomic_fetch_sub(&fl->bucket[old - 1], 1, __ATOMIC_RELAXED);
	if (__atomic_add_fetch(&fl->bucket[bucket], 1, __ATOMIC_RELAXED) <= BACKLOG_HISTORY / 2)
		return false;
	__atomic_fetch_add(&b->flow_limited, 1, __ATOMIC_RELAXED);
	return true;
}

static void backlog_note(struct worker *worker, struct worker *to)
{
	worker->backlog->wake[to->index] = to;
	worker->backlog->wake_mask |= 1ull << to->index;
}

bool netif_rx(struct worker *worker, struct worker *to, struct pkt *pkt)
{
	struct backlog *b = to->backlog;
	uint32_t queued = __atomic_fetch_add(&b->queued, 1, __ATOMIC_RELAXED);
	bool full = queued > b->max;

	if (full || backlog_limited(b, pkt, queued)) {
		__atomic_fetch_sub(&b->queued, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&b->dropped, 1, __ATOMIC_RELAXED);
		pkt_drop(pkt, full ? SLUICE_DROP_BACKLOG : SLUICE_DROP_FLOW_LIMIT);
		return false;
	}
	napi_hand_over(pkt);
	if (stack_push(&b->input, pkt, pkt) && to != worker) {
		__atomic_store_n(&b->triggered, 1, __ATOMIC_RELAXED);
		backlog_note(worker, to);
	}
	return true;
}

/* False: there is nothing. */
static bool backlog_refill(struct backlog *b)
{
	unsigned int n;

	b->process = stack_turn(stack_take(&b->input), &n);
	if (!n)
		return false;
	__atomic_fetch_sub(&b->queued, n, __ATOMIC_RELAXED);
	__atomic_store_n(&b->processing, n, __ATOMIC_RELAXED);
	return true;
}

unsigned int backlog_poll(struct worker *worker, unsigned int quota)
{
	struct backlog *b = worker->backlog;
	unsigned int work = 0, packets = 0;

	if (__atomic_load_n(&b->triggered, __ATOMIC_RELAXED) &&
	    __atomic_exchange_n(&b->triggered, 0, __ATOMIC_RELAXED))
		stat_add(&worker->stat.received_rps, 1);
	while (work < quota && (b->process || backlog_refill(b))) {
		struct pkt *pkt = b->process;

		b->process = pkt->next;
		__atomic_store_n(&b->processing, b->processing - 1, __ATOMIC_RELAXED);
		napi_take_over(&b->napi, pkt);
		packets += pkt->gso_segs;
		netif_deliver(worker, pkt);
		work++;
	}
	stat_add(&b->napi.stat.received, packets);
	stat_add(&worker->stat.processed, packets);
	return work;
}

static void backlog_kick(struct worker *to)
{
	if (!__atomic_load_n(&to->backlog->armed, __ATOMIC_SEQ_CST) ||
	    !__atomic_exchange_n(&to->backlog->armed, 0, __ATOMIC_ACQ_REL))
		return;
	worker_kick(to);
}

void backlog_complete(struct worker *worker)
{
	struct backlog *b = worker->backlog;

	while (b->done) {
		struct pkt *first = b->done, *last = first;
		struct worker *home = first->home->worker;

		while (last->next && last->next->home->worker == home)
			last = last->next;
		b->done = last->next;
		if (stack_push(&home->backlog->returned, first, last) && home != worker)
			backlog_note(worker, home);
	}
	while (b->wake_mask) {
		int i = __builtin_ctzll(b->wake_mask);

		b->wake_mask &= b->wake_mask - 1;
		backlog_kick(b->wake[i]);
	}
}

bool backlog_reap(struct worker *worker)
{
	struct pkt *pkt = stack_take(&worker->backlog->returned), *next;
	bool some = pkt != NULL;

	for (; pkt; pkt = next) {
		next = pkt->next;
		napi_take_back(pkt);
	}
	return some;
}

bool backlog_arm(struct backlog *b)
{
	/* (E) pairs with (F): the loads stay behind the store. */
	__atomic_store_n(&b->armed, 1, __ATOMIC_SEQ_CST);
	return !b->process && !__atomic_load_n(&b->input, __ATOMIC_SEQ_CST) &&
	       !__atomic_load_n(&b->returned, __ATOMIC_SEQ_CST);
}

void backlog_disarm(struct backlog *b)
{
	__atomic_store_n(&b->armed, 0, __ATOMIC_RELAXED);
}

void backlog_migrate(struct worker *from, struct worker *to)
{
	struct backlog *b = from->backlog;
	struct pkt *oldest = b->process, *top;
	unsigned int n, processing;

	/* Newest first, as a stack has them: what waits in process lies below all else. */
	b->process = NULL;
	b->processing = 0;
	top = stack_turn(oldest, &processing);
	oldest = stack_turn(stack_take(&b->input), &n);
	__atomic_fetch_sub(&b->queued, n, __ATOMIC_RELAXED);
	b->triggered = 0;
	while (oldest) {
		struct pkt *next = oldest->next;

		oldest->next = top;
		top = oldest;
		oldest = next;
	}
	if (!top)
		return;
	for (oldest = top; oldest->next; oldest = oldest->next)
		;
	__atomic_fetch_add(&to->backlog->queued, n + processing, __ATOMIC_RELAXED);
	if (stack_push(&to->backlog->input, top, oldest))
		__atomic_store_n(&to->backlog->triggered, 1, __ATOMIC_RELAXED);
	backlog_kick(to);
}

void backlog_settle(struct worker *const *worker, unsigned int nr)
{
	bool more = true;

	while (more) {
		more = false;
		for (unsigned int i = 0; i < nr; i++) {
			if (!backlog_pending(worker[i]->backlog))
				continue;
			while (backlog_poll(worker[i], NAPI_WEIGHT)) {
				sock_flush(worker[i], true);
				backlog_complete(worker[i]);
			}
			if (backlog_reap(worker[i]))
				worker_complete(worker[i]);
			more = true;
		}
	}
}
