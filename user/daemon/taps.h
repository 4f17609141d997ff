/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * taps.h - the taps of clients (sluice dump): one per connection, gone with it.
 *
 *   TAP --> rings in the client's memory (lanemem.h) --> engine/tap_ring.h --> TAPPED
 *
 * Filters are the client's business: the daemon runs none, and what a copy costs is the same
 * whatever is looked for. Control thread only.
 */
#ifndef SLUICE_DAEMON_TAPS_H
#define SLUICE_DAEMON_TAPS_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

struct client;
struct control;
struct sluice_ctl_msg;

/*
 * request: TAP, of root. 0, and answer->u.tapped is filled in; -EBUSY: the connection has a tap, or
 * sockets; -EINVAL; -ENOSPC, -ENOMEM: with a sentence in why. On failure nothing is left.
 */
int taps_open(struct control *c, struct client *client, const struct sluice_ctl_msg *request,
	      struct sluice_ctl_msg *answer, char *why, size_t len);
/* Also of a client without. */
void taps_close(struct control *c, struct client *client);

/* Its reader has written what cannot be true. */
bool taps_broken(const struct client *client);

/* All taps, with what they copied and lost. */
json_object *taps_answer(const struct control *c);

#endif
