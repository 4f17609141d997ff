/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * rig.h - an engine on a bench: one worker without a thread, memory sources, and
 * sockets whose lanes lie in plain memory and are read here by the rules of
 * include/sluice/lane.h alone.
 *
 *   rig_push --> mem source [n] --> worker_round --> lane --> rig_next, rig_consume
 *
 * rig_close() checks that the books close and every frame is back.
 */
#ifndef TEST_RIG_H
#define TEST_RIG_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sluice/drop.h>
#include <sluice/lane.h>

#include "engine/engine.h"
#include "engine/mem.h"
#include "engine/sock.h"
#include "engine/stat.h"
#include "engine/worker.h"

#include "frames.h"

/* A fuzzer has no cmocka and defines its own. */
#ifndef RIG_CHECK
#define RIG_CHECK(cond) assert_true(cond)
#endif

#ifndef RIG_FRAMES
#define RIG_FRAMES 4096
#endif

#define RIG_SOURCES 8
#define RIG_SOCKS 16
#define RIG_FLOWS 1024
#define RIG_CPU_MASK 15
#define RIG_IFINDEX 7

struct rig_sock {
	struct sock sk;
	struct sluice_lane_head *head;
	struct sluice_lane_ctl *ctl;
	uint64_t pos;		/* of the next record to read */
	uint64_t read;		/* datagrams read */
	int wake[2];		/* [0]: the client's end */
};

struct rig {
	struct engine *engine;
	struct worker worker;
	struct mem_source mem[RIG_SOURCES];
	unsigned int nr_mem;
	struct rig_sock sock[RIG_SOCKS];
	unsigned int nr_sock;
	uint16_t port[RIG_SOCKS];	/* with entries in the table */
	unsigned int nr_port;
	uint32_t sock_flow[RIG_FLOWS];
	uint32_t flow_head[RIG_SOURCES * SLUICE_MAX_WORKERS];
	uint32_t vlan_dev[SLUICE_VLAN_IDS];
};

static inline struct rig *rig_open(unsigned int sources)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	rig->engine = calloc(1, sizeof(*rig->engine));
	for (unsigned int i = 0; i < RIG_FLOWS; i++)
		rig->sock_flow[i] = SLUICE_NO_CPU;
	*rig->engine = (struct engine){
		.ifindex = RIG_IFINDEX,
		.hash_key = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 },
		.vlan_dev = rig->vlan_dev,
		.flow_head = rig->flow_head,
		.rfs = {
			.sock_flow = rig->sock_flow,
			.mask = RIG_FLOWS - 1,
			.cpu_mask = RIG_CPU_MASK,
		},
		.broken_fd = -1,
	};
	RIG_CHECK(worker_init(&rig->worker, rig->engine, 0, 0, sources) == 0);
	for (rig->nr_mem = 0; rig->nr_mem < sources; rig->nr_mem++) {
		struct mem_source *mem = &rig->mem[rig->nr_mem];

		RIG_CHECK(mem_source_init(mem, RIG_FRAMES) == 0);
		RIG_CHECK(worker_add_napi(&rig->worker, &mem->src, (uint16_t)rig->nr_mem) == 0);
	}
	return rig;
}

static inline void rig_sock_open(struct rig_sock *s, const struct rfs *rfs, uint32_t size,
				 unsigned int workers)
{
	memset(s, 0, sizeof(*s));
	s->head = calloc(1, SLUICE_LANE_HEAD + (size_t)size);
	s->ctl = aligned_alloc(128, sizeof(*s->ctl));
	memset(s->ctl, 0, sizeof(*s->ctl));
	RIG_CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s->wake) == 0);
	RIG_CHECK(sock_init(&s->sk, 1, workers) == 0);
	RIG_CHECK(lane_init(&s->sk.lane, s->head, s->ctl, size, s->wake[1], rfs) == 0);
}

static inline void rig_sock_close(struct rig_sock *s)
{
	lane_destroy(&s->sk.lane);
	sock_destroy(&s->sk);
	close(s->wake[0]);
	close(s->wake[1]);
	free(s->head);
	free(s->ctl);
}

