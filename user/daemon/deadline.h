/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * deadline.h - waiting until a time, whatever interrupts: milliseconds of
 * CLOCK_MONOTONIC.
 */
#ifndef SLUICE_DEADLINE_H
#define SLUICE_DEADLINE_H

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <time.h>

static inline int64_t deadline_in(unsigned int ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000 + ms;
}

/* Milliseconds until then, as poll(2) takes them; 0: it has passed. */
static inline int deadline_left(int64_t deadline)
{
	int64_t left = deadline - deadline_in(0);

	return left > 0 ? (int)left : 0;
}

/* poll(2) for one descriptor. > 0: ready; 0: too late; < 0: errno. */
static inline int deadline_poll(int64_t deadline, int fd, short events)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	int n;

	do {
		n = poll(&pfd, 1, deadline_left(deadline));
	} while (n < 0 && errno == EINTR);
	return n;
}

#endif
