/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * hostile - a client that does its worst. After each misdeed, and while it
 * lasts, a new connection must get its answer within ANSWER_MS.
 *
 *	hostile DEV LOCAL-ADDR PORT PEER-ADDR
 *
 * The script sends datagrams to PORT all the while, and to the port of a
 * well-behaved client, which must not lose one.
 */
#include <err.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "check.h"
#include "ctl.h"

#define ANSWER_MS 1000
#define GONE_MS 3000

struct env {
	struct checks checks;
	const char *dev, *addr, *peer;
	__u16 port;
};

struct misdeed {
	const char *what;
	void (*fn)(struct env *e, const char *what);
};

/* What a misdeed works with: a connection, a socket and, once attached, its lane. */
struct client {
	int sock, udp;
	struct ctl_lane lane;
};

static void sleep_ms(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

static void others_are_served(struct env *e, const char *what)
{
	int sock = ctl_open(e->dev), fd = -1, r;
	struct sluice_ctl_msg m;

	if (!check(&e->checks, sock >= 0, "%s: another connection is accepted", what))
		return;
	ctl_init(&m, SLUICE_CTL_QUERY);
	m.u.query.what = SLUICE_QUERY_STAT;
	r = ctl_send(sock, &m, sizeof(m), NULL, 0, 0);
	if (!r)
		r = ctl_recv(sock, &m, &fd, 1, ANSWER_MS);
	check(&e->checks, r == 1 && m.type == SLUICE_CTL_ANSWER,
	      "%s: another connection is answered (%s)", what, r < 0 ? strerror(-r) : "ok");
	if (r == 1)
		close(fd);
	close(sock);
}

static void client_open(const struct env *e, struct client *c)
{
	struct sockaddr_in sa = ctl_addr4(e->addr, e->port);

	memset(c, 0, sizeof(*c));
	c->sock = ctl_open(e->dev);
	c->udp = ctl_udp(AF_INET, &sa, sizeof(sa));
	if (c->sock < 0 || c->udp < 0)
		errx(1, "client: %s", strerror(c->sock < 0 ? -c->sock : -c->udp));
}

static void client_attach(const struct env *e, struct client *c)
{
	int r = ctl_attach(c->sock, c->udp, e->port, &c->lane);

	if (r)
		errx(1, "attach: %s (%s)", strerror(abs(r)), c->lane.text);
	r = ctl_map(&c->lane);
	if (r)
		errx(1, "map: %s", strerror(-r));
}

static void client_close(struct client *c)
{
	if (c->lane.head) {
		close(c->lane.data);
		close(c->lane.ctl);
		close(c->lane.wake);
	}
	close(c->sock);
	close(c->udp);
	sleep_ms(20);
}

static bool hung_up(int sock)
{
	int fds[8], r, i;

	do {
		struct sluice_ctl_msg m;

		r = ctl_recv(sock, &m, fds, 8, GONE_MS);
		for (i = 0; i < r; i++)
			close(fds[i]);
	} while (r >= 0);
	return r == -ECONNRESET || r == -EPIPE;
}

static void silent(struct env *e, const char *what)
{
	struct client c;

	client_open(e, &c);
	others_are_served(e, what);
	client_close(&c);
}

static void mid_handshake(struct env *e, const char *what)
{
	struct sluice_ctl_msg m;
	struct client c;

	client_open(e, &c);
	ctl_init(&m, SLUICE_CTL_ATTACH);
	ctl_send(c.sock, &m, sizeof(m), &c.udp, 1, 0);
	others_are_served(e, what);
	client_close(&c);
}

static void unread_answers(struct env *e, const char *what)
{
	struct sluice_ctl_msg m;
	struct client c;
	int i;

	client_open(e, &c);
	ctl_init(&m, SLUICE_CTL_QUERY);
	m.u.query.what = SLUICE_QUERY_STAT;
	for (i = 0; i < 2000; i++) {
		if (ctl_send(c.sock, &m, sizeof(m), NULL, 0, MSG_DONTWAIT))
			sleep_ms(1);
	}
	others_are_served(e, what);
	client_close(&c);
}

static void clear_nonblock(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
}

static void blocking_descriptors(struct env *e, const char *what)
{
	struct client c;

	client_open(e, &c);
	clear_nonblock(c.udp);
	client_attach(e, &c);
	clear_nonblock(c.udp);
	clear_nonblock(c.lane.wake);
	clear_nonblock(c.sock);
	sleep_ms(300);
	others_are_served(e, what);
	client_close(&c);
}

/* Arms again and again and never drains: the daemon's sends meet a full socket. */
static void full_wake_up(struct env *e, const char *what)
{
	struct client c;
	int i;

	client_open(e, &c);
	client_attach(e, &c);
	clear_nonblock(c.lane.wake);
	for (i = 0; i < 10000; i++)
		if (send(c.lane.wake, "x", 1, MSG_DONTWAIT) < 0)
			break;
	for (i = 0; i < 1500; i++) {
		__atomic_store_n(&c.lane.slot->armed, 1, __ATOMIC_SEQ_CST);
		while (ctl_next(&c.lane))
			;
		nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL);
	}
	others_are_served(e, what);
	client_close(&c);
}

