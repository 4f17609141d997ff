// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "daemon/device_worker.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "daemon/device.h"
#include "daemon/device_queue.h"
#include "daemon/device_steer.h"
#include "engine/backlog.h"
#include "engine/clock.h"

/*
 * How long a worker may take to catch up. Most do within two grace periods; too low, and others are
 * held, with the losses that brings, for one that was about to be done.
 */
#define CATCH_UP_NS 1000000000ull
/* A thread that does not react by then is not being scheduled. */
#define THREAD_LIMIT_NS 1000000000ull
#define THREAD_STEP_NS 20000
/*
 * How far the head of a worker whose flows are torn off runs ahead of its tail: beyond what runs
 * of the program that had already chosen it can add, one per CPU.
 */
#define HEAD_AHEAD SLUICE_MAX_CPUS

__attribute__((format(printf, 4, 5)))
static int refuse(int err, char *why, size_t len, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, len, format, args);
	va_end(args);
	return err;
}

static uint64_t now_ns(void)
{
	return clock_kernel(CLOCK_MONOTONIC);
}

static int check_cpu(const struct device *dev, uint32_t cpu, char *why, size_t len)
{
	cpu_set_t set;

	if (dev->leave.active)
		return refuse(-EBUSY, why, len, "a worker is being removed: try again in a moment");
	if ((int)cpu >= libbpf_num_possible_cpus())
		return refuse(-EINVAL, why, len, "there is no CPU %u: this machine has %d", cpu,
			      libbpf_num_possible_cpus());
	if (device_worker_of(dev, cpu) >= 0)
		return refuse(-EEXIST, why, len, "CPU %u has a worker already", cpu);
	if (sched_getaffinity(0, sizeof(set), &set))
		return -errno;
	if (!CPU_ISSET(cpu, &set))
		return refuse(-EINVAL, why, len, "CPU %u is offline or not allowed to the daemon",
			      cpu);
	return 0;
}

static uint32_t free_slot(const struct device *dev)
{
	uint32_t w = 0;

	while (w < dev->max_workers && dev->workers >> w & 1)
		w++;
	return w;
}

/* Not its counters: see leave_books(). */
static void worker_remove(struct device *dev, uint32_t w)
{
	dev->workers &= ~(1ull << w);
	worker_destroy(&dev->worker[w]);
	for (uint32_t i = 0; i < dev->nr_queues; i++)
		xsk_close(device_xsk(dev, i, w));
}

static int worker_open(struct device *dev, uint32_t w, uint32_t cpu, char *why, size_t len)
{
	uint32_t opened = 0;
	int err = worker_init(&dev->worker[w], dev->engine, w, cpu, dev->nr_queues);

	if (err)
		return err;
	while (!err && opened < dev->nr_queues) {
		err = device_open_xsk(dev, opened, w, why, len);
		opened += !err;
	}
	if (!err) {
		err = worker_start(&dev->worker[w]);
		if (!err)
			return 0;
		refuse(err, why, len, "cannot start a worker on CPU %u: %s", cpu, strerror(-err));
	}
	worker_destroy(&dev->worker[w]);
	while (opened)
		xsk_close(device_xsk(dev, --opened, w));
	return err;
}

/* From the first line on, packets may come. */
static int worker_publish(struct device *dev, uint32_t w)
{
	int err = device_flow_limit(dev, w);

	for (uint32_t i = 0; !err && i < dev->nr_queues; i++)
		err = steer_set_target(&dev->steer, dev->queue[i], w,
				       xsk_fd(device_xsk(dev, i, w)));
	return err ? err : device_steer_workers(dev, NULL);
}

int device_worker_add(struct device *dev, uint32_t cpu, char *why, size_t len)
{
	uint32_t w = free_slot(dev);
	char note[1];
	int err = check_cpu(dev, cpu, why, len);

	if (err)
		return err;
	if (w == dev->max_workers)
		return refuse(-ENOSPC, why, len, "there is packet memory for %u workers only: remove "
			      "one, or start sluiced with --max-workers %u", w, w + 1);
	err = worker_open(dev, w, cpu, why, len);
	if (err)
		return err;
	dev->workers |= 1ull << w;
	err = worker_publish(dev, w);
	if (err)
		/* What was done may bring it packets already: as a worker that is removed at once. */
		device_worker_del(dev, cpu, note, sizeof(note));
	return err;
}

static void note_forgotten(const struct device *dev, const uint64_t *forgotten, char *note,
			   size_t len)
{
	size_t at = 0;

	*note = 0;
	for (uint32_t i = 0; i < dev->nr_queues && at < len; i++) {
		if (forgotten[i / 64] >> i % 64 & 1)
			at += (size_t)snprintf(note + at, len - at, "%s%u", at ? ", " :
					       "masks that named no other worker name all of them "
					       "now: queue ", dev->queue[i]);
	}
}

