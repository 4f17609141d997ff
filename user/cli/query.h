/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/* query.h - asks the daemon of this network namespace for a document, or to change something. */
#ifndef SLUICE_CLI_QUERY_H
#define SLUICE_CLI_QUERY_H

#include <json-c/json.h>
#include <stdint.h>

#include "sluice/control.h"

/* SO_NETNS_COOKIE of the caller's network namespace. 0, or -errno of socket(2). */
int query_netns_cookie(uint64_t *cookie);

/*
 * Asks the daemon that serves dev (NULL: the only daemon of the caller's network
 * namespace). 0 with *doc, which the caller puts; -1: has told the user of
 * `command` why not.
 */
int query_daemon(const char *command, const char *dev, enum sluice_ctl_query what,
		 struct json_object **doc);

/*
 * A connection for several requests in a row. A descriptor, which the caller closes; -1:
 * has told the user.
 */
int open_daemon(const char *command, const char *dev);
/* One request over it; as request_daemon(). */
int ask_daemon(const char *command, const char *dev, int sock, struct sluice_ctl_msg *msg,
	       struct json_object **doc);

/*
 * The same for a request whose type and content are set, the rest is filled in. doc is
 * NULL where DONE is the answer.
 */
int request_daemon(const char *command, const char *dev, struct sluice_ctl_msg *msg,
		   struct json_object **doc);

/*
 * One request over it whose answer, of the type wanted, comes with nfds descriptors. 0, and msg is
 * the answer; -1: has told the user.
 */
int ask_for_fds(const char *command, const char *dev, int sock, struct sluice_ctl_msg *msg,
		enum sluice_ctl_type want, int *fds, unsigned int nfds);

#endif
