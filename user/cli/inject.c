// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* inject.c - the threads behind `sluice gen`. */
#include <bpf/bpf.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bpf/gen.skel.h"
#include "cli/dispatcher.h"
#include "cli/inject.h"
#include "cli/payload.h"
#include "cli/query.h"

/*
 * Frames per system call when nothing else limits it. Each call sets up a page
 * pool (some 10 us), and a grace period where dispatcher_hold() failed (some 20
 * ms): too low, and that costs rate; too high, and the thread is late to stop.
 */
#define CHUNK (1u << 14)
#define CHUNK_SLOW (1u << 18)
/* Pacing: sleep only when further ahead than this, and wake up early by half of it. */
#define SLEEP_AHEAD_NS 100000ull
#define SLEEP_STEP_NS 100000000ull
/* A paced thread sends about this often, in batches of at most `batch`. */
#define PACE_HZ 1000u
#define NS 1000000000ull
#define POLL_NS (10 * 1000000l)
/* The receiving end of a veth counts what it has processed, some time after it was sent. */
#define STATISTICS_LAG_NS (100 * 1000000l)

struct thread {
	pthread_t id;
	struct inject *in;
	struct gen_bpf *skel;
	struct dispatcher_hold hold;
	uint32_t cpu, first, end;
	uint32_t chunk;
	uint64_t count;		/* UINT64_MAX: no limit */
	uint64_t rate;		/* of all threads; this one's part is (end - first) / flows */
	uint64_t stopped_ns;
	int err;
};

struct inject {
	struct inject_plan plan;
	struct gen_bpf *account;	/* NULL: by the device's statistics */
	atomic_bool stop;
	atomic_uint running;
	uint64_t start_ns;
	struct thread thread[];
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS + (uint64_t)ts.tv_nsec;
}

