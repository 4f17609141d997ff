// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The connection to a daemon: finding it, and requests that never hang. */
#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib.h"

void *lib_page_new(size_t len)
{
	void *page = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return NULL;
	if (madvise(page, len, MADV_WIPEONFORK)) {
		munmap(page, len);
		return NULL;
	}
	return page;
}

void lib_page_free(void *page, size_t len)
{
	if (page)
		munmap(page, len);
}

uint64_t lib_netns_cookie(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len))
		return 0;
	return cookie;
}

static const char *run_dir(void)
{
	const char *dir = secure_getenv("SLUICE_RUN_DIR");

	return dir ? dir : SLUICE_CTL_DIR;
}

/* A unix socket's connect(2) waits for room in the backlog as long as SO_SNDTIMEO allows. */
static int dial_once(int fd, const struct sockaddr_un *sun, int64_t deadline)
{
	struct timespec left = lib_left(deadline);
	struct timeval tv = { .tv_sec = left.tv_sec, .tv_usec = left.tv_nsec / 1000 };

	if (!tv.tv_sec && !tv.tv_usec)
		return -ETIMEDOUT;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)))
		return -errno;
	if (!connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) || errno == EISCONN)
		return 0;
	switch (errno) {
	case EAGAIN:
		return -ETIMEDOUT;
	case EPROTOTYPE:
		return -EPROTO;
	case ENOTDIR:
		return -ENOENT;
	}
	return -errno;
}

static int dial(const char *name, int64_t deadline)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int n = snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/%s", run_dir(), name);
	int fd, err;

	if (n < 0 || (size_t)n >= sizeof(sun.sun_path))
		return -ENOENT;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	do {
		err = dial_once(fd, &sun, deadline);
	} while (err == -EINTR);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

static bool is_daemon_of(const char *name, const char *prefix)
{
	size_t len = strlen(name), plen = strlen(prefix);

	return len > plen + strlen(".sock") && !strncmp(name, prefix, plen) &&
	       !strcmp(name + len - strlen(".sock"), ".sock");
}

/*
 * The one daemon of a namespace. A socket file left by a dead daemon refuses
 * the connection, and so does not make the choice ambiguous.
 */
static int dial_only(const char *prefix, int64_t deadline)
{
	int fd, found = -ENOENT;
	struct dirent *e;
	DIR *dir = opendir(run_dir());

	if (!dir)
		return errno == ENOTDIR ? -ENOENT : -errno;
	while ((e = readdir(dir))) {
		if (!is_daemon_of(e->d_name, prefix))
			continue;
		fd = dial(e->d_name, deadline);
		if (fd < 0) {
			if (found < 0)
				found = fd;
			continue;
		}
		if (found >= 0) {
			close(fd);
			close(found);
			found = -ENOTUNIQ;
			break;
		}
		found = fd;
	}
	closedir(dir);
	return found;
}

static int find(const char *dev, uint64_t cookie)
{
	int64_t deadline = lib_now() + LIB_CONNECT_NS;
	char name[32 + IFNAMSIZ];

	if (!dev) {
		snprintf(name, sizeof(name), "%llu-", (unsigned long long)cookie);
		return dial_only(name, deadline);
	}
	if (!*dev || strlen(dev) >= IFNAMSIZ || strchr(dev, '/'))
		return -ENOENT;
	snprintf(name, sizeof(name), "%llu-%s.sock", (unsigned long long)cookie, dev);
	return dial(name, deadline);
}

int lib_client_open(struct sluice_client **out, const char *dev, uint64_t cookie)
{
	struct sluice_client *c = calloc(1, sizeof(*c));
	int err = -ENOMEM;

	if (!c)
		return -ENOMEM;
	c->live = lib_page_new(sizeof(*c->live));
	if (!c->live)
		goto err_free;
	c->fd = find(dev, cookie);
	if (c->fd < 0) {
		err = c->fd;
		goto err_page;
	}
	pthread_mutex_init(&c->live->lock, NULL);
	c->live->mine = true;
	c->refs = 1;
	*out = c;
	return 0;

err_page:
	lib_page_free(c->live, sizeof(*c->live));
err_free:
	free(c);
	return err;
}

