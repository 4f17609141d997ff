/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * worker.h - one thread pinned to one CPU that polls its napi instances:
 * Linux's softnet_data and net_rx_action.
 *
 *           +--------- work left (repoll; at a squeeze: yield first) ---+
 *           v                                                           |
 *   [round: worker_round] --- all complete ---> [spin: worker_spin] ----+
 *           ^  ^                                    | nothing came
 *           |  +---- frames, or worker_stop -- [sleep in poll(2)]
 *           |                                      |
 *           +-- worker_release -- [held] <-- worker_hold, before any round
 *
 * Poll list: an instance is on it from when it has packets until a poll finds fewer than
 * the weight. One that used up its weight is polled again after all others that have packets:
 * what a round has left over comes first in the next one, then what has come new,
 * then what is to be polled again.
 *
 * Threads: worker_init, worker_add_napi and worker_destroy by the control
 * thread while the worker does not run; worker_start, worker_stop, worker_hold
 * and worker_release by the control thread; worker_round by the worker's own thread, or, where no
 * thread was started (tests, replay), by the caller. Counters: stat.h.
 */
#ifndef SLUICE_ENGINE_WORKER_H
#define SLUICE_ENGINE_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/napi.h"
#include "engine/pkt.h"

struct backlog;
struct engine;
struct sock;

/* Linux's netdev_budget: packets in one round before other threads get the CPU. */
#define WORKER_BUDGET 300
/* Linux's netdev_budget_usecs at HZ = 1000, for the same purpose. */
#define WORKER_TIME_LIMIT_NS 2000000ull
/* Packets a worker may hold: a batch, and what waits for locks of lanes (SOCK_PEND_MAX each). */
#define WORKER_PKTS 2048
/*
 * How long an idle worker looks at its rings before it sleeps. A wake-up is an
 * inter-processor interrupt paid by the receiving CPU, about as long as five
 * packets take there; too high, and the time is missing in a client on the
 * same CPU.
 */
#define WORKER_SPIN_NS 20000ull

/*
 * A worker's scheduling slice: the smallest that Linux takes. Longer ones let rings overflow beside
 * busy threads.
 */
#define WORKER_SLICE_NS 100000ull

/*
 * How long an idle worker sleeps at most. Packets wake it, but not those that found
 * no frame; it must beat again to be trusted, and may have frames to give back. Too
 * low, and idle workers cost time; too high, and the kernel serves for longer.
 */
#define WORKER_NAP_MS 100

/*
 * How often a held worker looks whether it is released. Lower takes the CPU from whoever is waited
 * for, higher lets rings fill.
 */
#define WORKER_HOLD_STEP_NS 50000

enum worker_hold {
	WORKER_RUNS,
	WORKER_ASKED,	/* to hold still, by the control thread */
	WORKER_HELD,	/* it does */
};

/* In the sense of /proc/net/softnet_stat. */
struct worker_stat {
	uint64_t processed;
	uint64_t dropped;
	uint64_t time_squeeze;	/* rounds that ended with work left */
	uint64_t received_rps;	/* how often another worker has filled our empty backlog */
	uint64_t rounds;
	uint64_t sleeps;
};

struct worker {
	struct engine *engine;
	unsigned int index;
	unsigned int cpu;
	struct napi *napi;
	unsigned int nr_napi;
	unsigned int max_napi;
	unsigned int budget;		/* WORKER_BUDGET, WORKER_TIME_LIMIT_NS; */
	uint64_t time_limit_ns;		/* to be changed while it does not run */
	struct napi **poll;		/* the poll list: [poll_first, nr_poll) */
	struct napi **repoll;
	unsigned int poll_first;
	unsigned int nr_poll;
	unsigned int nr_repoll;
	struct backlog *backlog;
	struct pkt_pool pool;
	struct sock **pending;		/* sockets with packets of this batch (sock.h) */
	unsigned int nr_pending;
	bool tapped;			/* a tap has seen packets of this batch */
	uint64_t now;			/* real time in ns, of this batch (clock.h) */
	struct worker_stat stat;
	pthread_t thread;
	bool running;
	atomic_bool stop;
	atomic_int hold;		/* enum worker_hold */
	int kick_fd;			/* eventfd: leave poll(2) */
};

/*
 * index: its slot in the maps; max_napi: how many instances may be added. -ENOMEM or -errno of
 * eventfd(2).
 */
int worker_init(struct worker *worker, struct engine *engine, unsigned int index, unsigned int cpu,
		unsigned int max_napi);
/* Also of one that worker_init() or worker_start() failed on. */
void worker_destroy(struct worker *worker);

/* The source stays the caller's and must outlive the worker. -ENOSPC, -ENOMEM. */
int worker_add_napi(struct worker *worker, struct source *src, uint16_t queue);

/* Starts the thread on its CPU. -errno of pthread_create(3); -EINVAL: no such CPU for us. */
int worker_start(struct worker *worker);
/*
 * Lets the thread run on any CPU of the caller's from now on: for a worker that is to end soon, and
 * whose own CPU has no time for it. -errno: it stays.
 */
int worker_unpin(struct worker *worker);
/* Ends and joins the thread; packets it has taken are delivered first. */
void worker_stop(struct worker *worker);
/* Wakes it from poll(2). Any thread. */
void worker_kick(const struct worker *worker);

/*
 * Asks a running worker to take no packets for a while. It delivers what it has in hand
 * first, for which it waits for locks of lanes. Once worker_held(), its napi instances
 * are the caller's until worker_release(). It still beats: what its rings hold is not lost to
 * the kernel meanwhile.
 */
void worker_hold(struct worker *worker);
bool worker_held(const struct worker *worker);
/* Also of one that is not held yet. */
void worker_release(struct worker *worker);

/*
 * Polls every instance that has packets until all are complete, or the budget or the
 * time is used up. True: work is left.
 */
bool worker_round(struct worker *worker);

/* A client broke the rules of its lane: the control thread will look for it. */
void worker_report_broken(const struct worker *worker);

/* After the lanes were committed: napi_complete() and backlog_complete() for all. */
void worker_complete(struct worker *worker);

#endif
