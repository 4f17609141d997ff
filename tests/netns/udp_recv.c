/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * udp_recv - a client of the library that knows every byte it should receive.
 *
 *	udp_recv -p PORT[,PORT...] [-a ADDR] [-n COUNT | -t SECONDS] [-i IDLE_MS]
 *		 [-c CPU] [-P] [-k] [-R] [-T] [-G]
 *
 * Binds the ports, attaches them (-k: stays on the kernel socket; -R: fails
 * where the library would fall back; -T: sets IP_TRANSPARENT), says "ready" on stderr and
 * receives until COUNT datagrams have come, SECONDS have passed, IDLE_MS without one after the
 * first, or SIGTERM. -P receives by peek and release. -G asks for merged datagrams (UDP_GRO),
 * which count as what they were; "merged" is how many of those came. Prints one JSON object;
 * exit code 1 when a byte was wrong or a datagram was another port's.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <sluice/sluice.h>

#include "payload.h"
#include "stop.h"

#define MAX_PORTS 16
#define MAX_FLOWS 1024
#define BATCH 64
#define LANE_BYTES (16u << 20) /* some 100 ms at the tests' rates */

struct port {
	uint16_t num;
	int fd;
	struct sluice_sock *sock;
	uint64_t received, bad, foreign, reordered, merged;
	uint64_t count[MAX_FLOWS];
	uint64_t next[MAX_FLOWS]; /* highest sequence number seen, plus 1 */
};

struct receiver {
	const char *addr;
	struct port *ports;
	unsigned int nports;
	uint64_t count;
	unsigned int seconds, idle_ms;
	int cpu;
	int peek, kernel, require, transparent, gro;
	uint8_t *buf; /* BATCH * PAYLOAD_MAX */
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void account(struct port *p, const uint8_t *data, size_t len)
{
	struct payload h;

	p->received++;
	if (payload_check(data, len, &h) || h.flow >= MAX_FLOWS) {
		p->bad++;
		return;
	}
	if (h.tag != p->num) {
		p->foreign++;
		return;
	}
	p->count[h.flow]++;
	if (h.seq + 1 > p->next[h.flow])
		p->next[h.flow] = h.seq + 1;
	else
		p->reordered++;
}

/* One record: a datagram, or several of gso_size bytes each but for the last. */
static unsigned int account_all(struct port *p, const uint8_t *data, size_t len, size_t gso_size)
{
	unsigned int n = 0;

	p->merged += gso_size > 0;
	if (!gso_size)
		gso_size = len;
	do {
		size_t part = len < gso_size ? len : gso_size;

		account(p, data, part);
		data += part;
		len -= part;
		n++;
	} while (len);
	return n;
}

static size_t gso_size_of(struct msghdr *m)
{
	int size = 0;

	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h))
		if (h->cmsg_level == IPPROTO_UDP && h->cmsg_type == UDP_GRO)
			memcpy(&size, CMSG_DATA(h), sizeof(size));
	return (size_t)size;
}

static int recv_peek(struct port *p)
{
	struct sluice_view views[BATCH];
	int i, r, n = sluice_peek(p->sock, views, BATCH), got = 0;

	if (n <= 0)
		return n;
	for (i = 0; i < n; i++)
		got += (int)account_all(p, views[i].data, views[i].len, views[i].gso_size);
	r = sluice_release(p->sock, (unsigned int)n);
	return r ? r : got;
}

static int recv_copy(struct receiver *rx, struct port *p)
{
	struct mmsghdr vec[BATCH];
	struct iovec iov[BATCH];
	_Alignas(struct cmsghdr) uint8_t control[BATCH][CMSG_SPACE(sizeof(int))];
	int i, n, got = 0;

	memset(vec, 0, sizeof(vec));
	for (i = 0; i < BATCH; i++) {
		iov[i].iov_base = rx->buf + (size_t)i * PAYLOAD_MAX;
		iov[i].iov_len = PAYLOAD_MAX;
		vec[i].msg_hdr.msg_iov = &iov[i];
		vec[i].msg_hdr.msg_iovlen = 1;
		vec[i].msg_hdr.msg_control = control[i];
		vec[i].msg_hdr.msg_controllen = sizeof(control[i]);
	}
	if (rx->kernel) {
		n = recvmmsg(p->fd, vec, BATCH, MSG_DONTWAIT, NULL);
		n = n < 0 ? -errno : n;
	} else {
		n = sluice_recvmmsg(p->sock, vec, BATCH, MSG_DONTWAIT, NULL);
	}
	for (i = 0; i < n; i++)
		got += (int)account_all(p, iov[i].iov_base, vec[i].msg_len,
					gso_size_of(&vec[i].msg_hdr));
	return n > 0 ? got : n;
}

/* One batch from each port; how many datagrams. */
static unsigned int recv_round(struct receiver *rx)
{
	unsigned int i, got = 0;

	for (i = 0; i < rx->nports; i++) {
		int n = rx->peek ? recv_peek(&rx->ports[i]) : recv_copy(rx, &rx->ports[i]);

		if (n < 0 && n != -EAGAIN)
			errx(1, "receive: %s", strerror(-n));
		got += n > 0 ? (unsigned int)n : 0;
	}
	return got;
}

static void wait_ports(const struct receiver *rx)
{
	struct pollfd pfd[MAX_PORTS];
	unsigned int i;

	for (i = 0; i < rx->nports; i++) {
		pfd[i].fd = rx->kernel ? rx->ports[i].fd : sluice_fd(rx->ports[i].sock);
		pfd[i].events = POLLIN;
	}
	poll(pfd, rx->nports, 20);
}

