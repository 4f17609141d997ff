// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "daemon/watch.h"

#include <errno.h>
#include <string.h>

#include "daemon/deadline.h"

static bool is_exact(const struct watch *w)
{
	return w->guarded && guard_kind(&w->guard) == GUARD_TRACING;
}

void watch_open(struct watch *w, struct ports *ports, uint64_t netns_cookie)
{
	memset(w, 0, sizeof(*w));
	w->ports = ports;
	w->guard_error = guard_open(&w->guard, steer_bind_port_fd(&ports->dev->steer),
				    netns_cookie);
	w->guarded = !w->guard_error;
	if (!is_exact(w))
		w->check_at = deadline_in(WATCH_CHECK_MS);
}

void watch_close(struct watch *w)
{
	if (w->guarded)
		guard_close(&w->guard);
	w->guarded = false;
}

const char *watch_warning(const struct watch *w)
{
	if (is_exact(w))
		return NULL;
	if (w->guarded)
		return "the kernel allows no fentry programs (no BTF, or lockdown): changes of attached sockets are "
		       "seen by cgroup hooks, a disconnect only within 100 ms";
	return "the kernel allows neither fentry nor cgroup programs: changes of attached sockets are seen "
	       "within 100 ms only";
}

int watch_fd(const struct watch *w)
{
	return w->guarded ? guard_fd(&w->guard) : -1;
}

int watch_timeout_ms(const struct watch *w)
{
	int64_t at = w->check_at, left;

	if (w->settle_at && (!at || w->settle_at < at))
		at = w->settle_at;
	if (!at)
		return -1;
	left = at - deadline_in(0);
	return left > 0 ? (int)left : 0;
}

static void settle_port(struct watch *w, uint16_t port)
{
	w->arriving[port / 64] |= 1ull << (port % 64);
	w->some_arriving = true;
}

static void take_events(struct watch *w)
{
	uint16_t port;
	int err;

	while ((err = guard_next(&w->guard, &port)) != -EAGAIN) {
		if (err == -ENOBUFS)
			ports_judge_all(w->ports);
		else if (err)
			return;
		else if (is_exact(w))
			ports_judge(w->ports, port);
		else
			settle_port(w, port);
	}
}

static void judge_settled(struct watch *w, int64_t now)
{
	if (w->settle_at && now >= w->settle_at) {
		for (uint32_t port = 0; port < 65536; port++) {
			if (w->settling[port / 64] & 1ull << (port % 64))
				ports_judge(w->ports, (uint16_t)port);
		}
		memset(w->settling, 0, sizeof(w->settling));
		w->settle_at = 0;
	}
	if (!w->settle_at && w->some_arriving) {
		memcpy(w->settling, w->arriving, sizeof(w->settling));
		memset(w->arriving, 0, sizeof(w->arriving));
		w->some_arriving = false;
		w->settle_at = now + GUARD_SETTLE_MS;
	}
}

void watch_serve(struct watch *w)
{
	int64_t now;

	if (w->guarded)
		take_events(w);
	now = deadline_in(0);
	judge_settled(w, now);
	if (w->check_at && now >= w->check_at) {
		/* What failed is tried again at the next check. */
		ports_check(w->ports);
		w->check_at = deadline_in(WATCH_CHECK_MS);
	}
}
