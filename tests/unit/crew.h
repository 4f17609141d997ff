/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * crew.h - several workers of one engine, a source each, and a socket. A receive hook hands
 * every packet of a flow to the flow's worker, so that what a source receives passes a backlog.
 *
 *   crew_push --> source [i] --> worker [i] --hook: netif_rx--> worker [target [flow]] --> lane
 *
 * Flow f has source port CREW_SPORT + f. Without threads the test is every worker in turn.
 */
#ifndef TEST_CREW_H
#define TEST_CREW_H

#include "engine/backlog.h"

#include "rig.h"
#include "shared.h"

#define CREW_MAX 4
#define CREW_FLOWS 64
#define CREW_SPORT 1000
#define CREW_PORT 5000
/* target: no hand-off. */
#define CREW_STAY CREW_MAX

struct crew {
	struct netif_hook hook;
	struct engine *engine;
	struct worker worker[CREW_MAX];
	struct shared_source source[CREW_MAX];
	unsigned int nr;
	struct rig_sock sock;
	unsigned int target[CREW_FLOWS];
	uint32_t seq[CREW_MAX];			/* of the last frame pushed */
	uint32_t flow_head[CREW_MAX * SLUICE_MAX_WORKERS];
};

static inline enum netif_verdict crew_steer(struct worker *worker, struct pkt *pkt,
					    const struct netif_hook *hook)
{
	struct crew *c = (void *)(uintptr_t)hook;
	unsigned int flow = get16(pkt->data + 20) - CREW_SPORT;

	assert_in_range(flow, 0, CREW_FLOWS - 1);
	if (c->target[flow] == CREW_STAY)
		return NETIF_ACCEPT;
	netif_rx(worker, &c->worker[c->target[flow]], pkt);
	return NETIF_CONSUMED;
}

static inline struct crew *crew_open(unsigned int nr, unsigned int target)
{
	struct crew *c = calloc(1, sizeof(*c));
	struct udp_entry entry = { .sk = &c->sock.sk };

	c->nr = nr;
	c->engine = calloc(1, sizeof(*c->engine));
	c->engine->broken_fd = -1;
	c->engine->flow_head = c->flow_head;
	rig_sock_open(&c->sock, &c->engine->rfs, SLUICE_LANE_MAX, nr);
	assert_int_equal(udp_table_set(&c->engine->udp, CREW_PORT, &entry, 1), 0);
	for (unsigned int i = 0; i < CREW_FLOWS; i++)
		c->target[i] = target;
	for (unsigned int i = 0; i < nr; i++) {
		shared_open(&c->source[i]);
		assert_int_equal(worker_init(&c->worker[i], c->engine, i, some_cpu(), 1), 0);
		/* A machine may be slow, or a sanitizer: rounds end by their budget alone. */
		c->worker[i].time_limit_ns = 60000000000ull;
		assert_int_equal(worker_add_napi(&c->worker[i], &c->source[i].src, (uint16_t)i), 0);
	}
	c->hook.func = crew_steer;
	assert_int_equal(netif_hook_add(&c->engine->netif, &c->hook), 0);
	return c;
}

static inline int crew_push(struct crew *c, unsigned int source, unsigned int flow, uint32_t number)
{
	struct ends e = ends_of("192.0.2.1", CREW_SPORT + flow, "192.0.2.2", CREW_PORT);
	struct sluice_rx_meta meta = {
		.magic = SLUICE_RX_MAGIC, .hash = flow + 1, .seq = c->seq[source] + 1,
	};
	struct frame f = frame_udp(&e, &number, sizeof(number));
	int err = shared_push_meta(&c->source[source], &f, &meta);

	c->seq[source] += !err;
	return err;
}

static inline uint32_t *crew_head(struct crew *c, unsigned int worker)
{
	return &c->flow_head[worker * SLUICE_MAX_WORKERS + worker];
}

static inline uint64_t crew_drops(const struct napi_stat *stat)
{
	uint64_t sum = 0;

	for (int r = 0; r < SLUICE_DROPS; r++)
		sum += stat->drop[r];
	return sum;
}

/* The next number and its flow. */
static inline bool crew_next(struct crew *c, unsigned int *flow, uint32_t *number)
{
	const struct sluice_rec *rec = rig_next(&c->sock);

	if (!rec)
		return false;
	*flow = ntohs(rec->sport) - CREW_SPORT;
	memcpy(number, rec + 1, sizeof(*number));
	rig_consume(&c->sock, 0);
	return true;
}

static inline void crew_expect(struct crew *c, uint32_t first, uint32_t n)
{
	unsigned int flow;
	uint32_t number;

	for (uint32_t i = first; i < first + n; i++) {
		assert_true(crew_next(c, &flow, &number));
		assert_int_equal(number, i);
	}
}

/* All threads have ended: what is under way is processed, and everything is where it belongs. */
static inline void crew_check_books(struct crew *c)
{
	uint64_t received = 0, done = 0, handed = 0, taken = 0;
	struct worker *worker[CREW_MAX];

	for (unsigned int i = 0; i < c->nr; i++)
		worker[i] = &c->worker[i];
	backlog_settle(worker, c->nr);
	for (unsigned int i = 0; i < c->nr; i++) {
		const struct napi *napi = &c->worker[i].napi[0];
		const struct backlog *b = c->worker[i].backlog;
		const struct mem_source *mem = &c->source[i].mem;

		assert_int_equal(napi->stat.received, napi->stat.delivered + napi->stat.handed +
				 crew_drops(&napi->stat));
		assert_int_equal(b->napi.stat.received, b->napi.stat.delivered +
				 b->napi.stat.handed + crew_drops(&b->napi.stat));
		assert_int_equal(napi->held, 0);
		assert_int_equal(napi->nr_away, 0);
		assert_int_equal(b->napi.held, 0);
		assert_int_equal(b->queued, 0);
		assert_int_equal(b->processing, 0);
		assert_false(backlog_pending(b));
		assert_int_equal(c->worker[i].pool.nr_free, c->worker[i].pool.size);
		assert_int_equal(mem->nr_free + (mem->head - mem->tail), mem->frames);
		if (mem->head == mem->tail)
			assert_int_equal(*crew_head(c, i), c->seq[i]);
		received += napi->stat.received;
		handed += napi->stat.handed + b->napi.stat.handed;
		taken += b->napi.stat.received;
		done += napi->stat.delivered + crew_drops(&napi->stat) + b->napi.stat.delivered +
			crew_drops(&b->napi.stat);
	}
	assert_int_equal(received, done);
	assert_int_equal(handed, taken);
}

static inline void crew_close(struct crew *c)
{
	for (unsigned int i = 0; i < c->nr; i++)
		worker_stop(&c->worker[i]);
	crew_check_books(c);
	assert_int_equal(netif_hook_del(&c->engine->netif, &c->hook), 0);
	for (unsigned int i = 0; i < c->nr; i++) {
		worker_destroy(&c->worker[i]);
		shared_close(&c->source[i]);
	}
	udp_table_set(&c->engine->udp, CREW_PORT, NULL, 0);
	rig_sock_close(&c->sock);
	free(c->engine);
	free(c);
}

#endif
