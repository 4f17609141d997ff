/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * attach_again - attaches, detaches and closes a socket, and binds the same port
 * again at once, as a server does that is restarted.
 *
 *	attach_again DEV PORT ROUNDS
 *
 * Each round must be able to bind and to attach: a port is free when its socket
 * has been closed, whatever the daemon had to do with it.
 */
#include <arpa/inet.h>
#include <err.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <sluice/sluice.h>

#include "check.h"

static int open_port(uint16_t port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || bind(fd, (void *)&sa, sizeof(sa)))
		err(1, "bind");
	return fd;
}

static void one_round(const struct sluice_opts *opts, uint16_t port)
{
	int fd = open_port(port), r;
	struct sluice_sock *s;

	r = sluice_attach(&s, fd, opts);
	if (r)
		errx(1, "attach: %s", strerror(-r));
	if (sluice_path(s) != SLUICE_PATH_LANE)
		errx(1, "not accelerated: %s", sluice_reason(s));
	sluice_detach(s);
	close(fd);
}

int main(int argc, char **argv)
{
	struct sluice_opts opts = { .flags = SLUICE_REQUIRE };
	int i, r, rounds;

	if (argc != 4)
		errx(2, "usage: attach_again DEV PORT ROUNDS");
	rounds = atoi(argv[3]);
	for (i = 0; i < rounds; i++) {
		opts.dev = argv[1];
		one_round(&opts, (uint16_t)atoi(argv[2]));
	}
	opts.dev = NULL;
	r = sluice_client_open(&opts.client, argv[1]);
	if (r)
		errx(1, "connect: %s", strerror(-r));
	for (i = 0; i < rounds; i++)
		one_round(&opts, (uint16_t)atoi(argv[2]));
	sluice_client_close(opts.client);
	printf("ok    %d rounds with a connection each, %d over one\n", rounds, rounds);
	return 0;
}
