/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * A porter for the tests of it and of its processes, in a directory of its own
 * under /tmp, and both of its sides: clients that do as they like, and the daemon.
 * Every test begins without a child process and must end so.
 */
#ifndef TEST_PORTER_FIXTURE_H
#define TEST_PORTER_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "daemon/porter.h"

#define WAIT_MS 2000
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

struct fixture {
	char dir[64];
	struct porter *porter;
	struct porter_options options;
};

static inline long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static inline void sleep_ms(int ms)
{
	poll(NULL, 0, ms);
}

static inline bool readable(int fd, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, ms) > 0;
}

/* The client's side */

static inline int client_connect(const char *path)
{
	struct timeval tv = { .tv_sec = 3 };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	return fd;
}

static inline struct sluice_ctl_msg message(unsigned int type, unsigned int id)
{
	return (struct sluice_ctl_msg){
		.magic = SLUICE_CTL_MAGIC,
		.version = SLUICE_CTL_VERSION,
		.type = (uint16_t)type,
		.id = id,
	};
}

static inline void send_raw(int fd, const void *buf, size_t len, const int *fds, unsigned int nfds)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(253 * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nfds) {
		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		CMSG_FIRSTHDR(&mh)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&mh)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&mh)->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&mh)), fds, nfds * sizeof(int));
	}
	assert_int_equal(sendmsg(fd, &mh, MSG_NOSIGNAL), len);
}

static inline void request(int fd, unsigned int type, unsigned int id, const int *fds,
			   unsigned int nfds)
{
	struct sluice_ctl_msg msg = message(type, id);

	send_raw(fd, &msg, sizeof(msg), fds, nfds);
}

/* Length of the answer, 0 at the end or -errno; the number of its descriptors in *nfds. */
static inline ssize_t answer(int fd, struct sluice_ctl_msg *msg, int *fds, unsigned int *nfds)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(8 * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = msg, .iov_len = sizeof(*msg) };
	struct msghdr mh = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.buf, .msg_controllen = sizeof(control.buf),
	};
	ssize_t n = recvmsg(fd, &mh, MSG_CMSG_CLOEXEC);

	*nfds = 0;
	if (n > 0 && CMSG_FIRSTHDR(&mh)) {
		*nfds = (unsigned int)((CMSG_FIRSTHDR(&mh)->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&mh)), *nfds * sizeof(int));
	}
	return n < 0 ? -errno : n;
}

/* The connection ended, with or without a reset for what was left unread. */
static inline void assert_ended(int fd)
{
	struct sluice_ctl_msg msg;
	unsigned int nfds;
	int fds[8];
	ssize_t n = answer(fd, &msg, fds, &nfds);

	assert_true(n == 0 || n == -ECONNRESET);
}

static inline int udp_socket(int family)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in in = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (family == AF_INET)
		assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	else
		assert_int_equal(bind(fd, (struct sockaddr *)&in6, sizeof(in6)), 0);
	return fd;
}

/* Over a limit, and told so. */
static inline void assert_refused(const char *path)
{
	struct sluice_ctl_msg msg;
	int sock = udp_socket(AF_INET), fd = client_connect(path), fds[8];
	unsigned int nfds;

	request(fd, SLUICE_CTL_ATTACH, 42, &sock, 1);
	assert_int_equal(answer(fd, &msg, fds, &nfds), sizeof(msg));
	assert_int_equal(msg.type, SLUICE_CTL_REFUSED);
	assert_int_equal(msg.id, 42);
	assert_int_equal(msg.u.refused.error, EUSERS);
	assert_true(strlen(msg.u.refused.text) > 10);
	assert_ended(fd);
	close(fd);
	close(sock);
}

/* The daemon's side */

static inline int start(struct fixture *f)
{
	f->options.dir = f->dir;
	return porter_start(&f->porter, "test0", &f->options);
}

static inline struct porter_client arrive(struct porter *p)
{
	struct porter_client client = { .fd = -1 };

	assert_true(readable(porter_fd(p), WAIT_MS));
	assert_int_equal(porter_next(p, &client), 0);
	assert_true(client.fd >= 0);
	assert_true(fcntl(client.fd, F_GETFD) & FD_CLOEXEC);
	return client;
}

static inline int take(int fd, struct porter_request *r)
{
	return readable(fd, WAIT_MS) ? porter_recv(fd, r) : -ETIMEDOUT;
}

/* A client that is served from request to answer: the porter and others are well. */
static inline void assert_serves(struct porter *p, const char *path)
{
	struct sluice_ctl_msg msg = message(SLUICE_CTL_DONE, 77);
	int fd = client_connect(path);
	struct porter_client client = arrive(p);
	struct porter_request r;
	unsigned int nfds;
	int fds[8];

	request(fd, SLUICE_CTL_DETACH, 77, NULL, 0);
	assert_int_equal(take(client.fd, &r), 0);
	assert_int_equal(r.msg.id, 77);
	assert_int_equal(porter_reply(client.fd, &msg, NULL, 0), 0);
	assert_int_equal(answer(fd, &msg, fds, &nfds), sizeof(msg));
	assert_int_equal(msg.type, SLUICE_CTL_DONE);
	close(fd);
	assert_int_equal(take(client.fd, &r), -EPIPE);
	close(client.fd);
}

/* Processes */

/* Processes whose parent is pid, zombies included. */
static inline int children_of(pid_t pid, pid_t *out, int max)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	char path[300], line[512];
	int n = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		char *end;
		int ppid = -1;
		FILE *f;

		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fgets(line, sizeof(line), f) && (end = strrchr(line, ')')))
			sscanf(end + 1, " %*c %d", &ppid);
		fclose(f);
		if (ppid == pid && n < max)
			out[n++] = atoi(entry->d_name);
	}
	closedir(dir);
	return n;
}

/* Waits for `want` children of pid; how many there were in the end. */
static inline int await_children(pid_t pid, int want, pid_t *out, int max)
{
	long deadline = now_ms() + WAIT_MS;
	int n;

	do {
		n = children_of(pid, out, max);
		if (n == want)
			break;
		sleep_ms(10);
	} while (now_ms() < deadline);
	return n;
}

static inline pid_t porter_pid(void)
{
	pid_t pids[4];

	assert_int_equal(await_children(getpid(), 1, pids, 4), 1);
	return pids[0];
}

/* Every handler has ended and left its place. */
static inline void assert_idle(void)
{
	pid_t pids[4];

	assert_int_equal(await_children(porter_pid(), 0, pids, 4), 0);
}

/* One porter in a directory of its own under /tmp */

static inline int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/sluice-porter-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(chmod(f->dir, 0755), 0);
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;
	char lock[80];

	porter_stop(f->porter);
	snprintf(lock, sizeof(lock), "%s/.lock", f->dir);
	unlink(lock);
	assert_int_equal(rmdir(f->dir), 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	free(f);
	return 0;
}

#endif
