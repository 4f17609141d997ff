/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * ctl.h - a client that speaks the control protocol by hand, for tests that do
 * what the library never would. Functions return 0 or a count, -errno on
 * failure. Single-threaded.
 */
#ifndef TESTS_CTL_H
#define TESTS_CTL_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <sluice/control.h>
#include <sluice/lane.h>

#define CTL_FDS 253 /* SCM_MAX_FD: as many as the kernel lets one message carry */
#define CTL_TIMEOUT 3000

struct ctl_lane {
	int data, ctl, wake; /* as received */
	__u32 lane, state, ring_bytes;
	__u64 data_offset, ctl_offset;
	__u32 id;
	char text[SLUICE_CTL_TEXT];
	const struct sluice_lane_head *head;
	struct sluice_lane_ctl *slot;
	__u64 consumer;
};

/* Connects to the daemon of `dev` in the calling thread's network namespace. */
static inline int ctl_open(const char *dev)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(__u64);
	__u64 cookie;

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len))
		return -errno;
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/%llu-%s.sock", SLUICE_CTL_DIR, cookie,
		 dev);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun))) {
		int e = errno;

		close(fd);
		return -e;
	}
	return fd;
}

static inline void ctl_init(struct sluice_ctl_msg *m, __u16 type)
{
	memset(m, 0, sizeof(*m));
	m->magic = SLUICE_CTL_MAGIC;
	m->version = SLUICE_CTL_VERSION;
	m->type = type;
}

/* len bytes of m, with n <= CTL_FDS descriptors; flags as send(2) */
static inline int ctl_send(int sock, const void *m, size_t len, const int *fds, size_t n, int flags)
{
	char buf[CMSG_SPACE(CTL_FDS * sizeof(int))] __attribute__((aligned(8)));
	struct iovec iov = { .iov_base = (void *)(uintptr_t)m, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n) {
		struct cmsghdr *c;

		memset(buf, 0, sizeof(buf));
		msg.msg_control = buf;
		msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	}
	return sendmsg(sock, &msg, flags | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* The number of descriptors; -ETIMEDOUT; -ECONNRESET when the daemon has closed. */
static inline int ctl_recv(int sock, struct sluice_ctl_msg *m, int *fds, size_t max, int timeout_ms)
{
	char buf[CMSG_SPACE(8 * sizeof(int))] __attribute__((aligned(8)));
	struct iovec iov = { .iov_base = m, .iov_len = sizeof(*m) };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = buf, .msg_controllen = sizeof(buf)
	};
	struct pollfd pfd = { .fd = sock, .events = POLLIN };
	struct cmsghdr *c;
	size_t n = 0;
	ssize_t r;

	if (poll(&pfd, 1, timeout_ms) == 0)
		return -ETIMEDOUT;
	r = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	if (r <= 0)
		return r ? -errno : -ECONNRESET;
	c = CMSG_FIRSTHDR(&msg);
	if (fds && c && c->cmsg_type == SCM_RIGHTS) {
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (n > max)
			return -EMSGSIZE;
		memcpy(fds, CMSG_DATA(c), n * sizeof(int));
	}
	return (int)n;
}

/* 0; a positive errno as the daemon refused, with the reason in l->text; -errno. */
static inline int ctl_attach(int sock, int udp, __u16 port, struct ctl_lane *l)
{
	struct sluice_ctl_msg m;
	int fds[3] = { -1, -1, -1 }, r;

	ctl_init(&m, SLUICE_CTL_ATTACH);
	m.id = 7;
	m.u.attach.port = port;
	memset(l, 0, sizeof(*l));
	r = ctl_send(sock, &m, sizeof(m), &udp, 1, 0);
	if (!r)
		r = ctl_recv(sock, &m, fds, 3, CTL_TIMEOUT);
	if (r < 0)
		return r;
	if (m.type == SLUICE_CTL_REFUSED) {
		memcpy(l->text, m.u.refused.text, sizeof(l->text));
		return m.u.refused.error ? m.u.refused.error : -EPROTO;
	}
	if (m.type != SLUICE_CTL_ATTACHED || r != 3)
		return -EPROTO;
	*l = (struct ctl_lane){
		.data = fds[0],
		.ctl = fds[1],
		.wake = fds[2],
		.lane = m.lane,
		.state = m.u.attached.state,
		.ring_bytes = m.u.attached.ring_bytes,
		.data_offset = m.u.attached.data_offset,
		.ctl_offset = m.u.attached.ctl_offset,
		.id = m.id,
	};
	memcpy(l->text, m.u.attached.text, sizeof(l->text));
	return 0;
}

static inline int ctl_map(struct ctl_lane *l)
{
	__u64 page = (__u64)sysconf(_SC_PAGESIZE), base = l->ctl_offset & ~(page - 1);
	char *p;

	p = mmap(NULL, SLUICE_LANE_HEAD + l->ring_bytes, PROT_READ, MAP_SHARED, l->data,
		 (off_t)l->data_offset);
	if (p == MAP_FAILED)
		return -errno;
	l->head = (void *)p;
	p = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED, l->ctl, (off_t)base);
	if (p == MAP_FAILED)
		return -errno;
	l->slot = (void *)(p + (l->ctl_offset - base));
	return 0;
}

/*
 * The next datagram of the lane, consumed at once; NULL: none. Valid until its
 * space is overwritten.
 */
static inline const struct sluice_rec *ctl_next(struct ctl_lane *l)
{
	const char *ring = (const char *)l->head + SLUICE_LANE_HEAD;

	while (l->consumer != __atomic_load_n(&l->head->producer, __ATOMIC_ACQUIRE)) {
		const struct sluice_rec *rec =
			(const void *)(ring + (l->consumer & (l->ring_bytes - 1)));

		l->consumer += SLUICE_REC_SPACE(rec->len);
		__atomic_store_n(&l->slot->consumer, l->consumer, __ATOMIC_RELEASE);
		if (rec->kind == SLUICE_REC_DATA)
			return rec;
	}
	return NULL;
}

/* A UDP socket, bound unless addr is NULL. */
static inline int ctl_udp(int family, const void *addr, socklen_t len)
{
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && addr && bind(fd, addr, len)) {
		int e = errno;

		close(fd);
		return -e;
	}
	return fd < 0 ? -errno : fd;
}

static inline struct sockaddr_in ctl_addr4(const char *addr, __u16 port)
{
	struct sockaddr_in s = { .sin_family = AF_INET, .sin_port = htons(port) };

	inet_pton(AF_INET, addr, &s.sin_addr);
	return s;
}

#endif