static void shut_wake_up(struct env *e, const char *what)
{
	struct client c;

	client_open(e, &c);
	client_attach(e, &c);
	shutdown(c.lane.wake, SHUT_RDWR);
	__atomic_store_n(&c.lane.slot->armed, 1, __ATOMIC_SEQ_CST);
	sleep_ms(200);
	others_are_served(e, what);
	client_close(&c);
}

static void never_reads(struct env *e, const char *what)
{
	struct client c;

	client_open(e, &c);
	client_attach(e, &c);
	sleep_ms(1000);
	others_are_served(e, what);
	client_close(&c);
}

static void lie(struct env *e, const char *what, __u64 (*position)(const struct ctl_lane *l))
{
	struct client c;

	client_open(e, &c);
	client_attach(e, &c);
	sleep_ms(100);
	while (ctl_next(&c.lane))
		;
	__atomic_store_n(&c.lane.slot->consumer, position(&c.lane), __ATOMIC_RELEASE);
	check(&e->checks, hung_up(c.sock), "%s: disconnected", what);
	others_are_served(e, what);
	client_close(&c);
}

static __u64 past_producer(const struct ctl_lane *l)
{
	return __atomic_load_n(&l->head->producer, __ATOMIC_ACQUIRE) + (1u << 30);
}

static __u64 backwards(const struct ctl_lane *l)
{
	return l->consumer - 2ull * l->ring_bytes - SLUICE_REC_ALIGN;
}

static __u64 crooked(const struct ctl_lane *l)
{
	return l->consumer - 1;
}

static void lie_past(struct env *e, const char *what)
{
	lie(e, what, past_producer);
}

static void lie_backwards(struct env *e, const char *what)
{
	lie(e, what, backwards);
}

static void lie_crooked(struct env *e, const char *what)
{
	lie(e, what, crooked);
}

/* A message of which something is wrong ends the connection. */
static void malformed(struct env *e, const char *what, const struct sluice_ctl_msg *m, size_t len,
		      size_t fds)
{
	int copies[CTL_FDS];
	struct client c;
	size_t i;
	int r;

	client_open(e, &c);
	for (i = 0; i < fds; i++)
		copies[i] = c.udp;
	r = ctl_send(c.sock, m, len, copies, fds, 0);
	check(&e->checks, !r && hung_up(c.sock), "%s: disconnected", what);
	others_are_served(e, what);
	client_close(&c);
}

static void many_descriptors(struct env *e, const char *what)
{
	struct sluice_ctl_msg m;

	ctl_init(&m, SLUICE_CTL_ATTACH);
	malformed(e, what, &m, sizeof(m), 250);
}

static void malformed_messages(struct env *e, const char *what)
{
	struct sluice_ctl_msg good, m;

	(void)what;
	ctl_init(&good, SLUICE_CTL_ATTACH);
	malformed(e, "an attach without a descriptor", &good, sizeof(good), 0);
	malformed(e, "an attach with two descriptors", &good, sizeof(good), 2);
	malformed(e, "half a message", &good, sizeof(good) / 2, 1);
	malformed(e, "one byte", &good, 1, 0);
	m = good;
	m.magic++;
	malformed(e, "a wrong magic", &m, sizeof(m), 1);
	m = good;
	m.version++;
	malformed(e, "a wrong version", &m, sizeof(m), 1);
	m = good;
	m.type = SLUICE_CTL_ATTACHED;
	malformed(e, "an answer as request", &m, sizeof(m), 0);
	m.type = SLUICE_CTL_QUERY;
	malformed(e, "a query with a descriptor", &m, sizeof(m), 1);
}

