// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "daemon/answer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/control.h"
#include "daemon/device_queue.h"
#include "daemon/device_steer.h"
#include "daemon/explain.h"
#include "daemon/flows.h"
#include "daemon/json.h"
#include "daemon/rules.h"
#include "daemon/settings.h"
#include "daemon/taps.h"
#include "daemon/workers.h"
#include "engine/backlog.h"
#include "engine/stat.h"

static const char *const drop_names[] = {
#define X(id, name, text) [SLUICE_DROP_##id] = name,
	SLUICE_DROP_LIST(X)
#undef X
};

static const char *const verdict_names[] = {
#define X(id, name, text) [SLUICE_XDP_##id] = name,
	SLUICE_VERDICT_LIST(X)
#undef X
};

/* What the whole daemon has seen, summed while the parts are printed. */
struct books {
	uint64_t redirected, passed, denied, ruled_out, flow_limit;
	uint64_t received, delivered, dropped, ring_lost, enqueued;
	uint64_t to_cpu, cpu_received, cpu_lost;
	bool blind;	/* cpu_lost is not known */
};

static uint64_t *verdict_sum(struct books *books, int v)
{
	switch (v) {
	case SLUICE_XDP_REDIRECT:
		return &books->redirected;
	case SLUICE_XDP_REDIRECT_CPU:
		return &books->to_cpu;
	case SLUICE_XDP_DROP_DENY:
		return &books->denied;
	case SLUICE_XDP_DROP_RULE:
		return &books->ruled_out;
	case SLUICE_XDP_DROP_FLOW_LIMIT:
		return &books->flow_limit;
	default:
		return &books->passed;
	}
}

static json_object *stat_xdp(const struct device *dev, struct books *books)
{
	json_object *o = json_object_new_object();
	struct sluice_xdp_stat stat = { 0 };

	if (steer_stat(&dev->steer, &stat))
		return o;
	for (int v = 0; v < SLUICE_XDP_VERDICTS; v++) {
		put_u64(o, verdict_names[v], stat.verdict[v]);
		*verdict_sum(books, v) += stat.verdict[v];
	}
	return o;
}

static json_object *stat_queues(const struct device *dev)
{
	json_object *list = json_object_new_array();

	for (uint32_t i = 0; i < dev->nr_queues; i++) {
		json_object *o = json_object_new_object();
		struct umem_frames f;

		device_frames(dev, i, &f);
		put_u64(o, "queue", dev->queue[i]);
		put_text(o, "bind", device_zerocopy(dev, i) ? "zero-copy" : "copy");
		put_u64(o, "frames", f.total);
		put_u64(o, "free", f.free);
		put_u64(o, "fill", f.fill);
		put_u64(o, "rx", f.rx);
		put_u64(o, "held", f.held);
		json_object_array_add(list, o);
	}
	return list;
}

/* What others have handed to this worker. */
static json_object *stat_backlog(const struct backlog *b, struct books *books)
{
	json_object *o = json_object_new_object();
	uint64_t drops = 0;

	for (int d = 0; d < SLUICE_DROPS; d++)
		drops += stat_read(&b->napi.stat.drop[d]);
	put_u64(o, "queued", __atomic_load_n(&b->queued, __ATOMIC_RELAXED));
	put_u64(o, "processing", __atomic_load_n(&b->processing, __ATOMIC_RELAXED));
	put_u64(o, "received", stat_read(&b->napi.stat.received));
	put_u64(o, "delivered", stat_read(&b->napi.stat.delivered));
	put_u64(o, "drops", drops);
	put_u64(o, "refused", stat_read(&b->dropped));
	put_u64(o, "flow_limited", stat_read(&b->flow_limited));
	books->delivered += stat_read(&b->napi.stat.delivered);
	books->dropped += drops;
	return o;
}

static json_object *stat_workers(const struct device *dev, struct books *books)
{
	json_object *list = json_object_new_array();
	uint32_t w;

	device_for_each_worker(dev, w) {
		const struct worker *worker = &dev->worker[w];
		json_object *o = json_object_new_object();

		put_u64(o, "worker", w);
		put_u64(o, "cpu", worker->cpu);
		put_u64(o, "processed", stat_read(&worker->stat.processed));
		put_u64(o, "dropped", stat_read(&worker->stat.dropped));
		put_u64(o, "time_squeeze", stat_read(&worker->stat.time_squeeze));
		put_u64(o, "rounds", stat_read(&worker->stat.rounds));
		put_u64(o, "sleeps", stat_read(&worker->stat.sleeps));
		put_u64(o, "received_rps", stat_read(&worker->stat.received_rps));
		json_object_object_add(o, "backlog", stat_backlog(worker->backlog, books));
		json_object_array_add(list, o);
	}
	return list;
}

