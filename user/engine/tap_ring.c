// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "engine/tap_ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/napi.h"
#include "engine/stat.h"
#include "engine/worker.h"

_Static_assert(sizeof(struct sluice_tap_rec) == sizeof(struct sluice_rec) &&
	       offsetof(struct sluice_tap_rec, kind) == offsetof(struct sluice_rec, kind) &&
	       offsetof(struct sluice_tap_rec, tstamp) == offsetof(struct sluice_rec, tstamp),
	       "records of both kinds are walked over alike");
_Static_assert((int)SLUICE_TAP_RX == (int)TAP_RX && (int)SLUICE_TAP_GRO == (int)TAP_GRO &&
	       (int)SLUICE_TAP_L4 == (int)TAP_L4 && (int)SLUICE_TAP_STAGES == (int)TAP_STAGES,
	       "stages have one number");

/* Up to left bytes of the frame, from its link header on. */
static void tap_ring_copy(uint8_t *to, const struct pkt *pkt, uint32_t left)
{
	uint32_t len = (uint32_t)(pkt->tail - pkt->mac);

	len = len < left ? len : left;
	memcpy(to, pkt->mac, len);
	for (const struct pkt *frag = pkt->frag_list; frag && left > len; frag = frag->next) {
		to += len;
		left -= len;
		len = pkt_headlen(frag) < left ? pkt_headlen(frag) : left;
		memcpy(to, frag->data, len);
	}
}

static void tap_ring_see(struct tap *tap, struct worker *worker, const struct pkt *pkt)
{
	struct tap_ring *tr = (struct tap_ring *)tap;
	uint32_t len = (uint32_t)(pkt->tail - pkt->mac) + pkt->frag_len, kept;
	struct sluice_tap_rec *rec;
	int err;

	if (worker->index >= tr->nr)
		return;
	kept = len < tr->snaplen ? len : tr->snaplen;
	rec = (struct sluice_tap_rec *)lane_reserve(&tr->lane[worker->index], kept, &err);
	if (!rec)
		return;
	*rec = (struct sluice_tap_rec){
		.len = kept,
		.kind = SLUICE_REC_FRAME,
		.gso_size = pkt->gso_size,
		.hash = pkt->hash,
		.ifindex = pkt->ifindex,
		.tstamp = pkt->tstamp,
		.wire_len = len,
		.queue = pkt->napi->src ? pkt->napi->queue : pkt->home->queue,
		.worker = (uint16_t)worker->index,
	};
	tap_ring_copy((uint8_t *)(rec + 1), pkt, kept);
}

static void tap_ring_commit(struct tap *tap, struct worker *worker)
{
	struct tap_ring *tr = (struct tap_ring *)tap;
	struct lane *lane;

	if (worker->index >= tr->nr)
		return;
	lane = &tr->lane[worker->index];
	if (lane_commit_quiet(lane) == 0 || __atomic_load_n(&tr->broken, __ATOMIC_RELAXED))
		return;
	__atomic_store_n(&tr->broken, true, __ATOMIC_RELAXED);
	worker_report_broken(worker);
}

int tap_ring_init(struct tap_ring *tr, uint32_t stage, uint32_t snaplen, unsigned int max)
{
	*tr = (struct tap_ring){
		.tap = { .stage = stage, .see = tap_ring_see, .commit = tap_ring_commit },
		.snaplen = snaplen,
		.max = max,
	};
	if (!snaplen || snaplen > SLUICE_TAP_SNAP || stage >= SLUICE_TAP_STAGES)
		return -EINVAL;
	tr->lane = calloc(max, sizeof(*tr->lane));
	return tr->lane ? 0 : -ENOMEM;
}

int tap_ring_add(struct tap_ring *tr, void *head, struct sluice_lane_ctl *ctl, uint32_t size)
{
	int err = -ENOSPC;

	if (tr->nr < tr->max)
		err = lane_init(&tr->lane[tr->nr], head, ctl, size, -1, NULL);
	if (!err)
		tr->nr++;
	return err;
}

void tap_ring_destroy(struct tap_ring *tr)
{
	for (unsigned int i = 0; i < tr->nr; i++)
		lane_destroy(&tr->lane[i]);
	free(tr->lane);
	*tr = (struct tap_ring){ 0 };
}

void tap_ring_stat(const struct tap_ring *tr, uint64_t *copied, uint64_t *lost)
{
	*copied = *lost = 0;
	for (unsigned int i = 0; i < tr->nr; i++) {
		*copied += stat_read(&tr->lane[i].delivered);
		*lost += stat_read(&tr->lane[i].drops);
	}
}
