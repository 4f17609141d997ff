// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* replayer.c - see replayer.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/datagram.h"
#include "cli/inbox.h"
#include "cli/replayer.h"
#include "engine/clock.h"
#include "engine/engine.h"
#include "engine/mem.h"
#include "engine/sock.h"
#include "engine/tap.h"
#include "engine/worker.h"

/* The device that everything came in by. */
#define IFINDEX 1

/* A datagram with its headers, or what GRO has merged with its link header and tags. */
#define BUFFER_MAX (DATAGRAM_MAX + 64)

struct replayer {
	const struct replayer_config *config;
	struct engine engine;
	struct clock clock;
	struct tap tap;
	struct worker worker;
	struct mem_source mem;
	struct sock sk;
	struct inbox *inbox;
	uint64_t *tstamp;	/* by frame of mem */
	uint8_t *buffer;	/* BUFFER_MAX bytes */
	uint64_t merged, merged_into;
	uint64_t first, last;
	struct replayer_port port[65536];
};

/* For all that one call of worker_round() can deliver, and what is skipped at the ring's end. */
static uint32_t ring_size(uint32_t poll)
{
	uint32_t round = poll < WORKER_BUDGET + NAPI_WEIGHT ? poll : WORKER_BUDGET + NAPI_WEIGHT;
	uint64_t need = (uint64_t)(round + 1) * SLUICE_REC_SPACE(65535);
	uint32_t size = SLUICE_LANE_MIN;

	while (size < need)
		size *= 2;
	return size;
}

static struct replayer *replayer_of(struct tap *tap)
{
	return (struct replayer *)((char *)tap - offsetof(struct replayer, tap));
}

static void write_frame(struct replayer *r, const struct pkt *pkt)
{
	struct capture_packet p = {
		.data = pkt->data,
		.caplen = pkt_len(pkt),
		.len = pkt_len(pkt),
		.tstamp = r->tstamp[pkt->frame],
	};

	if (pkt->frag_list) {
		pkt_copy(pkt, r->buffer);
		p.data = r->buffer;
	}
	capture_out_add(r->config->out, &p);
}

/* Nothing waits in a batch: each packet was written when it was seen. */
static void end_batch(struct tap *tap, struct worker *worker)
{
	(void)tap;
	(void)worker;
}

static void write_datagram(struct replayer *r, const struct sluice_rec *rec)
{
	struct capture_packet p = { .data = r->buffer, .tstamp = rec->tstamp };

	p.caplen = datagram_build(r->buffer, rec);
	p.len = p.caplen;
	if (p.len)
		capture_out_add(r->config->out, &p);
}

static bool writes(const struct replayer *r, enum replayer_stage stage)
{
	return r->config->out && r->config->stage == stage;
}

static void see_gro(struct tap *tap, struct worker *worker, const struct pkt *pkt)
{
	struct replayer *r = replayer_of(tap);

	(void)worker;
	if (pkt->gso_segs > 1) {
		r->merged += pkt->gso_segs;
		r->merged_into++;
	}
	if (writes(r, REPLAYER_GRO))
		write_frame(r, pkt);
}

static int open_sock(struct replayer *r)
{
	uint32_t size = ring_size(r->config->poll);
	int err;

	r->inbox = inbox_new(size);
	if (!r->inbox)
		return -ENOMEM;
	err = sock_init(&r->sk, 1, 1);
	return err ? err : lane_init(&r->sk.lane, inbox_head(r->inbox), inbox_ctl(r->inbox), size,
				     -1, &r->engine.rfs);
}

static int bind_ports(struct replayer *r)
{
	struct udp_entry entry = { .key.ipv6 = true, .sk = &r->sk };
	int err = 0;

	if (!r->config->nr_port)
		return udp_table_set_rest(&r->engine.udp, &entry, 1);
	for (unsigned int i = 0; i < r->config->nr_port && !err; i++)
		err = udp_table_set(&r->engine.udp, r->config->port[i], &entry, 1);
	return err;
}

