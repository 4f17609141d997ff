/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * A daemon for the client library's tests: a thread that speaks control.h in a
 * run directory of its own, and the producer's half of lane.h, called by the
 * test. It can be told to misbehave at every step of an attach.
 */
#ifndef TEST_LIB_FAKE_H
#define TEST_LIB_FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sluice/control.h>
#include <sluice/lane.h>
#include <sluice/sluice.h>

#define FAKE_LANES 256
#define FAKE_CONNS 80
#define FAKE_UNUSED __attribute__((unused))

#ifdef SLUICE_DEBUG
#define FAKE_SCALE(n) ((n) / 8)		/* sanitizers are slow */
#else
#define FAKE_SCALE(n) (n)
#endif

enum fake_mode {
	FAKE_OK,
	FAKE_REFUSE,
	FAKE_CLOSE_ACCEPT,	/* dies as soon as a client connects */
	FAKE_CLOSE_ATTACH,	/* dies when it has read the request */
	FAKE_SILENT,		/* is stopped */
	FAKE_BAD_VERSION,
	FAKE_BAD_ID,
	FAKE_SHORT,		/* answers with half a message */
	FAKE_NO_WAKE,		/* two descriptors instead of three */
	FAKE_NO_FDS,
	FAKE_BAD_HEAD,		/* the lane's head has another magic */
	FAKE_BAD_RANGE,		/* the lane is longer than the memfd */
};

struct fake_lane {
	struct sluice_lane_head *head;
	struct sluice_lane_ctl *ctl;
	uint32_t size;
	uint64_t producer;
	uint64_t bytes_sent;	/* wake-ups */
	pthread_mutex_t lock;	/* zeros: free; guards wake */
	int wake;		/* -1: closed */
	int conn;
	_Atomic bool stopped, detached;
	void *data_map, *ctl_map;
};

struct fake {
	char dir[64], path[128];
	int listener, kick[2];
	_Atomic enum fake_mode mode;
	pthread_t thread;
	struct fake_lane lane[FAKE_LANES];
	_Atomic uint32_t lanes, requests;
	uint32_t port;		/* the hint of the last attach */
	uint64_t sock_cookie;
	uint64_t start;		/* where the positions of a new lane start */
};

static inline uint64_t fake_cookie(int fd, int name)
{
	uint64_t c = 0;
	socklen_t len = sizeof(c);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, name, &c, &len), 0);
	return c;
}

static inline int fake_listen(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	assert_true(strlen(path) < sizeof(sun.sun_path));
	memcpy(sun.sun_path, path, strlen(path));
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static inline void fake_reply(int conn, struct sluice_ctl_msg *m, const int *fds, unsigned int n,
			      size_t len)
{
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(3 * sizeof(int))];
	} u;
	struct iovec iov = { .iov_base = m, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n) {
		memset(&u, 0, sizeof(u));
		msg.msg_control = u.buf;
		msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
		u.h.cmsg_level = SOL_SOCKET;
		u.h.cmsg_type = SCM_RIGHTS;
		u.h.cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(&u.h), fds, n * sizeof(int));
	}
	sendmsg(conn, &msg, MSG_NOSIGNAL);
}

static inline void fake_refuse(int conn, struct sluice_ctl_msg *m, int error, const char *text)
{
	m->type = SLUICE_CTL_REFUSED;
	memset(&m->u, 0, sizeof(m->u));
	m->u.refused.error = error;
	memcpy(m->u.refused.text, text, strlen(text));
	fake_reply(conn, m, NULL, 0, sizeof(*m));
}

