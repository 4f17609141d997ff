/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
#include "engine/worker.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <schedattr.h>
#include <urcu-qsbr.h>

#include "engine/backlog.h"
#include "engine/clock.h"
#include "engine/engine.h"
#include "engine/sock.h"
#include "engine/stat.h"
#include "engine/tap.h"

int worker_init(struct worker *worker, struct engine *engine, unsigned int index, unsigned int cpu,
		unsigned int max_napi)
{
	int err;

	*worker = (struct worker){
		.engine = engine,
		.index = index,
		.cpu = cpu,
		.max_napi = max_napi,
		.budget = WORKER_BUDGET,
		.time_limit_ns = WORKER_TIME_LIMIT_NS,
		.kick_fd = -1,
	};
	err = pkt_pool_init(&worker->pool, WORKER_PKTS);
	if (err)
		return err;
	worker->napi = calloc(max_napi, sizeof(*worker->napi));
	worker->pending = calloc(WORKER_PKTS, sizeof(*worker->pending));
	/* One more for the backlog. */
	worker->poll = calloc(max_napi + 1, sizeof(struct napi *));
	worker->repoll = calloc(max_napi + 1, sizeof(struct napi *));
	if (!worker->napi || !worker->pending || !worker->poll || !worker->repoll ||
	    backlog_init(worker)) {
		worker_destroy(worker);
		return -ENOMEM;
	}
	worker->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (worker->kick_fd < 0) {
		err = -errno;
		worker_destroy(worker);
		return err;
	}
	return 0;
}

void worker_destroy(struct worker *worker)
{
	worker_stop(worker);
	if (worker->kick_fd >= 0)
		close(worker->kick_fd);
	worker->kick_fd = -1;
	for (unsigned int i = 0; i < worker->nr_napi; i++)
		napi_destroy(&worker->napi[i]);
	worker->nr_napi = 0;
	backlog_destroy(worker);
	free(worker->poll);
	free(worker->repoll);
	free(worker->pending);
	free(worker->napi);
	worker->poll = NULL;
	worker->repoll = NULL;
	worker->pending = NULL;
	worker->napi = NULL;
	pkt_pool_destroy(&worker->pool);
}

int worker_add_napi(struct worker *worker, struct source *src, uint16_t queue)
{
	int err;

	if (worker->nr_napi == worker->max_napi)
		return -ENOSPC;
	err = napi_init(&worker->napi[worker->nr_napi], worker, src, queue, WORKER_PKTS);
	if (err)
		return err;
	worker->nr_napi++;
	return 0;
}

/*
 * The dead man's switch of the XDP program looks at this (bpf/limit.h). ns 0: asleep, with
 * nothing to do.
 */
static void worker_beat(const struct worker *worker, uint64_t ns)
{
	struct sluice_heartbeat *beat = worker->engine->heartbeat;

	if (beat)
		__atomic_store_n(&beat[worker->index].ns, ns, __ATOMIC_RELAXED);
}

static bool worker_holds(const struct worker *worker)
{
	for (unsigned int i = 0; i < worker->nr_napi; i++)
		if (worker->napi[i].gro.held)
			return true;
	return false;
}

void worker_report_broken(const struct worker *worker)
{
	uint64_t one = 1;

	/* An eventfd that is already signalled needs no second signal. */
	if (worker->engine->broken_fd >= 0 &&
	    write(worker->engine->broken_fd, &one, sizeof(one)) < 0)
		return;
}

static void worker_complete_backlog(struct worker *worker)
{
	const struct backlog *b = worker->backlog;

	if (b->done || b->wake_mask)
		backlog_complete(worker);
}

void worker_complete(struct worker *worker)
{
	for (unsigned int i = 0; i < worker->nr_napi; i++)
		napi_complete(&worker->napi[i]);
	worker_complete_backlog(worker);
}

/* One batch: poll, into the lanes, frames back. */
static unsigned int worker_poll(struct worker *worker, struct napi *napi)
{
	/* Only what waited from before can be another instance's, and end in this batch. */
	bool others = worker->nr_pending > 0;
	unsigned int done;

	worker->now = clock_real(worker->engine->clock);
	done = napi->src ? napi_poll(napi, NAPI_WEIGHT) : backlog_poll(worker, NAPI_WEIGHT);
	if (worker->nr_pending)
		sock_flush(worker, false);
	if (worker->tapped)
		tap_commit(worker);
	if (others) {
		worker_complete(worker);
	} else {
		if (napi->src)
			napi_complete(napi);
		worker_complete_backlog(worker);
	}
	return done;
}

