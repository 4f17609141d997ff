// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "daemon/device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include <urcu-qsbr.h>

#include "engine/backlog.h"

#define ETH_AND_VLAN 18
/* XDP_PACKET_HEADROOM: the kernel keeps it free before each packet. */
#define FRAME_HEADROOM 256
/* A worker that does not reach the tails by then is not being scheduled. */
#define DRAIN_LIMIT_NS 100000000
#define DRAIN_STEP_NS 50000
/* A queue that is busy for longer is in use. */
#define BUSY_LIMIT_NS 1000000000ull
#define BUSY_STEP_NS 20000000

static int device_queues(struct device *dev, char *why, size_t len)
{
	const struct config *config = dev->config;

	if (!config->nr_queues) {
		for (; dev->nr_queues < dev->info.nr_queues && dev->nr_queues < SLUICE_MAX_QUEUES; dev->nr_queues++)
			dev->queue[dev->nr_queues] = dev->nr_queues;
		return 0;
	}
	for (uint32_t i = 0; i < config->nr_queues; i++) {
		if (config->queue[i] >= dev->info.nr_queues) {
			snprintf(why, len, "%s has no rx queue %u, only %u: see 'ethtool -l %s'", config->ifname,
				 config->queue[i], dev->info.nr_queues, config->ifname);
			return -EINVAL;
		}
		dev->queue[dev->nr_queues++] = config->queue[i];
	}
	return 0;
}

static int device_load(struct device *dev, bool generic, char *why, size_t len)
{
	struct steer_config config = {
		.ifindex = dev->info.ifindex,
		.nr_queues = dev->info.nr_queues,
		.sock_flow_entries = dev->config->sock_flow_entries,
		.hash_key = { dev->engine->hash_key[0], dev->engine->hash_key[1] },
		.generic = generic,
		.dev_flows = dev->config->dev_flow_entries > 0,
		.ring = dev->config->ring,
		.flow_limit_len = dev->config->nr_flow_limit ? dev->config->flow_limit_len : 0,
	};
	int err = steer_open(&dev->steer, &config);

	if (err == -EPERM)
		snprintf(why, len, "may not load the XDP program: run as root, or with CAP_BPF, CAP_NET_ADMIN, "
			 "CAP_NET_RAW and CAP_PERFMON");
	else if (err)
		snprintf(why, len, "cannot load the XDP program: %s", strerror(-err));
	return err;
}

static uint32_t device_frame_size(const struct device *dev)
{
	return dev->info.mtu + ETH_AND_VLAN + FRAME_HEADROOM <= 2048 ? 2048 : 4096;
}

/* Every ring full, and every worker's hands: a stalled worker cannot starve its siblings. */
static uint32_t device_frame_count(const struct device *dev)
{
	const struct config *config = dev->config;

	if (config->umem_frames)
		return config->umem_frames;
	return config->ring + config->nr_workers * (config->ring + WORKER_PKTS);
}

static int device_xsk_error(const struct device *dev, uint32_t queue, int err, char *why, size_t len)
{
	const char *name = dev->config->ifname;

	if (err == -EBUSY)
		snprintf(why, len, "queue %u of %s is used by another AF_XDP program: stop it, or choose other "
			 "queues with -q", queue, name);
	else if (err == -EPERM)
		snprintf(why, len, "may not open AF_XDP sockets: run as root, or with CAP_NET_RAW");
	else if (err == -EOPNOTSUPP && dev->config->copy == XSK_ZEROCOPY)
		snprintf(why, len, "the driver of %s has no zero-copy: leave -z out", name);
	else if (err == -ENOBUFS)
		snprintf(why, len, "RLIMIT_MEMLOCK is too low for the UMEM: raise it, or grant CAP_IPC_LOCK");
	else
		snprintf(why, len, "cannot open an AF_XDP socket on queue %u of %s: %s", queue, name, strerror(-err));
	return err;
}

/*
 * The kernel lets go of a queue some time after the process that had it: a daemon
 * which takes over from a killed one may come too early.
 */
static int device_open_xsk(struct device *dev, struct xsk *xsk, struct umem *umem, uint32_t queue,
			   enum xsk_copy_mode mode)
{
	const struct config *config = dev->config;
	struct timespec step = { .tv_nsec = BUSY_STEP_NS };
	int err;

	for (uint64_t waited = 0;; waited += BUSY_STEP_NS) {
		err = xsk_open(xsk, umem, config->ifname, queue, config->ring, mode);
		if (err != -EBUSY || waited >= BUSY_LIMIT_NS)
			return err;
		nanosleep(&step, NULL);
	}
}

