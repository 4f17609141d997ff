/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * judge.h - may the attached sockets of a port receive through sluice? Only where
 * the rule that this takes can catch no datagram which the kernel would give to a
 * socket that is not attached.
 *
 * Decides, and writes down the decision in struct attached (key, uid, state, error,
 * why); ports.h puts it into effect. Control thread only.
 */
#ifndef SLUICE_DAEMON_JUDGE_H
#define SLUICE_DAEMON_JUDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/ports.h"

/*
 * first: the attached sockets of a port (next_on_port); list: all of the kernel's
 * sockets on it. Afterwards each is ACTIVE, WAITING, WITHDRAWN or GONE.
 */
void judge_socks(const struct ports *ports, struct attached *first, const struct diag_sock *list,
		 unsigned int n);

/* The number of a's SO_REUSEPORT group among the sockets of its port; 0: none. */
uint32_t judge_group(struct attached *first, const struct attached *a);

/* Puts down that a is not active, and why. */
void judge_refuse(struct attached *a, enum sluice_lane_state state, int error, const char *why);

/* The socket with this cookie, or NULL. */
struct attached *judge_find(struct attached *first, uint64_t cookie);

/* Which families a socket takes. */
bool judge_takes_v4(const struct udp_key *key);
bool judge_takes_v6(const struct udp_key *key);

/* A unicast address of this host. */
bool judge_is_local(const struct ports *ports, const struct sluice_addr *addr);

#endif