int sluice_client_open(struct sluice_client **c, const char *dev)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie;

	if (fd < 0)
		return -errno;
	cookie = lib_netns_cookie(fd);
	close(fd);
	return lib_client_open(c, dev, cookie);
}

void lib_client_put(struct sluice_client *c)
{
	if (!c || __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL))
		return;
	close(c->fd);
	lib_page_free(c->live, sizeof(*c->live));
	free(c);
}

void sluice_client_close(struct sluice_client *c)
{
	lib_client_put(c);
}

void lib_client_break(struct sluice_client *c)
{
	if (c->live->mine)
		shutdown(c->fd, SHUT_RDWR);
}

static int wait_for(int fd, short events, int64_t deadline)
{
	struct pollfd p = { .fd = fd, .events = events };
	int n;

	do {
		struct timespec left = lib_left(deadline);

		n = ppoll(&p, 1, &left, NULL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n ? 0 : -ETIMEDOUT;
}

static int send_request(int conn, const struct sluice_ctl_msg *msg, int fd, int64_t deadline)
{
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(sizeof(int))];
	} u = { .h = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
		       .cmsg_len = CMSG_LEN(sizeof(int)) } };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)msg, .iov_len = sizeof(*msg) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		memcpy(CMSG_DATA(&u.h), &fd, sizeof(fd));
		m.msg_control = u.buf;
		m.msg_controllen = sizeof(u.buf);
	}
	for (;;) {
		int err;

		if (sendmsg(conn, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return errno == EPIPE ? -ECONNRESET : -errno;
		err = wait_for(conn, POLLOUT, deadline);
		if (err)
			return err;
	}
}

static void take_fds(struct msghdr *m, int fds[3])
{
	unsigned int n = 0;

	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		size_t count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(fd));
			if (n < 3)
				fds[n++] = fd;
			else
				close(fd);
		}
	}
}

static int recv_answer(int conn, struct sluice_ctl_msg *msg, int fds[3], int64_t deadline)
{
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(8 * sizeof(int))];
	} u;
	struct iovec iov = { .iov_base = msg, .iov_len = sizeof(*msg) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	for (;;) {
		int err = wait_for(conn, POLLIN, deadline);

		if (err)
			return err;
		m.msg_control = u.buf;
		m.msg_controllen = sizeof(u.buf);
		n = recvmsg(conn, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (n >= 0)
			break;
		if (errno != EINTR && errno != EAGAIN)
			return -errno;
	}
	if (!n)
		return -ECONNRESET;
	take_fds(&m, fds);
	if (n != sizeof(*msg) || (m.msg_flags & MSG_TRUNC))
		return -EPROTO;
	return 0;
}

static int converse(struct sluice_client *c, struct sluice_ctl_msg *msg, int fd, int fds[3])
{
	int64_t deadline = lib_now() + LIB_REQUEST_NS;
	uint32_t id = ++c->live->id;
	int err;

	msg->magic = SLUICE_CTL_MAGIC;
	msg->version = SLUICE_CTL_VERSION;
	msg->id = id;
	err = send_request(c->fd, msg, fd, deadline);
	if (err)
		return err;
	err = recv_answer(c->fd, msg, fds, deadline);
	if (err)
		return err;
	if (msg->magic != SLUICE_CTL_MAGIC || msg->version != SLUICE_CTL_VERSION || msg->id != id)
		return -EPROTO;
	return 0;
}

/*
 * A request that was given up might still be carried out, for instance a socket
 * attached whose lane nobody reads. Ending the connection undoes it.
 */
int lib_client_request(struct sluice_client *c, struct sluice_ctl_msg *msg, int fd, int fds[3])
{
	int err = -ENOTCONN;

	fds[0] = fds[1] = fds[2] = -1;
	pthread_mutex_lock(&c->live->lock);
	if (c->live->mine && !c->live->broken) {
		err = converse(c, msg, fd, fds);
		if (err) {
			c->live->broken = true;
			lib_client_break(c);
			for (int i = 0; i < 3; i++) {
				if (fds[i] >= 0)
					close(fds[i]);
				fds[i] = -1;
			}
		}
	}
	pthread_mutex_unlock(&c->live->lock);
	return err;
}