/* CPUs of cpu_map; those that had packets, too, once it has no entries any more. */
static json_object *stat_cpus(const struct device *dev, struct books *books)
{
	json_object *list = json_object_new_array();
	struct steer_cpu_stat stat;

	books->blind = dev->steer.cpumap_blind;
	for (uint32_t cpu = 0; !steer_cpu_stat(&dev->steer, cpu, &stat); cpu++) {
		json_object *o;

		if (!steer_has_cpu(&dev->steer, cpu) && !stat.enqueued)
			continue;
		o = json_object_new_object();
		put_u64(o, "cpu", cpu);
		put_u64(o, "enqueued", stat.enqueued);
		put_u64(o, "received", stat.received);
		put_u64(o, "lost", stat.lost);
		json_object_array_add(list, o);
		books->cpu_received += stat.received;
		books->cpu_lost += stat.lost;
	}
	return list;
}

static json_object *napi_drops(const struct napi_stat *stat, struct books *books)
{
	json_object *o = json_object_new_object();

	for (int d = 0; d < SLUICE_DROPS; d++) {
		uint64_t n = stat_read(&stat->drop[d]);

		put_u64(o, drop_names[d], n);
		books->dropped += n;
	}
	return o;
}

static void put_napi(json_object *o, const struct napi_stat *stat, const struct xsk_loss *loss,
		     struct books *books)
{
	uint64_t received = stat_read(&stat->received), delivered = stat_read(&stat->delivered);

	put_u64(o, "ring_full", loss->ring_full);
	put_u64(o, "rx_dropped", loss->rx_dropped);
	put_u64(o, "received", received);
	put_u64(o, "bytes", stat_read(&stat->bytes));
	put_u64(o, "delivered", delivered);
	put_u64(o, "handed", stat_read(&stat->handed));
	put_u64(o, "no_meta", stat_read(&stat->no_meta));
	put_u64(o, "csum_partial", stat_read(&stat->csum_partial));
	json_object_object_add(o, "drops", napi_drops(stat, books));
	books->ring_lost += loss->ring_full + loss->rx_dropped;
	books->received += received;
	books->delivered += delivered;
}

static json_object *stat_napi_one(const struct device *dev, uint32_t position, uint32_t w,
				  struct books *books)
{
	const struct napi *napi = &dev->worker[w].napi[position];
	json_object *o = json_object_new_object();
	const struct xsk *xsk = device_xsk(dev, position, w);
	struct xsk_loss loss = { 0 };
	uint32_t enqueued = __atomic_load_n(&dev->steer.flow_tail[napi->target], __ATOMIC_RELAXED);

	xsk_loss(xsk, &loss);
	put_u64(o, "queue", napi->queue);
	put_u64(o, "worker", w);
	put_u64(o, "cpu", dev->worker[w].cpu);
	put_u64(o, "enqueued", enqueued);
	put_u64(o, "flow_limited", steer_flow_limited(&dev->steer, napi->target));
	put_u64(o, "waiting", xsk_rx_produced(xsk) - xsk_rx_consumed(xsk));
	put_napi(o, &napi->stat, &loss, books);
	return o;
}

static json_object *stat_napi(const struct device *dev, struct books *books)
{
	json_object *list = json_object_new_array();
	uint32_t w;

	for (uint32_t i = 0; i < dev->nr_queues; i++) {
		device_for_each_worker(dev, w)
			json_object_array_add(list, stat_napi_one(dev, i, w, books));
	}
	return list;
}

/* Of all workers that were removed, over all queues. */
static json_object *stat_gone(const struct device *dev, struct books *books)
{
	const struct device_gone *gone = &dev->gone;
	json_object *o = json_object_new_object();

	put_u64(o, "workers", gone->workers);
	put_u64(o, "torn_off", gone->torn_off);
	put_u64(o, "processed", gone->worker.processed);
	put_u64(o, "dropped", gone->worker.dropped);
	put_u64(o, "time_squeeze", gone->worker.time_squeeze);
	put_u64(o, "rounds", gone->worker.rounds);
	put_u64(o, "sleeps", gone->worker.sleeps);
	put_napi(o, &gone->napi, &gone->loss, books);
	return o;
}

/*
 * Closed: every packet that was redirected is received or lost in a ring, every one received
 * is delivered or dropped; and of those for a CPU every one is seen there or lost in its queue.
 */
static json_object *stat_books(const struct books *books)
{
	json_object *o = json_object_new_object();
	bool closed = books->redirected == books->received + books->ring_lost &&
		      books->received == books->delivered + books->dropped &&
		      (books->blind || books->to_cpu == books->cpu_received + books->cpu_lost);

	put_u64(o, "redirected", books->redirected);
	put_u64(o, "redirected_cpu", books->to_cpu);
	put_u64(o, "cpu_received", books->cpu_received);
	put_u64(o, "cpu_lost", books->cpu_lost);
	put_u64(o, "passed", books->passed);
	put_u64(o, "denied", books->denied);
	put_u64(o, "ruled_out", books->ruled_out);
	put_u64(o, "flow_limit", books->flow_limit);
	put_u64(o, "received", books->received);
	put_u64(o, "ring_lost", books->ring_lost);
	put_u64(o, "delivered", books->delivered);
	put_u64(o, "dropped", books->dropped);
	json_object_object_add(o, "closed", json_object_new_boolean(closed));
	return o;
}

