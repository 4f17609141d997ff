// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Packets handed from one worker to another: order, limits, frames, heads; then with threads. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <urcu-qsbr.h>

#include "crew.h"

static void push_many(struct crew *c, unsigned int source, unsigned int flow, uint32_t first,
		      uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(crew_push(c, source, flow, first + i), 0);
}

static void test_hand_off(void **state)
{
	struct crew *c = crew_open(2, 1);
	struct worker *a = &c->worker[0], *b = &c->worker[1];

	(void)state;
	push_many(c, 0, 3, 0, 100);
	assert_false(worker_round(a));
	assert_int_equal(a->napi[0].stat.handed, 100);
	assert_int_equal(a->napi[0].held, 100);
	assert_int_equal(a->napi[0].nr_away, 100);
	assert_int_equal(a->pool.nr_free, a->pool.size - 100);
	assert_int_equal(*crew_head(c, 0), 0);
	assert_int_equal(b->backlog->queued, 100);
	/* Two batches, but only the first found it empty. */
	assert_false(worker_round(b));
	assert_int_equal(b->stat.received_rps, 1);
	assert_int_equal(b->stat.processed, 100);
	assert_int_equal(b->backlog->napi.stat.delivered, 100);
	assert_int_equal(b->backlog->queued, 0);
	/* Back in A's reach, but only A's hands take them. */
	assert_int_equal(a->napi[0].nr_away, 100);
	assert_int_equal(*crew_head(c, 0), 0);
	assert_false(worker_round(a));
	assert_int_equal(a->napi[0].held, 0);
	assert_int_equal(*crew_head(c, 0), 100);
	assert_int_equal(c->source[0].mem.nr_free, RIG_FRAMES);
	crew_expect(c, 0, 100);
	push_many(c, 0, 3, 100, 1);
	worker_round(a);
	worker_round(b);
	assert_int_equal(b->stat.received_rps, 2);
	crew_close(c);
}

/* What waits with another worker bounds the head, what is done here does not pass it. */
static void test_head_waits(void **state)
{
	struct crew *c = crew_open(2, 1);
	struct worker *a = &c->worker[0], *b = &c->worker[1];

	(void)state;
	c->target[1] = CREW_STAY;
	for (uint32_t i = 1; i <= 10; i++)
		assert_int_equal(crew_push(c, 0, i % 2, i), 0);
	worker_round(a);
	assert_int_equal(*crew_head(c, 0), 1);
	/* Processed but not committed is not processed. */
	assert_int_equal(backlog_poll(b, 2), 2);
	worker_round(a);
	assert_int_equal(*crew_head(c, 0), 1);
	sock_flush(b, true);
	worker_complete(b);
	worker_round(a);
	assert_int_equal(*crew_head(c, 0), 5);
	assert_int_equal(a->napi[0].nr_away, 3);
	/* The lane's lock: a packet of A's own waits with A, later than what is away. */
	lane_lock(&c->sock.sk.lane);
	assert_int_equal(crew_push(c, 0, 1, 11), 0);
	assert_true(worker_round(a));
	lane_unlock(&c->sock.sk.lane);
	assert_int_equal(*crew_head(c, 0), 5);
	worker_round(b);
	worker_round(a);
	assert_int_equal(*crew_head(c, 0), 11);
	/* And earlier. */
	lane_lock(&c->sock.sk.lane);
	assert_int_equal(crew_push(c, 0, 1, 12), 0);
	assert_int_equal(crew_push(c, 0, 0, 13), 0);
	assert_int_equal(crew_push(c, 0, 1, 14), 0);
	assert_true(worker_round(a));
	assert_int_equal(*crew_head(c, 0), 11);
	lane_unlock(&c->sock.sk.lane);
	worker_round(a);
	assert_int_equal(*crew_head(c, 0), 12);
	crew_close(c);
}

/* Out of order, as what was held back on the way may come: the oldest still bounds. */
static void test_away_order(void **state)
{
	static const uint32_t seq[] = { 5, 7, 3, 9, 4, 0xfffffffe, 6 };
	struct crew *c = crew_open(1, CREW_STAY);
	struct napi *napi = &c->worker[0].napi[0];
	struct pkt pkt[7] = { 0 };

	(void)state;
	for (int i = 0; i < 7; i++) {
		pkt[i] = (struct pkt){ .napi = napi, .seq = seq[i] };
		napi->held++;
		napi_hand_over(&pkt[i]);
	}
	for (struct pkt *p = napi->away_first; p && p->away_next; p = p->away_next) {
		assert_true((int32_t)(p->away_next->seq - p->seq) > 0);
		assert_ptr_equal(p->away_next->away_prev, p);
	}
	assert_int_equal(napi->away_first->seq, 0xfffffffe);
	assert_int_equal(napi->away_last->seq, 9);
	/* Taken back in yet another order, which needs no pool: they are the test's. */
	*napi = (struct napi){ .src = napi->src, .worker = napi->worker, .done = napi->done };
	crew_close(c);
}

