/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * door.h - the porter process: accepts clients, keeps to the limits, and gives
 * each client a process of its own. It never touches what clients send.
 *
 *                 accept4()
 *   listener ---> door_run() --- over a limit ---> child: refusal_run()
 *                     |                     `--- no process free: held, shut down
 *                     +---> daemon: struct arrival {daemon's end of a pair}
 *                     `---> child: handler_run()
 *
 * Ownership: the process keeps listener and daemon (and 0 to 2, /dev/null) and
 * closes everything else that it inherited. A connection belongs to one child;
 * those held belong to the door until a process can close them.
 * Threads: the process has one. Only poll(2) blocks it.
 */
#ifndef SLUICE_DOOR_H
#define SLUICE_DOOR_H

#include <sys/types.h>
#include "daemon/porter.h"

/* Of porter_options.clients: the places in the table of children. */
#define DOOR_CLIENTS_MAX 256

/* To the daemon for each client, with the daemon's end of the pair with the handler. */
struct arrival {
	pid_t pid;
	uid_t uid;
};

/*
 * Returns when the other end of `daemon` is closed, or when the process cannot
 * be set up; the process must end then. Its children end with it.
 */
void door_run(int listener, int daemon, const struct porter_options *options);

#endif