int device_worker_del(struct device *dev, uint32_t cpu, char *note, size_t len)
{
	uint64_t forgotten[SLUICE_MAX_QUEUES / 64] = { 0 };
	int w = device_worker_of(dev, cpu), err;

	if (dev->leave.active)
		return refuse(-EBUSY, note, len,
			      "a worker is being removed: try again in a moment");
	if (w < 0)
		return refuse(-ENOENT, note, len, "CPU %u has no worker: see 'sluice worker show'",
			      cpu);
	if (!(dev->workers & (dev->workers - 1)))
		return refuse(-EINVAL, note, len, "CPU %u has the last worker: add another one "
			      "first, or stop sluiced", cpu);
	dev->leave = (struct device_leave){
		.active = true,
		.worker = (uint32_t)w,
		.since = now_ns(),
	};
	err = device_steer_workers(dev, forgotten);
	if (!err)
		err = steer_grace();
	if (err) {
		dev->leave.active = false;
		device_steer_workers(dev, NULL);
		return refuse(err, note, len, "cannot change the maps: %s", strerror(-err));
	}
	note_forgotten(dev, forgotten, note, len);
	return 0;
}

static struct worker *leaver(struct device *dev)
{
	return &dev->worker[dev->leave.worker];
}

static uint32_t tail_of(const struct device *dev, uint32_t position)
{
	uint32_t slot = dev->queue[position] * SLUICE_MAX_WORKERS + dev->leave.worker;

	return __atomic_load_n(&dev->steer.flow_tail[slot], __ATOMIC_ACQUIRE);
}

static void read_tails(const struct device *dev, uint32_t *tail)
{
	for (uint32_t i = 0; i < dev->nr_queues; i++)
		tail[i] = tail_of(dev, i);
}

static bool tails_are(const struct device *dev, const uint32_t *tail)
{
	for (uint32_t i = 0; i < dev->nr_queues; i++) {
		if (tail[i] != tail_of(dev, i))
			return false;
	}
	return true;
}

static bool rings_empty(const struct device *dev)
{
	for (uint32_t i = 0; i < dev->nr_queues; i++) {
		const struct xsk *xsk = device_xsk(dev, i, dev->leave.worker);

		if (xsk_rx_produced(xsk) != xsk_rx_consumed(xsk))
			return false;
	}
	return true;
}

static bool is_busy(const struct device *dev)
{
	for (uint32_t i = 0; i < dev->nr_queues; i++) {
		if (steer_target_busy(&dev->steer, dev->queue[i], dev->leave.worker))
			return true;
	}
	return false;
}

/* The workers of which a bit is set. False: some did not react in time. */
static bool hold(struct device *dev, uint64_t workers)
{
	const struct timespec step = { .tv_nsec = THREAD_STEP_NS };
	uint64_t end = now_ns() + THREAD_LIMIT_NS, left = workers;
	uint32_t w;

	device_for_each_worker(dev, w) {
		if (workers >> w & 1)
			worker_hold(&dev->worker[w]);
	}
	do {
		device_for_each_worker(dev, w) {
			if (worker_held(&dev->worker[w]))
				left &= ~(1ull << w);
		}
		if (left)
			nanosleep(&step, NULL);
	} while (left && now_ns() < end);
	return !left;
}

static void release(struct device *dev, uint64_t workers)
{
	uint32_t w;

	device_for_each_worker(dev, w) {
		if (workers >> w & 1)
			worker_release(&dev->worker[w]);
	}
}

/*
 * What was lost at the end of a full ring looks as if it were under way, until a later packet of
 * the worker is processed; it may be that none comes. tail: numbers of packets that are in
 * the rings, or lost.
 */
static void leave_settle(struct device *dev, const uint32_t *tail)
{
	uint64_t bit = 1ull << dev->leave.worker;

	if (hold(dev, bit) && rings_empty(dev)) {
		for (uint32_t i = 0; i < dev->nr_queues; i++)
			napi_settle(&leaver(dev)->napi[i], tail[i]);
	}
	release(dev, bit);
}

/*
 * A look at the tables in which nothing is under way, and no packet numbered from before it until a
 * grace period after it: every run of the program that had found something busy is over, and what
 * ran since has found nothing. From then on, none finds anything.
 */
static void leave_look(struct device *dev)
{
	uint32_t tail[SLUICE_MAX_QUEUES];
	bool busy;

	read_tails(dev, tail);
	busy = is_busy(dev);
	if (steer_grace() || !tails_are(dev, tail))
		return;
	dev->leave.final = !busy;
	if (busy && rings_empty(dev))
		leave_settle(dev, tail);
}