static void test_quota(void **state)
{
	struct crew *c = crew_open(2, 1);
	struct worker *b = &c->worker[1];

	(void)state;
	push_many(c, 0, 0, 0, 200);
	worker_round(&c->worker[0]);
	assert_int_equal(backlog_poll(b, 64), 64);
	assert_int_equal(b->backlog->processing, 136);
	/* What comes meanwhile is behind what was there. */
	push_many(c, 0, 0, 200, 10);
	worker_round(&c->worker[0]);
	assert_int_equal(b->backlog->queued, 10);
	assert_int_equal(backlog_poll(b, 64), 64);
	assert_int_equal(backlog_poll(b, 64), 64);
	assert_int_equal(backlog_poll(b, 64), 18);
	assert_int_equal(backlog_poll(b, 64), 0);
	sock_flush(b, true);
	worker_complete(b);
	crew_expect(c, 0, 210);
	crew_close(c);
}

/* Linux's limit: a packet that finds more than max there is dropped. */
static void test_full(void **state)
{
	struct crew *c = crew_open(2, 1);
	struct worker *a = &c->worker[0], *b = &c->worker[1];

	(void)state;
	push_many(c, 0, 0, 0, BACKLOG_MAX + 100);
	while (worker_round(a))
		;
	assert_int_equal(a->napi[0].stat.handed, BACKLOG_MAX + 1);
	assert_int_equal(a->napi[0].stat.drop[SLUICE_DROP_BACKLOG], 99);
	assert_int_equal(a->stat.dropped, 99);
	assert_int_equal(b->stat.dropped, 0);
	assert_int_equal(b->backlog->dropped, 99);
	assert_int_equal(b->backlog->flow_limited, 0);
	/* As in Linux, what is being processed does not count. */
	assert_int_equal(backlog_poll(b, 1), 1);
	push_many(c, 0, 0, 2000, 10);
	worker_round(a);
	assert_int_equal(b->backlog->queued, 10);
	while (worker_round(b))
		;
	crew_expect(c, 0, BACKLOG_MAX + 1);
	crew_expect(c, 2000, 10);
	crew_close(c);
}

/* skb_flow_limit, read aloud. */
struct limit_model {
	unsigned int history[BACKLOG_HISTORY], head, bucket[BACKLOG_LIMIT_LEN_MAX];
	bool used[BACKLOG_HISTORY];
};

static bool limit_model(struct limit_model *m, uint32_t bucket)
{
	if (m->used[m->head])
		m->bucket[m->history[m->head]]--;
	m->used[m->head] = true;
	m->history[m->head] = bucket;
	m->head = (m->head + 1) % BACKLOG_HISTORY;
	return ++m->bucket[bucket] > BACKLOG_HISTORY / 2;
}

static void flow_limit(uint32_t len)
{
	struct limit_model *m = calloc(1, sizeof(*m));
	struct crew *c = crew_open(2, 1);
	uint32_t seed = 1, queued = 0, expected = 0, n = 1100;
	bool *drop = calloc(n, sizeof(*drop));
	unsigned int flow;
	uint32_t number;

	assert_int_equal(backlog_set_limit(&c->worker[1], len), 0);
	for (uint32_t i = 0; i < n; i++) {
		seed = seed * 1664525 + 1013904223;
		flow = seed >> 31 ? 0 : (seed >> 20) % CREW_FLOWS;
		assert_int_equal(crew_push(c, 0, flow, i), 0);
		if (queued >= BACKLOG_MAX / 2 && limit_model(m, (flow + 1) & (len - 1))) {
			drop[i] = true;
			expected++;
		} else if (queued > BACKLOG_MAX) {
			drop[i] = true;
		} else {
			queued++;
		}
		/* A full one does not ask: so that each packet does, it is never full here. */
		assert_true(queued <= BACKLOG_MAX);
	}
	while (worker_round(&c->worker[0]))
		;
	assert_true(expected > 50);
	assert_int_equal(c->worker[0].napi[0].stat.drop[SLUICE_DROP_FLOW_LIMIT], expected);
	assert_int_equal(c->worker[1].backlog->flow_limited, expected);
	assert_int_equal(c->worker[1].backlog->dropped, expected);
	while (worker_round(&c->worker[1]))
		;
	for (uint32_t i = 0; i < n; i++) {
		if (drop[i])
			continue;
		assert_true(crew_next(c, &flow, &number));
		assert_int_equal(number, i);
	}
	assert_int_equal(backlog_set_limit(&c->worker[1], 0), 0);
	crew_close(c);
	free(drop);
	free(m);
}

