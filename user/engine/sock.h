/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * sock.h - an attached socket: its lane, and per worker the packets that wait
 * for the end of the worker's batch.
 *
 *   udp_rcv --sock_queue--> pend[worker] --sock_flush--> lane   (once per batch)
 *
 * A batch takes the lane's lock once, so packets of several sockets that come
 * interleaved are sorted here first. Order within a flow is kept: a flow comes
 * through one worker's list at a time.
 *
 * Lifetime: the control thread creates a sock, puts it into the UDP table,
 * takes it out, waits for synchronize_rcu() and destroys it. Workers find it
 * through the table only, and hold no packet of it when they are quiescent.
 */
#ifndef SLUICE_ENGINE_SOCK_H
#define SLUICE_ENGINE_SOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/lane.h"
#include "engine/pkt.h"

struct napi;
struct worker;

struct sock_pend {
	struct pkt *head;
	struct pkt **tail;
	unsigned int count;	/* merged packets count as what they were */
} __attribute__((aligned(128)));

struct sock {
	struct lane lane;
	uint64_t cookie;		/* the kernel socket's SO_COOKIE */
	bool gro;			/* asked for UDP_GRO; set before it is in a table */
	struct sock_pend *pend;		/* by worker */
};

/* The lane must be initialised after this. -ENOMEM. */
int sock_init(struct sock *sk, uint64_t cookie, unsigned int nr_workers);
/* No worker may hold a packet of it any more. Does not touch the lane. */
void sock_destroy(struct sock *sk);

/* Hands pkt (payload only: data..tail) over to sk. */
void sock_queue(struct worker *worker, struct sock *sk, struct pkt *pkt);

/*
 * Moves what waits into the lanes. A lane whose lock is taken keeps its packets
 * for the next call, until SOCK_PEND_MAX wait; with force, none is left.
 */
void sock_flush(struct worker *worker, bool force);

/* How many packets of this instance wait here; *oldest: the number of the first of them, if any. */
unsigned int sock_waiting(const struct worker *worker, const struct napi *napi, uint32_t *oldest);

/*
 * Packets that may wait for a taken lock before the worker blocks on it. Too
 * low: a worker sleeps behind a preempted sibling; too high: frames are missing
 * in the fill ring. Four batches.
 */
#define SOCK_PEND_MAX 256

#endif