static void run(struct receiver *rx)
{
	uint64_t start = now_ms(), last = start, total = 0;

	for (;;) {
		unsigned int n = recv_round(rx);
		uint64_t now = now_ms();

		total += n;
		if (n)
			last = now;
		if ((rx->count && total >= rx->count) ||
		    (rx->seconds && now - start >= rx->seconds * 1000u))
			return;
		if (rx->idle_ms && total && now - last >= rx->idle_ms)
			return;
		if (!n && told_to_stop())
			return;
		if (!n)
			wait_ports(rx);
	}
}

static void open_port(const struct receiver *rx, struct port *p)
{
	struct sluice_opts opts = {
		.flags = rx->require ? SLUICE_REQUIRE : 0,
		.lane_bytes = LANE_BYTES,
	};
	struct sockaddr_in6 s6 = { .sin6_family = AF_INET6, .sin6_port = htons(p->num) };
	struct sockaddr_in s4 = { .sin_family = AF_INET, .sin_port = htons(p->num) };
	int v4 = inet_pton(AF_INET, rx->addr, &s4.sin_addr) == 1;
	int size = 32 << 20, on = 1, r;

	if (!v4 && inet_pton(AF_INET6, rx->addr, &s6.sin6_addr) != 1)
		errx(2, "%s: not an address", rx->addr);
	p->fd = socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	setsockopt(p->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (rx->transparent && setsockopt(p->fd, v4 ? IPPROTO_IP : IPPROTO_IPV6,
					  v4 ? IP_TRANSPARENT : IPV6_TRANSPARENT, &on, sizeof(on)))
		err(1, "IP_TRANSPARENT");
	if (bind(p->fd, v4 ? (void *)&s4 : (void *)&s6, v4 ? sizeof(s4) : sizeof(s6)))
		err(1, "port %u", p->num);
	if (rx->gro && setsockopt(p->fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on)))
		err(1, "UDP_GRO");
	r = rx->kernel ? 0 : sluice_attach(&p->sock, p->fd, &opts);
	if (r)
		errx(1, "attach port %u: %s", p->num, strerror(-r));
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "cpu %d", cpu);
}

static uint64_t lost(const struct port *p)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < MAX_FLOWS; i++)
		sum += p->next[i] - (p->next[i] < p->count[i] ? p->next[i] : p->count[i]);
	return sum;
}

static int print_port(const struct receiver *rx, const struct port *p, const char *comma)
{
	struct sluice_stats st = { 0 };

	if (!rx->kernel)
		sluice_stats(p->sock, &st);
	printf("{\"port\": %u, \"received\": %lu, \"lane\": %lu, \"kernel\": %lu, \"lane_drops\": "
	       "%lu, \"bad\": %lu, \"foreign\": %lu, \"reordered\": %lu, \"lost\": %lu, "
	       "\"merged\": %lu, \"reason\": \"%s\"}%s",
	       p->num, p->received, st.lane_datagrams,
	       rx->kernel ? p->received : st.kernel_datagrams, st.lane_drops, p->bad, p->foreign,
	       p->reordered, lost(p), p->merged, rx->kernel ? "" : sluice_reason(p->sock), comma);
	return p->bad || p->foreign;
}

static unsigned int number(const char *arg, unsigned long max)
{
	char *end;
	unsigned long v = strtoul(arg, &end, 0);

	if (*end || v > max)
		errx(2, "%s: not a number up to %lu", arg, max);
	return (unsigned int)v;
}

static void parse_ports(struct receiver *rx, char *arg)
{
	char *p;

	for (p = strtok(arg, ","); p && rx->nports < MAX_PORTS; p = strtok(NULL, ","))
		rx->ports[rx->nports++].num = (uint16_t)number(p, 65535);
}

static void parse(struct receiver *rx, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "p:a:n:t:i:c:PkRTG")) != -1) {
		switch (c) {
		case 'p':
			parse_ports(rx, optarg);
			break;
		case 'a':
			rx->addr = optarg;
			break;
		case 'n':
			rx->count = number(optarg, 4000000000u);
			break;
		case 't':
			rx->seconds = number(optarg, 3600);
			break;
		case 'i':
			rx->idle_ms = number(optarg, 100000);
			break;
		case 'c':
			rx->cpu = (int)number(optarg, CPU_SETSIZE - 1);
			break;
		case 'P':
			rx->peek = 1;
			break;
		case 'k':
			rx->kernel = 1;
			break;
		case 'R':
			rx->require = 1;
			break;
		case 'G':
			rx->gro = 1;
			break;
		case 'T':
			rx->transparent = 1;
			break;
		default:
			exit(2);
		}
	}
	if (!rx->nports)
		errx(2, "-p is needed");
}

int main(int argc, char **argv)
{
	struct receiver rx = { .addr = "0.0.0.0", .cpu = -1, .seconds = 60 };
	unsigned int i;
	int bad = 0;

	rx.ports = calloc(MAX_PORTS, sizeof(*rx.ports));
	rx.buf = malloc((size_t)BATCH * PAYLOAD_MAX);
	if (!rx.ports || !rx.buf)
		err(1, "malloc");
	parse(&rx, argc, argv);
	if (rx.cpu >= 0)
		pin(rx.cpu);
	for (i = 0; i < rx.nports; i++)
		open_port(&rx, &rx.ports[i]);
	block_stop();
	fprintf(stderr, "ready\n");
	run(&rx);
	printf("{\"ports\": [");
	for (i = 0; i < rx.nports; i++)
		bad |= print_port(&rx, &rx.ports[i], i + 1 < rx.nports ? ", " : "");
	printf("]}\n");
	for (i = 0; i < rx.nports; i++)
		sluice_detach(rx.ports[i].sock);
	return bad;
}