static void test_flow_limit(void **state)
{
	struct crew *c = crew_open(1, CREW_STAY);

	(void)state;
	assert_int_equal(backlog_set_limit(&c->worker[0], 12), -EINVAL);
	assert_int_equal(backlog_set_limit(&c->worker[0], 2 * BACKLOG_LIMIT_LEN_MAX), -EINVAL);
	crew_close(c);
	flow_limit(BACKLOG_LIMIT_LEN);
	flow_limit(BACKLOG_LIMIT_LEN_MAX);
}

/* To oneself, and on to a third: frames go back to the first all the same. */
static void test_hand_on(void **state)
{
	struct crew *c = crew_open(3, 0);
	struct backlog *b = c->worker[1].backlog;
	struct pkt *pkt;

	(void)state;
	push_many(c, 0, 0, 0, 5);
	for (int round = 0; round < 3; round++)
		worker_round(&c->worker[0]);
	assert_int_equal(c->worker[0].backlog->napi.stat.delivered, 5);
	assert_int_equal(c->worker[0].stat.received_rps, 0);
	assert_int_equal(c->worker[0].napi[0].held, 0);

	for (unsigned int f = 0; f < CREW_FLOWS; f++)
		c->target[f] = 1;
	push_many(c, 0, 0, 5, 5);
	worker_round(&c->worker[0]);
	/* Taken, as process_backlog does, but handed on by its protocol. */
	pkt = __atomic_exchange_n(&b->input, NULL, __ATOMIC_ACQUIRE);
	while (pkt) {
		struct pkt *after = pkt->next;

		b->queued--;
		b->napi.stat.received++;
		napi_take_over(&b->napi, pkt);
		assert_true(netif_rx(&c->worker[1], &c->worker[2], pkt));
		pkt = after;
	}
	backlog_complete(&c->worker[1]);
	worker_round(&c->worker[2]);
	assert_int_equal(c->worker[2].backlog->napi.stat.delivered, 5);
	assert_int_equal(c->worker[1].backlog->napi.stat.handed, 5);
	assert_int_equal(c->worker[1].backlog->napi.held, 0);
	worker_round(&c->worker[0]);
	assert_int_equal(c->worker[0].napi[0].held, 0);
	crew_close(c);
}

/* dev_cpu_dead: what was being processed, then what waited, behind nothing that came later. */
static void test_migrate(void **state)
{
	struct crew *c = crew_open(3, 1);
	struct worker *dead = &c->worker[1], *heir = &c->worker[2];

	(void)state;
	push_many(c, 0, 0, 0, 150);
	worker_round(&c->worker[0]);
	assert_int_equal(backlog_poll(dead, 64), 64);
	sock_flush(dead, true);
	worker_complete(dead);
	push_many(c, 0, 0, 150, 30);
	worker_round(&c->worker[0]);
	heir->backlog->max = 0;
	backlog_migrate(dead, heir);
	assert_false(backlog_pending(dead->backlog));
	assert_int_equal(dead->backlog->queued, 0);
	assert_int_equal(heir->backlog->queued, 116);
	for (unsigned int f = 0; f < CREW_FLOWS; f++)
		c->target[f] = 2;
	heir->backlog->max = BACKLOG_MAX;
	push_many(c, 0, 0, 180, 20);
	worker_round(&c->worker[0]);
	while (worker_round(heir))
		;
	crew_expect(c, 0, 200);
	assert_int_equal(heir->backlog->napi.stat.delivered, 136);
	worker_round(&c->worker[0]);
	assert_int_equal(c->worker[0].napi[0].held, 0);
	backlog_migrate(dead, heir);
	assert_false(backlog_pending(heir->backlog));
	crew_close(c);
}

static struct crew *merging_crew(void)
{
	struct crew *c = crew_open(2, 1);
	struct udp_entry entry = { .sk = &c->sock.sk };

	c->engine->gro_max_size = GRO_MAX_SIZE;
	c->sock.sk.gro = true;
	assert_int_equal(udp_table_set(&c->engine->udp, CREW_PORT, &entry, 1), 0);
	return c;
}

