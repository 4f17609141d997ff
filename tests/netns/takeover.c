/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * takeover - a client that attaches a socket and then changes what it is bound
 * or connected to, to get datagrams that the kernel would not give it.
 *
 *	takeover DEV SENDER-NETNS CHANGE-MS DISCONNECT-MS
 *
 * Linux is the oracle: each case runs twice with the same calls on the same
 * kind of sockets, first without sluice and then attached. After every step
 * datagrams go from each of two source addresses to each of two local addresses
 * and two ports; what each socket got of them, through the kernel and the lane
 * together, must be the same in both runs. CHANGE-MS and DISCONNECT-MS are waited
 * between a change and the datagrams: 0 where the daemon learns of it at once.
 *
 *	sender 10.77.0.1, 10.77.0.3  ==== DEV 10.77.0.2, 10.77.0.4
 */
#include <err.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "check.h"
#include "ctl.h"

#define PORT 7100
#define OTHER_PORT 7101
#define SENDER_PORT 4000
#define PROBES 8 /* src x dst x port */
#define REPEAT 10
#define MAX_STEPS 8
#define MAX_SOCKS 2

struct probe {
	__u32 magic, step, index;
};

struct step {
	const char *what;
	unsigned int got[MAX_SOCKS][PROBES];
	unsigned int lane; /* how many of them came through the lane */
};

struct run {
	const char *dev;
	long change_ms, disconnect_ms;
	bool disconnected; /* since the last step */
	int sender[2];
	bool attached;	  /* this is the run with sluice */
	bool expect_lane; /* the first step must come through the lane */
	int ctl;
	struct ctl_lane lane; /* of socket 0; head is NULL while there is none */
	int socks[MAX_SOCKS];
	__u16 ports[2];
	struct step steps[MAX_STEPS];
	unsigned int nsteps;
};

struct attack {
	const char *name;
	void (*fn)(struct run *r);
};

static int must(int r, const char *what)
{
	if (r < 0)
		err(1, "%s", what);
	return r;
}

static void sleep_ms(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

static int sender_socket(const char *netns, int home, const char *addr)
{
	struct sockaddr_in sa = ctl_addr4(addr, SENDER_PORT);
	int ns = must(open(netns, O_RDONLY | O_CLOEXEC), netns), fd;

	must(setns(ns, CLONE_NEWNET), "setns");
	fd = ctl_udp(AF_INET, &sa, sizeof(sa));
	must(setns(home, CLONE_NEWNET), "setns back");
	close(ns);
	if (fd < 0)
		errx(1, "sender %s: %s", addr, strerror(-fd));
	return fd;
}

static void send_probes(const struct run *r)
{
	static const char *const dst[] = { "10.77.0.2", "10.77.0.4" };
	__u32 i, n;

	for (n = 0; n < REPEAT; n++) {
		for (i = 0; i < PROBES; i++) {
			struct sockaddr_in to = ctl_addr4(dst[(i >> 1) & 1], r->ports[i >> 2]);
			struct probe p = { 0x70726f62, r->nsteps, i };

			sendto(r->sender[i & 1], &p, sizeof(p), 0, (void *)&to, sizeof(to));
		}
	}
}

static void count_one(struct run *r, unsigned int sock, const void *data, size_t len)
{
	struct step *s = &r->steps[r->nsteps];
	struct probe p;

	if (len != sizeof(p))
		errx(1, "a datagram of %zu bytes that nobody sent", len);
	memcpy(&p, data, sizeof(p));
	if (p.step == r->nsteps && p.index < PROBES)
		s->got[sock][p.index]++;
}

static void count_socket(struct run *r, unsigned int sock)
{
	char buf[64];
	ssize_t n;

	while (r->socks[sock] >= 0 &&
	       (n = recv(r->socks[sock], buf, sizeof(buf), MSG_DONTWAIT)) != -1)
		count_one(r, sock, buf, (size_t)n);
}

static void count_lane(struct run *r)
{
	const struct sluice_rec *rec;

	while (r->lane.head && (rec = ctl_next(&r->lane))) {
		count_one(r, 0, rec + 1, rec->len);
		r->steps[r->nsteps].lane++;
	}
}

/* Sends everything to everybody; what arrives is this step's result. */
static void probe(struct run *r, const char *what)
{
	unsigned int i, s;

	r->steps[r->nsteps].what = what;
	if (r->attached)
		sleep_ms(r->disconnected ? r->disconnect_ms : r->change_ms);
	r->disconnected = false;
	send_probes(r);
	for (i = 0; i < 10; i++) {
		sleep_ms(10);
		count_lane(r);
		for (s = 0; s < MAX_SOCKS; s++)
			count_socket(r, s);
	}
	r->nsteps++;
}

static int open_udp(struct run *r, unsigned int sock, const char *addr, __u16 port, bool reuse)
{
	struct sockaddr_in sa = ctl_addr4(addr, port);
	int fd = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"), on = 1;

	if (reuse)
		must(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), "SO_REUSEADDR");
	must(bind(fd, (void *)&sa, sizeof(sa)), "bind");
	r->socks[sock] = fd;
	return fd;
}

