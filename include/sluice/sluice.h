/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * sluice.h - receive on an ordinary, bound UDP socket through sluice.
 *
 *	int fd = socket(AF_INET, SOCK_DGRAM, 0);
 *	bind(fd, ...);
 *	struct sluice_sock *s;
 *	int err = sluice_attach(&s, fd, NULL);      // 0 also when no daemon runs
 *	n = sluice_recvmmsg(s, vec, 64, 0, NULL);   // instead of recvmmsg(fd, ...)
 *	sendto(fd, ...);                            // sending is untouched
 *	sluice_detach(s);
 *
 * The kernel socket stays usable and is read, too, whenever the lane is empty
 * and at least every 64 datagrams or 1 ms: what comes through the kernel
 * (before the attach, after the daemon has gone, fragments, other devices) is
 * received by the same calls. The order of datagrams is kept within the lane
 * and within the kernel socket, not between the two.
 *
 * Ownership: the library keeps the descriptor it was given but never closes it.
 * Close it after sluice_detach().
 * Threads: every call on a struct sluice_sock may come from any thread; receive
 * calls on one socket are serialised by a lock in it. sluice_detach() and
 * sluice_client_close() must be the last calls on their object.
 * fork: a child does not inherit the lane. Its receive calls read the kernel
 * socket only; what the lane receives stays with the parent.
 * Errors: functions return 0 or a count on success and -errno on failure; they
 * do not set errno. The receive calls fail as recvmsg(2) does.
 */
#ifndef SLUICE_SLUICE_H
#define SLUICE_SLUICE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sluice_client;
struct sluice_sock;

/* A connection to one daemon, shared by the sockets of a process. */

/*
 * Connects to the daemon that serves `dev` (NULL: the only daemon of the
 * calling thread's network namespace). 0; -ENOENT: no such daemon;
 * -ENOTUNIQ: several daemons, name the device; -EACCES, -ECONNREFUSED,
 * -ETIMEDOUT (2 s), -ENOMEM.
 */
int sluice_client_open(struct sluice_client **c, const char *dev);
/* Closes it once every socket attached through it has been detached. NULL is allowed. */
void sluice_client_close(struct sluice_client *c);

/* sluice_opts.flags */
#define SLUICE_REQUIRE 0x1u	/* fail where the socket cannot be accelerated: no falling back */

struct sluice_opts {
	struct sluice_client *client;	/* NULL: a connection of its own */
	const char *dev;		/* with client == NULL: as in sluice_client_open() */
	uint32_t lane_bytes;		/* ring, a power of two in [256 KiB, 64 MiB]; 0: 2 MiB */
	uint32_t flags;
};

/* Where datagrams come from now. */
enum sluice_path {
	SLUICE_PATH_KERNEL = 0,	/* kernel socket only; sluice_reason() says why */
	SLUICE_PATH_WAITING,	/* attached; waits for the rest of its SO_REUSEPORT group */
	SLUICE_PATH_LANE,	/* accelerated */
};

/*
 * Attaches the bound UDP socket fd. opts may be NULL. 0 with *s set, also when
 * the socket is served by the kernel path (no daemon, refused) unless
 * SLUICE_REQUIRE is given; then: what sluice_client_open() returns; -EPERM /
 * -EADDRINUSE / -EOPNOTSUPP / -EADDRNOTAVAIL / -EDESTADDRREQ (not bound) /
 * -EALREADY refused by the daemon; -ETIMEDOUT (5 s) / -ECONNRESET / -ENOTCONN /
 * -EPROTO the daemon went, or speaks another version. Always: -EBADF, -ENOTSOCK,
 * -EPROTOTYPE (not a UDP socket), -EINVAL (lane_bytes), -ENOMEM. On failure *s is
 * untouched.
 */
int sluice_attach(struct sluice_sock **s, int fd, const struct sluice_opts *opts);
/*
 * Ends acceleration; the kernel socket goes on. Datagrams still in the lane are
 * lost unless they were read first: sluice_stop(), read until -EAGAIN, detach.
 * NULL is allowed.
 */
void sluice_detach(struct sluice_sock *s);
/*
 * Asks the daemon to feed the kernel socket again; what is in the lane stays readable. 0
 * or -errno.
 */
int sluice_stop(struct sluice_sock *s);

enum sluice_path sluice_path(const struct sluice_sock *s);
/* Why the path is what it is: a sentence, valid until sluice_detach(); never NULL. */
const char *sluice_reason(const struct sluice_sock *s);

/*
 * As recvfrom(2), recvmsg(2) and recvmmsg(2) on the kernel socket, but the
 * result is -errno on failure. Flags: MSG_DONTWAIT, MSG_PEEK, MSG_TRUNC,
 * MSG_WAITFORONE (recvmmsg), MSG_CMSG_CLOEXEC (no effect); others go to the
 * kernel socket only (MSG_ERRQUEUE) or give -EOPNOTSUPP. O_NONBLOCK and
 * SO_RCVTIMEO of the socket are honoured as they were at the attach. Control
 * messages, where the socket asked for them before the attach: UDP_GRO, IP_PKTINFO,
 * IPV6_PKTINFO, IP_TOS, IPV6_TCLASS, IP_TTL, IPV6_HOPLIMIT, SO_TIMESTAMPNS,
 * SO_TIMESTAMP, SO_RXQ_OVFL.
 */
ssize_t sluice_recvfrom(struct sluice_sock *s, void *buf, size_t len, int flags,
			struct sockaddr *addr, socklen_t *addrlen);
ssize_t sluice_recvmsg(struct sluice_sock *s, struct msghdr *msg, int flags);
int sluice_recvmmsg(struct sluice_sock *s, struct mmsghdr *vec, unsigned int vlen, int flags,
		    struct timespec *timeout);

/* A datagram seen where it lies, without a copy. Valid until sluice_release(). */
struct sluice_view {
	const void *data;
	uint32_t len;
	uint32_t hash;		/* 0 for one that came through the kernel socket */
	uint64_t tstamp;	/* CLOCK_REALTIME ns; 0: not known */
	uint32_t ifindex;
	uint16_t gso_size;	/* UDP_GRO: of each merged datagram but perhaps the last; 0: one */
	uint16_t sport;		/* network order */
	uint8_t version;	/* 4 or 6 */
	uint8_t pad[7];
	uint8_t saddr[16];	/* IPv4: first 4 bytes */
};

/*
 * Fills up to n views with the next datagrams, without consuming them. The
 * number (>= 1); -EAGAIN when there is none (never blocks). At most one call's
 * views are held at a time: the next receive call returns -EBUSY until
 * sluice_release().
 */
int sluice_peek(struct sluice_sock *s, struct sluice_view *views, unsigned int n);
/*
 * Consumes the first n of the views of the last sluice_peek(); the others are offered
 * again. 0; -EINVAL: n too large.
 */
int sluice_release(struct sluice_sock *s, unsigned int n);

/*
 * A descriptor for poll, epoll or select that is readable when a receive call
 * would return data, through the lane or the kernel socket. Owned by s. It may
 * at times be readable without data. >= 0 or -errno.
 */
int sluice_fd(struct sluice_sock *s);

struct sluice_stats {
	uint64_t lane_datagrams;	/* received through the lane; merged ones count once */
	uint64_t kernel_datagrams;	/* received through the kernel socket */
	uint64_t lane_drops;		/* found the lane full */
	uint64_t wakeups;		/* times a receive call slept and was woken */
};
int sluice_stats(struct sluice_sock *s, struct sluice_stats *st);

#ifdef __cplusplus
}
#endif

#endif