static int device_open_queue(struct device *dev, uint32_t position, char *why, size_t len)
{
	const struct config *config = dev->config;
	/* Without native XDP there is no zero-copy; asked for, it is an error of its own. */
	enum xsk_copy_mode mode = dev->steer.config.generic && config->copy == XSK_AUTO ? XSK_COPY : config->copy;
	struct umem *umem = &dev->umem[position];
	uint32_t queue = dev->queue[position];
	int err;

	err = umem_init(umem, device_frame_count(dev), device_frame_size(dev), config->ring);
	if (err == -EINVAL) {
		snprintf(why, len, "--umem %u: fewer frames than one ring (%u): give more, or a smaller --ring",
			 config->umem_frames, config->ring);
		return err;
	}
	for (uint32_t w = 0; !err && w < config->nr_workers; w++) {
		struct xsk *xsk = &dev->xsk[position * config->nr_workers + w];

		err = device_open_xsk(dev, xsk, umem, queue, mode);
		if (!err)
			err = steer_set_target(&dev->steer, queue, w, xsk_fd(xsk));
		if (!err)
			err = worker_add_napi(&dev->worker[w], &xsk->src, (uint16_t)queue);
	}
	return err ? device_xsk_error(dev, queue, err, why, len) : 0;
}

/* As Linux's flow_limit_cpu_bitmap: the limit holds for backlogs that these CPUs work off. */
static int device_flow_limit(struct device *dev)
{
	const struct config *config = dev->config;
	int err = 0;

	for (uint32_t i = 0; i < config->nr_flow_limit; i++) {
		for (uint32_t w = 0; !err && w < config->nr_workers; w++) {
			if (config->cpu[w] == config->flow_limit[i])
				err = steer_set_flow_limit(&dev->steer, w, true);
		}
	}
	return err;
}

/* By default each queue spreads its flows over all workers. */
static int device_steering(struct device *dev)
{
	const struct config *config = dev->config;
	struct sluice_rps_map map;
	int err;

	steer_fill_rps(&map, config->cpu, config->nr_workers);
	for (uint32_t w = 0; w < config->nr_workers; w++) {
		err = steer_set_cpu_worker(&dev->steer, config->cpu[w], w);
		if (err)
			return err;
	}
	for (uint32_t i = 0; i < dev->nr_queues; i++) {
		err = steer_set_rps(&dev->steer, dev->queue[i], &map);
		if (!err)
			err = steer_resize_dev_flow(&dev->steer, dev->queue[i], config->dev_flow_entries);
		if (err)
			return err;
	}
	err = device_flow_limit(dev);
	if (err)
		return err;
	return steer_set_mac(&dev->steer, dev->info.mac);
}

static void device_fill_engine(struct device *dev)
{
	struct engine *engine = dev->engine;

	engine->ifindex = dev->info.ifindex;
	engine->csum = dev->info.veth ? CSUM_PARTIAL_OK : CSUM_VERIFY;
	engine->gro_max_size = GRO_MAX_SIZE;
	engine->vlan_dev = dev->steer.vlan_dev;
	engine->flow_head = dev->steer.flow_head;
	engine->heartbeat = dev->steer.heartbeat;
	engine->rfs = (struct rfs){
		.sock_flow = dev->config->sock_flow_entries ? dev->steer.sock_flow : NULL,
		.mask = dev->config->sock_flow_entries ? dev->config->sock_flow_entries - 1 : 0,
		.cpu_mask = dev->steer.cpu_mask,
	};
}

static int device_alloc(struct device *dev)
{
	const struct config *config = dev->config;
	int err = 0;

	dev->engine = calloc(1, sizeof(*dev->engine));
	dev->umem = calloc(dev->nr_queues, sizeof(*dev->umem));
	dev->xsk = calloc((size_t)dev->nr_queues * config->nr_workers, sizeof(*dev->xsk));
	dev->worker = calloc(config->nr_workers, sizeof(*dev->worker));
	if (!dev->engine || !dev->umem || !dev->xsk || !dev->worker)
		return -ENOMEM;
	if (getrandom(dev->engine->hash_key, sizeof(dev->engine->hash_key), 0) < 0)
		return -errno;
	dev->engine->broken_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (dev->engine->broken_fd < 0)
		return -errno;
	for (uint32_t w = 0; !err && w < config->nr_workers; w++)
		err = worker_init(&dev->worker[w], dev->engine, w, config->cpu[w], dev->nr_queues);
	return err;
}

static int device_setup(struct device *dev, bool generic, char *why, size_t len)
{
	int err = device_alloc(dev);

	if (err) {
		snprintf(why, len, "cannot allocate the workers: %s", strerror(-err));
		return err;
	}
	err = device_load(dev, generic, why, len);
	for (uint32_t i = 0; !err && i < dev->nr_queues; i++)
		err = device_open_queue(dev, i, why, len);
	if (err)
		return err;
	err = device_steering(dev);
	if (!err)
		err = steer_attach(&dev->steer);
	if (err == -EBUSY || err == -EEXIST)
		snprintf(why, len, "%s has an XDP program: see 'ip link show %s', stop its owner or detach it",
			 dev->config->ifname, dev->config->ifname);
	else if (err == -EOPNOTSUPP)
		snprintf(why, len, "the driver of %s has no native XDP: leave -N out", dev->config->ifname);
	else if (err)
		snprintf(why, len, "cannot attach XDP to %s: %s%s", dev->config->ifname, strerror(-err),
			 err == -EINVAL || err == -ENOSPC ?
			 " (a veth needs as many rx queues as its peer has tx queues, and an MTU below 3,500)" : "");
	return err;
}

