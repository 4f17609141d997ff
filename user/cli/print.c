// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* print.c - headers as far as they are there. */
#include "cli/print.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* What is left of a frame, and of the line it becomes. */
struct printer {
	char *text;
	size_t room;
	const uint8_t *p;
	uint32_t left;
};

__attribute__((format(printf, 2, 3)))
static void put(struct printer *pr, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(pr->text, pr->room, format, args);
	va_end(args);
	if (n < 0)
		return;
	n = (size_t)n < pr->room ? n : (int)pr->room - 1;
	pr->text += n;
	pr->room -= (size_t)n;
}

/* The next n bytes; NULL, and the line says so, when they are not there. */
static const uint8_t *take(struct printer *pr, uint32_t n, const char *what)
{
	const uint8_t *at = pr->p;

	if (pr->left < n) {
		put(pr, " [%s cut off]", what);
		return NULL;
	}
	pr->p += n;
	pr->left -= n;
	return at;
}

static unsigned int be16(const uint8_t *p)
{
	return (unsigned int)p[0] << 8 | p[1];
}

static uint32_t be32(const uint8_t *p)
{
	return be16(p) << 16 | be16(p + 2);
}

/* "SRC.PORT > DST.PORT" of the addresses at src and dst. */
static void put_ends(struct printer *pr, int family, const uint8_t *src, const uint8_t *dst,
		     const uint8_t *ports)
{
	char a[INET6_ADDRSTRLEN], b[INET6_ADDRSTRLEN];

	inet_ntop(family, src, a, sizeof(a));
	inet_ntop(family, dst, b, sizeof(b));
	if (ports)
		put(pr, " %s.%u > %s.%u:", a, be16(ports), b, be16(ports + 2));
	else
		put(pr, " %s > %s:", a, b);
}

static void put_tcp(struct printer *pr, uint32_t len)
{
	static const char names[] = "FSRP.UEW";
	const uint8_t *h = take(pr, 20, "tcp");
	char flags[9];
	size_t n = 0;
	uint32_t hlen;

	if (!h)
		return;
	for (unsigned int bit = 0; bit < 8; bit++) {
		if (h[13] >> bit & 1)
			flags[n++] = names[bit];
	}
	flags[n] = '\0';
	hlen = (uint32_t)(h[12] >> 4) * 4;
	put(pr, " Flags [%s], seq %u, ack %u, win %u, length %u", n ? flags : "none", be32(h + 4),
	    be32(h + 8), be16(h + 14), len > hlen ? len - hlen : 0);
}

/* len: of the IP payload, as the header has it. */
static void put_l4(struct printer *pr, int family, const uint8_t *src, const uint8_t *dst,
		   unsigned int proto, uint32_t len)
{
	bool ports = (proto == IPPROTO_UDP || proto == IPPROTO_TCP) && pr->left >= 4;

	put_ends(pr, family, src, dst, ports ? pr->p : NULL);
	if (proto == IPPROTO_TCP) {
		put_tcp(pr, len);
	} else if (proto == IPPROTO_UDP) {
		const uint8_t *h = take(pr, 8, "udp");

		if (h)
			put(pr, " UDP, length %u", be16(h + 4) < 8 ? 0 : be16(h + 4) - 8);
	} else {
		put(pr, " proto %u, length %u", proto, len);
	}
}

static void put_ip4(struct printer *pr)
{
	const uint8_t *h;
	uint32_t hlen, len;

	put(pr, "IP");
	h = take(pr, 20, "ip");
	if (!h)
		return;
	hlen = (uint32_t)(h[0] & 0xf) * 4;
	len = be16(h + 2) > hlen ? be16(h + 2) - hlen : 0;
	if (hlen > 20 && !take(pr, hlen - 20, "options"))
		return;
	if (be16(h + 6) & 0x1fff) {
		put_ends(pr, AF_INET, h + 12, h + 16, NULL);
		put(pr, " fragment of proto %u, offset %u, length %u", h[9],
		    (be16(h + 6) & 0x1fff) * 8, len);
		return;
	}
	put_l4(pr, AF_INET, h + 12, h + 16, h[9], len);
}

static void put_ip6(struct printer *pr)
{
	const uint8_t *h;

	put(pr, "IP6");
	h = take(pr, 40, "ip6");
	if (h)
		put_l4(pr, AF_INET6, h + 8, h + 24, h[6], be16(h + 4));
}

void print_frame(char *text, size_t len, const uint8_t *frame, uint32_t kept, uint32_t wire_len)
{
	struct printer pr = { .text = text, .room = len, .p = frame, .left = kept };
	const uint8_t *h = take(&pr, 14, "ethernet");
	unsigned int type = h ? be16(h + 12) : 0;

	while (type == 0x8100 || type == 0x88a8) {
		const uint8_t *tag = take(&pr, 4, "vlan");

		if (!tag)
			return;
		put(&pr, "vlan %u, ", be16(tag) & 0xfff);
		type = be16(tag + 2);
	}
	if (type == 0x0800)
		put_ip4(&pr);
	else if (type == 0x86dd)
		put_ip6(&pr);
	else if (h)
		put(&pr, "ethertype 0x%04x, length %u", type, wire_len);
}
