/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * control.h - the clients of the daemon: their requests, lanes and ends.
 *
 *   porter_next --> client --ATTACH--> attached socket: slot of shared memory,
 *                     |                wake socket, lane, judged by ports.h
 *                     +-- its connection ends, or it breaks the rules of a lane:
 *                         everything of it is detached and freed
 *
 * Control thread only. Nothing here waits for a client.
 */
#ifndef SLUICE_DAEMON_CONTROL_H
#define SLUICE_DAEMON_CONTROL_H

#include <stdint.h>
#include <sys/types.h>

#include "daemon/device.h"
#include "daemon/lanemem.h"
#include "daemon/porter.h"
#include "daemon/ports.h"
#include "daemon/rules.h"

struct tap_ring;

struct client {
	int fd;		/* its handler (porter.h) */
	pid_t pid;
	uid_t uid;
	struct lanemem mem;
	struct attached *first;
	struct tap_ring *tap;	/* NULL: it has none */
	struct client *next;
};

struct control {
	struct device *dev;
	struct ports *ports;
	struct porter *porter;
	struct rules rules;
	struct client *first;
	unsigned int nr_clients;
};

void control_init(struct control *c, struct device *dev, struct ports *ports, struct porter *porter);
/* Disconnects everyone. */
void control_destroy(struct control *c);

/* Takes the clients that have connected. -EPIPE: the porter is gone. */
int control_accept(struct control *c);
/* Answers what this client has asked; disconnects it (and frees client) when that is due. */
void control_serve(struct control *c, struct client *client);
/* Disconnects the clients that broke the rules of a lane. */
void control_drop_broken(struct control *c);

#endif
