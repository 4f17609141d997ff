/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * kernel_app - a program that knows nothing of sluice: it receives from the kernel's sockets,
 * on one CPU.
 *
 *	kernel_app -c CPU [-p CPU] udp ADDR PORT [PEER PORT]
 *	kernel_app -c CPU tcp ADDR PORT
 *
 * UDP: with PEER, the socket is connected to it. -p: each datagram is peeked at on that CPU
 * before. TCP: one connection. Says "ready" on stderr, receives until SIGTERM, and prints
 * {"received": N}, datagrams or bytes.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stop.h"

#define POLL_MS 50

struct app {
	int cpu, peek_cpu;
	unsigned long long received;
};

static struct sockaddr_storage address(const char *addr, const char *port, socklen_t *len)
{
	struct sockaddr_storage ss = { 0 };
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ss;
	struct sockaddr_in *in = (struct sockaddr_in *)&ss;

	if (inet_pton(AF_INET, addr, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)atoi(port));
		*len = sizeof(*in);
	} else if (inet_pton(AF_INET6, addr, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)atoi(port));
		*len = sizeof(*in6);
	} else {
		errx(2, "%s: not an address", addr);
	}
	return ss;
}

static void run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(2, "CPU %d", cpu);
}

static void serve(struct app *app, int fd, int stream)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	static char buf[1 << 16];

	while (!told_to_stop()) {
		ssize_t n;

		if (poll(&p, 1, POLL_MS) <= 0)
			continue;
		if (app->peek_cpu >= 0) {
			run_on(app->peek_cpu);
			recv(fd, buf, sizeof(buf), MSG_PEEK | MSG_DONTWAIT);
			run_on(app->cpu);
		}
		n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN)
			err(1, "recv");
		if (n == 0 && stream)
			break;
		if (n > 0)
			app->received += stream ? (unsigned long long)n : 1;
	}
}

static int open_socket(int type, const char *addr, const char *port)
{
	struct sockaddr_storage ss;
	socklen_t len;
	int fd, one = 1, size = 8 << 20;

	ss = address(addr, port, &len);
	fd = socket(ss.ss_family, type, 0);
	if (fd < 0)
		err(1, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (type == SOCK_DGRAM)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (bind(fd, (struct sockaddr *)&ss, len))
		err(1, "bind");
	return fd;
}

static int accept_one(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (listen(fd, 1))
		err(1, "listen");
	while (!told_to_stop()) {
		if (poll(&p, 1, POLL_MS) > 0)
			return accept(fd, NULL, NULL);
	}
	return -1;
}

int main(int argc, char **argv)
{
	struct app app = { .peek_cpu = -1 };
	struct sockaddr_storage peer;
	int c, fd, stream;
	socklen_t len;

	while ((c = getopt(argc, argv, "c:p:")) != -1) {
		if (c == 'c')
			app.cpu = atoi(optarg);
		else if (c == 'p')
			app.peek_cpu = atoi(optarg);
		else
			return 2;
	}
	argv += optind;
	argc -= optind;
	if (argc != 3 && argc != 5)
		errx(2, "usage: kernel_app -c CPU [-p CPU] udp|tcp ADDR PORT [PEER PORT]");
	block_stop();
	run_on(app.cpu);
	stream = !strcmp(argv[0], "tcp");
	fd = open_socket(stream ? SOCK_STREAM : SOCK_DGRAM, argv[1], argv[2]);
	if (argc == 5) {
		peer = address(argv[3], argv[4], &len);
		if (connect(fd, (struct sockaddr *)&peer, len))
			err(1, "connect");
	}
	fprintf(stderr, "ready\n");
	if (stream)
		fd = accept_one(fd);
	if (fd >= 0)
		serve(&app, fd, stream);
	printf("{\"received\": %llu}\n", app.received);
	return 0;
}