/* A socket in no table yet. */
static inline struct rig_sock *rig_sock_add(struct rig *rig, uint32_t size)
{
	struct rig_sock *s = &rig->sock[rig->nr_sock++];

	RIG_CHECK(rig->nr_sock <= RIG_SOCKS);
	rig_sock_open(s, &rig->engine->rfs, size, 1);
	return s;
}

static inline void rig_table_set(struct rig *rig, uint16_t port, const struct udp_entry *entry,
				 unsigned int nr)
{
	RIG_CHECK(rig->nr_port < RIG_SOCKS);
	rig->port[rig->nr_port++] = port;
	RIG_CHECK(udp_table_set(&rig->engine->udp, port, entry, nr) == 0);
}

/* A socket alone on its port, bound to any address; ipv6: of both families. */
static inline struct rig_sock *rig_sock_any(struct rig *rig, uint16_t port, bool ipv6)
{
	struct rig_sock *s = rig_sock_add(rig, SLUICE_LANE_DEFAULT);
	struct udp_entry entry = { .key.ipv6 = ipv6, .sk = &s->sk };

	rig_table_set(rig, port, &entry, 1);
	return s;
}

static inline void rig_push(struct rig *rig, unsigned int source, const struct frame *f)
{
	RIG_CHECK(mem_source_push(&rig->mem[source], f->b, f->len, NULL) == 0);
}

static inline void rig_push_hash(struct rig *rig, unsigned int source, const struct frame *f,
				 uint32_t hash, uint32_t seq)
{
	struct sluice_rx_meta meta = { .magic = SLUICE_RX_MAGIC, .hash = hash, .seq = seq };

	RIG_CHECK(mem_source_push(&rig->mem[source], f->b, f->len, &meta) == 0);
}

static inline bool rig_pending(const struct rig *rig)
{
	for (unsigned int i = 0; i < rig->nr_mem; i++)
		if (rig->mem[i].head != rig->mem[i].tail)
			return true;
	return false;
}

/* Until nothing is left. */
static inline void rig_run(struct rig *rig)
{
	for (int rounds = 0; worker_round(&rig->worker) || rig_pending(rig); rounds++)
		RIG_CHECK(rounds < 100000);
}

/* The next record, where it lies, or NULL; checked against every rule of the layout. */
static inline const struct sluice_rec *rig_next(struct rig_sock *s)
{
	uint64_t producer = __atomic_load_n(&s->head->producer, __ATOMIC_ACQUIRE);
	const uint8_t *ring = (const uint8_t *)s->head + SLUICE_LANE_HEAD;
	uint32_t size = s->head->size;

	while (s->pos != producer) {
		uint32_t at = (uint32_t)(s->pos & (size - 1));
		const struct sluice_rec *rec = (const void *)(ring + at);

		RIG_CHECK(at % SLUICE_REC_ALIGN == 0);
		RIG_CHECK(rec->len <= size - at - sizeof(*rec));
		RIG_CHECK(producer - s->pos >= SLUICE_REC_SPACE(rec->len));
		s->pos += SLUICE_REC_SPACE(rec->len);
		if (rec->kind == SLUICE_REC_SKIP) {
			RIG_CHECK(at + SLUICE_REC_SPACE(rec->len) == size);
			RIG_CHECK(s->pos != producer);
			continue;
		}
		RIG_CHECK(rec->kind == SLUICE_REC_DATA);
		RIG_CHECK(rec->pad == 0);
		RIG_CHECK(rec->gso_size == 0 || (s->sk.gro && rec->len > rec->gso_size));
		s->read += rec->gso_size ? (rec->len + rec->gso_size - 1u) / rec->gso_size : 1;
		return rec;
	}
	return NULL;
}

static inline void rig_consume(struct rig_sock *s, uint32_t cpu)
{
	__atomic_store_n(&s->ctl->cpu, cpu, __ATOMIC_RELAXED);
	__atomic_store_n(&s->ctl->consumer, s->pos, __ATOMIC_RELEASE);
}

/* What is in the wake socket. */
static inline unsigned int rig_wakes(struct rig_sock *s)
{
	unsigned int n = 0;
	char c;

	while (recv(s->wake[0], &c, 1, MSG_DONTWAIT) == 1)
		n++;
	return n;
}

