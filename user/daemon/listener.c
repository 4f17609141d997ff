// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* listener.c - the control socket as a file; see listener.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "daemon/facts.h"
#include "daemon/listener.h"

/* How long a new daemon waits for the porter of one that has just died. */
#define PROBES 4
#define PROBE_NS 50000000L

static int dir_prepare(const char *dir)
{
	struct stat st;

	if (mkdir(dir, 0755) == 0)
		return chmod(dir, 0755) < 0 ? -errno : 0;
	if (errno != EEXIST)
		return -errno;
	if (lstat(dir, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 022) ? 0 : -EPERM;
}

/* Whether anybody listens at addr. A full backlog (EAGAIN) is somebody, too. */
static bool socket_served(const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool served;

	if (fd < 0)
		return true;
	served = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 ||
		 (errno != ECONNREFUSED && errno != ENOENT);
	close(fd);
	return served;
}

/* Under the directory's lock: between two daemons that both find a dead one's file. */
static int socket_bind(struct listener *l)
{
	const struct timespec pause = { .tv_nsec = PROBE_NS };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct stat st;
	int i;

	memcpy(addr.sun_path, l->path, sizeof(addr.sun_path));
	for (i = 0; socket_served(&addr); i++) {
		if (i == PROBES - 1)
			return -EADDRINUSE;
		nanosleep(&pause, NULL);
	}
	if (unlink(l->path) < 0 && errno != ENOENT)
		return -errno;
	if (bind(l->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	if (lstat(l->path, &st) < 0)
		return -errno;
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	if (chmod(l->path, 0666) < 0 || listen(l->fd, SOMAXCONN) < 0)
		return -errno;
	return 0;
}

static int socket_name(struct listener *l, const char *dir, const char *ifname)
{
	int n = snprintf(l->path, sizeof(l->path), "%s/%" PRIu64 "-%s.sock", dir,
			 l->netns_cookie, ifname);

	return n < (int)sizeof(l->path) ? 0 : -ENAMETOOLONG;
}

/* The lock is a file of its own, which other users cannot open and so not lock. */
static int lock_open(const char *dir)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];
	int fd;

	snprintf(path, sizeof(path), "%s/.lock", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX) < 0) {
		if (errno == EINTR)
			continue;
		close(fd);
		return -ENOLCK;
	}
	return fd;
}

void listener_remove(const struct listener *l)
{
	struct stat st;

	if (lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
		unlink(l->path);
}

int listener_open(struct listener *l, const char *dir, const char *ifname)
{
	int lock, err;

	l->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return -errno;
	l->netns_cookie = facts_netns_cookie(l->fd);
	err = l->netns_cookie ? socket_name(l, dir, ifname) : -EOPNOTSUPP;
	if (!err)
		err = dir_prepare(dir);
	if (err)
		goto out_fd;
	lock = lock_open(dir);
	if (lock < 0) {
		err = lock;
		goto out_fd;
	}
	err = socket_bind(l);
	if (err)
		listener_remove(l);
	close(lock);
	if (!err)
		return 0;
out_fd:
	close(l->fd);
	return err;
}