static void connect_to(int fd, const char *addr)
{
	struct sockaddr_in sa = ctl_addr4(addr, SENDER_PORT);

	must(connect(fd, (void *)&sa, sizeof(sa)), "connect");
}

static void disconnect(struct run *r, int fd)
{
	struct sockaddr sa = { .sa_family = AF_UNSPEC };

	must(connect(fd, &sa, sizeof(sa)), "disconnect");
	r->disconnected = true;
}

static __u16 local_port(int fd)
{
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);

	must(getsockname(fd, (void *)&sa, &len), "getsockname");
	return ntohs(sa.sin_port);
}

/* Nothing in the run without sluice. A refusal is fine: then the kernel serves the socket. */
static void attach(struct run *r, bool must_work)
{
	int e;

	if (!r->attached)
		return;
	r->ctl = ctl_open(r->dev);
	if (r->ctl < 0)
		errx(1, "no daemon for %s: %s", r->dev, strerror(-r->ctl));
	r->expect_lane = must_work;
	e = ctl_attach(r->ctl, r->socks[0], local_port(r->socks[0]), &r->lane);
	if (e < 0 || (e && must_work))
		errx(1, "attach: %s (%s)", strerror(abs(e)), r->lane.text);
	if (!e && ctl_map(&r->lane))
		errx(1, "cannot map the lane");
	if (e)
		printf("      refused: %s\n", r->lane.text);
}

static void attack_connect(struct run *r)
{
	int fd = open_udp(r, 0, "0.0.0.0", PORT, false);

	attach(r, true);
	probe(r, "bound to any address");
	connect_to(fd, "10.77.0.1");
	probe(r, "then connected");
	disconnect(r, fd);
	probe(r, "then disconnected");
	connect_to(fd, "10.77.0.3");
	probe(r, "then connected to another");
}

static void attack_disconnect(struct run *r)
{
	int fd = open_udp(r, 0, "10.77.0.2", PORT, false);

	connect_to(fd, "10.77.0.1");
	attach(r, true);
	probe(r, "bound to one address and connected");
	disconnect(r, fd);
	probe(r, "then disconnected");
	connect_to(fd, "10.77.0.3");
	probe(r, "then connected to another");
}

/* A port that the kernel chose is given up by disconnecting; then somebody else may take it. */
static void attack_give_up_port(struct run *r)
{
	int fd = open_udp(r, 0, "0.0.0.0", 0, false);
	__u16 port = local_port(fd);

	r->ports[0] = port;
	connect_to(fd, "10.77.0.1");
	attach(r, false);
	probe(r, "port chosen by the kernel, connected");
	disconnect(r, fd);
	probe(r, "then disconnected, which gives the port up");
	open_udp(r, 1, "0.0.0.0", port, false);
	probe(r, "then the port is bound by another socket");
}

static void attack_rebind(struct run *r)
{
	int fd = open_udp(r, 0, "0.0.0.0", 0, false);
	struct sockaddr_in sa = ctl_addr4("10.77.0.4", OTHER_PORT);

	r->ports[0] = local_port(fd);
	connect_to(fd, "10.77.0.1");
	attach(r, false);
	disconnect(r, fd);
	must(bind(fd, (void *)&sa, sizeof(sa)), "bind again");
	probe(r, "disconnected and bound to another port and address");
}

