/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * udp_send - an ordinary sender: sendmmsg through the kernel's stack.
 *
 *	udp_send -d ADDR -p PORT[,PORT...] [-S SPORT] [-f FLOWS] [-n COUNT] [-r PPS]
 *		 [-s MIN[-MAX]] [-b BATCH] [-w]
 *
 * Flow i is a connected socket bound to port SPORT + i and sends to port
 * i % PORTS. COUNT datagrams in all, or as many as fit before SIGTERM, of random
 * sizes, each as payload.h has it. -w: the first WARM_UP of each flow go slowly, while
 * the flow finds the CPU where it is consumed. Prints {"sent": N, "seconds": S, "ports": {P: N}}.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "payload.h"
#include "stop.h"

#define MAX_PORTS 16
#define MAX_FLOWS 1024
#define MAX_BATCH 64
#define WARM_UP 3
#define WARM_UP_PAUSE_US 20000

struct sender {
	const char *addr;
	uint16_t ports[MAX_PORTS];
	unsigned int nports;
	uint16_t sport;
	unsigned int flows;
	unsigned long count;
	unsigned long rate;
	uint32_t min, max;
	unsigned int batch;
	int warm_up;
	int fd[MAX_FLOWS];
	uint64_t seq[MAX_FLOWS];
	uint8_t *buf; /* MAX_BATCH * max bytes */
	uint64_t random;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static socklen_t make_addr(struct sockaddr_storage *ss, const char *addr, uint16_t port)
{
	struct sockaddr_in6 *s6 = (void *)ss;
	struct sockaddr_in *s4 = (void *)ss;

	memset(ss, 0, sizeof(*ss));
	if (inet_pton(AF_INET, addr, &s4->sin_addr) == 1) {
		s4->sin_family = AF_INET;
		s4->sin_port = htons(port);
		return sizeof(*s4);
	}
	if (inet_pton(AF_INET6, addr, &s6->sin6_addr) != 1)
		errx(2, "%s: not an address", addr);
	s6->sin6_family = AF_INET6;
	s6->sin6_port = htons(port);
	return sizeof(*s6);
}

static int open_flow(const struct sender *s, unsigned int i)
{
	struct sockaddr_storage to, from;
	socklen_t len = make_addr(&to, s->addr, s->ports[i % s->nports]);
	int fd, size = 4 << 20;

	make_addr(&from, to.ss_family == AF_INET ? "0.0.0.0" : "::", (uint16_t)(s->sport + i));
	fd = socket(to.ss_family, SOCK_DGRAM, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&from, len) ||
	    connect(fd, (struct sockaddr *)&to, len))
		err(1, "flow %u", i);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return fd;
}

static uint32_t random_size(struct sender *s)
{
	return s->min + (uint32_t)(payload_random(&s->random) % (s->max - s->min + 1));
}

/* An ICMP error for an earlier datagram fails the next call once: not a failure to send. */
static void send_all(int fd, struct mmsghdr *vec, unsigned int n)
{
	unsigned int done = 0;

	while (done < n) {
		int r = sendmmsg(fd, vec + done, n - done, 0);

		if (r > 0)
			done += (unsigned int)r;
		else if (errno != ECONNREFUSED && errno != EINTR && errno != ENOBUFS &&
			 errno != EHOSTUNREACH)
			err(1, "sendmmsg");
	}
}

static void send_batch(struct sender *s, unsigned int flow, unsigned int n)
{
	struct mmsghdr vec[MAX_BATCH];
	struct iovec iov[MAX_BATCH];
	unsigned int i;

	memset(vec, 0, sizeof(vec));
	for (i = 0; i < n; i++) {
		uint32_t len = random_size(s);

		iov[i].iov_base = s->buf + (size_t)i * s->max;
		iov[i].iov_len = len;
		payload_fill(iov[i].iov_base, len, flow, s->seq[flow]++,
			     s->ports[flow % s->nports]);
		vec[i].msg_hdr.msg_iov = &iov[i];
		vec[i].msg_hdr.msg_iovlen = 1;
	}
	send_all(s->fd[flow], vec, n);
}