static void detach_of_nothing(struct env *e, const char *what)
{
	static const __u32 lanes[] = { 0, 1, SLUICE_CTL_LANES, 0xffffffff };
	struct sluice_ctl_msg m;
	struct client c;
	size_t i;
	int r;

	client_open(e, &c);
	for (i = 0; i < sizeof(lanes) / sizeof(lanes[0]); i++) {
		ctl_init(&m, i & 1 ? SLUICE_CTL_STOP : SLUICE_CTL_DETACH);
		m.lane = lanes[i];
		r = ctl_send(c.sock, &m, sizeof(m), NULL, 0, 0);
		if (!r)
			r = ctl_recv(c.sock, &m, NULL, 0, ANSWER_MS);
		check(&e->checks, r == 0 && m.type == SLUICE_CTL_REFUSED, "%s: lane %u is refused",
		      what, lanes[i]);
	}
	others_are_served(e, what);
	client_close(&c);
}

static void many_connections(struct env *e, const char *what)
{
	int socks[200], i;

	for (i = 0; i < 200; i++)
		socks[i] = ctl_open(e->dev);
	others_are_served(e, what);
	for (i = 0; i < 200; i++)
		if (socks[i] >= 0)
			close(socks[i]);
	sleep_ms(50);
	others_are_served(e, "and when they have gone");
}

struct corked {
	int udp;
	struct sockaddr_in to;
	void *page;
};

/* Sleeps in the page fault with the socket's lock held. */
static void *send_corked(void *arg)
{
	struct corked *k = arg;

	sendto(k->udp, k->page, 64, MSG_MORE, (void *)&k->to, sizeof(k->to));
	return NULL;
}

/* A page whose first touch waits until the returned descriptor is closed, or -1. */
static int trap_page(void **page)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	if (fd < 0)
		return -1;
	*page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.range.start = (__u64)(uintptr_t)*page;
	reg.range.len = size;
	if (*page == MAP_FAILED || ioctl(fd, UFFDIO_API, &api) ||
	    ioctl(fd, UFFDIO_REGISTER, &reg)) {
		close(fd);
		return -1;
	}
	return fd;
}

static void locked_socket(struct env *e, const char *what)
{
	struct corked k = { .to = ctl_addr4(e->peer, 9) };
	struct sluice_ctl_msg m;
	struct ctl_lane l;
	pthread_t thread;
	struct client c;
	int trap, fds[3], r;

	trap = trap_page(&k.page);
	if (trap < 0) {
		printf("not tried  %s: no userfaultfd here (%s)\n", what, strerror(errno));
		return;
	}
	client_open(e, &c);
	k.udp = c.udp;
	if (pthread_create(&thread, NULL, send_corked, &k))
		errx(1, "pthread_create");
	sleep_ms(100);
	/* It may have to wait itself, until it lets go. */
	r = ctl_attach(c.sock, c.udp, e->port, &l);
	others_are_served(e, what);
	close(trap);
	pthread_join(thread, NULL);
	if (r == -ETIMEDOUT)
		r = ctl_recv(c.sock, &m, fds, 3, CTL_TIMEOUT);
	check(&e->checks, r >= 0, "%s: the client gets its answer in the end", what);
	client_close(&c);
	others_are_served(e, what);
}

int main(int argc, char **argv)
{
	static const struct misdeed misdeeds[] = {
		{ "says nothing", silent },
		{ "stops in mid-handshake", mid_handshake },
		{ "reads no answer", unread_answers },
		{ "clears O_NONBLOCK", blocking_descriptors },
		{ "fills its wake-up descriptor", full_wake_up },
		{ "shuts its wake-up descriptor down", shut_wake_up },
		{ "never reads its lane", never_reads },
		{ "claims to have read more than there is", lie_past },
		{ "runs backwards", lie_backwards },
		{ "stops between two records", lie_crooked },
		{ "sends 250 descriptors", many_descriptors },
		{ "malformed", malformed_messages },
		{ "detaches what it does not have", detach_of_nothing },
		{ "opens 200 connections", many_connections },
		{ "holds its socket's lock", locked_socket },
	};
	struct env e = { 0 };
	size_t i;

	if (argc != 5)
		errx(2, "usage: hostile DEV LOCAL-ADDR PORT PEER-ADDR");
	e.dev = argv[1];
	e.addr = argv[2];
	e.port = (__u16)atoi(argv[3]);
	e.peer = argv[4];
	for (i = 0; i < sizeof(misdeeds) / sizeof(misdeeds[0]); i++)
		misdeeds[i].fn(&e, misdeeds[i].what);
	return check_exit(&e.checks);
}
