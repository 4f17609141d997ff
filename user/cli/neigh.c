// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* neigh.c - route and neighbour look-up over rtnetlink. */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cli/neigh.h"

#define DISCARD_PORT 9
/*
 * 2.4 s: the kernel asks again after 1 s and 2 s, and on a link that has just
 * come up the first solicitation is often lost.
 */
#define RESOLVE_STEP_NS (20 * 1000000l)
#define RESOLVE_STEPS 120
/* Poke again now and then: the kernel may be about to give up what an earlier packet began. */
#define RESOLVE_POKE_STEPS 25
/* States in which the kernel itself would use the address. */
#define NUD_USABLE (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)

static uint16_t addr_size(int family)
{
	return family == AF_INET ? 4 : 16;
}

/* Sends one request and hands its answer to cb. 0, what cb failed with, or -errno. */
static int ask(struct nlmsghdr *nlh, mnl_cb_t cb, void *data)
{
	char buf[8192];
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	ssize_t n;
	int err = 0;

	if (!nl)
		return -errno;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	nlh->nlmsg_seq = 1;
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0) {
		err = -errno;
		goto out;
	}
	n = mnl_socket_recvfrom(nl, buf, sizeof(buf));
	if (n < 0 || mnl_cb_run(buf, (size_t)n, 1, mnl_socket_get_portid(nl), cb, data) < 0)
		err = -errno;
out:
	mnl_socket_close(nl);
	return err;
}

struct route_answer {
	struct neigh_route *r;
	uint16_t size;
};

static int route_attr(const struct nlattr *attr, void *data)
{
	struct route_answer *a = data;

	if (mnl_attr_get_payload_len(attr) < a->size)
		return MNL_CB_OK;
	if (mnl_attr_get_type(attr) == RTA_GATEWAY) {
		memcpy(a->r->next_hop, mnl_attr_get_payload(attr), a->size);
	} else if (mnl_attr_get_type(attr) == RTA_PREFSRC) {
		memcpy(a->r->source, mnl_attr_get_payload(attr), a->size);
		a->r->has_source = true;
	}
	return MNL_CB_OK;
}

static int route_cb(const struct nlmsghdr *nlh, void *data)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct route_answer *a = data;

	if (nlh->nlmsg_type == RTM_NEWROUTE) {
		a->r->type = rtm->rtm_type;
		mnl_attr_parse(nlh, sizeof(*rtm), route_attr, a);
	}
	return MNL_CB_STOP;
}

int neigh_route(struct neigh_route *r, int family, const uint8_t *daddr, unsigned int ifindex)
{
	char buf[512];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct neigh_route route = { 0 };
	struct route_answer answer = { .r = &route, .size = addr_size(family) };
	struct rtmsg *rtm;
	int err;

	memcpy(route.next_hop, daddr, answer.size);
	nlh->nlmsg_type = RTM_GETROUTE;
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = (uint8_t)family;
	rtm->rtm_dst_len = (uint8_t)(8 * answer.size);
	mnl_attr_put(nlh, RTA_DST, answer.size, daddr);
	mnl_attr_put_u32(nlh, RTA_OIF, ifindex);
	err = ask(nlh, route_cb, &answer);
	if (!err)
		*r = route;
	return err;
}

struct neigh_answer {
	uint8_t *mac;
	bool found;
};

static int neigh_attr(const struct nlattr *attr, void *data)
{
	struct neigh_answer *a = data;

	if (mnl_attr_get_type(attr) == NDA_LLADDR && mnl_attr_get_payload_len(attr) == 6) {
		memcpy(a->mac, mnl_attr_get_payload(attr), 6);
		a->found = true;
	}
	return MNL_CB_OK;
}

static int neigh_cb(const struct nlmsghdr *nlh, void *data)
{
	const struct ndmsg *ndm = mnl_nlmsg_get_payload(nlh);

	if (nlh->nlmsg_type == RTM_NEWNEIGH && (ndm->ndm_state & NUD_USABLE))
		mnl_attr_parse(nlh, sizeof(*ndm), neigh_attr, data);
	return MNL_CB_STOP;
}

/* 0; -ENOENT: the kernel has no usable entry. */
static int neigh_get(uint8_t *mac, const struct neigh_route *r, int family, unsigned int ifindex)
{
	char buf[512];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct neigh_answer answer = { .mac = mac };
	struct ndmsg *ndm;
	int err;

	nlh->nlmsg_type = RTM_GETNEIGH;
	ndm = mnl_nlmsg_put_extra_header(nlh, sizeof(*ndm));
	ndm->ndm_family = (uint8_t)family;
	ndm->ndm_ifindex = (int)ifindex;
	mnl_attr_put(nlh, NDA_DST, addr_size(family), r->next_hop);
	err = ask(nlh, neigh_cb, &answer);
	if (err)
		return err;
	return answer.found ? 0 : -ENOENT;
}

/* Makes the kernel resolve the address: it must, to send this. */
static int poke(const struct neigh_route *r, int family, const char *dev, unsigned int ifindex)
{
	struct sockaddr_in6 sin6 = {
		.sin6_family = AF_INET6, .sin6_port = htons(DISCARD_PORT), .sin6_scope_id = ifindex,
	};
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(DISCARD_PORT) };
	bool v4 = family == AF_INET;
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), err = 0;

	if (fd < 0)
		return -errno;
	memcpy(&sin.sin_addr, r->next_hop, 4);
	memcpy(&sin6.sin6_addr, r->next_hop, 16);
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, dev, (socklen_t)strlen(dev)) ||
	    sendto(fd, "", 0, MSG_DONTWAIT, v4 ? (struct sockaddr *)&sin : (struct sockaddr *)&sin6,
		   v4 ? (socklen_t)sizeof(sin) : (socklen_t)sizeof(sin6)) < 0)
		err = -errno;
	close(fd);
	return err;
}

/* RFC 1112 6.4 and RFC 2464 7. */
static void group_mac(uint8_t mac[6], const uint8_t *group, int family)
{
	if (family == AF_INET) {
		memcpy(mac, "\x01\x00\x5e", 3);
		mac[3] = group[1] & 0x7f;
		memcpy(mac + 4, group + 2, 2);
	} else {
		memcpy(mac, "\x33\x33", 2);
		memcpy(mac + 2, group + 12, 4);
	}
}

int neigh_mac(uint8_t mac[6], const struct neigh_route *r, int family, const char *dev,
	      unsigned int ifindex)
{
	struct timespec step = { .tv_nsec = RESOLVE_STEP_NS };
	int err;

	if (r->type == RTN_MULTICAST) {
		group_mac(mac, r->next_hop, family);
		return 0;
	}
	if (r->type == RTN_BROADCAST) {
		memset(mac, 0xff, 6);
		return 0;
	}
	err = neigh_get(mac, r, family, ifindex);
	if (err != -ENOENT)
		return err;
	for (int i = 0; i < RESOLVE_STEPS; i++) {
		err = i % RESOLVE_POKE_STEPS ? 0 : poke(r, family, dev, ifindex);
		if (err)
			return err;
		nanosleep(&step, NULL);
		err = neigh_get(mac, r, family, ifindex);
		if (err != -ENOENT)
			return err;
	}
	return -EHOSTUNREACH;
}