/* Sleeps to the time at which `sent` datagrams are due. */
static void pace(const struct sender *s, uint64_t start, unsigned long sent)
{
	uint64_t due = start + sent * 1000000000u / s->rate;
	struct timespec ts = { (time_t)(due / 1000000000u), (long)(due % 1000000000u) };

	if (due > now_ns())
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static void print_ports(const struct sender *s)
{
	unsigned int i, flow;

	for (i = 0; i < s->nports; i++) {
		uint64_t sum = 0;

		for (flow = i; flow < s->flows; flow += s->nports)
			sum += s->seq[flow];
		printf("%s\"%u\": %lu", i ? ", " : "", s->ports[i], sum);
	}
}

static unsigned long warm_up(struct sender *s)
{
	unsigned int i, flow;

	for (i = 0; i < WARM_UP; i++) {
		for (flow = 0; flow < s->flows; flow++)
			send_batch(s, flow, 1);
		usleep(WARM_UP_PAUSE_US);
	}
	return WARM_UP * s->flows;
}

static unsigned long run(struct sender *s)
{
	unsigned long sent = s->warm_up ? warm_up(s) : 0;
	uint64_t start = now_ns() - (s->rate ? sent * 1000000000u / s->rate : 0);
	unsigned int flow = 0;

	while (sent < s->count && !told_to_stop()) {
		unsigned int n = s->batch;

		if (n > s->count - sent)
			n = (unsigned int)(s->count - sent);
		send_batch(s, flow, n);
		sent += n;
		flow = (flow + 1) % s->flows;
		if (s->rate)
			pace(s, start, sent);
	}
	return sent;
}

static unsigned long number(const char *arg, unsigned long min, unsigned long max)
{
	char *end;
	unsigned long v = strtoul(arg, &end, 0);

	if (*end || v < min || v > max)
		errx(2, "%s: not a number in [%lu, %lu]", arg, min, max);
	return v;
}

static void parse_ports(struct sender *s, char *arg)
{
	char *p;

	for (p = strtok(arg, ","); p && s->nports < MAX_PORTS; p = strtok(NULL, ","))
		s->ports[s->nports++] = (uint16_t)number(p, 1, 65535);
}

static void parse_size(struct sender *s, char *arg)
{
	char *dash = strchr(arg, '-');

	if (dash)
		*dash++ = 0;
	s->min = (uint32_t)number(arg, PAYLOAD_MIN, PAYLOAD_MAX);
	s->max = (uint32_t)number(dash ? dash : arg, s->min, PAYLOAD_MAX);
}

static void parse(struct sender *s, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "d:p:S:f:n:r:s:b:w")) != -1) {
		switch (c) {
		case 'd':
			s->addr = optarg;
			break;
		case 'p':
			parse_ports(s, optarg);
			break;
		case 'S':
			s->sport = (uint16_t)number(optarg, 1, 65535);
			break;
		case 'f':
			s->flows = (unsigned int)number(optarg, 1, MAX_FLOWS);
			break;
		case 'n':
			s->count = number(optarg, 1, 1ul << 32);
			break;
		case 'r':
			s->rate = number(optarg, 0, 100000000);
			break;
		case 's':
			parse_size(s, optarg);
			break;
		case 'b':
			s->batch = (unsigned int)number(optarg, 1, MAX_BATCH);
			break;
		case 'w':
			s->warm_up = 1;
			break;
		default:
			exit(2);
		}
	}
	if (!s->addr || !s->nports)
		errx(2, "-d and -p are needed");
}

int main(int argc, char **argv)
{
	struct sender s = { .sport = 20000,
			    .flows = 1,
			    .count = 1,
			    .min = 64,
			    .max = 64,
			    .batch = 16,
			    .random = 88172645463325252u };
	unsigned long sent;
	uint64_t start;
	unsigned int i;

	parse(&s, argc, argv);
	s.buf = malloc((size_t)MAX_BATCH * s.max);
	if (!s.buf)
		err(1, "malloc");
	for (i = 0; i < s.flows; i++)
		s.fd[i] = open_flow(&s, i);
	block_stop();
	start = now_ns();
	sent = run(&s);
	printf("{\"sent\": %lu, \"seconds\": %.3f, \"ports\": {", sent,
	       (double)(now_ns() - start) / 1e9);
	print_ports(&s);
	printf("}}\n");
	return 0;
}
