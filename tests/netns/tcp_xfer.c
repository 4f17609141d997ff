/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * tcp_xfer - a TCP transfer whose every byte is checked by its receiver.
 *
 *	tcp_xfer -l ADDR PORT BYTES	accepts one connection and receives; 0: all right
 *	tcp_xfer -c ADDR PORT BYTES	connects and sends them
 */
#include <arpa/inet.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "payload.h"

#define CHUNK (64u << 10)

static struct sockaddr_in address(const char *addr, const char *port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };

	if (inet_pton(AF_INET, addr, &sa.sin_addr) != 1)
		errx(2, "%s: not an address", addr);
	return sa;
}

static void send_all(int fd, uint64_t bytes)
{
	uint64_t state = 1, done;
	uint8_t buf[CHUNK];
	size_t i, n;

	for (done = 0; done < bytes; done += n) {
		n = bytes - done < CHUNK ? bytes - done : CHUNK;
		for (i = 0; i < CHUNK; i++)
			buf[i] = (uint8_t)payload_random(&state);
		for (i = 0; i < n;) {
			ssize_t r = send(fd, buf + i, n - i, MSG_NOSIGNAL);

			if (r < 0)
				err(1, "send");
			i += (size_t)r;
		}
	}
}

static void receive_all(int fd, uint64_t bytes)
{
	uint64_t state = 1, done = 0;
	uint8_t buf[CHUNK];
	ssize_t i, n;

	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0) {
		for (i = 0; i < n; i++)
			if (buf[i] != (uint8_t)payload_random(&state))
				errx(1, "byte %lu is wrong", done + (uint64_t)i);
		done += (uint64_t)n;
	}
	if (n || done != bytes)
		errx(1, "%lu of %lu bytes", done, bytes);
}

int main(int argc, char **argv)
{
	struct sockaddr_in sa;
	int fd, on = 1, conn;
	uint64_t bytes;

	if (argc != 5 || (strcmp(argv[1], "-l") && strcmp(argv[1], "-c")))
		errx(2, "usage: tcp_xfer -l|-c ADDR PORT BYTES");
	sa = address(argv[2], argv[3]);
	bytes = strtoull(argv[4], NULL, 0);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (argv[1][1] == 'c') {
		if (connect(fd, (void *)&sa, sizeof(sa)))
			err(1, "connect");
		send_all(fd, bytes);
		return 0;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (void *)&sa, sizeof(sa)) || listen(fd, 1))
		err(1, "listen");
	fprintf(stderr, "ready\n");
	conn = accept(fd, NULL, NULL);
	if (conn < 0)
		err(1, "accept");
	receive_all(conn, bytes);
	return 0;
}
