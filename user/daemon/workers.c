// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "daemon/workers.h"

#include <errno.h>
#include <stdio.h>

#include "daemon/device.h"
#include "daemon/device_steer.h"
#include "daemon/device_worker.h"
#include "daemon/json.h"
#include "engine/stat.h"

int workers_serve(struct device *dev, const struct sluice_ctl_msg *request, char *text, size_t len)
{
	uint32_t cpu = request->u.worker.cpu;
	int err;

	switch (request->u.worker.verb) {
	case SLUICE_WORKER_ADD:
		return device_worker_add(dev, cpu, text, len);
	case SLUICE_WORKER_DEL:
		err = device_worker_del(dev, cpu, text, len);
		return err ? err : -EINPROGRESS;
	default:
		snprintf(text, len, "this daemon cannot do %u with a worker",
			 request->u.worker.verb);
		return -EINVAL;
	}
}

int workers_step(struct device *dev, char *text, size_t len)
{
	int err = device_worker_step(dev);

	if (err == -EAGAIN)
		return -EINPROGRESS;
	if (!err && dev->leave.late)
		snprintf(text, len, "its thread did not get to run: datagrams may have come out of "
			 "order");
	return err;
}

static json_object *answer_worker(const struct device *dev, uint32_t w)
{
	bool leaves = dev->leave.active && dev->leave.worker == w;
	json_object *o = json_object_new_object();

	put_u64(o, "worker", w);
	put_u64(o, "cpu", dev->worker[w].cpu);
	put_text(o, "state", leaves ? "leaving" : "running");
	put_u64(o, "processed", stat_read(&dev->worker[w].stat.processed));
	return o;
}

static json_object *answer_cpus(const struct device *dev)
{
	static const char *const near[] = {
		[TOPOLOGY_OWN] = "own",
		[TOPOLOGY_L2] = "L2",
		[TOPOLOGY_L3] = "L3",
		[TOPOLOGY_NONE] = "none",
	};
	struct topology_choice choice[SLUICE_MAX_CPUS];
	uint32_t cpus = device_choose_workers(dev, choice);
	json_object *list = json_object_new_array();

	for (uint32_t cpu = 0; cpu < cpus; cpu++) {
		json_object *o = json_object_new_object();

		put_u64(o, "cpu", cpu);
		json_object_object_add(o, "worker", choice[cpu].near == TOPOLOGY_NONE ?
				       NULL : json_object_new_uint64(choice[cpu].slot));
		put_text(o, "near", near[choice[cpu].near]);
		json_object_array_add(list, o);
	}
	return list;
}

json_object *workers_answer(const struct device *dev)
{
	json_object *o = json_object_new_object(), *list = json_object_new_array();
	uint32_t w;

	put_text(o, "dev", dev->config->ifname);
	put_u64(o, "max", dev->max_workers);
	device_for_each_worker(dev, w)
		json_object_array_add(list, answer_worker(dev, w));
	json_object_object_add(o, "workers", list);
	json_object_object_add(o, "cpus", answer_cpus(dev));
	return o;
}
