/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * Linux 3.14: sched_setattr(2), which the C library does not declare, and whose
 * kernel header contradicts its <sched.h>. sched_runtime of a SCHED_OTHER thread
 * (its slice in ns): Linux 6.12.
 */
#ifndef SLUICE_SCHEDATTR_H
#define SLUICE_SCHEDATTR_H

#include <stdint.h>

struct sched_attr {
	uint32_t size;
	uint32_t sched_policy;
	uint64_t sched_flags;
	int32_t sched_nice;
	uint32_t sched_priority;
	uint64_t sched_runtime;
	uint64_t sched_deadline;
	uint64_t sched_period;
};

#endif
