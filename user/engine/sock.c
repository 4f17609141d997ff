/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
#include "engine/sock.h"

#include <errno.h>
#include <stdlib.h>

#include <sluice/drop.h>

#include "engine/engine.h"
#include "engine/napi.h"
#include "engine/worker.h"

int sock_init(struct sock *sk, uint64_t cookie, unsigned int nr_workers)
{
	*sk = (struct sock){ .cookie = cookie };
	sk->pend = aligned_alloc(_Alignof(struct sock_pend), nr_workers * sizeof(*sk->pend));
	if (!sk->pend)
		return -ENOMEM;
	for (unsigned int i = 0; i < nr_workers; i++)
		sk->pend[i] = (struct sock_pend){ .tail = &sk->pend[i].head };
	return 0;
}

void sock_destroy(struct sock *sk)
{
	free(sk->pend);
	sk->pend = NULL;
}

void sock_queue(struct worker *worker, struct sock *sk, struct pkt *pkt)
{
	struct sock_pend *pend = &sk->pend[worker->index];

	if (!pend->head)
		worker->pending[worker->nr_pending++] = sk;
	pkt->next = NULL;
	*pend->tail = pkt;
	pend->tail = &pkt->next;
	pend->count += pkt->gso_segs;
}

static void sock_deliver(struct sock *sk, struct sock_pend *pend)
{
	struct pkt *pkt = pend->head;

	*pend = (struct sock_pend){ .tail = &pend->head };
	while (pkt) {
		struct pkt *next = pkt->next;

		if (next)
			__builtin_prefetch(next->data);
		switch (lane_put(&sk->lane, pkt, pkt->tstamp)) {
		case 0:
			pkt_delivered(pkt);
			break;
		case -ENOBUFS:
			pkt_drop(pkt, SLUICE_DROP_LANE_FULL);
			break;
		default:
			pkt_drop(pkt, SLUICE_DROP_CLIENT_GONE);
		}
		pkt = next;
	}
}

void sock_flush(struct worker *worker, bool force)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < worker->nr_pending; i++) {
		struct sock *sk = worker->pending[i];
		struct sock_pend *pend = &sk->pend[worker->index];
		bool was_broken;

		if (!lane_trylock(&sk->lane)) {
			if (!force && pend->count < SOCK_PEND_MAX) {
				worker->pending[kept++] = sk;
				continue;
			}
			lane_lock(&sk->lane);
		}
		was_broken = sk->lane.broken;
		sock_deliver(sk, pend);
		if (lane_commit(&sk->lane) < 0 && !was_broken)
			worker_report_broken(worker);
		lane_unlock(&sk->lane);
	}
	worker->nr_pending = kept;
}

unsigned int sock_waiting(const struct worker *worker, const struct napi *napi, uint32_t *oldest)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < worker->nr_pending; i++) {
		const struct sock_pend *pend = &worker->pending[i]->pend[worker->index];

		for (const struct pkt *pkt = pend->head; pkt; pkt = pkt->next) {
			if (pkt->napi != napi)
				continue;
			/* Of a merged one, the first is the oldest. */
			if (!n || (int32_t)(pkt->seq - *oldest) < 0)
				*oldest = pkt->seq;
			n += pkt->gso_segs;
		}
	}
	return n;
}
