/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * inject.h - sends generated frames out of a device by BPF live frames.
 *
 *   thread per CPU:  BPF_PROG_TEST_RUN of its own gen_xmit  --> device
 *   once:            gen_count on the xdp_devmap_xmit tracepoint counts what the
 *                    device took; where it cannot be had, the device's statistics
 *
 * A flow belongs to one thread, so its order is that thread's.
 */
#ifndef SLUICE_CLI_INJECT_H
#define SLUICE_CLI_INJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/frame.h"

struct inject;

struct inject_plan {
	const struct frame *frame;
	const char *dev;
	uint32_t ifindex;
	uint32_t flows;
	uint32_t sport;			/* of flow 0; flow f has sport + f */
	const uint32_t *dports;		/* flow f has dports[f % ndports] */
	uint32_t ndports;
	const uint32_t *cpus;		/* one thread each, at most one per flow */
	uint32_t ncpus;
	uint64_t count;			/* frames in all; 0: no limit */
	uint64_t time_ns;		/* 0: no limit */
	uint64_t rate;			/* frames per second in all; 0: as fast as it goes */
	uint32_t batch;
};

struct inject_thread_result {
	uint32_t cpu;
	uint32_t first, end;		/* flows [first, end) */
	uint64_t offered;
};

struct inject_result {
	uint64_t offered;
	uint64_t sent;			/* never more than offered */
	uint64_t ns;
	int dev_error;			/* last error of the device, -errno or 0 */
	bool by_statistics;		/* sent is the device's, other senders' frames included */
	bool interrupted;
};

/* Loads the programs. 0; -errno (-EPERM, -EINVAL: the kernel has no live frames). */
int inject_open(struct inject **in, const struct inject_plan *plan);
/*
 * Sends until count or time is reached, or SIGINT or SIGTERM arrives; call it from the process's
 * only thread. 0 or the first -errno of a thread; *res is valid in both cases.
 */
int inject_run(struct inject *in, struct inject_result *res);
/* Of thread i < ncpus, after inject_run(). */
void inject_thread(const struct inject *in, uint32_t i, struct inject_thread_result *res);
/* NULL is allowed. */
void inject_close(struct inject *in);

#endif
