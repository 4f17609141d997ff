/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * ports.h - decides, port by port, which attached sockets receive through
 * sluice, and puts that into effect: the engine's table, the rules, the gate.
 *
 * What the kernel would do is the measure. A port is always judged as a whole,
 * from the kernel's own list of its sockets (diag.h), whenever anything about
 * it changes: attach, detach, a report of the guard, an address added or removed.
 *
 *          attach           judged: nothing stands in the way
 *   (new) --------> WAITING --------------------------------> ACTIVE
 *                      ^ |   another socket takes part of its      |
 *                      | |   traffic: WITHDRAWN (or WAITING, in a  |
 *                      +-+-- SO_REUSEPORT group) <-----------------+
 *                      |
 *                      +---> GONE: no longer bound to the port
 *
 * Order of changes: in, table first, then rules, then the gate; out, the gate
 * first, then the packets under way, then the table. Control thread only.
 */
#ifndef SLUICE_DAEMON_PORTS_H
#define SLUICE_DAEMON_PORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sluice/lane.h>

#include "daemon/device.h"
#include "daemon/diag.h"
#include "engine/sock.h"
#include "engine/udp.h"

struct client;
struct port;

/* An attached socket, as the control thread sees it. */
struct attached {
	struct sock sk;
	struct client *client;
	uint32_t slot;			/* in the client's lanemem */
	uint16_t port;			/* host order */
	bool reuseport;
	bool stopped;			/* the client asked for the kernel path */
	bool installed;			/* in the engine's table */
	uint32_t uid;			/* of the kernel socket */
	struct udp_key key;		/* as last read from the kernel */
	enum sluice_lane_state state;
	int error;			/* while not active: -errno, and why in words */
	char why[160];
	struct attached *next;		/* of the client */
	struct attached *next_on_port;
};

struct ports {
	struct device *dev;		/* NULL before ports_start() */
	struct diag diag;
	struct port_local {
		struct sluice_addr addr;
		uint32_t ifindex;
	} *local;			/* unicast addresses of this host */
	unsigned int nr_local;
	struct port *port[65536];	/* by host order; NULL: nothing attached */
};

/* -errno of diag_open(). From here on addresses may be added. */
int ports_init(struct ports *ports);
/*
 * dev must outlive ports. Hands it the addresses; from here on sockets may be attached.
 * -errno of bpf(2).
 */
int ports_start(struct ports *ports, struct device *dev);
/* Everything must have been detached. */
void ports_destroy(struct ports *ports);

/*
 * Adds a, whose port, reuseport and sk are set and whose lane works. 0: active
 * or waiting. -EADDRINUSE, -EADDRNOTAVAIL, -EOPNOTSUPP, -ENOTCONN (not on that
 * port): a was not added, a->why says why.
 */
int ports_attach(struct ports *ports, struct attached *a);
/* Removes it. On return no worker uses a any more. */
void ports_detach(struct ports *ports, struct attached *a);
/* The kernel path again; on return everything sluice took for a is in its lane. */
void ports_stop(struct ports *ports, struct attached *a);

/* Something changed on this port, or on any. */
void ports_judge(struct ports *ports, uint16_t port);
void ports_judge_all(struct ports *ports);
/*
 * Looks at the kernel's whole list once and judges the ports on which it is no
 * longer what the last judgement saw. -errno of diag_udp_all().
 */
int ports_check(struct ports *ports);

/* This host gained or lost a unicast address. -ENOMEM, -errno of bpf(2). */
int ports_local_add(struct ports *ports, const struct sluice_addr *addr, uint32_t ifindex);
void ports_local_del(struct ports *ports, const struct sluice_addr *addr);

/* Does its binding take datagrams of this family? */
bool ports_takes(const struct attached *a, bool ipv6);
/* The counter (steer_counter_read) of the rule that feeds it with this family; 0: there is none. */
uint32_t ports_counter(const struct ports *ports, const struct attached *a, bool ipv6);

/* The attached socket with this cookie that is still bound, or NULL. */
struct attached *ports_find(const struct ports *ports, uint16_t port, uint64_t cookie);

#endif