static inline void fake_attach(struct fake *f, int conn, struct sluice_ctl_msg *m)
{
	uint32_t size = m->u.attach.lane_bytes ? m->u.attach.lane_bytes : SLUICE_LANE_DEFAULT;
	uint32_t slot = f->lanes;
	struct fake_lane *lane = &f->lane[slot];
	size_t data_len = 4096 + SLUICE_LANE_HEAD + size, ctl_len = 8192;
	int data = memfd_create("data", MFD_CLOEXEC), ctl = memfd_create("ctl", MFD_CLOEXEC);
	unsigned int nfds = f->mode == FAKE_NO_WAKE ? 2 : f->mode == FAKE_NO_FDS ? 0 : 3;
	int pair[2], fds[3];
	char name[64];

	if (f->mode == FAKE_REFUSE || slot == FAKE_LANES) {
		fake_refuse(conn, m, EADDRINUSE, "port 53 is shared with pid 7");
		close(data);
		close(ctl);
		return;
	}
	f->port = m->u.attach.port;
	assert_int_equal(ftruncate(data, (off_t)data_len - (f->mode == FAKE_BAD_RANGE)), 0);
	assert_int_equal(ftruncate(ctl, (off_t)ctl_len), 0);
	lane->data_map = mmap(NULL, data_len, PROT_READ | PROT_WRITE, MAP_SHARED, data, 0);
	lane->ctl_map = mmap(NULL, ctl_len, PROT_READ | PROT_WRITE, MAP_SHARED, ctl, 0);
	lane->head = (void *)((char *)lane->data_map + 4096);
	/* in the second page, and not at its start */
	lane->ctl = (void *)((char *)lane->ctl_map + 4096 + 2 * sizeof(struct sluice_lane_ctl));
	lane->size = size;
	lane->producer = f->start;
	lane->head->magic = f->mode == FAKE_BAD_HEAD ? 0 : SLUICE_LANE_MAGIC;
	lane->head->size = size;
	lane->head->state = SLUICE_LANE_ACTIVE;
	lane->head->producer = f->start;
	lane->ctl->consumer = f->start;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	lane->wake = pair[0];
	lane->conn = conn;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", data);
	fds[0] = open(name, O_RDONLY | O_CLOEXEC);
	fds[1] = ctl;
	fds[2] = pair[1];
	memset(&m->u, 0, sizeof(m->u));
	m->type = SLUICE_CTL_ATTACHED;
	m->lane = slot;
	m->u.attached.data_offset = 4096;
	m->u.attached.ctl_offset = 4096 + 2 * sizeof(struct sluice_lane_ctl);
	m->u.attached.ring_bytes = size;
	m->u.attached.state = SLUICE_LANE_ACTIVE;
	strcpy(m->u.attached.text, "bypasses nothing");
	f->lanes = slot + 1;
	fake_reply(conn, m, fds, nfds, sizeof(*m));
	close(data);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

static inline void fake_lane_close(struct fake_lane *lane)
{
	pthread_mutex_lock(&lane->lock);
	if (lane->wake >= 0)
		close(lane->wake);
	lane->wake = -1;
	lane->detached = true;
	pthread_mutex_unlock(&lane->lock);
}

static inline bool fake_handle(struct fake *f, int conn, struct sluice_ctl_msg *m)
{
	if (f->mode == FAKE_CLOSE_ATTACH)
		return false;
	if (f->mode == FAKE_SILENT)
		return true;
	if (f->mode == FAKE_SHORT) {
		m->type = SLUICE_CTL_REFUSED;
		m->u.refused.error = EPERM;
		fake_reply(conn, m, NULL, 0, sizeof(*m) / 2);
		return true;
	}
	m->version = (uint16_t)(m->version + (f->mode == FAKE_BAD_VERSION));
	m->id += f->mode == FAKE_BAD_ID;
	switch (m->type) {
	case SLUICE_CTL_ATTACH:
		fake_attach(f, conn, m);
		return true;
	case SLUICE_CTL_STOP:
	case SLUICE_CTL_DETACH:
		if (m->lane >= f->lanes || f->lane[m->lane].detached) {
			fake_refuse(conn, m, EINVAL, "no such lane");
			return true;
		}
		if (m->type == SLUICE_CTL_DETACH)
			fake_lane_close(&f->lane[m->lane]);
		f->lane[m->lane].stopped = true;
		m->type = SLUICE_CTL_DONE;
		fake_reply(conn, m, NULL, 0, sizeof(*m));
		return true;
	}
	return false;
}

static inline bool fake_serve(struct fake *f, int conn)
{
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(sizeof(int))];
	} u;
	struct sluice_ctl_msg m;
	struct iovec iov = { .iov_base = &m, .iov_len = sizeof(m) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
			      .msg_control = u.buf, .msg_controllen = sizeof(u.buf) };
	struct cmsghdr *h;
	ssize_t n = recvmsg(conn, &msg, MSG_CMSG_CLOEXEC);
	int fd;

	if (n != sizeof(m) || m.magic != SLUICE_CTL_MAGIC || m.version != SLUICE_CTL_VERSION)
		return false;
	f->requests++;
	h = CMSG_FIRSTHDR(&msg);
	if ((m.type == SLUICE_CTL_ATTACH) != (h != NULL))
		return false;
	if (h) {
		memcpy(&fd, CMSG_DATA(h), sizeof(fd));
		f->sock_cookie = fake_cookie(fd, SO_COOKIE);
		close(fd);
	}
	return fake_handle(f, conn, &m);
}

