// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * The same frames through the kernel's GRO and through the engine's, in the same polls: the
 * same packets in the same order, byte for byte.
 *
 *   gro_diff FROM_NETNS FROM_DEV TO_NETNS TO_DEV SEED STREAMS
 *
 * Stream n is drawn from SEED + n. It passes also when the kernel, asked again, agrees: then
 * something had come between its frames. That must stay rare.
 *
 * Deliberate differences, besides those that engine/gro.h names and the streams do not have
 * (tunnels, ESP, more than 65,535 bytes; tags, which this test cannot show: kernels without
 * VLANs do not look behind them): of a datagram that no socket asked to have merged the
 * engine does not verify the checksum in GRO, so what is said of it is not compared.
 */
#include <inttypes.h>

#include "../unit/gro_engine.h"
#include "gro_kernel.h"

#define TRIES 3

struct diff {
	struct gro_kernel kernel;
	struct gro_engine engine;
	struct gro_stream stream;
	struct gro_outs theirs, ours;
	bool one_poll;		/* streams of more would show the kernel's clock */
	uint64_t frames, packets, tcp, udp, largest, disturbed;
};

static void print_frame(const char *what, const uint8_t *b, uint32_t len, uint32_t max)
{
	printf("%s%5u ", what, len);
	for (uint32_t i = 12; i < len && i < max; i++)
		printf("%02x%s", b[i], i == 13 || i == 33 ? " " : "");
	printf("\n");
}

static void print_outs(const char *who, const struct gro_outs *o)
{
	printf("%s: %u packets\n", who, o->nr);
	for (unsigned int i = 0; i < o->nr; i++) {
		const struct gro_out *out = &o->out[i];

		printf("%2u type %d gso_size %4u csum %d ecn %d", i, (int)out->type, out->gso_size,
		       (int)out->csum, out->ecn);
		print_frame("", out->data, out->len, 90);
	}
}

static void print_all(const struct diff *d)
{
	for (unsigned int i = 0; i < d->stream.nr; i++) {
		printf("in %2u ", i);
		print_frame("", d->stream.frame[i].b, d->stream.frame[i].len, 90);
	}
	print_outs("kernel", &d->theirs);
	print_outs("engine", &d->ours);
}

static bool is_unasked_udp(const struct gro_out *out)
{
	uint32_t l4 = out->data[12] == 0x08 ? FRAME_L3 + 20 : gro_out_l4(out);

	return out->type == GRO_OUT_SINGLE && get16(out->data + l4 + 2) >= GRO_PORT_OTHER &&
	       get16(out->data + l4 + 2) < GRO_PORT_OTHER + GRO_PORTS;
}

static bool same(struct diff *d)
{
	if (d->theirs.nr != d->ours.nr)
		return false;
	for (unsigned int i = 0; i < d->ours.nr; i++) {
		if (is_unasked_udp(&d->theirs.out[i]))
			d->theirs.out[i].csum = d->ours.out[i].csum;
		if (!gro_out_equal(&d->theirs.out[i], &d->ours.out[i]))
			return false;
	}
	return true;
}

static void count(struct diff *d)
{
	d->frames += d->stream.nr;
	d->packets += d->ours.nr;
	for (unsigned int i = 0; i < d->ours.nr; i++) {
		const struct gro_out *out = &d->ours.out[i];

		d->tcp += out->type == GRO_OUT_TCP4 || out->type == GRO_OUT_TCP6;
		d->udp += out->type == GRO_OUT_UDP;
		d->largest = out->len > d->largest ? out->len : d->largest;
	}
}

/*
 * One flow across two polls. With a HZ of 1000 or more Linux holds packets at the end of a poll
 * that was full until its next tick; the engine then holds none.
 */
static bool probe(struct diff *d)
{
	struct gro_spec s = {
		.mac = 1, .saddr = { 10, 99, 0, 2 }, .daddr = { 10, 99, 0, 1 }, .sport = 1,
		.dport = 1, .ttl = 64, .flags = GRO_ACK, .len = 1000,
	};

	for (d->stream.nr = 0; d->stream.nr <= GRO_POLL; d->stream.nr++) {
		gro_build(&s, &d->stream.frame[d->stream.nr]);
		s.seq += s.len;
		s.id++;
	}
	if (!gro_kernel_run(&d->kernel, &d->stream, &d->theirs))
		return false;
	d->one_poll = d->theirs.nr != 2;
	if (d->one_poll)
		printf("this kernel holds packets beyond a full poll: streams of one poll only\n");
	return true;
}

/* Half of the streams with the engine's short cut. */
static bool one(struct diff *d, uint64_t seed)
{
	gro_draw(&d->stream, seed);
	if (d->one_poll && d->stream.nr >= GRO_POLL)
		d->stream.nr = GRO_POLL - 1;
	d->engine.bypass = seed & 1;
	if (!gro_engine_run(&d->engine, &d->stream, &d->ours)) {
		fprintf(stderr, "the engine's books do not close\n");
		return false;
	}
	for (int tries = 0; tries < TRIES; tries++) {
		if (!gro_kernel_run(&d->kernel, &d->stream, &d->theirs))
			return false;
		if (same(d)) {
			count(d);
			return true;
		}
		d->disturbed++;
	}
	print_all(d);
	return false;
}

int main(int argc, char **argv)
{
	static struct diff d;
	uint64_t seed, streams;

	if (argc != 7) {
		fprintf(stderr, "usage: gro_diff FROM_NETNS FROM_DEV TO_NETNS TO_DEV SEED "
				"STREAMS\n");
		return 2;
	}
	seed = strtoull(argv[5], NULL, 0);
	streams = strtoull(argv[6], NULL, 0);
	if (!gro_outs_init(&d.theirs) || !gro_outs_init(&d.ours) || !gro_engine_init(&d.engine) ||
	    !gro_kernel_open(&d.kernel, argv[1], argv[2], argv[3], argv[4]) || !probe(&d))
		return 2;
	for (uint64_t i = 0; i < streams; i++) {
		if (!one(&d, seed + i)) {
			printf("stream %" PRIu64 " differs\n", seed + i);
			return 1;
		}
	}
	printf("%" PRIu64 " streams, %" PRIu64 " frames, %" PRIu64 " packets: %" PRIu64
	       " merged of TCP, %" PRIu64 " of UDP, the largest of %" PRIu64
	       " bytes; disturbed %" PRIu64 "\n",
	       streams, d.frames, d.packets, d.tcp, d.udp, d.largest, d.disturbed);
	gro_engine_destroy(&d.engine);
	gro_outs_free(&d.ours);
	gro_outs_free(&d.theirs);
	if (d.disturbed > streams / 100 + 3 || !d.tcp || !d.udp) {
		printf("the kernel is too busy for this test, or merges nothing\n");
		return 1;
	}
	return 0;
}
