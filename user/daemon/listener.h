/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * listener.h - the control socket as a file, <dir>/<netns cookie>-<ifname>.sock:
 * one daemon listens there at a time, and what a dead one left is replaced.
 *
 * Ownership: struct listener is the caller's; its descriptor, too, which he may
 * close at any time. The file is there until listener_remove(), which any process
 * with a copy of the struct may call.
 * Threads: one at a time. Daemons that start together are kept apart by a lock
 * in the directory.
 */
#ifndef SLUICE_LISTENER_H
#define SLUICE_LISTENER_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

struct listener {
	int fd;			/* listens; CLOEXEC, not blocking */
	uint64_t netns_cookie;	/* of the caller's network namespace */
	dev_t dev;		/* of the socket file, so that nobody else's is removed */
	ino_t ino;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

/*
 * Errors as porter_start(), and nothing is left behind then. Waits up to 150 ms
 * for the porter of a daemon that has just died.
 */
int listener_open(struct listener *l, const char *dir, const char *ifname);
/* Removes the socket file, unless it is another daemon's by now. */
void listener_remove(const struct listener *l);

#endif