static inline void fake_drop_conn(struct fake *f, int conn)
{
	for (uint32_t i = 0; i < f->lanes; i++) {
		if (f->lane[i].conn == conn)
			fake_lane_close(&f->lane[i]);
	}
	close(conn);
}

static inline void *fake_run(void *arg)
{
	struct pollfd p[2 + FAKE_CONNS];
	struct fake *f = arg;
	nfds_t n = 2;

	p[0] = (struct pollfd){ .fd = f->kick[0], .events = POLLIN };
	p[1] = (struct pollfd){ .fd = f->listener, .events = POLLIN };
	for (;;) {
		poll(p, n, -1);
		if (p[0].revents)
			break;
		for (nfds_t i = 2; i < n; i++) {
			if (!p[i].revents || fake_serve(f, p[i].fd))
				continue;
			fake_drop_conn(f, p[i].fd);
			p[i--] = p[--n];
		}
		if (p[1].revents && n < 2 + FAKE_CONNS) {
			int conn = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);

			if (f->mode == FAKE_CLOSE_ACCEPT)
				close(conn);
			else
				p[n++] = (struct pollfd){ .fd = conn, .events = POLLIN };
		}
		p[1].revents = 0;
	}
	while (n-- > 2)
		fake_drop_conn(f, p[n].fd);
	return NULL;
}

static FAKE_UNUSED void fake_new_dir(struct fake *f)
{
	memset(f, 0, sizeof(*f));
	f->listener = -1;
	strcpy(f->dir, "/tmp/sluice-lib-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	setenv("SLUICE_RUN_DIR", f->dir, 1);
}

static FAKE_UNUSED void fake_path(struct fake *f, char *path, size_t len, const char *dev)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	snprintf(path, len, "%s/%llu-%s.sock", f->dir,
		 (unsigned long long)fake_cookie(fd, SO_NETNS_COOKIE), dev);
	close(fd);
}

static FAKE_UNUSED void fake_start(struct fake *f, enum fake_mode mode)
{
	fake_new_dir(f);
	f->mode = mode;
	fake_path(f, f->path, sizeof(f->path), "veth0");
	f->listener = fake_listen(f->path);
	assert_int_equal(pipe2(f->kick, O_CLOEXEC), 0);
	assert_int_equal(pthread_create(&f->thread, NULL, fake_run, f), 0);
}

/* The daemon dies. Its socket file stays, as after SIGKILL. */
static FAKE_UNUSED void fake_kill(struct fake *f)
{
	if (f->listener < 0)
		return;
	assert_int_equal(write(f->kick[1], "", 1), 1);
	pthread_join(f->thread, NULL);
	close(f->listener);
	f->listener = -1;
	close(f->kick[0]);
	close(f->kick[1]);
}

static FAKE_UNUSED void fake_stop(struct fake *f)
{
	fake_kill(f);
	for (uint32_t i = 0; i < f->lanes; i++) {
		fake_lane_close(&f->lane[i]);
		munmap(f->lane[i].data_map, 4096 + SLUICE_LANE_HEAD + f->lane[i].size);
		munmap(f->lane[i].ctl_map, 8192);
	}
	if (f->path[0])
		unlink(f->path);
	rmdir(f->dir);
	unsetenv("SLUICE_RUN_DIR");
}

/* Puts a record without telling the client. False: no room. Single producer, as lane.h says. */
static FAKE_UNUSED bool fake_put(struct fake_lane *lane, const struct sluice_rec *tmpl,
				 const void *data, uint32_t len)
{
	uint64_t consumer = __atomic_load_n(&lane->ctl->consumer, __ATOMIC_ACQUIRE);
	uint8_t *ring = (uint8_t *)lane->head + SLUICE_LANE_HEAD;
	uint32_t at = (uint32_t)lane->producer & (lane->size - 1), need = SLUICE_REC_SPACE(len);
	uint32_t skip = need > lane->size - at ? lane->size - at : 0;
	struct sluice_rec *rec = (void *)(ring + at);

	assert_true(consumer <= lane->producer);
	if (need + skip > lane->size - (lane->producer - consumer))
		return false;
	if (skip) {
		rec->len = skip - (uint32_t)sizeof(*rec);
		rec->kind = SLUICE_REC_SKIP;
		lane->producer += skip;
		rec = (void *)ring;
	}
	*rec = *tmpl;
	rec->len = len;
	rec->kind = SLUICE_REC_DATA;
	if (len)
		memcpy(rec + 1, data, len);
	lane->producer += need;
	return true;
}