static void attack_share_later(struct run *r)
{
	open_udp(r, 0, "0.0.0.0", PORT, true);
	attach(r, true);
	probe(r, "alone on the port");
	open_udp(r, 1, "0.0.0.0", PORT, true);
	probe(r, "then shared by SO_REUSEADDR");
	close(r->socks[1]);
	r->socks[1] = -1;
	probe(r, "then the other has gone");
}

static void attack_shadow(struct run *r)
{
	open_udp(r, 0, "0.0.0.0", PORT, true);
	attach(r, true);
	probe(r, "alone on the port");
	open_udp(r, 1, "10.77.0.2", PORT, true);
	probe(r, "then another socket binds one address of it");
	connect_to(r->socks[1], "10.77.0.3");
	probe(r, "and connects");
}

static void attack_hang_up(struct run *r)
{
	open_udp(r, 0, "0.0.0.0", PORT, false);
	attach(r, true);
	probe(r, "attached");
	/* The daemon takes the lane's memory back: nothing may be read from it any more. */
	if (r->attached) {
		close(r->ctl);
		r->ctl = -1;
		r->lane.head = NULL;
		sleep_ms(100);
	}
	probe(r, "then the client has hung up");
}

static void finish(struct run *r)
{
	unsigned int i;

	for (i = 0; i < MAX_SOCKS; i++)
		if (r->socks[i] >= 0)
			close(r->socks[i]);
	if (r->lane.ring_bytes) {
		close(r->lane.data);
		close(r->lane.ctl);
		close(r->lane.wake);
	}
	if (r->ctl >= 0)
		close(r->ctl);
	sleep_ms(50);
}

static void compare(struct checks *c, const char *name, const struct run *kernel,
		    const struct run *sluice)
{
	unsigned int i, s, p, wrong, sum;

	for (i = 0; i < kernel->nsteps; i++) {
		wrong = sum = 0;
		for (s = 0; s < MAX_SOCKS; s++) {
			for (p = 0; p < PROBES; p++) {
				sum += kernel->steps[i].got[s][p];
				if (kernel->steps[i].got[s][p] == sluice->steps[i].got[s][p])
					continue;
				wrong++;
				printf("      socket %u, from .%u to .%u port %u: kernel %u, "
				       "sluice %u\n",
				       s, p & 1 ? 3 : 1, p & 2 ? 4 : 2, sluice->ports[p >> 2],
				       kernel->steps[i].got[s][p], sluice->steps[i].got[s][p]);
			}
		}
		if (sluice->expect_lane && !i && !sluice->steps[i].lane)
			wrong++;
		check(c, !wrong, "%s: %s (%u datagrams, %u through the lane)", name,
		      kernel->steps[i].what, sum, sluice->steps[i].lane);
	}
}

static void run_attack(struct checks *c, const struct run *base, const struct attack *a)
{
	struct run runs[2];
	int i;

	for (i = 0; i < 2; i++) {
		runs[i] = *base;
		runs[i].attached = i == 1;
		a->fn(&runs[i]);
		finish(&runs[i]);
	}
	compare(c, a->name, &runs[0], &runs[1]);
}

int main(int argc, char **argv)
{
	static const struct attack attacks[] = {
		{ "connect", attack_connect },
		{ "disconnect", attack_disconnect },
		{ "give up the port", attack_give_up_port },
		{ "re-bind", attack_rebind },
		{ "share later", attack_share_later },
		{ "shadow", attack_shadow },
		{ "hang up", attack_hang_up },
	};
	struct run base = { .ctl = -1, .socks = { -1, -1 }, .ports = { PORT, OTHER_PORT } };
	struct checks c = { 0 };
	size_t i;
	int home;

	if (argc != 5)
		errx(2, "usage: takeover DEV SENDER-NETNS CHANGE-MS DISCONNECT-MS");
	home = must(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), "netns");
	base.dev = argv[1];
	base.change_ms = atol(argv[3]);
	base.disconnect_ms = atol(argv[4]);
	base.sender[0] = sender_socket(argv[2], home, "10.77.0.1");
	base.sender[1] = sender_socket(argv[2], home, "10.77.0.3");
	for (i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++)
		run_attack(&c, &base, &attacks[i]);
	return check_exit(&c);
}
