// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* facts.c - what getsockopt(2) says about a client's socket; see facts.h. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include "daemon/facts.h"

static int sock_int(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, name, &value, &len) < 0 ? -errno : value;
}

static uint64_t sock_u64(int fd, int name)
{
	uint64_t value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0 ? 0 : value;
}

static uint16_t sock_port(int fd)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} addr;
	socklen_t len = sizeof(addr);

	if (getsockname(fd, &addr.sa, &len) < 0)
		return 0;
	return ntohs(addr.sa.sa_family == AF_INET ? addr.in.sin_port : addr.in6.sin6_port);
}

/* The number of instructions of a classic filter, 0 or -errno; an eBPF one is -EACCES. */
static int sock_filter_len(int fd)
{
	socklen_t len = 0;

	return getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &len) < 0 ? -errno : (int)len;
}

uint64_t facts_netns_cookie(int fd)
{
	return sock_u64(fd, SO_NETNS_COOKIE);
}

void facts_read(int fd, struct porter_facts *facts)
{
	int domain = sock_int(fd, SOL_SOCKET, SO_DOMAIN);
	int type = sock_int(fd, SOL_SOCKET, SO_TYPE);
	int protocol = sock_int(fd, SOL_SOCKET, SO_PROTOCOL);
	int ifindex;

	memset(facts, 0, sizeof(*facts));
	if (domain < 0) {
		facts->error = -domain;
		return;
	}
	if ((domain != AF_INET && domain != AF_INET6) || type != SOCK_DGRAM ||
	    protocol != IPPROTO_UDP) {
		facts->error = EPROTOTYPE;
		return;
	}
	facts->domain = domain;
	facts->type = type;
	facts->protocol = protocol;
	facts->cookie = sock_u64(fd, SO_COOKIE);
	facts->netns_cookie = facts_netns_cookie(fd);
	facts->filter = sock_filter_len(fd);
	facts->encap = sock_int(fd, IPPROTO_UDP, UDP_ENCAP);
	ifindex = sock_int(fd, SOL_SOCKET, SO_BINDTOIFINDEX);
	facts->ifindex = ifindex > 0 ? (uint32_t)ifindex : 0;
	facts->port = sock_port(fd);
	facts->reuseport = sock_int(fd, SOL_SOCKET, SO_REUSEPORT) > 0;
	facts->v6only = domain == AF_INET6 && sock_int(fd, IPPROTO_IPV6, IPV6_V6ONLY) > 0;
	facts->transparent = domain == AF_INET6 ?
		sock_int(fd, IPPROTO_IPV6, IPV6_TRANSPARENT) > 0 :
		sock_int(fd, IPPROTO_IP, IP_TRANSPARENT) > 0;
}
