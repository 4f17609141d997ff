/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * clock.h - the engine's time: the kernel's clocks, or, where a capture or a test is
 * played, a virtual one that stands still until it is set. Nothing else on the way of a
 * packet asks for the time, so that the same packets at the same times fare the same.
 *
 * A virtual clock belongs to whoever drives the worker, and is set between rounds by
 * the thread that runs them. In ns.
 */
#ifndef SLUICE_ENGINE_CLOCK_H
#define SLUICE_ENGINE_CLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct clock {
	uint64_t real;	/* since 1970; may be set back, as CLOCK_REALTIME */
	uint64_t mono;	/* never runs backwards */
};

/* It is t now. What lies before the latest time so far does not move mono. */
static inline void clock_set(struct clock *clock, uint64_t t)
{
	clock->real = t;
	if (t > clock->mono)
		clock->mono = t;
}

static inline uint64_t clock_kernel(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* clock NULL: the kernel's. */
static inline uint64_t clock_real(const struct clock *clock)
{
	return clock ? clock->real : clock_kernel(CLOCK_REALTIME);
}

static inline uint64_t clock_mono(const struct clock *clock)
{
	return clock ? clock->mono : clock_kernel(CLOCK_MONOTONIC);
}

#endif
