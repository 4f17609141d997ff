/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * handler.h - the process of one client: it relays between the client and the
 * daemon, and takes the client's descriptors, whatever they are.
 *
 *   client --- request {fd} --->           --- {request, facts} ---> daemon
 *                               handler
 *   client <-- answer {0..3 fds} --        <-- answer {0..3 fds} --- daemon
 *
 * Ownership: both sockets are the process's own and are left to its exit, which
 * the caller sees to: closing them may hang.
 * Threads: the process has one. It blocks as long as the client makes it.
 */
#ifndef SLUICE_HANDLER_H
#define SLUICE_HANDLER_H

#include "daemon/porter.h"

#define HANDLER_ANSWER_FDS 3

/*
 * Relays until one side ends, the client's process has ended (whoever else holds
 * its connection), the client breaks a rule of sluice/control.h or of
 * options->request_ms, or does not read an answer for options->answer_ms. Both
 * sockets are shut down then.
 */
void handler_run(int client, int daemon, const struct porter_options *options);
/*
 * Instead, for a client over a limit: answers its first request with REFUSED,
 * EUSERS, and shuts the socket down.
 */
void refusal_run(int client);

#endif
