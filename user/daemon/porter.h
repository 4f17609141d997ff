/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * porter.h - keeps what clients pass out of the daemon.
 *
 * close() and getsockopt() on a descriptor that a client passed can hang for as
 * long as the client likes (FUSE, SO_LINGER, a socket whose lock is held). So no
 * such descriptor may ever reach the daemon, not even in a receive queue that it
 * would close. Small processes take them instead, and hand on only facts:
 *
 *   client --- control socket ---> porter       one process; accepts, forks
 *   client <---- requests ------> handler       one process per client
 *   daemon <-- {request, facts} - handler       the daemon's socket of that client
 *   daemon --- answer, 0..3 fds -> handler ----> client
 *   daemon <--- new client ------ porter
 *
 * A handler stuck in a system call holds up its own client only. Where even a
 * refusal might hang (the refused client's queue holds descriptors), a process of
 * its own does that, too. Porter and handlers end when the daemon does, however
 * it does; the socket file goes with them.
 *
 * This header is the daemon's side; door.h is the porter's, handler.h a handler's.
 *
 * Ownership: struct porter and its descriptor belong to the caller of
 * porter_start() until porter_stop(). A client's socket belongs to the caller of
 * porter_next(), who closes it to disconnect the client.
 * Threads: one at a time. porter_start() forks without exec: call it in the main
 * thread before any thread, BPF object or AF_XDP socket exists.
 * Errors: 0 or -errno. No call but porter_start() and porter_stop() blocks.
 */
#ifndef SLUICE_PORTER_H
#define SLUICE_PORTER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "sluice/control.h"

struct porter;

/* Zero, or a NULL pointer for all of it, means the default. */
struct porter_options {
	const char *dir;		/* SLUICE_CTL_DIR; made with mode 0755 where missing */
	unsigned int clients;		/* 256, which is also the most; more get REFUSED, EUSERS */
	unsigned int clients_per_uid;	/* 64; of one user other than root */
	unsigned int request_ms;	/* 10,000; from connect to the first request */
	unsigned int answer_ms;		/* 5,000; for a client that does not read its answers */
};

/*
 * Opens the control socket <dir>/<netns cookie>-<ifname>.sock of the caller's
 * network namespace and starts the porter. The socket of a daemon that died is
 * replaced. -EADDRINUSE: a daemon serves it; -EINVAL: ifname; -ENAMETOOLONG;
 * -EPERM: dir is not a directory that only this user can write; else as
 * socket(2), bind(2), fork(2).
 */
int porter_start(struct porter **p, const char *ifname, const struct porter_options *options);
/*
 * Removes the control socket and ends porter and handlers; at most a second.
 * Closes none of the clients' sockets. NULL is allowed.
 */
void porter_stop(struct porter *p);

const char *porter_path(const struct porter *p);
uint64_t porter_netns_cookie(const struct porter *p);

struct porter_client {
	int fd;		/* for porter_recv() and porter_reply() */
	pid_t pid;	/* of the client, as SO_PEERCRED says */
	uid_t uid;
};

/* Readable when porter_next() has something to say. */
int porter_fd(const struct porter *p);
/* A new client. -EAGAIN: none; -EPIPE: the porter process is gone, no client will come any more. */
int porter_next(struct porter *p, struct porter_client *client);

/* What the handler found out about the descriptor of an ATTACH; for other requests all 0. */
struct porter_facts {
	uint64_t cookie;	/* SO_COOKIE */
	uint64_t netns_cookie;	/* SO_NETNS_COOKIE */
	int32_t error;		/* 0; or errno, positive: no UDP socket, the rest is 0 */
	int32_t domain;		/* AF_INET, AF_INET6 */
	int32_t type;		/* SOCK_DGRAM */
	int32_t protocol;	/* IPPROTO_UDP */
	int32_t filter;		/* instructions of a classic filter; 0: none; -EACCES: eBPF */
	int32_t encap;		/* UDP_ENCAP; 0: none */
	uint32_t ifindex;	/* SO_BINDTOIFINDEX; 0: none */
	uint16_t port;		/* local port when it was looked at, host order; 0: unbound */
	uint8_t reuseport;
	uint8_t v6only;
	uint8_t transparent;	/* IP_TRANSPARENT: whoever set it may receive for others */
};

struct porter_request {
	struct sluice_ctl_msg msg;	/* passed control_check(), ctlmsg.h */
	struct porter_facts facts;
};

/* The client's next request. -EAGAIN: none; -EPIPE: client gone; -EBADMSG: not from a handler. */
int porter_recv(int fd, struct porter_request *request);
/*
 * Answers. nfds <= 3 descriptors go with the message; they stay the caller's.
 * -EAGAIN: the client does not read its answers and should be dropped;
 * -EPIPE: it is gone; -EINVAL: nfds; else as sendmsg(2).
 */
int porter_reply(int fd, const struct sluice_ctl_msg *msg, const int *fds, unsigned int nfds);

#endif