static json_object *answer_stat(struct control *c)
{
	const struct device *dev = c->dev;
	json_object *o = json_object_new_object();
	struct books books = { 0 };

	put_text(o, "dev", dev->config->ifname);
	put_u64(o, "ifindex", dev->info.ifindex);
	put_text(o, "mode", dev->steer.config.generic ? "generic" : "native");
	/*
	 * Ends before beginnings: a packet under way counts as not yet arrived rather than
	 * as lost.
	 */
	json_object_object_add(o, "napi", stat_napi(dev, &books));
	json_object_object_add(o, "gone", stat_gone(dev, &books));
	json_object_object_add(o, "cpus", stat_cpus(dev, &books));
	json_object_object_add(o, "xdp", stat_xdp(dev, &books));
	json_object_object_add(o, "queues", stat_queues(dev));
	json_object_object_add(o, "workers", stat_workers(dev, &books));
	json_object_object_add(o, "clients", json_object_new_uint64(c->nr_clients));
	json_object_object_add(o, "taps", taps_answer(c));
	json_object_object_add(o, "books", stat_books(&books));
	return o;
}

static json_object *answer_one_sock(struct attached *a)
{
	static const char *const states[] = {
		[SLUICE_LANE_WAITING] = "waiting",
		[SLUICE_LANE_ACTIVE] = "active",
		[SLUICE_LANE_WITHDRAWN] = "withdrawn",
		[SLUICE_LANE_GONE] = "gone",
	};
	json_object *o = json_object_new_object();
	struct lane *lane = &a->sk.lane;
	uint64_t used;

	put_u64(o, "lane", a->slot);
	put_u64(o, "pid", (uint64_t)a->client->pid);
	put_u64(o, "uid", a->uid);
	put_addr(o, "local", &a->key.local, a->key.ipv6);
	put_u64(o, "port", a->port);
	put_addr(o, "peer", &a->key.peer, a->key.ipv6);
	put_u64(o, "peer_port", ntohs(a->key.peer_port));
	put_u64(o, "device", a->key.ifindex);
	put_text(o, "state", states[a->state]);
	put_text(o, "reason", a->why);
	lane_lock(lane);
	put_u64(o, "ring", lane->size);
	used = lane->producer - __atomic_load_n(&lane->ctl->consumer, __ATOMIC_ACQUIRE);
	/* The client may have written anything. */
	put_u64(o, "used", used > lane->size ? lane->size : used);
	put_u64(o, "delivered", lane->delivered);
	put_u64(o, "drops", lane->drops);
	put_u64(o, "wakeups", lane->wakeups);
	if (lane->cpu != SLUICE_NO_CPU)
		put_u64(o, "cpu", lane->cpu);
	lane_unlock(lane);
	return o;
}

static json_object *answer_sock(struct control *c)
{
	json_object *o = json_object_new_object(), *list = json_object_new_array();

	put_text(o, "dev", c->dev->config->ifname);
	for (struct client *client = c->first; client; client = client->next) {
		for (struct attached *a = client->first; a; a = a->next)
			json_object_array_add(list, answer_one_sock(a));
	}
	json_object_object_add(o, "sockets", list);
	return o;
}

static int to_memfd(const char *text, size_t len)
{
	int fd = memfd_create("sluice-answer", MFD_CLOEXEC | MFD_ALLOW_SEALING), err;

	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != (ssize_t)len ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) ||
	    lseek(fd, 0, SEEK_SET) < 0) {
		err = -errno;
		close(fd);
		return err ? err : -ENOMEM;
	}
	return fd;
}

int answer_query(struct control *c, const struct sluice_ctl_msg *request)
{
	json_object *o;
	const char *text;
	size_t len;
	int fd;

	switch (request->u.query.what) {
	case SLUICE_QUERY_STAT:
		o = answer_stat(c);
		break;
	case SLUICE_QUERY_SOCK:
		o = answer_sock(c);
		break;
	case SLUICE_QUERY_FLOW:
		o = flows_answer(c, &request->u.query.flows);
		break;
	case SLUICE_QUERY_RULE:
		o = rules_answer(c);
		break;
	case SLUICE_QUERY_RPS:
		o = settings_answer(c->dev);
		break;
	case SLUICE_QUERY_WORKER:
		o = workers_answer(c->dev);
		break;
	case SLUICE_QUERY_EXPLAIN:
		o = explain_answer(c, &request->u.query.flow);
		break;
	default:
		return -EINVAL;
	}
	text = json_object_to_json_string_length(o, JSON_C_TO_STRING_PLAIN, &len);
	fd = text ? to_memfd(text, len) : -ENOMEM;
	json_object_put(o);
	return fd;
}