/* Sleeps if it is worth it; in steps, so that a stop is seen soon. */
static void wait_until(uint64_t when)
{
	uint64_t now = now_ns();
	struct timespec ts;

	if (when <= now + SLEEP_AHEAD_NS)
		return;
	when -= SLEEP_AHEAD_NS / 2;
	if (when > now + SLEEP_STEP_NS)
		when = now + SLEEP_STEP_NS;
	ts = (struct timespec){ (time_t)(when / NS), (long)(when % NS) };
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

/* When frame k of the thread is due; frame 0 at start. */
static uint64_t due_ns(const struct thread *t, uint64_t k)
{
	unsigned __int128 at = (unsigned __int128)k * NS * t->in->plan.flows;

	return t->in->start_ns +
	       (uint64_t)(at / ((unsigned __int128)t->rate * (t->end - t->first)));
}

/* How many frames of the thread are due at now. */
static uint64_t due_frames(const struct thread *t, uint64_t now)
{
	unsigned __int128 n =
		(unsigned __int128)(now - t->in->start_ns) * t->rate * (t->end - t->first);

	return 1 + (uint64_t)(n / ((unsigned __int128)NS * t->in->plan.flows));
}

/* Frames that a paced thread waits for before it sends: 1 ms worth, in [1, batch]. */
static uint64_t pace_quantum(const struct thread *t)
{
	uint64_t n = t->rate * (t->end - t->first) / t->in->plan.flows / PACE_HZ;

	if (n > t->in->plan.batch)
		return t->in->plan.batch;
	return n ? n : 1;
}

/*
 * How many frames to send now; 0: none is due yet, look again. The schedule is
 * absolute: a late thread catches up, and no error accumulates.
 */
static uint32_t next_chunk(const struct thread *t, uint64_t offered)
{
	uint64_t left = t->count - offered, quantum, wake, due;

	if (!t->rate)
		return left < t->chunk ? (uint32_t)left : t->chunk;
	quantum = pace_quantum(t);
	if (quantum > left)
		quantum = left;
	wake = due_ns(t, offered + quantum - 1);
	if (t->in->plan.time_ns && wake > t->in->start_ns + t->in->plan.time_ns)
		wake = t->in->start_ns + t->in->plan.time_ns;
	wait_until(wake);
	due = due_frames(t, now_ns());
	if (due < offered + quantum)
		return 0;
	due -= offered;
	if (due > left)
		due = left;
	return due < t->chunk ? (uint32_t)due : t->chunk;
}

static bool thread_done(const struct thread *t, uint64_t offered)
{
	const struct inject *in = t->in;

	return atomic_load_explicit(&in->stop, memory_order_relaxed) || offered >= t->count ||
	       (in->plan.time_ns && now_ns() >= in->start_ns + in->plan.time_ns);
}

static int thread_send(struct thread *t)
{
	const struct inject_plan *plan = &t->in->plan;
	int fd = bpf_program__fd(t->skel->progs.gen_xmit);

	while (!thread_done(t, t->skel->bss->offered)) {
		LIBBPF_OPTS(bpf_test_run_opts, opts,
			.data_in = plan->frame->data,
			.data_size_in = plan->frame->len,
			.flags = BPF_F_TEST_XDP_LIVE_FRAMES,
			.batch_size = plan->batch);
		uint32_t n = next_chunk(t, t->skel->bss->offered);
		int err;

		if (!n)
			continue;
		opts.repeat = (int)n;
		if (opts.batch_size > n)
			opts.batch_size = n;
		err = bpf_prog_test_run_opts(fd, &opts);
		if (err && err != -EINTR)
			return err;
	}
	return 0;
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(t->cpu, &set);
	t->err = -pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	if (!t->err)
		t->err = thread_send(t);
	t->stopped_ns = now_ns();
	atomic_fetch_sub_explicit(&t->in->running, 1, memory_order_release);
	return NULL;
}

static int load_sender(struct thread *t)
{
	const struct inject_plan *plan = &t->in->plan;
	struct gen_bpf *skel = gen_bpf__open();
	int err;

	if (!skel)
		return -errno;
	bpf_program__set_autoload(skel->progs.gen_count, false);
	skel->rodata->ifindex = plan->ifindex;
	skel->rodata->payload_at = plan->frame->payload_at;
	memcpy(skel->rodata->head, plan->frame->data, sizeof(skel->rodata->head));
	skel->rodata->csum = plan->frame->csum;
	skel->rodata->flow_first = t->first;
	skel->rodata->flow_end = t->end;
	skel->rodata->sport = plan->sport;
	skel->rodata->dports = plan->ndports;
	for (uint32_t i = 0; i < plan->ndports; i++)
		skel->rodata->dport[i] = htobe16((uint16_t)plan->dports[i]);
	skel->bss->flow = t->first;
	skel->bss->dport_at = t->first % plan->ndports;
	err = gen_bpf__load(skel);
	if (err) {
		gen_bpf__destroy(skel);
		return err;
	}
	t->skel = skel;
	t->chunk = dispatcher_hold(&t->hold, bpf_program__fd(skel->progs.gen_xmit)) ? CHUNK_SLOW
										    : CHUNK;
	return 0;
}

static int load_account(struct inject *in)
{
	struct gen_bpf *skel = gen_bpf__open();
	uint64_t cookie = 0;
	struct stat st;
	int err;

	if (!skel)
		return -errno;
	bpf_program__set_autoload(skel->progs.gen_xmit, false);
	skel->rodata->ifindex = in->plan.ifindex;
	err = query_netns_cookie(&cookie);
	skel->rodata->netns_cookie = cookie;
	if (!err && stat("/proc/self/ns/pid", &st))
		err = -errno;
	if (!err) {
		skel->rodata->pidns_dev = st.st_dev;
		skel->rodata->pidns_ino = st.st_ino;
		skel->rodata->tgid = (uint32_t)getpid();
		err = gen_bpf__load(skel);
	}
	if (!err)
		err = gen_bpf__attach(skel);
	if (err) {
		gen_bpf__destroy(skel);
		return err;
	}
	in->account = skel;
	return 0;
}

int inject_open(struct inject **out, const struct inject_plan *plan)
{
	struct inject *in = calloc(1, sizeof(*in) + plan->ncpus * sizeof(in->thread[0]));
	int err = 0;

	if (!in)
		return -ENOMEM;
	in->plan = *plan;
	for (uint32_t i = 0; !err && i < plan->ncpus; i++) {
		struct thread *t = &in->thread[i];

		t->in = in;
		t->cpu = plan->cpus[i];
		t->first = (uint32_t)((uint64_t)plan->flows * i / plan->ncpus);
		t->end = (uint32_t)((uint64_t)plan->flows * (i + 1) / plan->ncpus);
		t->count = plan->count ? frame_share(plan->count, plan->flows, t->first, t->end)
				       : UINT64_MAX;
		t->rate = plan->rate;
		err = load_sender(t);
	}
	if (err) {
		inject_close(in);
		return err;
	}
	load_account(in);
	*out = in;
	return 0;
}

/* The device's tx_packets; 0 if it cannot be read. */
static uint64_t device_sent(const char *dev)
{
	FILE *f = fopen("/proc/self/net/dev", "re");
	unsigned long long sent = 0, v;
	char line[512], name[32];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, " %31[^:]: %*u %*u %*u %*u %*u %*u %*u %*u %*u %llu", name, &v) ==
			    2 &&
		    !strcmp(name, dev))
			sent = v;
	}
	if (f)
		fclose(f);
	return sent;
}

