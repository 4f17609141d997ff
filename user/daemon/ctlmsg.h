/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * ctlmsg.h - messages with descriptors between client, porter, handler and
 * daemon, and what makes one a request (sluice/control.h).
 *
 * Ownership: descriptors sent stay the caller's; received ones (CLOEXEC) are the
 * caller's to close, so only a process that may hang receives from a client.
 * Threads: any. Nothing here blocks.
 * Errors: -errno.
 */
#ifndef SLUICE_CTLMSG_H
#define SLUICE_CTLMSG_H

#include <stddef.h>
#include <sys/types.h>
#include "sluice/control.h"

/* Linux's SCM_MAX_FD: one message never carries more. */
#define CTLMSG_FDS 253

/*
 * Whether len bytes at buf, sent along with nfds descriptors, are a request
 * (sluice/control.h). 0 with *out filled; -EBADMSG: length or magic; -EPROTO:
 * version, type or number of descriptors. Pure.
 */
int control_check(const void *buf, size_t len, unsigned int nfds, struct sluice_ctl_msg *out);

/* Sends len bytes with nfds <= CTLMSG_FDS descriptors. len; or as sendmsg(2). */
ssize_t ctlmsg_send(int sock, const void *buf, size_t len, const int *fds, unsigned int nfds);
/*
 * Receives one message and up to CTLMSG_FDS descriptors; *nfds is CTLMSG_FDS + 1
 * where some were lost. Its length (at most len); 0: end; else as recvmsg(2), with
 * *nfds untouched.
 */
ssize_t ctlmsg_recv(int sock, void *buf, size_t len, int fds[CTLMSG_FDS], unsigned int *nfds);

#endif