/* Packets that it has handed to other workers come home first: while it runs, it takes them. */
static bool is_away(const struct device *dev)
{
	const struct worker *worker = &dev->worker[dev->leave.worker];
	uint32_t away = 0;

	for (uint32_t i = 0; i < dev->nr_queues; i++)
		away |= __atomic_load_n(&worker->napi[i].nr_away, __ATOMIC_RELAXED);
	return away;
}

/* False: it, or a worker that has packets of it, does not get to run. */
static bool leave_drain(const struct device *dev)
{
	const struct timespec step = { .tv_nsec = THREAD_STEP_NS };
	uint64_t end = now_ns() + THREAD_LIMIT_NS;

	while (!rings_empty(dev) || is_away(dev)) {
		if (now_ns() >= end)
			return false;
		nanosleep(&step, NULL);
	}
	return true;
}

/* Counters of the worker that has stopped. */
static void leave_books(struct device *dev)
{
	struct device_gone *gone = &dev->gone;
	const struct worker *worker = leaver(dev);

	gone->workers++;
	gone->worker.processed += worker->stat.processed;
	gone->worker.dropped += worker->stat.dropped;
	gone->worker.time_squeeze += worker->stat.time_squeeze;
	gone->worker.rounds += worker->stat.rounds;
	gone->worker.sleeps += worker->stat.sleeps;
	gone->worker.received_rps += worker->stat.received_rps;
	/* What it was handed counts as received where it came from. */
	gone->napi.delivered += worker->backlog->napi.stat.delivered;
	for (int d = 0; d < SLUICE_DROPS; d++)
		gone->napi.drop[d] += worker->backlog->napi.stat.drop[d];
	for (uint32_t i = 0; i < dev->nr_queues; i++) {
		const struct napi_stat *stat = &worker->napi[i].stat;
		struct xsk_loss loss = { 0 };

		xsk_loss(device_xsk(dev, i, dev->leave.worker), &loss);
		gone->loss.rx_dropped += loss.rx_dropped;
		gone->loss.ring_full += loss.ring_full;
		gone->napi.received += stat->received;
		gone->napi.bytes += stat->bytes;
		gone->napi.delivered += stat->delivered;
		gone->napi.handed += stat->handed;
		gone->napi.no_meta += stat->no_meta;
		gone->napi.csum_partial += stat->csum_partial;
		for (int d = 0; d < SLUICE_DROPS; d++)
			gone->napi.drop[d] += stat->drop[d];
	}
}

/* Its rings are empty, and stay so; what it has in hand it delivers before it ends. */
static void leave_end(struct device *dev)
{
	struct worker *worker = leaver(dev);
	uint64_t bit = 1ull << dev->leave.worker;

	for (uint32_t i = 0; i < dev->nr_queues; i++)
		steer_clear_target(&dev->steer, dev->queue[i], dev->leave.worker);
	worker_stop(worker);
	backlog_migrate(worker, &dev->worker[__builtin_ctzll(dev->workers & ~bit)]);
	for (uint32_t i = 0; i < dev->nr_queues; i++)
		napi_settle(&worker->napi[i], tail_of(dev, i));
	__atomic_store_n(&dev->engine->heartbeat[dev->leave.worker].ns, 0, __ATOMIC_RELAXED);
	leave_books(dev);
	worker_remove(dev, dev->leave.worker);
	dev->leave.active = false;
}

/*
 * The head ahead of everything recorded: to the program, nothing is under way there any more, and
 * after a grace period no packet goes there. The others hold still meanwhile.
 */
static void leave_by_force(struct device *dev)
{
	uint64_t bit = 1ull << dev->leave.worker, others = dev->workers & ~bit;

	dev->gone.torn_off++;
	/* Where that fails, it takes longer. */
	worker_unpin(leaver(dev));
	if (!hold(dev, dev->workers))
		dev->leave.late = true;
	for (uint32_t i = 0; i < dev->nr_queues; i++) {
		struct napi *napi = &leaver(dev)->napi[i];

		__atomic_store_n(&napi->leaving, true, __ATOMIC_RELAXED);
		__atomic_store_n(&dev->steer.flow_head[napi->target], tail_of(dev, i) + HEAD_AHEAD,
				 __ATOMIC_RELEASE);
	}
	release(dev, bit);
	steer_grace();
	dev->leave.final = true;
	if (leave_drain(dev))
		leave_end(dev);
	else
		dev->leave.late = true;
	release(dev, others);
}

int device_worker_step(struct device *dev)
{
	struct device_leave *leave = &dev->leave;

	if (!leave->active)
		return -EALREADY;
	if (!leave->final && now_ns() - leave->since < CATCH_UP_NS)
		leave_look(dev);
	else if (!leave->final)
		leave_by_force(dev);
	if (leave->active && leave->final && leave_drain(dev))
		leave_end(dev);
	return leave->active ? -EAGAIN : 0;
}