/* The number of threads started; *err says why it is less than all. */
static uint32_t start_threads(struct inject *in, int *err)
{
	uint32_t i;

	*err = 0;
	in->start_ns = now_ns();
	for (i = 0; i < in->plan.ncpus; i++) {
		atomic_fetch_add_explicit(&in->running, 1, memory_order_relaxed);
		*err = -pthread_create(&in->thread[i].id, NULL, thread_main, &in->thread[i]);
		if (*err)
			break;
	}
	if (*err) {
		atomic_fetch_sub_explicit(&in->running, 1, memory_order_relaxed);
		atomic_store_explicit(&in->stop, true, memory_order_relaxed);
	}
	return i;
}

/* Returns when every thread is done; true if a signal ended them. */
static bool watch_threads(struct inject *in, const sigset_t *signals)
{
	struct timespec step = { .tv_nsec = POLL_NS };
	bool interrupted = false;

	while (atomic_load_explicit(&in->running, memory_order_acquire)) {
		if (sigtimedwait(signals, NULL, &step) < 0)
			continue;
		interrupted = true;
		atomic_store_explicit(&in->stop, true, memory_order_relaxed);
	}
	return interrupted;
}

static void count_sent(const struct inject *in, struct inject_result *res, uint64_t before)
{
	struct timespec lag = { .tv_nsec = STATISTICS_LAG_NS };

	if (in->account) {
		res->sent = in->account->bss->sent;
		res->dev_error = in->account->bss->last_error;
	} else {
		nanosleep(&lag, NULL);
		res->sent = device_sent(in->plan.dev) - before;
		res->by_statistics = true;
	}
	if (res->sent > res->offered)
		res->sent = res->offered;
}

int inject_run(struct inject *in, struct inject_result *res)
{
	uint64_t before = device_sent(in->plan.dev);
	sigset_t signals;
	uint32_t started;
	int err;

	memset(res, 0, sizeof(*res));
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	started = start_threads(in, &err);
	res->interrupted = watch_threads(in, &signals);
	for (uint32_t i = 0; i < started; i++) {
		struct thread *t = &in->thread[i];

		pthread_join(t->id, NULL);
		if (!err)
			err = t->err;
		res->offered += t->skel->bss->offered;
		if (t->stopped_ns - in->start_ns > res->ns)
			res->ns = t->stopped_ns - in->start_ns;
	}
	count_sent(in, res, before);
	return err;
}

void inject_thread(const struct inject *in, uint32_t i, struct inject_thread_result *res)
{
	const struct thread *t = &in->thread[i];

	*res = (struct inject_thread_result){ t->cpu, t->first, t->end, t->skel->bss->offered };
}

void inject_close(struct inject *in)
{
	if (!in)
		return;
	gen_bpf__destroy(in->account);
	for (uint32_t i = 0; i < in->plan.ncpus; i++) {
		if (!in->thread[i].skel)
			continue;
		dispatcher_release(&in->thread[i].hold);
		gen_bpf__destroy(in->thread[i].skel);
	}
	free(in);
}
