// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* A socket's life: attach, stop, detach, and what path it is on. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "lib.h"

#define LIVE_SIZE 4096
_Static_assert(sizeof(struct live) <= LIVE_SIZE, "struct live is one page");

static int get_int(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int val = 0;

	return getsockopt(fd, level, name, &val, &len) ? 0 : val;
}

static int check_socket(int fd)
{
	int type = 0, proto, family;
	socklen_t len = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len))
		return -errno;
	proto = get_int(fd, SOL_SOCKET, SO_PROTOCOL);
	family = get_int(fd, SOL_SOCKET, SO_DOMAIN);
	if (type != SOCK_DGRAM || proto != IPPROTO_UDP || (family != AF_INET && family != AF_INET6))
		return -EPROTOTYPE;
	return 0;
}

static int check_opts(const struct sluice_opts *opts)
{
	uint32_t bytes = opts->lane_bytes;

	if (opts->flags & ~SLUICE_REQUIRE)
		return -EINVAL;
	if (bytes && (bytes < SLUICE_LANE_MIN || bytes > SLUICE_LANE_MAX || (bytes & (bytes - 1))))
		return -EINVAL;
	return 0;
}

static uint32_t read_cmsgs(int fd)
{
	static const struct {
		uint32_t bit;
		int level, name;
	} opts[] = {
		{ LIB_CMSG_TSTAMP, SOL_SOCKET, SO_TIMESTAMP },
		{ LIB_CMSG_TSTAMPNS, SOL_SOCKET, SO_TIMESTAMPNS },
		{ LIB_CMSG_RXQ_OVFL, SOL_SOCKET, SO_RXQ_OVFL },
		{ LIB_CMSG_GRO, IPPROTO_UDP, UDP_GRO },
		{ LIB_CMSG_PKTINFO, IPPROTO_IP, IP_PKTINFO },
		{ LIB_CMSG_TTL, IPPROTO_IP, IP_RECVTTL },
		{ LIB_CMSG_TOS, IPPROTO_IP, IP_RECVTOS },
		{ LIB_CMSG_PKTINFO6, IPPROTO_IPV6, IPV6_RECVPKTINFO },
		{ LIB_CMSG_HOPLIMIT, IPPROTO_IPV6, IPV6_RECVHOPLIMIT },
		{ LIB_CMSG_TCLASS, IPPROTO_IPV6, IPV6_RECVTCLASS },
	};
	uint32_t set = 0;

	for (size_t i = 0; i < sizeof(opts) / sizeof(opts[0]); i++) {
		if (get_int(fd, opts[i].level, opts[i].name))
			set |= opts[i].bit;
	}
	return set;
}

static void read_options(struct sluice_sock *s)
{
	struct timeval tv = { 0 };
	socklen_t len = sizeof(tv);
	int fl = fcntl(s->fd, F_GETFL);

	s->family = get_int(s->fd, SOL_SOCKET, SO_DOMAIN);
	s->cmsgs = read_cmsgs(s->fd);
	s->nonblock = fl >= 0 && (fl & O_NONBLOCK);
	s->rcvtimeo = LIB_NEVER;
	if (!getsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &len) && (tv.tv_sec || tv.tv_usec))
		s->rcvtimeo = tv.tv_sec * LIB_NSEC + tv.tv_usec * 1000;
}

static int local_port(int fd, uint32_t *port)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} u;
	socklen_t len = sizeof(u);

	if (getsockname(fd, &u.sa, &len))
		return -errno;
	*port = ntohs(u.sa.sa_family == AF_INET ? u.in.sin_port : u.in6.sin6_port);
	return *port ? 0 : -EDESTADDRREQ;
}

static void set_text(struct sluice_sock *s, const char *text)
{
	snprintf(s->text, sizeof(s->text), "%.*s", SLUICE_CTL_TEXT - 1, text);
}

