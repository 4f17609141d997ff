// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * The receive calls. Order of sources in one call: the stash, the kernel socket
 * if it is its turn, the lane, and the kernel socket when the lane is empty.
 * Once there is no lane, they are the kernel's own calls.
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <string.h>

#include "lib.h"

#define RECV_FLAGS (MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC | MSG_WAITFORONE | MSG_CMSG_CLOEXEC)

/* One call: vec[0 .. n) are filled, the rest is untouched. */
struct batch {
	struct mmsghdr *vec;
	unsigned int vlen, n;
	int flags;
	bool drained;		/* the kernel socket had no more */
	bool expired;		/* recvmmsg's timeout is over */
	int64_t deadline;	/* LIB_NEVER: no timeout was given */
};

bool lib_kernel_due(struct live *l)
{
	int64_t now;

	if (l->since_kernel >= LIB_KERNEL_RECORDS)
		return true;
	now = lib_now();
	if (!l->kernel_ns)
		l->kernel_ns = now;
	return now - l->kernel_ns >= LIB_KERNEL_NS;
}

void lib_kernel_read(struct live *l, unsigned int datagrams)
{
	l->since_kernel = 0;
	l->kernel_ns = 0;
	__atomic_fetch_add(&l->kernel_datagrams, datagrams, __ATOMIC_RELAXED);
}

static bool full(const struct batch *b)
{
	return b->n == b->vlen || b->expired;
}

/* Linux looks at recvmmsg's timeout after each datagram, and only then. */
static void tick(struct batch *b)
{
	if (b->deadline != LIB_NEVER)
		b->expired = lib_now() >= b->deadline;
}

static size_t scatter(const struct msghdr *m, const void *data, size_t len)
{
	const uint8_t *from = data;
	size_t done = 0;

	for (size_t i = 0; i < m->msg_iovlen && done < len; i++) {
		size_t n = len - done;

		if (n > m->msg_iov[i].iov_len)
			n = m->msg_iov[i].iov_len;
		if (n)
			memcpy(m->msg_iov[i].iov_base, from + done, n);
		done += n;
	}
	return done;
}

/* As move_addr_to_user(): cut to the room there is, the true length returned. */
static void put_name(struct msghdr *m, const void *name, socklen_t len)
{
	memcpy(m->msg_name, name, m->msg_namelen < len ? m->msg_namelen : len);
	m->msg_namelen = len;
}

static void rec_name(const struct sluice_sock *s, const struct sluice_rec *rec, struct msghdr *m)
{
	struct sockaddr_in6 sin6;

	if (s->family == AF_INET) {
		struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = rec->sport };

		memcpy(&sin.sin_addr, rec->saddr, sizeof(sin.sin_addr));
		put_name(m, &sin, sizeof(sin));
		return;
	}
	memset(&sin6, 0, sizeof(sin6));
	sin6.sin6_family = AF_INET6;
	sin6.sin6_port = rec->sport;
	if (rec->version == 4) {
		sin6.sin6_addr.s6_addr[10] = sin6.sin6_addr.s6_addr[11] = 0xff;
		memcpy(sin6.sin6_addr.s6_addr + 12, rec->saddr, 4);
	} else {
		memcpy(&sin6.sin6_addr, rec->saddr, sizeof(sin6.sin6_addr));
		if (IN6_IS_ADDR_LINKLOCAL(&sin6.sin6_addr))
			sin6.sin6_scope_id = rec->ifindex;
	}
	put_name(m, &sin6, sizeof(sin6));
}

/* What recvmsg(2) checks before it takes a datagram off the queue. */
static int check_msg(const struct msghdr *m)
{
	if (m->msg_iovlen > IOV_MAX)
		return -EMSGSIZE;
	if (m->msg_name && m->msg_namelen > INT_MAX)
		return -EINVAL;
	return 0;
}

static void put_data(struct mmsghdr *v, const void *data, uint32_t len, int flags)
{
	struct msghdr *m = &v->msg_hdr;
	size_t copied = scatter(m, data, len);

	m->msg_flags = flags & MSG_CMSG_CLOEXEC;
	if (copied < len)
		m->msg_flags |= MSG_TRUNC;
	v->msg_len = flags & MSG_TRUNC ? len : (unsigned int)copied;
}

