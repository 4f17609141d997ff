/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * lib.h - what the files of the client library share.
 *
 *	client   the connection to a daemon: one request, one answer, a deadline
 *	attach   a socket's life: attach, stop, detach, path and reason
 *	lane     the mapped ring: walk the records, give them back
 *	cmsg     control messages of a record
 *	recv     recvfrom, recvmsg, recvmmsg: lane, stash and kernel into msghdr
 *	view     peek and release; the stash of kernel datagrams shown by a peek
 *	wait     arming, sleeping, sluice_fd()
 *
 * Locking: live->lock of a socket guards everything in its struct live, and is
 * never held while a thread sleeps; the lock of a client is held for a whole
 * request. A socket's lock is never taken inside a client's.
 *
 * Fork: struct live lies in a page which the kernel clears in a child, and a
 * page of zeros is a socket on the kernel path with its lock free. So a child
 * needs no check anywhere: it has no lane, no stash and no epoll descriptor.
 */
#ifndef SLUICE_LIB_H
#define SLUICE_LIB_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

#pragma GCC visibility push(default)
#include <sluice/sluice.h>
#pragma GCC visibility pop

#include <sluice/control.h>
#include <sluice/lane.h>

#define LIB_NSEC 1000000000ll
#define LIB_NEVER INT64_MAX

/* How long a program waits for a daemon that does not answer, before it is served by the kernel. */
#define LIB_CONNECT_NS (2 * LIB_NSEC)
#define LIB_REQUEST_NS (5 * LIB_NSEC)

/*
 * While the lane is busy, the kernel socket is read after so many records or
 * so much time. Lower: more system calls on the hot path. Higher: fragments and
 * what came before the attach wait longer.
 */
#define LIB_KERNEL_RECORDS 64
#define LIB_KERNEL_NS 1000000

struct client_live {
	pthread_mutex_t lock;
	bool mine;		/* false in a forked child: the connection is the parent's */
	bool broken;
	uint32_t id;
};

struct sluice_client {
	int fd;
	int refs;		/* atomic: the opener and every socket */
	struct client_live *live;
};

/* The client's end of a lane; positions count bytes for ever, as in lane.h. */
struct lane {
	const struct sluice_lane_head *head;	/* NULL: no lane */
	struct sluice_lane_ctl *ctl;
	const uint8_t *ring;
	uint64_t size;
	uint64_t pos;		/* next record to read */
	uint64_t published;	/* consumer as the daemon knows it */
	uint64_t producer;	/* as last loaded */
	bool bad;		/* met a record that cannot be */
	void *data_map, *ctl_map;
	size_t data_len, ctl_len;
};

enum lib_source {
	LIB_NONE = 0,
	LIB_LANE,
	LIB_KERNEL,
};

struct stash;

struct live {
	pthread_mutex_t lock;
	bool mine;		/* false in a forked child */
	bool dead;		/* the daemon let go of the lane: it only runs empty */
	bool stopped;
	bool polled;		/* the program holds sluice_fd() */
	bool raised;		/* see wait.c */
	bool held_stash;	/* the held views are the stash's */
	int epoll_plus1;	/* 0: none yet */
	int err;		/* -errno, to be reported by the next call */
	unsigned int sleepers;
	unsigned int held;	/* views given out by sluice_peek() */
	uint64_t held_end;
	unsigned int since_kernel;	/* lane records since the kernel socket was read */
	int64_t kernel_ns;		/* when that was; 0: not noted */
	enum lib_source peeked;		/* MSG_PEEK showed a datagram from there: it comes next */
	const char *why;		/* static text; why the lane died */
	struct lane lane;
	struct stash *stash;
	uint64_t lane_datagrams, wakeups;
	uint64_t kernel_datagrams;	/* atomic: also counted without the lock */
};

/* Which control messages the socket asked for. */
#define LIB_CMSG_TSTAMP 0x001u
#define LIB_CMSG_TSTAMPNS 0x002u
#define LIB_CMSG_RXQ_OVFL 0x004u
#define LIB_CMSG_GRO 0x008u
#define LIB_CMSG_PKTINFO 0x010u
#define LIB_CMSG_TTL 0x020u
#define LIB_CMSG_TOS 0x040u
#define LIB_CMSG_PKTINFO6 0x080u
#define LIB_CMSG_HOPLIMIT 0x100u
#define LIB_CMSG_TCLASS 0x200u