static int open_source(struct replayer *r)
{
	uint32_t frames = 1;
	int err;

	while (frames < r->config->poll)
		frames *= 2;
	r->tstamp = calloc(frames, sizeof(*r->tstamp));
	r->buffer = malloc(BUFFER_MAX);
	err = mem_source_init_max(&r->mem, frames, CAPTURE_FRAME_MAX);
	return r->tstamp && r->buffer ? err : -ENOMEM;
}

static void set_engine(struct replayer *r)
{
	r->tap = (struct tap){ .stage = TAP_GRO, .see = see_gro, .commit = end_batch };
	r->engine.ifindex = IFINDEX;
	/* Captures taken on the sending host hold what its device would have completed. */
	r->engine.csum = CSUM_PARTIAL_OK;
	/* Of no secret: the same capture must always have the same hashes. */
	r->engine.hash_key[0] = 1;
	/* Any VLAN is the device itself. */
	r->engine.mirror = true;
	r->engine.local = r->config->local;
	r->engine.clock = &r->clock;
	r->engine.gro_max_size = GRO_MAX_SIZE;
	r->engine.broken_fd = -1;
}

int replayer_new(struct replayer **out, const struct replayer_config *config)
{
	struct replayer *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	r->config = config;
	set_engine(r);
	tap_add(&r->engine.taps, &r->tap);
	err = worker_init(&r->worker, &r->engine, 0, 0, 1);
	if (!err)
		err = open_source(r);
	if (!err)
		err = worker_add_napi(&r->worker, &r->mem.src, 0);
	if (!err)
		err = open_sock(r);
	if (!err)
		err = bind_ports(r);
	if (err)
		replayer_free(r);
	else
		*out = r;
	return err;
}

void replayer_free(struct replayer *r)
{
	if (!r)
		return;
	udp_table_destroy(&r->engine.udp);
	lane_destroy(&r->sk.lane);
	sock_destroy(&r->sk);
	inbox_free(r->inbox);
	worker_destroy(&r->worker);
	mem_source_destroy(&r->mem);
	free(r->buffer);
	free(r->tstamp);
	free(r);
}

static void receive(struct replayer *r, const struct capture *c, const struct capture_packet *p)
{
	uint32_t frame;
	uint8_t *data;

	/* There are as many frames as packets of a round, and all were free when it began. */
	if (mem_source_get(&r->mem, &frame, &data))
		abort();
	r->tstamp[frame] = p->tstamp;
	mem_source_add(&r->mem, frame, capture_frame(c, p, data),
		       p->caplen < p->len ? SLUICE_DROP_SNAPLEN : SLUICE_DROPS);
	clock_set(&r->clock, p->tstamp);
	if (c->packets == 1 || p->tstamp < r->first)
		r->first = p->tstamp;
	if (p->tstamp > r->last)
		r->last = p->tstamp;
}

/* Until the packets of a round wait. As capture_read(). */
static int fill(struct replayer *r, struct capture *c)
{
	struct capture_packet p;
	int rc = 1;

	for (uint32_t n = 0; n < r->config->poll; n++) {
		rc = capture_read(c, &p);
		if (rc <= 0)
			break;
		if (writes(r, REPLAYER_RX))
			capture_out_add(r->config->out, &p);
		receive(r, c, &p);
	}
	return rc;
}

static void drain(struct replayer *r)
{
	const struct sluice_rec *rec;

	while ((rec = inbox_next(r->inbox))) {
		struct replayer_port *port = &r->port[ntohs(rec->dport)];

		port->packets++;
		port->bytes += rec->len;
		if (writes(r, REPLAYER_L4))
			write_datagram(r, rec);
	}
	inbox_release(r->inbox);
}

static void play(struct replayer *r)
{
	bool more;

	do {
		more = worker_round(&r->worker);
		drain(r);
	} while (more);
}

int replayer_run(struct replayer *r, struct capture *c)
{
	int rc;

	do {
		rc = fill(r, c);
		play(r);
	} while (rc > 0);
	return rc;
}

struct replayer_books replayer_books(const struct replayer *r)
{
	return (struct replayer_books){
		.stat = &r->worker.napi[0].stat,
		.port = r->port,
		.first = r->first,
		.last = r->last,
		.merged = r->merged,
		.merged_into = r->merged_into,
	};
}