static int take_lane(struct sluice_sock *s, struct batch *b)
{
	struct live *l = s->live;
	struct lane *lane = &l->lane;
	const struct sluice_rec *rec;
	uint64_t next;

	while (!full(b) && (rec = lib_lane_at(lane, &lane->pos, &next))) {
		struct mmsghdr *v = &b->vec[b->n];
		int err = check_msg(&v->msg_hdr);

		if (err)
			return err;
		put_data(v, rec + 1, rec->len, b->flags);
		if (v->msg_hdr.msg_name)
			rec_name(s, rec, &v->msg_hdr);
		if (s->cmsgs)
			lib_cmsg_rec(s, rec, &v->msg_hdr);
		else
			v->msg_hdr.msg_controllen = 0;
		b->n++;
		tick(b);
		if (b->flags & MSG_PEEK) {
			l->peeked = LIB_LANE;
			continue;
		}
		l->peeked = LIB_NONE;
		l->lane_datagrams++;
		l->since_kernel++;
		lane->pos = next;
	}
	if (lane->bad && !l->dead)
		lib_lane_dead(s, "the lane was damaged");
	return 0;
}

static int take_stash(struct live *l, struct batch *b)
{
	while (!full(b) && lib_stash_left(l)) {
		const struct mmsghdr *from = lib_stash_first(l);
		struct mmsghdr *v = &b->vec[b->n];
		int err = check_msg(&v->msg_hdr);

		if (err)
			return err;
		put_data(v, from->msg_hdr.msg_iov->iov_base, from->msg_len, b->flags);
		if (v->msg_hdr.msg_name)
			put_name(&v->msg_hdr, from->msg_hdr.msg_name, from->msg_hdr.msg_namelen);
		lib_cmsg_copy(&from->msg_hdr, &v->msg_hdr);
		b->n++;
		tick(b);
		if (!(b->flags & MSG_PEEK))
			lib_stash_drop(l, 1);
	}
	return 0;
}

static int take_kernel(struct sluice_sock *s, struct batch *b, unsigned int most)
{
	struct live *l = s->live;
	struct timespec left;
	int got;

	if (b->deadline != LIB_NEVER)
		left = lib_left(b->deadline);
	got = recvmmsg(s->fd, b->vec + b->n, most, (b->flags & ~MSG_WAITFORONE) | MSG_DONTWAIT,
		       b->deadline == LIB_NEVER ? NULL : &left);
	if (got < 0) {
		got = errno == EAGAIN ? 0 : -errno;
		lib_kernel_read(l, 0);
		b->drained = !got;
		return got;
	}
	lib_kernel_read(l, (unsigned int)got);
	b->drained = (unsigned int)got < most;
	b->n += (unsigned int)got;
	l->peeked = b->flags & MSG_PEEK ? LIB_KERNEL : LIB_NONE;
	tick(b);
	return 0;
}

/* Kernel first, although the lane has data: what MSG_PEEK has shown must come next. */
static bool kernel_first(struct live *l)
{
	if (l->peeked)
		return l->peeked == LIB_KERNEL;
	return !lib_lane_empty(&l->lane) && lib_kernel_due(l);
}

/* All there is now. As in Linux, MSG_PEEK fills every entry with the same first datagram. */
static int collect(struct sluice_sock *s, struct batch *b)
{
	struct live *l = s->live;
	unsigned int room, n = b->n;
	int err;

	b->drained = false;
	err = take_stash(l, b);
	if (err || full(b))
		return err;
	if (kernel_first(l)) {
		room = b->vlen - b->n;
		err = take_kernel(s, b, room > 1 && !l->peeked ? room / 2 : room);
		if (err || full(b) || ((b->flags & MSG_PEEK) && b->n > n))
			return err;
	}
	err = take_lane(s, b);
	if (!err && !full(b) && !b->drained)
		err = take_kernel(s, b, b->vlen - b->n);
	return err;
}

/* An error after the first datagram is kept for the next call, as Linux keeps it in sk_err. */
static void keep_error(struct live *l, int err)
{
	if (err && err != -EAGAIN && err != -EINTR && err != -EBUSY)
		l->err = err;
}

/* Without a lane: the kernel's own call, with all that it waits for. */
static int pass(struct sluice_sock *s, struct batch *b)
{
	struct timespec left;
	int flags = b->flags, got;

	if (b->deadline != LIB_NEVER)
		left = lib_left(b->deadline);
	if (b->n && (flags & MSG_WAITFORONE))
		flags |= MSG_DONTWAIT;
	got = recvmmsg(s->fd, b->vec + b->n, b->vlen - b->n, flags,
		       b->deadline == LIB_NEVER ? NULL : &left);
	if (got < 0) {
		got = -errno;
		pthread_mutex_lock(&s->live->lock);
		if (b->n)
			keep_error(s->live, got);
		pthread_mutex_unlock(&s->live->lock);
		return got;
	}
	__atomic_fetch_add(&s->live->kernel_datagrams, (unsigned int)got, __ATOMIC_RELAXED);
	b->n += (unsigned int)got;
	return 0;
}