static inline uint64_t rig_drops(const struct rig *rig, enum sluice_drop reason)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < rig->nr_mem; i++)
		sum += rig->worker.napi[i].stat.drop[reason];
	return sum;
}

/* Received = delivered + drops; nothing held; each frame with its source, each record in a lane. */
static inline void rig_check_books(struct rig *rig)
{
	uint64_t received = 0, delivered = 0, dropped = 0, records = 0;

	for (unsigned int i = 0; i < rig->nr_mem; i++) {
		const struct napi *napi = &rig->worker.napi[i];
		uint64_t drops = 0;

		for (int r = 0; r < SLUICE_DROPS; r++)
			drops += napi->stat.drop[r];
		RIG_CHECK(napi->stat.received == napi->stat.delivered + drops);
		RIG_CHECK(napi->held == 0);
		RIG_CHECK(napi->nr_done == 0);
		RIG_CHECK(rig->mem[i].nr_free == rig->mem[i].frames);
		received += napi->stat.received;
		delivered += napi->stat.delivered;
		dropped += drops;
	}
	RIG_CHECK(rig->worker.stat.processed == received);
	RIG_CHECK(rig->worker.stat.dropped == dropped);
	RIG_CHECK(rig->worker.nr_pending == 0);
	RIG_CHECK(rig->worker.pool.nr_free == rig->worker.pool.size);
	for (unsigned int i = 0; i < rig->nr_sock; i++) {
		records += rig->sock[i].sk.lane.delivered;
		RIG_CHECK(rig->sock[i].sk.lane.delivered == rig->sock[i].head->delivered ||
			  rig->sock[i].sk.lane.broken);
	}
	RIG_CHECK(records == delivered);
}

/* Reads what is left in the lanes, too. */
static inline void rig_close(struct rig *rig)
{
	rig_check_books(rig);
	for (unsigned int i = 0; i < rig->nr_sock; i++) {
		struct rig_sock *s = &rig->sock[i];

		while (!s->sk.lane.broken && rig_next(s))
			;
		RIG_CHECK(s->read == s->sk.lane.delivered || s->sk.lane.broken);
	}
	worker_destroy(&rig->worker);
	for (unsigned int i = 0; i < rig->nr_mem; i++)
		mem_source_destroy(&rig->mem[i]);
	/* Port by port: a fuzzer has no time to look at all 65,536. */
	for (unsigned int i = 0; i < rig->nr_port; i++)
		udp_table_set(&rig->engine->udp, rig->port[i], NULL, 0);
	for (unsigned int i = 0; i < rig->nr_sock; i++)
		rig_sock_close(&rig->sock[i]);
	free(rig->engine);
	free(rig);
}

/* One frame in: dropped for this reason and no other. */
static inline void rig_expect_drop(struct rig *rig, const struct frame *f, enum sluice_drop reason)
{
	uint64_t before = rig_drops(rig, reason), dropped = rig->worker.stat.dropped;

	rig_push(rig, 0, f);
	rig_run(rig);
	RIG_CHECK(rig->worker.stat.dropped == dropped + 1);
	RIG_CHECK(rig_drops(rig, reason) == before + 1);
}

/* One frame in: delivered to s, and the record returned. */
static inline const struct sluice_rec *rig_expect_rec(struct rig *rig, struct rig_sock *s,
						      const struct frame *f)
{
	const struct sluice_rec *rec;

	rig_push(rig, 0, f);
	rig_run(rig);
	rec = rig_next(s);
	RIG_CHECK(rec && !s->sk.lane.broken);
	rig_consume(s, 0);
	return rec;
}

/* The record is the frame's, whole. */
static inline void rig_check_rec(const struct sluice_rec *rec, const struct ends *e,
				 const void *payload, size_t len)
{
	RIG_CHECK(rec->len == len);
	RIG_CHECK(!memcmp(rec + 1, payload, len));
	RIG_CHECK(rec->version == e->version);
	RIG_CHECK(!memcmp(rec->saddr, e->saddr, 16));
	RIG_CHECK(!memcmp(rec->daddr, e->daddr, 16));
	RIG_CHECK(rec->sport == htons(e->sport) && rec->dport == htons(e->dport));
}

#endif
