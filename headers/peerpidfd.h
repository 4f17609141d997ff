/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * Linux 6.5: getsockopt(SOL_SOCKET) that gives a pidfd of the process that connected an
 * AF_UNIX socket.
 */
#ifndef SLUICE_PEERPIDFD_H
#define SLUICE_PEERPIDFD_H

#include <sys/socket.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

#endif