struct sluice_sock {
	int fd;			/* the program's */
	int wake;		/* -1: none */
	int family;
	uint32_t cmsgs;		/* LIB_CMSG_* */
	bool nonblock;
	int64_t rcvtimeo;	/* ns; LIB_NEVER: none */
	uint32_t slot;
	struct sluice_client *client;
	struct live *live;
	uint32_t text_state;	/* enum sluice_lane_state that text belongs to */
	char text[SLUICE_CTL_TEXT];	/* why the kernel serves, or the daemon's words */
};

static inline int64_t lib_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * LIB_NSEC + ts.tv_nsec;
}

/* What is left until `deadline`; zero once it has passed. */
static inline struct timespec lib_left(int64_t deadline)
{
	int64_t left = deadline - lib_now();

	if (left < 0)
		left = 0;
	return (struct timespec){ .tv_sec = left / LIB_NSEC, .tv_nsec = (long)(left % LIB_NSEC) };
}

/* client.c */
/* Zeroed memory that is zeroed again in a forked child; NULL: none left. */
void *lib_page_new(size_t len);
void lib_page_free(void *page, size_t len);
uint64_t lib_netns_cookie(int fd);
int lib_client_open(struct sluice_client **c, const char *dev, uint64_t cookie);
void lib_client_put(struct sluice_client *c);
/* Ends the connection without waiting: the daemon then feeds the kernel again. */
void lib_client_break(struct sluice_client *c);
/*
 * Sends *msg (with fd, unless -1) and waits for its answer, which replaces it.
 * fds: room for three descriptors, -1 where none came; they are the caller's.
 * 0; -ENOTCONN, -ECONNRESET, -ETIMEDOUT, -EPROTO: and the connection has ended.
 */
int lib_client_request(struct sluice_client *c, struct sluice_ctl_msg *msg, int fd, int fds[3]);

/* attach.c */
/* The daemon let go: what is in the lane stays readable, nothing will follow. `why` is static. */
void lib_lane_dead(struct sluice_sock *s, const char *why);

/* lane.c */
int lib_lane_map(struct lane *lane, int data_fd, int ctl_fd, const struct sluice_ctl_msg *msg);
void lib_lane_unmap(struct lane *lane);
/*
 * The record at *pos, and in *next where the one behind it starts; NULL when
 * there is none. *pos moves over a skip record.
 */
const struct sluice_rec *lib_lane_at(struct lane *lane, uint64_t *pos, uint64_t *next);
/* Gives everything before lane->pos back to the daemon. */
void lib_lane_publish(struct lane *lane);

static inline bool lib_lane_empty(struct lane *lane)
{
	uint64_t next;

	return !lib_lane_at(lane, &lane->pos, &next);
}

/* cmsg.c */
/* Fills msg_control of *m for a record with what the socket asked for, and sets MSG_CTRUNC. */
void lib_cmsg_rec(const struct sluice_sock *s, const struct sluice_rec *rec, struct msghdr *m);
/* The same with the control messages of another message. */
void lib_cmsg_copy(const struct msghdr *from, struct msghdr *m);

/* recv.c */
/* Is it time to read the kernel socket although the lane has data? */
bool lib_kernel_due(struct live *l);
void lib_kernel_read(struct live *l, unsigned int datagrams);

/* view.c */
unsigned int lib_stash_left(const struct live *l);
/* The oldest datagram of the stash; the caller copies out of it before lib_stash_drop(). */
const struct mmsghdr *lib_stash_first(const struct live *l);
void lib_stash_drop(struct live *l, unsigned int n);
void lib_stash_free(struct live *l);

/* wait.c */
/* Call at the end of every call that received: keeps poll on the epoll descriptor truthful. */
void lib_settle(struct sluice_sock *s, bool nothing);
/*
 * Sleeps, with the lock released, until there may be data. tries: how often
 * this call has slept in vain. 0; -EAGAIN at the deadline; -EINTR.
 */
int lib_wait(struct sluice_sock *s, int64_t deadline, unsigned int tries);
/* Looks whether the daemon still holds its end of the wake socket; does not drain it. */
void lib_check_alive(struct sluice_sock *s);
/* Takes a dead wake socket out of the epoll descriptor. */
void lib_wake_remove(struct sluice_sock *s);

#endif