static bool is_passing(struct live *l)
{
	if (lib_stash_left(l))
		return false;
	return !l->lane.head || (l->dead && lib_lane_empty(&l->lane));
}

static int64_t wait_until(const struct sluice_sock *s)
{
	return s->rcvtimeo == LIB_NEVER ? LIB_NEVER : lib_now() + s->rcvtimeo;
}

/* With the lock held. 0 with *passing: the rest is the kernel's. */
static int receive(struct sluice_sock *s, struct batch *b, bool *passing)
{
	bool nonblock = s->nonblock || (b->flags & MSG_DONTWAIT);
	struct live *l = s->live;
	unsigned int tries = 0, before;
	int64_t until = 0;
	int err;

	for (;;) {
		if (l->held)
			return -EBUSY;
		if (l->err) {
			err = l->err;
			l->err = 0;
			return err;
		}
		*passing = is_passing(l);
		if (*passing)
			return 0;
		before = b->n;
		err = collect(s, b);
		lib_lane_publish(&l->lane);
		if (err || full(b))
			return err;
		if (b->n > before) {
			until = 0;
			tries = 0;
			if (b->flags & MSG_WAITFORONE)
				nonblock = true;
		}
		if (nonblock)
			return -EAGAIN;
		if (!until)
			until = wait_until(s);
		err = lib_wait(s, until, tries++);
		if (err)
			return err;
	}
}

static int receive_batch(struct sluice_sock *s, struct batch *b)
{
	struct live *l = s->live;
	bool passing = false;
	int err;

	pthread_mutex_lock(&l->lock);
	err = receive(s, b, &passing);
	lib_settle(s, !b->n);
	if (b->n)
		keep_error(l, err);
	pthread_mutex_unlock(&l->lock);
	if (passing && !full(b))
		err = pass(s, b);
	return b->n ? (int)b->n : err;
}

static int check_flags(int flags)
{
	if (flags & MSG_ERRQUEUE)
		return 0;
	return flags & ~RECV_FLAGS ? -EOPNOTSUPP : 0;
}

int sluice_recvmmsg(struct sluice_sock *s, struct mmsghdr *vec, unsigned int vlen, int flags,
		    struct timespec *timeout)
{
	struct batch b = { .vec = vec, .vlen = vlen, .flags = flags, .deadline = LIB_NEVER };
	int n, err = check_flags(flags);

	if (err)
		return err;
	if (!vlen || (flags & MSG_ERRQUEUE)) {
		n = recvmmsg(s->fd, vec, vlen, flags, timeout);
		return n < 0 ? -errno : n;
	}
	if (timeout) {
		if (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= LIB_NSEC)
			return -EINVAL;
		if (timeout->tv_sec < (LIB_NEVER - lib_now()) / LIB_NSEC - 1)
			b.deadline = lib_now() + timeout->tv_sec * LIB_NSEC + timeout->tv_nsec;
	}
	n = receive_batch(s, &b);
	if (n > 0 && b.deadline != LIB_NEVER)
		*timeout = lib_left(b.deadline);
	return n;
}

ssize_t sluice_recvmsg(struct sluice_sock *s, struct msghdr *msg, int flags)
{
	struct mmsghdr v = { .msg_hdr = *msg };
	struct batch b = { .vec = &v, .vlen = 1, .flags = flags & ~MSG_WAITFORONE,
			   .deadline = LIB_NEVER };
	int err = check_flags(flags);

	if (err)
		return err;
	if (flags & MSG_ERRQUEUE) {
		ssize_t n = recvmsg(s->fd, msg, flags);

		return n < 0 ? -errno : n;
	}
	err = receive_batch(s, &b);
	if (err < 0)
		return err;
	*msg = v.msg_hdr;
	return v.msg_len;
}

ssize_t sluice_recvfrom(struct sluice_sock *s, void *buf, size_t len, int flags,
			struct sockaddr *addr, socklen_t *addrlen)
{
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (addr) {
		if (!addrlen)
			return -EFAULT;
		m.msg_name = addr;
		m.msg_namelen = *addrlen;
	}
	n = sluice_recvmsg(s, &m, flags);
	if (n >= 0 && addr)
		*addrlen = m.msg_namelen;
	return n;
}
