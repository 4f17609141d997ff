// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* netlink.c - links and addresses as the kernel reports them: the socket; see netlink.h. */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "daemon/netlink_table.h"

/* Readings of everything that other changes fell into, before the last one is believed. */
#define TRIES 10
/* For an answer of the kernel, which may wait for the lock of all links. */
#define ANSWER_MS 5000

int netlink_message(struct netlink *n, const struct nlmsghdr *nlh)
{
	switch (nlh->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		return link_message(n, nlh);
	case RTM_NEWADDR:
	case RTM_DELADDR:
		return addr_message(n, nlh);
	default:
		return 0;
	}
}

/* One buffer of messages from the kernel: its length, or -errno (-ENOBUFS: some are lost). */
static ssize_t messages_recv(struct netlink *n)
{
	struct sockaddr_nl from = { 0 };
	socklen_t len = sizeof(from);
	ssize_t got;

	for (;;) {
		got = recvfrom(mnl_socket_get_fd(n->nl), n->buf, sizeof(n->buf), MSG_TRUNC,
			       (struct sockaddr *)&from, &len);
		if (got < 0 && errno != EINTR)
			return -errno;
		if (got > (ssize_t)sizeof(n->buf))
			return -ENOBUFS;
		if (got >= 0 && from.nl_pid == 0)
			return got;
	}
}

/*
 * Part of the answer to request n->seq, with other messages between. 1: there is
 * more to come; 0: complete; -errno.
 */
static int answer_parse(struct netlink *n, int len)
{
	const struct nlmsghdr *nlh;
	int err;

	for (nlh = (void *)n->buf; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len)) {
		bool own = nlh->nlmsg_seq == n->seq &&
			   nlh->nlmsg_pid == mnl_socket_get_portid(n->nl);

		if (!own || (nlh->nlmsg_flags & NLM_F_DUMP_INTR))
			n->changed = true;
		if (own && (nlh->nlmsg_type == NLMSG_DONE || nlh->nlmsg_type == NLMSG_ERROR))
			return mnl_nlmsg_get_payload_len(nlh) < sizeof(int) ?
				       -EBADMSG : *(const int *)mnl_nlmsg_get_payload(nlh);
		err = netlink_message(n, nlh);
		if (err)
			n->error = err;
	}
	return 1;
}

/*
 * Always to the end of the answer, whatever goes wrong: until it is read the
 * socket takes no other request.
 */
static int dump(struct netlink *n, uint16_t type)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(n->buf);
	struct pollfd pfd = { .fd = mnl_socket_get_fd(n->nl), .events = POLLIN };
	ssize_t len;
	int err = 1;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = ++n->seq;
	/* Holds for struct ifaddrmsg, too, which is shorter: all zero. */
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	if (type == RTM_GETLINK)
		mnl_attr_put_u32(nlh, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	if (mnl_socket_sendto(n->nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	while (err > 0) {
		len = messages_recv(n);
		if (len == -EAGAIN) {
			if (poll(&pfd, 1, ANSWER_MS) == 0)
				return -ETIMEDOUT;
			continue;
		}
		if (len == -ENOBUFS) {
			n->changed = true;
			continue;
		}
		err = len < 0 ? (int)len : answer_parse(n, (int)len);
	}
	return err ? err : n->error;
}

/*
 * Reads everything. A message that falls into a reading may be older or newer than
 * the part of the reading after it; so it is done again until none does.
 */
static int read_all(struct netlink *n)
{
	int i, err = 0;

	n->changed = true;
	for (i = 0; i < TRIES && n->changed && !err; i++) {
		n->changed = false;
		n->error = 0;
		n->reading++;
		err = dump(n, RTM_GETLINK);
		if (!err)
			err = dump(n, RTM_GETADDR);
	}
	n->stale = err != 0;
	if (err)
		return err;
	addrs_sweep(n);
	links_sweep(n);
	return 0;
}

int netlink_read(struct netlink *n)
{
	const struct nlmsghdr *nlh;
	ssize_t got;
	int len, err = 0;

	while (!n->stale && !err) {
		got = messages_recv(n);
		if (got == -EAGAIN)
			return 0;
		if (got < 0) {
			n->stale = true;
			break;
		}
		len = (int)got;
		for (nlh = (void *)n->buf; !err && mnl_nlmsg_ok(nlh, len);
		     nlh = mnl_nlmsg_next(nlh, &len))
			err = netlink_message(n, nlh);
	}
	n->stale = true;
	return read_all(n);
}

static int socket_open(struct netlink *n)
{
	n->nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!n->nl)
		return -errno;
	/* Subscribed before anything is read: no change falls in between. */
	if (mnl_socket_bind(n->nl, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
			    MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	return 0;
}

int netlink_open(struct netlink **out, const char *ifname, const struct netlink_ops *ops, void *ctx)
{
	struct netlink *n = calloc(1, sizeof(*n));
	int err;

	if (!n)
		return -ENOMEM;
	n->ops = ops;
	n->ctx = ctx;
	n->device.ifindex = if_nametoindex(ifname);
	err = n->device.ifindex ? socket_open(n) : -ENODEV;
	if (!err)
		err = read_all(n);
	if (!err && (!n->known || n->device.state == NETLINK_GONE))
		err = -ENODEV;
	if (err) {
		netlink_close(n);
		return err;
	}
	*out = n;
	return 0;
}

void netlink_close(struct netlink *n)
{
	if (!n)
		return;
	if (n->nl)
		mnl_socket_close(n->nl);
	free(n->links);
	free(n->addrs);
	free(n);
}

int netlink_fd(const struct netlink *n)
{
	return mnl_socket_get_fd(n->nl);
}

const struct netlink_device *netlink_device(const struct netlink *n)
{
	return &n->device;
}

unsigned int netlink_rx_queues(const struct netlink *n)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };
	struct ifreq ifr = { .ifr_data = (void *)&channels };
	unsigned int queues = 0;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(ifr.ifr_name, n->device.name, sizeof(ifr.ifr_name));
	if (fd >= 0 && ioctl(fd, SIOCETHTOOL, &ifr) == 0)
		queues = channels.rx_count + channels.combined_count;
	if (fd >= 0)
		close(fd);
	if (!queues)
		queues = n->device.rx_queues;
	return queues ? queues : 1;
}
