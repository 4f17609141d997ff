// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "daemon/device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "daemon/device_queue.h"
#include "daemon/device_steer.h"
#include "engine/backlog.h"

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
		.flow_keys = dev->config->flow_keys,
		.flow_limit_len = dev->config->nr_flow_limit ? dev->config->flow_limit_len : 0,
		.cpu_queue = dev->config->cpu_queue,
		.mirror = dev->config->mirror,
		.fallback = dev->config->fallback,
		.rss_key = dev->config->toeplitz ? dev->engine->rss_key : NULL,
	};
	int err;

	memcpy(config.cpus, dev->config->cpus, sizeof(config.cpus));
	err = steer_open(&dev->steer, &config);

	if (err == -EPERM)
		snprintf(why, len, "may not load the XDP program: run as root, or with CAP_BPF, "
			 "CAP_NET_ADMIN, CAP_NET_RAW and CAP_PERFMON");
	else if (err)
		snprintf(why, len, "cannot load the XDP program: %s", strerror(-err));
	return err;
}

static int device_open_queue(struct device *dev, uint32_t position, char *why, size_t len)
{
	uint32_t w;
	int err = device_open_umem(dev, position, why, len);

	device_for_each_worker(dev, w) {
		if (!err)
			err = device_open_xsk(dev, position, w, why, len);
		if (!err)
			err = steer_set_target(&dev->steer, dev->queue[position], w,
					       xsk_fd(device_xsk(dev, position, w)));
	}
	return err;
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

/* Of the flow hash. */
static int device_keys(struct device *dev)
{
	struct engine *engine = dev->engine;

	if (getrandom(engine->hash_key, sizeof(engine->hash_key), 0) < 0 ||
	    getrandom(engine->rss_key, sizeof(engine->rss_key), 0) < 0)
		return -errno;
	if (dev->config->has_rss_key)
		memcpy(engine->rss_key, dev->config->rss_key, sizeof(engine->rss_key));
	toeplitz_fill(engine->rss_table, engine->rss_key);
	engine->toeplitz = dev->config->toeplitz;
	engine->mirror = dev->config->mirror;
	return 0;
}

static int device_init_workers(struct device *dev)
{
	const struct config *config = dev->config;
	int err = 0;

	for (uint32_t w = 0; !err && w < config->nr_workers; w++) {
		dev->workers |= 1ull << w;
		err = worker_init(&dev->worker[w], dev->engine, w, config->cpu[w], dev->nr_queues);
	}
	return err;
}

static int device_alloc(struct device *dev)
{
	int err;

	dev->engine = calloc(1, sizeof(*dev->engine));
	dev->umem = calloc(dev->nr_queues, sizeof(*dev->umem));
	dev->xsk = calloc((size_t)dev->nr_queues * dev->max_workers, sizeof(*dev->xsk));
	dev->worker = calloc(dev->max_workers, sizeof(*dev->worker));
	if (!dev->engine || !dev->umem || !dev->xsk || !dev->worker)
		return -ENOMEM;
	err = device_keys(dev);
	if (err)
		return err;
	dev->engine->broken_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (dev->engine->broken_fd < 0)
		return -errno;
	return device_init_workers(dev);
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
	err = device_steer_init(dev);
	if (!err)
		err = steer_attach(&dev->steer);
	if (err == -EBUSY || err == -EEXIST)
		snprintf(why, len, "%s has an XDP program: see 'ip link show %s', stop its owner "
			 "or detach it", dev->config->ifname, dev->config->ifname);
	else if (err == -EOPNOTSUPP)
		snprintf(why, len, "the driver of %s has no native XDP: leave -N out",
			 dev->config->ifname);
	else if (err)
		snprintf(why, len, "cannot attach XDP to %s: %s%s", dev->config->ifname,
			 strerror(-err), err == -EINVAL || err == -ENOSPC ?
			 " (a veth needs as many rx queues as its peer has tx queues, and an MTU "
			 "below 3,500)" : "");
	return err;
}

/* All, before the first one goes: they may have handed packets to each other. */
static void device_stop_workers(struct device *dev)
{
	struct worker *stopped[SLUICE_MAX_WORKERS];
	unsigned int n = 0;
	uint32_t w;

	device_for_each_worker(dev, w) {
		if (!dev->worker[w].backlog)
			continue;
		worker_stop(&dev->worker[w]);
		stopped[n++] = &dev->worker[w];
	}
	backlog_settle(stopped, n);
}

static void device_teardown(struct device *dev)
{
	uint32_t w;

	steer_detach(&dev->steer);
	device_stop_workers(dev);
	device_for_each_worker(dev, w)
		worker_destroy(&dev->worker[w]);
	device_for_each_worker(dev, w) {
		for (uint32_t i = 0; i < dev->nr_queues; i++)
			xsk_close(device_xsk(dev, i, w));
	}
	for (uint32_t i = 0; dev->umem && i < dev->nr_queues; i++)
		umem_destroy(&dev->umem[i]);
	rfs_kernel_close(&dev->rfs_kernel);
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
	dev->workers = 0;
}

static int device_start_workers(struct device *dev, char *why, size_t len)
{
	uint32_t w;
	int err = 0;

	device_for_each_worker(dev, w) {
		if (!err)
			err = worker_start(&dev->worker[w]);
		if (err) {
			snprintf(why, len, "cannot start a worker on CPU %u: %s",
				 dev->worker[w].cpu, strerror(-err));
			break;
		}
	}
	return err;
}

int device_open(struct device *dev, const struct config *config, const struct device_info *info,
		char *why, size_t len)
{
	int err;

	*dev = (struct device){
		.config = config,
		.info = *info,
		.max_workers = config->max_workers,
		.steer = { .link_fd = -1, .first_fd = -1 },
	};
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
		err = device_start_workers(dev, why, len);
	}
	if (err)
		device_teardown(dev);
	return err;
}

void device_close(struct device *dev)
{
	device_teardown(dev);
}
