/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * replayer.h - the engine on a capture: one worker without a thread, a source over
 * memory, a virtual clock, and one socket that takes the datagrams of all ports in the
 * order in which they come.
 *
 *   capture_read --> mem source --> worker_round --> inbox, and its reader
 *        |           n packets          | GRO
 *        +-> stage rx                   +-> stage gro    +-> stage l4
 *
 * A round begins when n packets wait, at the time of the last of them, and goes on until none
 * is left. So the result depends on the capture and the settings alone.
 */
#ifndef SLUICE_CLI_REPLAYER_H
#define SLUICE_CLI_REPLAYER_H

#include <stdint.h>

#include "cli/capture.h"
#include "engine/addr.h"
#include "engine/napi.h"

/* Packets of a round: half of those that a worker may hold. */
#define REPLAYER_POLL_MAX 1024

enum replayer_stage {
	REPLAYER_RX,	/* as they are in the capture */
	REPLAYER_GRO,	/* as they come from GRO, Ethernet frames */
	REPLAYER_L4,	/* the datagrams that the sockets were given, IP packets of one each */
};

struct replayer_config {
	uint32_t poll;			/* packets of a round, 1 to REPLAYER_POLL_MAX */
	const struct addr_list *local;	/* this host's addresses; NULL: any is */
	const uint16_t *port;		/* those with a socket, each once, host order */
	unsigned int nr_port;		/* 0: all have one */
	struct capture_out *out;	/* what stage sees goes there; NULL: nowhere */
	enum replayer_stage stage;
};

struct replayer_port {
	uint64_t packets;
	uint64_t bytes;		/* of payload */
};

struct replayer;

/* The configuration, and what it names, must outlive it. -ENOMEM, -errno of eventfd(2). */
int replayer_new(struct replayer **r, const struct replayer_config *config);
void replayer_free(struct replayer *r);

/*
 * Plays c to its end, or to the packet where it is damaged: then -EBADMSG, and all packets before
 * it have been processed. c was opened by the caller, and remains his.
 */
int replayer_run(struct replayer *r, struct capture *c);

/* Of everything so far. */
struct replayer_books {
	const struct napi_stat *stat;
	const struct replayer_port *port;	/* by port, host order */
	uint64_t first, last;			/* the capture's earliest and latest time */
	uint64_t merged;			/* packets that GRO has put together, and in how */
	uint64_t merged_into;			/* many that they became */
};

struct replayer_books replayer_books(const struct replayer *r);

#endif