/* What GRO has merged is one packet on the way, and as many frames as it was. */
static void test_merged(void **state)
{
	struct crew *c = merging_crew();
	struct worker *a = &c->worker[0], *b = &c->worker[1];
	const struct sluice_rec *rec;

	(void)state;
	push_many(c, 0, 0, 0, 10);
	push_many(c, 0, 1, 0, 5);
	worker_round(a);
	assert_int_equal(b->backlog->queued, 2);
	assert_int_equal(a->napi[0].stat.handed, 15);
	assert_int_equal(a->napi[0].nr_away, 15);
	assert_int_equal(*crew_head(c, 0), 0);
	worker_round(b);
	assert_int_equal(b->backlog->napi.stat.received, 15);
	assert_int_equal(b->backlog->napi.stat.delivered, 15);
	assert_int_equal(b->stat.processed, 15);
	rec = rig_next(&c->sock);
	assert_int_equal(rec->len, 40);
	assert_int_equal(rec->gso_size, 4);
	assert_int_equal(rig_next(&c->sock)->len, 20);
	worker_round(a);
	assert_int_equal(a->napi[0].held, 0);
	assert_int_equal(*crew_head(c, 0), 15);
	crew_close(c);
}

/* The socket has changed its mind meanwhile, and gets them one by one. */
static void test_merged_and_split(void **state)
{
	struct crew *c = merging_crew();

	(void)state;
	push_many(c, 0, 0, 0, 10);
	worker_round(&c->worker[0]);
	assert_int_equal(c->worker[1].backlog->queued, 1);
	c->sock.sk.gro = false;
	worker_round(&c->worker[1]);
	crew_expect(c, 0, 10);
	worker_round(&c->worker[0]);
	assert_int_equal(*crew_head(c, 0), 10);
	crew_close(c);
}

/* Dropped at the limit, moved, and settled as what they are. */
static void test_merged_and_lost(void **state)
{
	struct crew *c = merging_crew();

	(void)state;
	c->worker[1].backlog->max = 0;
	push_many(c, 0, 0, 0, 10);
	push_many(c, 0, 1, 0, 7);
	worker_round(&c->worker[0]);
	assert_int_equal(c->worker[1].backlog->dropped, 1);
	assert_int_equal(c->worker[0].napi[0].stat.drop[SLUICE_DROP_BACKLOG], 7);
	assert_int_equal(c->worker[0].napi[0].nr_away, 10);
	backlog_migrate(&c->worker[1], &c->worker[0]);
	crew_close(c);
}

/* The backlog is one more instance: polled in turn, with the same weight. */
static void test_fair(void **state)
{
	struct crew *c = crew_open(2, 1);
	struct worker *b = &c->worker[1];

	(void)state;
	c->target[1] = CREW_STAY;
	push_many(c, 0, 0, 0, 600);
	while (worker_round(&c->worker[0]))
		;
	push_many(c, 1, 1, 0, 1000);
	assert_true(worker_round(b));
	/* 64 each in turn, and the fifth uses up the budget. */
	assert_int_equal(b->napi[0].stat.received, 192);
	assert_int_equal(b->backlog->napi.stat.received, 128);
	assert_int_equal(b->stat.time_squeeze, 1);
	assert_true(worker_round(b));
	assert_int_equal(b->napi[0].stat.received, 320);
	assert_int_equal(b->backlog->napi.stat.received, 320);
	while (worker_round(b))
		;
	crew_close(c);
}

static void test_arm(void **state)
{
	struct crew *c = crew_open(2, 1);
	struct backlog *b = c->worker[1].backlog;
	uint64_t kicks;

	(void)state;
	assert_true(backlog_arm(b));
	push_many(c, 0, 0, 0, 2);
	worker_round(&c->worker[0]);
	assert_int_equal(b->armed, 0);
	assert_int_equal(read(c->worker[1].kick_fd, &kicks, sizeof(kicks)), sizeof(kicks));
	assert_int_equal(kicks, 1);
	/* It did not ask again. */
	push_many(c, 0, 0, 2, 2);
	worker_round(&c->worker[0]);
	assert_int_equal(read(c->worker[1].kick_fd, &kicks, sizeof(kicks)), -1);
	assert_false(backlog_arm(b));
	backlog_disarm(b);
	worker_round(&c->worker[1]);
	/* What is given back wakes whoever waits for frames. */
	assert_false(backlog_arm(c->worker[0].backlog));
	backlog_disarm(c->worker[0].backlog);
	worker_round(&c->worker[0]);
	assert_true(backlog_arm(c->worker[0].backlog));
	push_many(c, 0, 0, 4, 1);
	worker_round(&c->worker[0]);
	backlog_arm(c->worker[0].backlog);
	worker_round(&c->worker[1]);
	assert_int_equal(read(c->worker[0].kick_fd, &kicks, sizeof(kicks)), sizeof(kicks));
	crew_close(c);
}

