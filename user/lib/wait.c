// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Arming, sleeping and sluice_fd().
 *
 * Sleeping calls and the program's own poll share one epoll descriptor, made
 * when first needed, which holds the wake socket and the kernel socket. What
 * must hold whenever the lock is free: data which a receive call would return
 * makes the epoll descriptor readable. The kernel socket sees to that itself.
 * For the lane, three bits decide:
 *
 *	A  ctl->armed: the worker owes a byte with its next record
 *	P  a byte (or the end of file) is pending on the wake socket
 *	R  live->raised: one socket of the set is watched for EPOLLOUT, too, which
 *	   it nearly always reports, and so keeps the set readable
 *
 *	            arm(): drain, A = 1, fence (E), look
 *	  .-----------------------------------------------------------.
 *	  |                                                           |
 *	  v                  worker: record, A = 0, byte              |
 *	[A, empty] ------------------------------------------> [P, data] --.
 *	  |    ^                                                 |    ^    | records
 *	  |    |                        the call took all of it  v    '----'
 *	  |    '----------------------- arm() -------------- [P, empty]
 *	  |
 *	  | the look finds a record whose worker may have seen A = 0: no byte is
 *	  v sure to come
 *	[A, data] -- lib_settle(): R = 1 --> [A, R, data] -- emptied: R = 0 --> [A, empty]
 *
 * Only [A, data] breaks the rule, and so raises R. A fresh lane may start there
 * too. A == 0 with data means that the byte is pending or about to be sent.
 *
 * A byte may come late, after a drain and a new arming. So a call which found
 * nothing always drains, or such a byte would keep poll returning for ever.
 *
 * Arming costs a system call here and one in the worker. A program that only
 * calls receive functions pays for it when it is about to sleep; one that polls
 * sluice_fd(), at the end of the call which left the lane empty.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lib.h"

/* After so many fruitless wake-ups in one call the sleep no longer watches the kernel socket. */
#define WAIT_TRIES 4
#define WAIT_BACKOFF_NS 1000000

static int epoll_of(const struct live *l)
{
	return l->epoll_plus1 - 1;
}

static int watch(const struct live *l, int op, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data = { .fd = fd } };

	return epoll_ctl(epoll_of(l), op, fd, &ev) ? -errno : 0;
}

static bool has_wake(const struct sluice_sock *s)
{
	return s->live->lane.head && !s->live->dead;
}

/*
 * The wake socket is always writable, since nothing is ever written to it. Once
 * it is gone the kernel socket serves: a full send buffer delays it only.
 */
static void raise_epoll(struct sluice_sock *s, bool on)
{
	struct live *l = s->live;

	if (on == l->raised)
		return;
	watch(l, EPOLL_CTL_MOD, has_wake(s) ? s->wake : s->fd, on ? EPOLLIN | EPOLLOUT : EPOLLIN);
	l->raised = on;
}

static int open_epoll(struct sluice_sock *s)
{
	struct live *l = s->live;
	int fd, err;

	if (l->epoll_plus1)
		return 0;
	fd = epoll_create1(EPOLL_CLOEXEC);
	if (fd < 0)
		return -errno;
	l->epoll_plus1 = fd + 1;
	err = watch(l, EPOLL_CTL_ADD, s->fd, EPOLLIN);
	if (!err && has_wake(s))
		err = watch(l, EPOLL_CTL_ADD, s->wake, EPOLLIN);
	if (err) {
		close(fd);
		l->epoll_plus1 = 0;
	}
	return err;
}

void lib_wake_remove(struct sluice_sock *s)
{
	struct live *l = s->live;

	if (!l->epoll_plus1)
		return;
	watch(l, EPOLL_CTL_DEL, s->wake, 0);
	if (l->raised)	/* it was raised on the wake socket */
		l->raised = false;
}

static bool armed(const struct live *l)
{
	return __atomic_load_n(&l->lane.ctl->armed, __ATOMIC_RELAXED);
}

/* One byte at most comes for each arming, so one read is a full drain but for a late byte. */
static void arm(struct sluice_sock *s)
{
	struct live *l = s->live;
	char buf[64];
	ssize_t n;

	if (!has_wake(s))
		return;
	n = recv(s->wake, buf, sizeof(buf), MSG_DONTWAIT);
	if (!n || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		lib_lane_dead(s, "the daemon has gone");
		return;
	}
	__atomic_store_n(&l->lane.ctl->armed, 1, __ATOMIC_RELAXED);
	__sync_synchronize();	/* (E) pairs with the worker's (F) */
}

void lib_check_alive(struct sluice_sock *s)
{
	struct pollfd p = { .fd = s->wake, .events = POLLRDHUP };

	/* not by reading: a byte may lie before the end of file */
	if (has_wake(s) && poll(&p, 1, 0) > 0)
		lib_lane_dead(s, "the daemon has gone");
}

void lib_settle(struct sluice_sock *s, bool nothing)
{
	struct live *l = s->live;
	bool left;

	if (!l->epoll_plus1 || !(l->polled || l->sleepers))
		return;
	left = !lib_lane_empty(&l->lane);
	if (l->polled && !left && has_wake(s) && (nothing || !armed(l))) {
		arm(s);
		left = !lib_lane_empty(&l->lane);
	}
	raise_epoll(s, lib_stash_left(l) || (left && (l->dead || armed(l))));
}

/*
 * An error that stays on the kernel socket (an unread error queue) makes poll
 * return at once without anything to receive, again and again. The back-off
 * then bounds the loop at 1000 rounds a second and the kernel path's delay at 1 ms.
 */
int lib_wait(struct sluice_sock *s, int64_t deadline, unsigned int tries)
{
	bool backoff = tries > WAIT_TRIES;
	struct live *l = s->live;
	struct pollfd p[2] = { { .fd = s->wake, .events = POLLIN },
			       { .fd = s->fd, .events = POLLIN } };
	struct timespec left;
	nfds_t n = 2;
	int ready, err;

	if (!open_epoll(s)) {
		p[0].fd = epoll_of(l);
		n = 1;
	}
	arm(s);
	if (!has_wake(s) || !lib_lane_empty(&l->lane))
		return 0;
	raise_epoll(s, false);
	if (backoff) {
		int64_t soon = lib_now() + WAIT_BACKOFF_NS;

		p[0].fd = s->wake;
		n = 1;
		backoff = soon < deadline;
		deadline = backoff ? soon : deadline;
	}
	l->sleepers++;
	pthread_mutex_unlock(&l->lock);
	left = lib_left(deadline);
	ready = ppoll(p, n, deadline == LIB_NEVER ? NULL : &left, NULL);
	err = ready < 0 ? -errno : 0;
	pthread_mutex_lock(&l->lock);
	l->sleepers--;
	if (ready > 0)
		l->wakeups++;
	return ready || backoff ? err : -EAGAIN;
}

int sluice_fd(struct sluice_sock *s)
{
	struct live *l = s->live;
	int ret;

	pthread_mutex_lock(&l->lock);
	ret = open_epoll(s);
	if (!ret && !l->polled) {
		l->polled = true;
		lib_settle(s, true);
	}
	if (!ret)
		ret = epoll_of(l);
	pthread_mutex_unlock(&l->lock);
	return ret;
}