static void worker_schedule(struct worker *worker, struct napi *napi)
{
	napi->scheduled = true;
	worker->poll[worker->nr_poll++] = napi;
}

/* The order of Linux's net_rx_action: left over, new, again. */
static void worker_fill_list(struct worker *worker)
{
	worker->nr_poll -= worker->poll_first;
	memmove(worker->poll, &worker->poll[worker->poll_first],
		worker->nr_poll * sizeof(struct napi *));
	worker->poll_first = 0;
	for (unsigned int i = 0; i < worker->nr_napi; i++) {
		struct napi *napi = &worker->napi[i];

		/* What GRO holds is flushed by a poll. */
		if (!napi->scheduled &&
		    (napi->gro.held || napi->src->ops->pending(napi->src)))
			worker_schedule(worker, napi);
	}
	if (!worker->backlog->napi.scheduled && backlog_has_input(worker->backlog))
		worker_schedule(worker, &worker->backlog->napi);
	for (unsigned int i = 0; i < worker->nr_repoll; i++)
		worker_schedule(worker, worker->repoll[i]);
	worker->nr_repoll = 0;
}

static bool worker_list_empty(const struct worker *worker)
{
	return worker->poll_first == worker->nr_poll;
}

static unsigned int worker_poll_first(struct worker *worker)
{
	struct napi *napi = worker->poll[worker->poll_first++];
	unsigned int done = worker_poll(worker, napi);

	if (done < NAPI_WEIGHT)
		napi->scheduled = false;
	else
		worker->repoll[worker->nr_repoll++] = napi;
	return done;
}

bool worker_round(struct worker *worker)
{
	const struct clock *clock = worker->engine->clock;
	uint64_t now = clock_mono(clock), limit = now + worker->time_limit_ns;
	unsigned int budget = worker->budget;

	worker_beat(worker, now);
	stat_add(&worker->stat.rounds, 1);
	if (backlog_reap(worker))
		worker_complete(worker);
	worker_fill_list(worker);
	while (!worker_list_empty(worker)) {
		unsigned int done = worker_poll_first(worker);

		budget -= done < budget ? done : budget;
		if ((!worker_list_empty(worker) || worker->nr_repoll) &&
		    (!budget || clock_mono(clock) >= limit)) {
			stat_add(&worker->stat.time_squeeze, 1);
			return true;
		}
		if (worker_list_empty(worker) && worker->nr_repoll)
			worker_fill_list(worker);
	}
	if (worker->nr_pending)
		sock_flush(worker, false);
	/* Also instances without packets: nothing is kept back when there is no more to do. */
	worker_complete(worker);
	return worker->nr_pending > 0 || worker_holds(worker);
}

/* Nothing is in hand after this. */
static void worker_finish(struct worker *worker)
{
	for (unsigned int i = 0; i < worker->nr_napi; i++)
		gro_flush_all(&worker->napi[i].gro);
	sock_flush(worker, true);
	if (worker->tapped)
		tap_commit(worker);
	worker_complete(worker);
}

static bool worker_must_hold(const struct worker *worker)
{
	return atomic_load_explicit(&worker->hold, memory_order_relaxed) != WORKER_RUNS;
}

static bool worker_pending(const struct worker *worker)
{
	for (unsigned int i = 0; i < worker->nr_napi; i++) {
		const struct source *src = worker->napi[i].src;

		if (src->ops->pending(src))
			return true;
	}
	return backlog_pending(worker->backlog) || worker_must_hold(worker) ||
	       atomic_load_explicit(&worker->stop, memory_order_relaxed);
}

/* What a kick wrote would keep the worker from ever sleeping. */
static int worker_drain_kicks(const struct worker *worker)
{
	uint64_t kicks;

	return read(worker->kick_fd, &kicks, sizeof(kicks)) < 0 && errno != EAGAIN ? -errno : 0;
}

/*
 * True when something came. Yields between looks, so that a client on this CPU
 * runs; when it does run, its time counts as ours and ends the spin.
 */
static bool worker_spin(const struct worker *worker)
{
	const struct clock *clock = worker->engine->clock;
	uint64_t end = clock_mono(clock) + WORKER_SPIN_NS;

	do {
		if (worker_pending(worker))
			return true;
		sched_yield();
	} while (clock_mono(clock) < end);
	return false;
}

