// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* endpoint.c - see endpoint.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/endpoint.h"

#define ENDPOINT_TEXT (INET6_ADDRSTRLEN + 16)

/* Decimal digits only. -1: no such number. */
static long number(const char *text, long max)
{
	long v = 0;

	if (!*text)
		return -1;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -1;
		v = v * 10 + *text - '0';
		if (v > max)
			return -1;
	}
	return v;
}

int endpoint_parse(const char *text, struct sluice_addr *addr, __be16 *port)
{
	struct sluice_addr a = { .w = { 0, 0, htonl(0xffff), 0 } };
	char host[ENDPOINT_TEXT], *end = host;
	int family = text[0] == '[' ? 6 : 4;
	long n;

	if (strlen(text) >= sizeof(host))
		return -EINVAL;
	strcpy(host, text + (family == 6));
	if (family == 6) {
		end = strchr(host, ']');
		if (!end)
			return -EINVAL;
		*end++ = 0;
	}
	end = strchr(end, ':');
	if (!end || (family == 6 && end[-1]))
		return -EINVAL;
	*end = 0;
	n = number(end + 1, 65535);
	if (n < 0 || inet_pton(family == 6 ? AF_INET6 : AF_INET, host,
			       family == 6 ? &a.w[0] : &a.w[3]) != 1)
		return -EINVAL;
	*addr = a;
	*port = htons((__u16)n);
	return family;
}

/* Clears the bits beyond len. -ERANGE: there was one. */
static int cut(__u32 addr[4], unsigned int len, unsigned int bits)
{
	int err = 0;

	for (unsigned int bit = len; bit < bits; bit++) {
		__u32 mask = htonl(1u << (31 - bit % 32));

		if (addr[bit / 32] & mask)
			err = -ERANGE;
		addr[bit / 32] &= ~mask;
	}
	return err;
}

int prefix_parse(const char *text, __u32 addr[4], __u8 *len, int *family)
{
	char host[ENDPOINT_TEXT], *slash;
	__u32 a[4] = { 0 };
	long n, bits;

	if (strlen(text) >= sizeof(host))
		return -EINVAL;
	strcpy(host, text);
	slash = strchr(host, '/');
	if (slash)
		*slash = 0;
	bits = strchr(host, ':') ? 128 : 32;
	n = slash ? number(slash + 1, bits) : bits;
	if (n < 0 || inet_pton(bits == 128 ? AF_INET6 : AF_INET, host, a) != 1)
		return -EINVAL;
	*family = bits == 128 ? 6 : 4;
	*len = (__u8)n;
	memcpy(addr, a, sizeof(a));
	return cut(addr, (unsigned int)n, (unsigned int)bits);
}

static const struct {
	const char *name;
	__u8 number;
} protocols[] = {
	{ "udp", IPPROTO_UDP }, { "tcp", IPPROTO_TCP }, { "sctp", IPPROTO_SCTP },
	{ "dccp", IPPROTO_DCCP }, { "udplite", IPPROTO_UDPLITE },
};

#define NR_PROTOCOLS (sizeof(protocols) / sizeof(protocols[0]))

__u8 protocol_parse(const char *text)
{
	for (size_t i = 0; i < NR_PROTOCOLS; i++)
		if (!strcmp(text, protocols[i].name))
			return protocols[i].number;
	return 0;
}

const char *protocol_name(__u8 number)
{
	for (size_t i = 0; i < NR_PROTOCOLS; i++)
		if (number == protocols[i].number)
			return protocols[i].name;
	return NULL;
}
