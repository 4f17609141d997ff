/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * watch.h - has the ports judged again (ports.h) when the kernel's sockets change.
 *
 *   guard by tracing   judged as soon as an event is read: it comes after the change
 *   guard by cgroup    an event may come before the change, and some changes give
 *                      none: judged after a while, and checked periodically
 *   no guard           checked periodically
 *
 * In all three the guard, if there is one, has shut the port's gate before the
 * event is read. Control thread only.
 */
#ifndef SLUICE_DAEMON_WATCH_H
#define SLUICE_DAEMON_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/guard.h"
#include "daemon/ports.h"

/*
 * Where changes can go unseen, how long at most one does. Lower: the kernel's
 * socket list is read more often (some 2 ms for 4,000 sockets); higher: an
 * attached socket keeps for longer what is no longer its own.
 */
#define WATCH_CHECK_MS 100

struct watch {
	struct ports *ports;
	struct guard guard;
	bool guarded;
	int guard_error;	/* why there is no guard */
	int64_t check_at;	/* ms of CLOCK_MONOTONIC; 0: never */
	int64_t settle_at;	/* 0: nothing waits */
	/* Bit per port. Events that come while some wait must wait for their own full time. */
	uint64_t settling[1024], arriving[1024];
	bool some_arriving;
};

void watch_open(struct watch *w, struct ports *ports, uint64_t netns_cookie);
void watch_close(struct watch *w);

/* What the operator should know about how sockets are watched, or NULL when nothing is amiss. */
const char *watch_warning(const struct watch *w);

/* For poll(2): -1 when there is none; how long to wait at most, -1: for ever. */
int watch_fd(const struct watch *w);
int watch_timeout_ms(const struct watch *w);
/* Call when the descriptor is readable, and whenever poll(2) has returned. */
void watch_serve(struct watch *w);

#endif
