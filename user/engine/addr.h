/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * addr.h - struct sluice_addr (sluice/steer.h): an IPv6 address, or an IPv4 one as
 * ::ffff:a.b.c.d; all zero stands for any address of either. Pure, any thread.
 */
#ifndef SLUICE_ENGINE_ADDR_H
#define SLUICE_ENGINE_ADDR_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

#include <sluice/steer.h>

static inline bool addr_equal(const struct sluice_addr *a, const struct sluice_addr *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static inline bool addr_is_any(const struct sluice_addr *a)
{
	return !(a->w[0] | a->w[1] | a->w[2] | a->w[3]);
}

static inline bool addr_is_v4(const struct sluice_addr *a)
{
	return !a->w[0] && !a->w[1] && a->w[2] == htonl(0xffff);
}

/* 127.0.0.0/8 or ::1 */
static inline bool addr_is_loopback(const struct sluice_addr *a)
{
	if (addr_is_v4(a))
		return ntohl(a->w[3]) >> 24 == 127;
	return !a->w[0] && !a->w[1] && !a->w[2] && a->w[3] == htonl(1);
}

struct addr_list {
	unsigned int nr;
	const struct sluice_addr *addr;
};

static inline bool addr_listed(const struct addr_list *list, const struct sluice_addr *addr)
{
	for (unsigned int i = 0; i < list->nr; i++)
		if (addr_equal(&list->addr[i], addr))
			return true;
	return false;
}

#endif