static FAKE_UNUSED void fake_commit(struct fake_lane *lane)
{
	__atomic_store_n(&lane->head->producer, lane->producer, __ATOMIC_RELEASE);
	__sync_synchronize();
	if (__atomic_load_n(&lane->ctl->armed, __ATOMIC_RELAXED) &&
	    __atomic_exchange_n(&lane->ctl->armed, 0, __ATOMIC_ACQ_REL)) {
		pthread_mutex_lock(&lane->lock);
		if (lane->wake >= 0 && send(lane->wake, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
			lane->bytes_sent++;
		pthread_mutex_unlock(&lane->lock);
	}
}

static FAKE_UNUSED struct sluice_rec fake_rec(void)
{
	struct sluice_rec rec = { .hash = 0x1234, .ifindex = 1, .tstamp = 1700000000123456789ull,
				  .sport = htons(4321), .dport = htons(53), .version = 4,
				  .ttl = 64, .saddr = { 127, 0, 0, 1 }, .daddr = { 127, 0, 0, 1 } };

	return rec;
}

static FAKE_UNUSED void fake_send(struct fake_lane *lane, const char *text)
{
	struct sluice_rec rec = fake_rec();

	assert_true(fake_put(lane, &rec, text, (uint32_t)strlen(text)));
	fake_commit(lane);
}

/* A UDP socket bound to a port of loopback, and one connected to it. */
static FAKE_UNUSED int fake_udp(int family, int *sender)
{
	struct sockaddr_in6 a = { .sin6_family = (sa_family_t)family };
	socklen_t len = sizeof(a);
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (family == AF_INET)
		((struct sockaddr_in *)&a)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		a.sin6_addr = in6addr_loopback;
	len = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(a);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	if (sender) {
		*sender = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(*sender, (struct sockaddr *)&a, len), 0);
	}
	return fd;
}

/* One accelerated socket on a fake daemon of its own. */
struct rig {
	struct fake f;
	struct fake_lane *lane;
	struct sluice_sock *s;
	int fd, tx;
};

static FAKE_UNUSED void rig_attach(struct rig *r, uint32_t lane_bytes)
{
	struct sluice_opts opts = { .lane_bytes = lane_bytes, .flags = SLUICE_REQUIRE };

	assert_int_equal(sluice_attach(&r->s, r->fd, &opts), 0);
	r->lane = &r->f.lane[r->f.lanes - 1];
}

static FAKE_UNUSED void rig_start(struct rig *r, int family, uint32_t lane_bytes, uint64_t start)
{
	fake_start(&r->f, FAKE_OK);
	r->f.start = start;
	r->fd = fake_udp(family, &r->tx);
	rig_attach(r, lane_bytes);
}

static FAKE_UNUSED void rig_stop(struct rig *r)
{
	sluice_detach(r->s);
	fake_stop(&r->f);
	close(r->fd);
	close(r->tx);
}

/* The text of the next datagram, "" when there is none. */
static FAKE_UNUSED const char *rig_recv(struct rig *r, int flags)
{
	static char buf[2048];
	ssize_t n = sluice_recvfrom(r->s, buf, sizeof(buf) - 1, flags, NULL, NULL);

	if (n < 0)
		assert_int_equal(n, -EAGAIN);
	buf[n < 0 ? 0 : n] = '\0';
	return buf;
}

static FAKE_UNUSED int64_t fake_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static FAKE_UNUSED unsigned int fake_count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* The fake daemon closes its own descriptors a little later than the client sees the answer. */
static FAKE_UNUSED bool fake_fds_become(unsigned int n)
{
	for (int ms = 0; ms < 1000 && fake_count_fds() != n; ms++)
		usleep(1000);
	return fake_count_fds() == n;
}

#endif
