// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Frames through the engine into an IPv4 and an IPv6 socket. Whatever comes: the
 * books close, every frame returns, and what is in a lane is a record.
 *
 *   input:  mode, then frames:  control, length (2, little endian), [meta (12)], bytes
 */
#include <stdint.h>
#include <stdlib.h>

#define RIG_CHECK(cond)          \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)
#define RIG_FRAMES 64

#include "../unit/rig.h"
#include "input.h"

/* In one input: more of the same finds nothing, and is slow. */
#define FRAMES_MAX 100

#define PORT4 5000
#define PORT6 6000

enum mode {
	MODE_PARTIAL_OK = 0x1,
	MODE_NO_VLANS = 0x2,
	MODE_GRO = 0x4,		/* the IPv4 socket asked for merged datagrams */
	MODE_MIRROR = 0x8,
	MODE_HOOK = 0x10,	/* an odd first byte of a packet has a hook drop it */
	MODE_TAPS = 0x20,
};

enum control {
	CTL_META = 0x1,		/* 12 bytes of rx_meta follow, all but the magic */
	CTL_FIX_IP = 0x2,	/* checksums are made right, or nothing would ever get past them */
	CTL_FIX_UDP = 0x4,
	CTL_PARTIAL = 0x8,
	CTL_SOURCE = 0x10,
	CTL_RUN = 0x20,		/* the worker's turn after this frame */
	CTL_CONSUME = 0x40,	/* the clients' turn */
	CTL_HOSTILE = 0x80,	/* a client writes what it likes */
};

/* Where the transport header is, if this is an IP packet as the engine takes them. */
static void fix(struct frame *f, uint8_t control)
{
	uint32_t room;

	f->l3 = f->len >= 18 && get16(f->b + 12) == 0x8100 ? FRAME_L3 + 4 : FRAME_L3;
	if (f->len < f->l3 + 20)
		return;
	f->version = f->b[f->l3] >> 4;
	if (f->version == 4 && control & CTL_FIX_IP)
		frame_ip_csum(f);
	f->l4 = f->l3 + (f->version == 4 ? 20 : 40);
	if ((f->version != 4 && f->version != 6) || f->len < f->l4 + 8)
		return;
	room = f->len - f->l4;
	if (control & CTL_PARTIAL)
		put16(f->b + f->l4 + 6, frame_pseudo(f));
	else if (control & CTL_FIX_UDP && get16(f->b + f->l4 + 4) <= room)
		frame_udp_csum(f);
}

static void push(struct rig *rig, struct input *in, uint8_t control)
{
	struct mem_source *mem = &rig->mem[control & CTL_SOURCE ? 1 : 0];
	struct sluice_rx_meta meta = { .magic = SLUICE_RX_MAGIC };
	struct frame *f = calloc(1, sizeof(*f));
	uint32_t len = take8(in);

	len |= (uint32_t)take8(in) << 8;
	if (control & CTL_META)
		take(in, (uint8_t *)&meta + sizeof(meta.magic), sizeof(meta) - sizeof(meta.magic));
	f->len = (uint32_t)take(in, f->b, len < FRAME_MAX ? len : FRAME_MAX);
	fix(f, control);
	if (!mem->nr_free)
		rig_run(rig);
	RIG_CHECK(mem_source_push(mem, f->b, f->len, control & CTL_META ? &meta : NULL) == 0);
	free(f);
}

static void consume(struct rig_sock *s, uint16_t port, uint32_t cpu, bool mirror)
{
	const struct sluice_rec *rec;

	if (s->sk.lane.broken)
		return;
	while ((rec = rig_next(s))) {
		RIG_CHECK(rec->version == 4 || rec->version == 6);
		/* Behind more tags than are looked into there is none. */
		RIG_CHECK(rec->hash || mirror);
		RIG_CHECK(rec->dport == htons(port));
	}
	rig_consume(s, cpu);
}

static void sock_on(struct rig *rig, uint16_t port, bool ipv6, bool gro)
{
	struct rig_sock *s = rig_sock_add(rig, SLUICE_LANE_MIN);
	struct udp_entry entry = { .key.ipv6 = ipv6, .sk = &s->sk };

	s->sk.gro = gro;
	rig_table_set(rig, port, &entry, 1);
}

static enum netif_verdict hook_odd(struct worker *worker, struct pkt *pkt,
				   const struct netif_hook *hook)
{
	(void)worker;
	(void)hook;
	return pkt_may_pull(pkt, 1) && pkt->data[0] & 1 ? NETIF_DROP : NETIF_ACCEPT;
}

/* Reads all that a tap is shown. */
static void tap_read(struct tap *tap, struct worker *worker, const struct pkt *pkt)
{
	volatile uint8_t sum = 0;

	(void)tap;
	(void)worker;
	RIG_CHECK(pkt->mac >= pkt->head && pkt->mac <= pkt->data && pkt->data <= pkt->tail);
	for (const uint8_t *p = pkt->mac; p < pkt->tail; p++)
		sum = (uint8_t)(sum + *p);
}

static void tap_commit_nothing(struct tap *tap, struct worker *worker)
{
	(void)tap;
	(void)worker;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { .p = data, .left = size };
	struct rig *rig = rig_open(2);
	uint8_t mode = take8(&in);
	struct netif_hook hook = { .func = hook_odd };
	struct tap tap[TAP_STAGES];

	for (int i = 0; mode & MODE_TAPS && i < TAP_STAGES; i++) {
		tap[i] = (struct tap){ .stage = (enum tap_stage)i, .see = tap_read,
				       .commit = tap_commit_nothing };
		RIG_CHECK(tap_add(&rig->engine->taps, &tap[i]) == 0);
	}
	rig->engine->mirror = mode & MODE_MIRROR;
	if (mode & MODE_HOOK)
		RIG_CHECK(netif_hook_add(&rig->engine->netif, &hook) == 0);
	sock_on(rig, PORT4, false, mode & MODE_GRO);
	sock_on(rig, PORT6, true, false);
	rig->engine->gro_max_size = mode & MODE_GRO ? GRO_MAX_SIZE : 0;
	rig->engine->csum = mode & MODE_PARTIAL_OK ? CSUM_PARTIAL_OK : CSUM_VERIFY;
	rig->vlan_dev[5] = 55;
	if (mode & MODE_NO_VLANS)
		rig->engine->vlan_dev = NULL;
	for (int frames = 0; in.left && frames < FRAMES_MAX; frames++) {
		uint8_t control = take8(&in);

		push(rig, &in, control);
		if (control & CTL_RUN)
			rig_run(rig);
		for (int i = 0; i < 2 && control & CTL_CONSUME; i++)
			consume(&rig->sock[i], i ? PORT6 : PORT4, control, mode & MODE_MIRROR);
		if (control & CTL_HOSTILE)
			take(&in, &rig->sock[control & 1].ctl->consumer, sizeof(uint64_t));
	}
	rig_run(rig);
	rig_close(rig);
	return 0;
}