/* All, before the first one goes: they may have handed packets to each other. */
static void device_stop_workers(struct device *dev)
{
	struct worker *stopped[SLUICE_MAX_WORKERS];
	unsigned int n = 0;

	for (uint32_t w = 0; dev->worker && w < dev->config->nr_workers; w++) {
		if (!dev->worker[w].backlog)
			continue;
		worker_stop(&dev->worker[w]);
		stopped[n++] = &dev->worker[w];
	}
	backlog_settle(stopped, n);
}

static void device_teardown(struct device *dev)
{
	const struct config *config = dev->config;

	steer_detach(&dev->steer);
	device_stop_workers(dev);
	for (uint32_t w = 0; dev->worker && w < config->nr_workers; w++)
		worker_destroy(&dev->worker[w]);
	for (uint32_t i = 0; dev->xsk && i < dev->nr_queues * config->nr_workers; i++)
		xsk_close(&dev->xsk[i]);
	for (uint32_t i = 0; dev->umem && i < dev->nr_queues; i++)
		umem_destroy(&dev->umem[i]);
	/* After the workers, which write into its maps. */
	steer_close(&dev->steer);
	if (dev->engine && dev->engine->broken_fd > 0)
		close(dev->engine->broken_fd);
	if (dev->engine)
		udp_table_destroy(&dev->engine->udp);
	free(dev->engine);
	free(dev->umem);
	free(dev->xsk);
	free(dev->worker);
	dev->engine = NULL;
	dev->umem = NULL;
	dev->xsk = NULL;
	dev->worker = NULL;
}

int device_open(struct device *dev, const struct config *config, const struct device_info *info,
		char *why, size_t len)
{
	int err;

	*dev = (struct device){ .config = config, .info = *info, .steer = { .link_fd = -1, .first_fd = -1 } };
	if (info->mtu + ETH_AND_VLAN + FRAME_HEADROOM > 4096) {
		snprintf(why, len, "MTU %u of %s is too large for one frame: set it to %u or less", info->mtu,
			 config->ifname, 4096 - ETH_AND_VLAN - FRAME_HEADROOM);
		return -EMSGSIZE;
	}
	err = device_queues(dev, why, len);
	if (err)
		return err;
	err = device_setup(dev, config->mode == STEER_GENERIC, why, len);
	if (err == -EOPNOTSUPP && config->mode == STEER_AUTO && config->copy != XSK_ZEROCOPY) {
		device_teardown(dev);
		err = device_setup(dev, true, why, len);
	}
	if (!err) {
		device_fill_engine(dev);
		dev->pin_error = steer_pin(&dev->steer, config->ifname);
	}
	for (uint32_t w = 0; !err && w < config->nr_workers; w++) {
		err = worker_start(&dev->worker[w]);
		if (err)
			snprintf(why, len, "cannot start a worker on CPU %u: %s", config->cpu[w], strerror(-err));
	}
	if (err)
		device_teardown(dev);
	return err;
}

void device_close(struct device *dev)
{
	device_teardown(dev);
}

void device_drain(struct device *dev)
{
	uint32_t n = dev->nr_queues * dev->config->nr_workers, behind;
	struct timespec step = { .tv_nsec = DRAIN_STEP_NS };
	uint32_t *tail = calloc(n, sizeof(*tail));

	steer_grace();
	for (uint32_t i = 0; tail && i < n; i++)
		tail[i] = xsk_rx_produced(&dev->xsk[i]);
	for (int waited = 0; tail && waited < DRAIN_LIMIT_NS; waited += DRAIN_STEP_NS) {
		behind = 0;
		for (uint32_t i = 0; i < n; i++)
			behind += (int32_t)(xsk_rx_consumed(&dev->xsk[i]) - tail[i]) < 0;
		if (!behind)
			break;
		nanosleep(&step, NULL);
	}
	free(tail);
	/* Taken from the ring is not yet delivered: a worker is quiescent when it has nothing in hand. */
	synchronize_rcu();
}

void device_frames(const struct device *dev, uint32_t position, struct umem_frames *frames)
{
	const struct umem *umem = &dev->umem[position];

	*frames = (struct umem_frames){ .total = umem->frames, .free = umem_free_frames(umem) };
	frames->fill = umem_fill_frames(umem);
	for (uint32_t w = 0; w < dev->config->nr_workers; w++) {
		const struct xsk *xsk = &dev->xsk[position * dev->config->nr_workers + w];

		frames->free += __atomic_load_n(&xsk->nr_stash, __ATOMIC_RELAXED);
		frames->rx += xsk_rx_produced(xsk) - xsk_rx_consumed(xsk);
		frames->held += __atomic_load_n(&dev->worker[w].napi[position].held, __ATOMIC_RELAXED);
	}
}