static void close_fds(int fds[3])
{
	for (int i = 0; i < 3; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
}

/* The daemon serves the socket, but this end could not take up what it sent. */
static int give_back(struct sluice_sock *s, int fds[3], int err)
{
	struct sluice_ctl_msg msg = { .type = SLUICE_CTL_DETACH, .lane = s->slot };

	close_fds(fds);
	lib_client_request(s->client, &msg, -1, fds);
	close_fds(fds);
	set_text(s, "the lane could not be mapped");
	return err;
}

static int take_up(struct sluice_sock *s, const struct sluice_ctl_msg *msg, int fds[3])
{
	int err;

	s->slot = msg->lane;
	if (fds[2] < 0)
		return give_back(s, fds, -EPROTO);
	err = lib_lane_map(&s->live->lane, fds[0], fds[1], msg);
	if (err)
		return give_back(s, fds, err);
	s->wake = fds[2];
	fds[2] = -1;
	close_fds(fds);
	s->text_state = msg->u.attached.state;
	set_text(s, msg->u.attached.text);
	return 0;
}

static const char *request_failure(int err)
{
	switch (err) {
	case -ETIMEDOUT:
		return "the daemon did not answer in time";
	case -EPROTO:
		return "the daemon speaks another version";
	case -ECONNRESET:
		return "the daemon closed the connection: it died, or speaks another version";
	}
	return "the connection to the daemon has ended";
}

static int ask(struct sluice_sock *s, uint32_t lane_bytes, uint32_t port)
{
	struct sluice_ctl_msg msg = { .type = SLUICE_CTL_ATTACH };
	int fds[3], err;

	msg.u.attach.lane_bytes = lane_bytes;
	msg.u.attach.port = port;
	msg.u.attach.flags = s->cmsgs & LIB_CMSG_GRO ? SLUICE_ATTACH_GRO : 0;
	err = lib_client_request(s->client, &msg, s->fd, fds);
	if (err) {
		set_text(s, request_failure(err));
		return err;
	}
	if (msg.type == SLUICE_CTL_ATTACHED)
		return take_up(s, &msg, fds);
	close_fds(fds);
	if (msg.type != SLUICE_CTL_REFUSED) {
		lib_client_break(s->client);
		set_text(s, "the daemon speaks another version");
		return -EPROTO;
	}
	msg.u.refused.text[SLUICE_CTL_TEXT - 1] = '\0';
	set_text(s, msg.u.refused.text);
	return msg.u.refused.error > 0 ? -msg.u.refused.error : -EPROTO;
}

static int connect_daemon(struct sluice_sock *s, const struct sluice_opts *opts)
{
	int err;

	if (opts->client) {
		s->client = opts->client;
		__atomic_add_fetch(&s->client->refs, 1, __ATOMIC_RELAXED);
		return 0;
	}
	err = lib_client_open(&s->client, opts->dev, lib_netns_cookie(s->fd));
	if (err == -ENOENT)
		set_text(s, "no daemon serves this network namespace and device");
	else if (err == -ENOTUNIQ)
		set_text(s, "several daemons serve this network namespace: name the device");
	else if (err == -ECONNREFUSED)
		set_text(s, "the daemon has gone and left its socket behind");
	else if (err)
		snprintf(s->text, sizeof(s->text), "no connection to the daemon: errno %d", -err);
	return err;
}

/* 0: accelerated; else -errno with s->text saying why the kernel path serves. */
static int accelerate(struct sluice_sock *s, const struct sluice_opts *opts)
{
	uint32_t port = 0;
	int err = local_port(s->fd, &port);

	if (err) {
		set_text(s, "the socket is not bound to a port");
		return err;
	}
	err = connect_daemon(s, opts);
	if (err)
		return err;
	err = ask(s, opts->lane_bytes, port);
	if (err) {
		lib_client_put(s->client);
		s->client = NULL;
	}
	return err;
}

static void sock_free(struct sluice_sock *s)
{
	struct live *l = s->live;

	lib_stash_free(l);
	lib_lane_unmap(&l->lane);
	if (l->epoll_plus1)
		close(l->epoll_plus1 - 1);
	if (s->wake >= 0)
		close(s->wake);
	lib_client_put(s->client);
	lib_page_free(l, LIVE_SIZE);
	free(s);
}

int sluice_attach(struct sluice_sock **out, int fd, const struct sluice_opts *opts)
{
	static const struct sluice_opts defaults;
	struct sluice_sock *s;
	int err = check_socket(fd);

	if (!opts)
		opts = &defaults;
	if (!err)
		err = check_opts(opts);
	if (err)
		return err;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->live = lib_page_new(LIVE_SIZE);
	if (!s->live) {
		free(s);
		return -ENOMEM;
	}
	pthread_mutex_init(&s->live->lock, NULL);
	s->live->mine = true;
	s->fd = fd;
	s->wake = -1;
	read_options(s);
	err = accelerate(s, opts);
	if (err && (opts->flags & SLUICE_REQUIRE)) {
		sock_free(s);
		return err;
	}
	*out = s;
	return 0;
}

/* 0, or -errno as the daemon or the connection gave it. */
static int tell(struct sluice_sock *s, uint16_t type)
{
	struct sluice_ctl_msg msg = { .type = type, .lane = s->slot };
	int fds[3], err;

	err = lib_client_request(s->client, &msg, -1, fds);
	if (err)
		return err;
	close_fds(fds);
	if (msg.type == SLUICE_CTL_DONE)
		return 0;
	if (msg.type != SLUICE_CTL_REFUSED || msg.u.refused.error <= 0)
		return -EPROTO;
	return -msg.u.refused.error;
}

void sluice_detach(struct sluice_sock *s)
{
	if (!s)
		return;
	/* Not by closing the connection: what arrived until that was noticed would be lost. */
	if (s->live->lane.head && !s->live->dead)
		tell(s, SLUICE_CTL_DETACH);
	sock_free(s);
}

int sluice_stop(struct sluice_sock *s)
{
	struct live *l = s->live;
	bool fed;
	int err;

	pthread_mutex_lock(&l->lock);
	lib_check_alive(s);
	fed = l->lane.head && !l->dead && !l->stopped;
	pthread_mutex_unlock(&l->lock);
	if (!fed)
		return 0;
	err = tell(s, SLUICE_CTL_STOP);
	pthread_mutex_lock(&l->lock);
	if (err == -ECONNRESET) {
		lib_check_alive(s);
		err = 0;	/* a daemon that has gone feeds no lane */
	}
	l->stopped = l->stopped || !err;
	pthread_mutex_unlock(&l->lock);
	return err;
}

void lib_lane_dead(struct sluice_sock *s, const char *why)
{
	struct live *l = s->live;

	l->dead = true;
	l->why = why;
	lib_wake_remove(s);
	if (l->lane.bad)
		lib_client_break(s->client);	/* or the daemon would go on to feed it */
}

/* What the daemon says in the lane's head now; what it said at the attach is better worded. */
static enum sluice_path path_by_state(const struct sluice_sock *s, const char **why)
{
	uint32_t state = __atomic_load_n(&s->live->lane.head->state, __ATOMIC_RELAXED);
	enum sluice_path path = SLUICE_PATH_KERNEL;

	switch (state) {
	case SLUICE_LANE_ACTIVE:
		path = SLUICE_PATH_LANE;
		*why = "accelerated";
		break;
	case SLUICE_LANE_WAITING:
		path = SLUICE_PATH_WAITING;
		*why = "waits for the other members of its reuseport group to be attached";
		break;
	case SLUICE_LANE_WITHDRAWN:
		*why = "another socket shares the port";
		break;
	default:
		*why = "the socket has left the address it was attached with";
		break;
	}
	if (state == s->text_state && s->text[0])
		*why = s->text;
	return path;
}

static enum sluice_path path_of(const struct sluice_sock *s, const char **why)
{
	const struct live *l = s->live;

	if (!l->mine)
		*why = "this process was forked: the lane is its parent's";
	else if (!l->lane.head)
		*why = s->text;
	else if (l->dead)
		*why = l->why;
	else if (l->stopped)
		*why = "stopped by sluice_stop()";
	else
		return path_by_state(s, why);
	return SLUICE_PATH_KERNEL;
}

static enum sluice_path look(const struct sluice_sock *s, const char **why)
{
	enum sluice_path path;

	pthread_mutex_lock(&s->live->lock);
	lib_check_alive((struct sluice_sock *)(uintptr_t)s);
	path = path_of(s, why);
	pthread_mutex_unlock(&s->live->lock);
	return path;
}

enum sluice_path sluice_path(const struct sluice_sock *s)
{
	const char *why;

	return look(s, &why);
}

const char *sluice_reason(const struct sluice_sock *s)
{
	const char *why;

	look(s, &why);
	return why;
}

int sluice_stats(struct sluice_sock *s, struct sluice_stats *st)
{
	struct live *l = s->live;

	pthread_mutex_lock(&l->lock);
	*st = (struct sluice_stats){
		.lane_datagrams = l->lane_datagrams,
		.kernel_datagrams = __atomic_load_n(&l->kernel_datagrams, __ATOMIC_RELAXED),
		.lane_drops = l->lane.head ?
			      __atomic_load_n(&l->lane.head->drops, __ATOMIC_RELAXED) : 0,
		.wakeups = l->wakeups,
	};
	pthread_mutex_unlock(&l->lock);
	return 0;
}