static void worker_sleep(struct worker *worker, struct pollfd *fds)
{
	fds[0] = (struct pollfd){ .fd = worker->kick_fd, .events = POLLIN };
	for (unsigned int i = 0; i < worker->nr_napi; i++)
		fds[i + 1] = (struct pollfd){ .fd = worker->napi[i].src->fd, .events = POLLIN };

	stat_add(&worker->stat.sleeps, 1);
	/* Frames that waited for the fill ring's lock: nothing may come without them. */
	for (unsigned int i = 0; i < worker->nr_napi; i++)
		worker->napi[i].src->ops->recycle(worker->napi[i].src, worker->napi[i].done, 0);
	worker_beat(worker, 0);
	rcu_thread_offline();
	if (backlog_arm(worker->backlog))
		poll(fds, worker->nr_napi + 1, WORKER_NAP_MS);
	backlog_disarm(worker->backlog);
	rcu_thread_online();
	if (fds[0].revents)
		worker_drain_kicks(worker);
}

/* With nothing in hand. What the control thread does to our instances is seen afterwards. */
static void worker_hold_still(struct worker *worker)
{
	const struct timespec step = { .tv_nsec = WORKER_HOLD_STEP_NS };
	int asked = WORKER_ASKED;

	worker_finish(worker);
	rcu_thread_offline();
	/* (A) pairs with (B): all that was in hand is delivered. */
	atomic_compare_exchange_strong_explicit(&worker->hold, &asked, WORKER_HELD,
						memory_order_release, memory_order_relaxed);
	/* (D) pairs with (C). */
	while (atomic_load_explicit(&worker->hold, memory_order_acquire) == WORKER_HELD) {
		worker_beat(worker, clock_mono(worker->engine->clock));
		nanosleep(&step, NULL);
	}
	rcu_thread_online();
}

/*
 * As much of the CPU as any thread, but sooner: a short slice brings an early
 * deadline (Linux 6.12, EEVDF), so that a worker which wakes up does not sit out
 * the slices of everyone else while its ring fills. Kernels without it ignore
 * the value; that it fails only costs the advantage.
 */
static void worker_set_slice(void)
{
	struct sched_attr attr = {
		.size = sizeof(attr),
		.sched_policy = SCHED_OTHER,
		.sched_nice = getpriority(PRIO_PROCESS, 0),
		.sched_runtime = WORKER_SLICE_NS,
	};

	syscall(SYS_sched_setattr, 0, &attr, 0);
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;
	struct pollfd *fds = calloc(worker->nr_napi + 1, sizeof(*fds));

	worker_set_slice();
	rcu_register_thread();
	while (fds && !atomic_load_explicit(&worker->stop, memory_order_relaxed)) {
		bool more;

		if (worker_must_hold(worker)) {
			worker_hold_still(worker);
			continue;
		}
		more = worker_round(worker);
		/* A socket with packets in our lists must not be freed. */
		if (!worker->nr_pending)
			rcu_quiescent_state();
		if (more)
			sched_yield();
		else if (!worker_spin(worker))
			worker_sleep(worker, fds);
	}
	worker_finish(worker);
	rcu_unregister_thread();
	free(fds);
	return NULL;
}

int worker_start(struct worker *worker)
{
	pthread_attr_t attr;
	cpu_set_t set;
	int err = worker_drain_kicks(worker);

	if (err)
		return err;
	CPU_ZERO(&set);
	CPU_SET(worker->cpu, &set);
	pthread_attr_init(&attr);
	pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	atomic_store(&worker->stop, false);
	err = pthread_create(&worker->thread, &attr, worker_main, worker);
	pthread_attr_destroy(&attr);
	worker->running = err == 0;
	return -err;
}

void worker_kick(const struct worker *worker)
{
	uint64_t one = 1;

	/* A counter that is full, which takes 2^64 kicks, is readable all the same. */
	if (write(worker->kick_fd, &one, sizeof(one)) < 0)
		return;
}

void worker_stop(struct worker *worker)
{
	if (!worker->running)
		return;
	atomic_store(&worker->stop, true);
	worker_release(worker);
	worker_kick(worker);
	pthread_join(worker->thread, NULL);
	worker->running = false;
}

int worker_unpin(struct worker *worker)
{
	cpu_set_t set;

	if (!worker->running)
		return -ESRCH;
	if (sched_getaffinity(0, sizeof(set), &set))
		return -errno;
	return -pthread_setaffinity_np(worker->thread, sizeof(set), &set);
}

void worker_hold(struct worker *worker)
{
	atomic_store_explicit(&worker->hold, WORKER_ASKED, memory_order_relaxed);
	worker_kick(worker);
}

bool worker_held(const struct worker *worker)
{
	/* (B) pairs with (A). */
	return atomic_load_explicit(&worker->hold, memory_order_acquire) == WORKER_HELD;
}

void worker_release(struct worker *worker)
{
	/* (C) pairs with (D). */
	atomic_store_explicit(&worker->hold, WORKER_RUNS, memory_order_release);
}
