/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * raw_send - frames as they are given, past the sending stack.
 *
 *	raw_send DEV COUNT < FRAMES
 *
 * FRAMES are lines of hexadecimal digits, spaces between them or not, from the destination MAC
 * address on. Each is sent COUNT times. Fails when the device does not take one.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <err.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAME_MAX 1514

static size_t read_frame(const char *line, uint8_t *frame)
{
	char byte[3] = "";
	size_t n = 0;

	for (const char *p = line; *p && *p != '\n'; p++) {
		if (*p == ' ')
			continue;
		if (!isxdigit((unsigned char)p[0]) || !isxdigit((unsigned char)p[1]) ||
		    n == FRAME_MAX)
			errx(2, "no frame: %s", line);
		byte[0] = *p++;
		byte[1] = *p;
		frame[n++] = (uint8_t)strtoul(byte, NULL, 16);
	}
	return n;
}

static int open_device(const char *dev)
{
	struct sockaddr_ll sll = {
		.sll_family = AF_PACKET,
		.sll_ifindex = (int)if_nametoindex(dev),
	};
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	if (fd < 0 || bind(fd, (void *)&sll, sizeof(sll)))
		err(1, "%s", dev);
	return fd;
}

int main(int argc, char **argv)
{
	unsigned long count = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	uint8_t frame[FRAME_MAX];
	char line[4 * FRAME_MAX];
	int fd;

	if (!count || count > 1000000)
		errx(2, "usage: raw_send DEV COUNT < FRAMES");
	fd = open_device(argv[1]);
	while (fgets(line, sizeof(line), stdin)) {
		size_t len = read_frame(line, frame);

		for (unsigned long i = 0; len && i < count; i++)
			if (send(fd, frame, len, 0) != (ssize_t)len)
				err(1, "send");
	}
	return 0;
}