/* Reads what has come; numbers of a flow rise, and what is missing was dropped. */
static uint32_t drain(struct crew *c, uint32_t *next)
{
	unsigned int flow;
	uint32_t number, n = 0;

	while (crew_next(c, &flow, &number)) {
		assert_true(number >= next[flow]);
		next[flow] = number + 1;
		n++;
	}
	return n;
}

/*
 * Each flow comes through one source and is delivered by another worker; every packet is
 * delivered, or dropped and counted, in order.
 */
static void test_threads(void **state)
{
	struct crew *c = crew_open(3, 0);
	uint32_t next[CREW_FLOWS] = { 0 }, sent[CREW_FLOWS] = { 0 }, got = 0, pushed = 0;
	uint64_t dropped = 0;

	(void)state;
	for (unsigned int f = 0; f < CREW_FLOWS; f++)
		c->target[f] = (f + f / 3) % 3;
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(worker_start(&c->worker[i]), 0);
	for (uint32_t i = 0; i < 60000; i++) {
		unsigned int flow = (i * 7 + i / 64) % CREW_FLOWS;

		if (crew_push(c, flow % 3, flow, sent[flow]) == 0) {
			sent[flow]++;
			pushed++;
		} else {
			usleep(200);
		}
		if (i % 256 == 0)
			got += drain(c, next);
	}
	for (int ms = 0; ms < 5000; ms++) {
		got += drain(c, next);
		dropped = 0;
		for (unsigned int i = 0; i < 3; i++)
			dropped += stat_read(&c->worker[i].stat.dropped);
		if (got + dropped == pushed)
			break;
		usleep(1000);
	}
	assert_int_equal(got + dropped, pushed);
	for (unsigned int i = 0; i < 3; i++) {
		/* Sleepers were woken for it: their nap's end would come too late. */
		assert_true(c->worker[i].stat.received_rps > 0);
		worker_stop(&c->worker[i]);
	}
	crew_close(c);
}

/* A sleeping worker is woken by a hand-off, and the home of a frame by its return. */
static void test_wakes(void **state)
{
	struct crew *c = crew_open(2, 1);
	unsigned int flow;
	uint32_t number;

	(void)state;
	assert_int_equal(worker_start(&c->worker[0]), 0);
	assert_int_equal(worker_start(&c->worker[1]), 0);
	for (uint32_t i = 0; i < 50; i++) {
		int ms = 0;

		assert_int_equal(crew_push(c, 0, 0, i), 0);
		while (!crew_next(c, &flow, &number)) {
			assert_true(ms++ < 10 * WORKER_NAP_MS);
			usleep(1000);
		}
		assert_int_equal(number, i);
		usleep(i % 5 * 100);
	}
	while (__atomic_load_n(crew_head(c, 0), __ATOMIC_RELAXED) != 50)
		usleep(1000);
	crew_close(c);
}

/* Ended in the midst of it: the books close when all have been settled. */
static void test_stop_under_way(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		struct crew *c = crew_open(3, 0);
		uint32_t next[CREW_FLOWS] = { 0 };

		for (unsigned int f = 0; f < CREW_FLOWS; f++)
			c->target[f] = f % 3;
		for (unsigned int i = 0; i < 3; i++)
			assert_int_equal(worker_start(&c->worker[i]), 0);
		for (uint32_t i = 0; i < 500; i++)
			assert_int_equal(crew_push(c, i / 64 % 3, i / 64 % 3 + 3 * (i % 8), i), 0);
		for (unsigned int i = 0; i < 3; i++)
			worker_stop(&c->worker[i]);
		crew_check_books(c);
		drain(c, next);
		crew_close(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hand_off),
		cmocka_unit_test(test_head_waits),
		cmocka_unit_test(test_away_order),
		cmocka_unit_test(test_quota),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_flow_limit),
		cmocka_unit_test(test_hand_on),
		cmocka_unit_test(test_migrate),
		cmocka_unit_test(test_merged),
		cmocka_unit_test(test_merged_and_split),
		cmocka_unit_test(test_merged_and_lost),
		cmocka_unit_test(test_fair),
		cmocka_unit_test(test_arm),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_wakes),
		cmocka_unit_test(test_stop_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
