// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * netlink.c - links and addresses as the kernel reports them; see netlink.h.
 *
 * The tables hold everything that the kernel reported. What has been reported
 * to the caller is a mark on one entry (`reported`), and is brought up to date by
 * addr_settle() and vlan_settle() after each change, whatever caused it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/ethtool.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "daemon/netlink.h"

#define BUF_BYTES 32768
/* Readings of everything that other changes fell into, before the last one is believed. */
#define TRIES 10
/* For an answer of the kernel, which may wait for the lock of all links. */
#define ANSWER_MS 5000
#define ETHERTYPE_8021Q 0x8100

struct link {
	unsigned int ifindex;
	unsigned int seen;	/* the reading that had it last */
	unsigned int lower;	/* VLAN device: on which device of this namespace */
	uint16_t vid;
	bool vlan;		/* an 802.1Q device */
	bool up;
	bool reported;		/* to ops->vlan, as the device of its vid */
};

struct addr {
	struct sluice_addr addr;
	unsigned int ifindex;
	unsigned int seen;
	bool usable;		/* neither tentative nor failed */
	bool reported;		/* to ops->addr_added, with this ifindex */
};

struct netlink {
	struct mnl_socket *nl;
	const struct netlink_ops *ops;
	void *ctx;
	struct netlink_device device;
	bool known;		/* the device has been found */
	bool stale;		/* reading everything failed */
	bool changed;		/* another message came into the reading, or was lost */
	int error;		/* of a message in the reading */
	uint32_t seq;
	unsigned int reading;	/* number of the current or last reading */
	struct link *links;
	struct addr *addrs;
	size_t nr_links, nr_addrs;
	_Alignas(struct nlmsghdr) char buf[BUF_BYTES];
};

/* What counts, and telling about it */

static struct link *link_find(const struct netlink *n, unsigned int ifindex)
{
	size_t i;

	for (i = 0; i < n->nr_links; i++)
		if (n->links[i].ifindex == ifindex)
			return &n->links[i];
	return NULL;
}

static bool addr_link_local(const struct sluice_addr *addr)
{
	return (addr->w[0] & htonl(0xffc00000)) == htonl(0xfe800000);
}

static bool addr_equal(const struct sluice_addr *a, const struct sluice_addr *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static bool addr_counts(const struct netlink *n, const struct addr *a)
{
	const struct link *link = link_find(n, a->ifindex);

	return a->usable && link && link->up &&
	       (!addr_link_local(&a->addr) || a->ifindex == n->device.ifindex);
}

static void addr_settle(struct netlink *n, const struct sluice_addr *addr)
{
	struct addr *old = NULL, *new = NULL;
	const struct sluice_addr copy = *addr;
	size_t i;

	for (i = 0; i < n->nr_addrs; i++) {
		struct addr *a = &n->addrs[i];

		if (!addr_equal(&a->addr, &copy))
			continue;
		if (a->reported)
			old = a;
		if (addr_counts(n, a) && (!new || a->reported))
			new = a;
	}
	if (old == new)
		return;
	if (old)
		old->reported = false;
	if (!new) {
		n->ops->addr_removed(n->ctx, &copy);
		return;
	}
	new->reported = true;
	n->ops->addr_added(n->ctx, &copy, new->ifindex);
}

static bool vlan_counts(const struct netlink *n, const struct link *link)
{
	return link->vlan && link->up && link->lower == n->device.ifindex;
}

static void vlan_settle(struct netlink *n, uint16_t vid)
{
	struct link *old = NULL, *new = NULL;
	size_t i;

	for (i = 0; i < n->nr_links; i++) {
		struct link *link = &n->links[i];

		if (link->vid != vid)
			continue;
		if (link->reported)
			old = link;
		if (vlan_counts(n, link) && (!new || link->reported))
			new = link;
	}
	if (old == new)
		return;
	if (old)
		old->reported = false;
	if (new)
		new->reported = true;
	n->ops->vlan(n->ctx, vid, new ? new->ifindex : 0);
}

static void state_set(struct netlink *n, enum netlink_state state)
{
	enum netlink_state old = n->device.state;

	if (old == state || old == NETLINK_GONE)
		return;
	n->device.state = state;
	if (n->known)
		n->ops->state(n->ctx, state);
}

/* Everything that depends on a link's state: its VLAN ID, and the addresses on it. */
static void link_settle(struct netlink *n, unsigned int ifindex, uint16_t vid, uint16_t old_vid)
{
	size_t i;

	vlan_settle(n, vid);
	if (old_vid != vid)
		vlan_settle(n, old_vid);
	for (i = 0; i < n->nr_addrs; i++)
		if (n->addrs[i].ifindex == ifindex)
			addr_settle(n, &n->addrs[i].addr);
}

/* Links */

static void link_remove(struct netlink *n, struct link *link)
{
	const struct link old = *link;

	link->up = false;
	link_settle(n, old.ifindex, old.vid, old.vid);
	*link = n->links[--n->nr_links];
	if (old.ifindex == n->device.ifindex)
		state_set(n, NETLINK_GONE);
}

static struct link *link_add(struct netlink *n, unsigned int ifindex)
{
	struct link *links = realloc(n->links, (n->nr_links + 1) * sizeof(*links));

	if (!links)
		return NULL;
	n->links = links;
	links[n->nr_links] = (struct link){ .ifindex = ifindex };
	return &links[n->nr_links++];
}

/* Attributes of one nest by type; those outside of (0, max] are left out. */
static void attrs_read(const struct nlattr *attr, const char *end, const struct nlattr **tb,
		       int max)
{
	for (; mnl_attr_ok(attr, (int)(end - (const char *)attr)); attr = mnl_attr_next(attr))
		if (mnl_attr_get_type(attr) <= max)
			tb[mnl_attr_get_type(attr)] = attr;
}

static void nest_read(const struct nlattr *nest, const struct nlattr **tb, int max)
{
	const char *payload = mnl_attr_get_payload(nest);

	attrs_read(mnl_attr_get_payload(nest), payload + mnl_attr_get_payload_len(nest), tb, max);
}

static bool attr_copy(const struct nlattr *attr, void *out, size_t len)
{
	if (!attr || mnl_attr_get_payload_len(attr) != len)
		return false;
	memcpy(out, mnl_attr_get_payload(attr), len);
	return true;
}

/* A string attribute, cut to size; the kernel ends them with 0, others might not. */
static void attr_string(const struct nlattr *attr, char *out, size_t size)
{
	size_t len = mnl_attr_get_payload_len(attr);

	if (len >= size)
		len = size - 1;
	memset(out, 0, size);
	memcpy(out, mnl_attr_get_payload(attr), strnlen(mnl_attr_get_payload(attr), len));
}

/* Some messages (wireless events) have few attributes: what is absent has not changed. */
static void link_vlan(struct link *link, const struct nlattr **tb, const char *kind,
		      const struct nlattr *data)
{
	const struct nlattr *vlan[IFLA_VLAN_MAX + 1] = { NULL };
	uint16_t proto = htons(ETHERTYPE_8021Q);
	uint32_t lower = 0;

	if (data)
		nest_read(data, vlan, IFLA_VLAN_MAX);
	attr_copy(vlan[IFLA_VLAN_PROTOCOL], &proto, sizeof(proto));
	link->vlan = !strcmp(kind, "vlan") && proto == htons(ETHERTYPE_8021Q) &&
		     attr_copy(vlan[IFLA_VLAN_ID], &link->vid, sizeof(link->vid)) &&
		     link->vid < SLUICE_VLAN_IDS;
	/* With a namespace the number below means another device. */
	if (!tb[IFLA_LINK_NETNSID])
		attr_copy(tb[IFLA_LINK], &lower, sizeof(lower));
	link->lower = lower;
}

static void device_update(struct netlink *n, const struct nlattr **tb, const char *kind, bool up)
{
	struct netlink_device *dev = &n->device;
	uint8_t mac[6];
	uint32_t mtu;

	if (tb[IFLA_IFNAME])
		attr_string(tb[IFLA_IFNAME], dev->name, sizeof(dev->name));
	if (kind)
		memcpy(dev->kind, kind, sizeof(dev->kind));
	attr_copy(tb[IFLA_NUM_RX_QUEUES], &dev->rx_queues, sizeof(dev->rx_queues));
	if (attr_copy(tb[IFLA_ADDRESS], mac, sizeof(mac)) && memcmp(mac, dev->mac, sizeof(mac))) {
		memcpy(dev->mac, mac, sizeof(mac));
		if (n->known)
			n->ops->mac(n->ctx, dev->mac);
	}
	if (attr_copy(tb[IFLA_MTU], &mtu, sizeof(mtu)) && mtu != dev->mtu) {
		dev->mtu = mtu;
		if (n->known)
			n->ops->mtu(n->ctx, mtu);
	}
	state_set(n, up ? NETLINK_UP : NETLINK_DOWN);
	n->known = true;
}

static int link_message(struct netlink *n, const struct nlmsghdr *nlh)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *tb[IFLA_MAX + 1] = { NULL }, *linkinfo[IFLA_INFO_MAX + 1] = { NULL };
	char kind[sizeof(n->device.kind)] = "";
	struct link *link;
	uint16_t old_vid;

	/* AF_BRIDGE: a port that joins or leaves a bridge, not a device that comes or goes. */
	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*info) || info->ifi_family != AF_UNSPEC)
		return 0;
	link = link_find(n, (unsigned int)info->ifi_index);
	if (nlh->nlmsg_type == RTM_DELLINK) {
		if (link)
			link_remove(n, link);
		return 0;
	}
	if (!link)
		link = link_add(n, (unsigned int)info->ifi_index);
	if (!link)
		return -ENOMEM;
	attrs_read(mnl_nlmsg_get_payload_offset(nlh, sizeof(*info)),
		   mnl_nlmsg_get_payload_tail(nlh), tb, IFLA_MAX);
	if (tb[IFLA_LINKINFO])
		nest_read(tb[IFLA_LINKINFO], linkinfo, IFLA_INFO_MAX);
	if (linkinfo[IFLA_INFO_KIND])
		attr_string(linkinfo[IFLA_INFO_KIND], kind, sizeof(kind));
	link->seen = n->reading;
	link->up = info->ifi_flags & IFF_UP;
	old_vid = link->vid;
	if (kind[0])
		link_vlan(link, tb, kind, linkinfo[IFLA_INFO_DATA]);
	if (link->ifindex == n->device.ifindex)
		device_update(n, tb, kind[0] ? kind : NULL, link->up);
	link_settle(n, link->ifindex, link->vid, old_vid);
	return 0;
}

/* Addresses */

static struct addr *addr_find(struct netlink *n, const struct sluice_addr *addr,
			      unsigned int ifindex)
{
	size_t i;

	for (i = 0; i < n->nr_addrs; i++)
		if (n->addrs[i].ifindex == ifindex && addr_equal(&n->addrs[i].addr, addr))
			return &n->addrs[i];
	return NULL;
}

static struct addr *addr_add(struct netlink *n, const struct sluice_addr *addr,
			     unsigned int ifindex)
{
	struct addr *addrs = realloc(n->addrs, (n->nr_addrs + 1) * sizeof(*addrs));

	if (!addrs)
		return NULL;
	n->addrs = addrs;
	addrs[n->nr_addrs] = (struct addr){ .addr = *addr, .ifindex = ifindex };
	return &addrs[n->nr_addrs++];
}

static void addr_remove(struct netlink *n, struct addr *a)
{
	a->usable = false;
	addr_settle(n, &a->addr);
	*a = n->addrs[--n->nr_addrs];
}

/* False: not an address that could ever count. */
static bool addr_parse(const struct ifaddrmsg *ifa, const struct nlattr **tb,
		       struct sluice_addr *addr)
{
	/* With a peer, IFA_ADDRESS is the peer's. */
	const struct nlattr *attr = tb[IFA_LOCAL] ? tb[IFA_LOCAL] : tb[IFA_ADDRESS];
	const struct sluice_addr loopback = { { 0, 0, 0, htonl(1) } };

	if (ifa->ifa_family == AF_INET) {
		*addr = (struct sluice_addr){ { 0, 0, htonl(0xffff), 0 } };
		return attr_copy(attr, &addr->w[3], sizeof(addr->w[3])) &&
		       ntohl(addr->w[3]) >> 24 != 127;
	}
	return ifa->ifa_family == AF_INET6 && attr_copy(attr, addr, sizeof(*addr)) &&
	       !addr_equal(addr, &loopback);
}

static int addr_message(struct netlink *n, const struct nlmsghdr *nlh)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *tb[IFA_MAX + 1] = { NULL };
	struct sluice_addr addr;
	struct addr *a;
	uint32_t flags;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*ifa))
		return 0;
	attrs_read(mnl_nlmsg_get_payload_offset(nlh, sizeof(*ifa)), mnl_nlmsg_get_payload_tail(nlh),
		   tb, IFA_MAX);
	if (!addr_parse(ifa, tb, &addr))
		return 0;
	a = addr_find(n, &addr, ifa->ifa_index);
	if (nlh->nlmsg_type == RTM_DELADDR) {
		if (a)
			addr_remove(n, a);
		return 0;
	}
	if (!a)
		a = addr_add(n, &addr, ifa->ifa_index);
	if (!a)
		return -ENOMEM;
	flags = ifa->ifa_flags;
	attr_copy(tb[IFA_FLAGS], &flags, sizeof(flags));
	a->seen = n->reading;
	a->usable = !(flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) ||
		    ((flags & IFA_F_OPTIMISTIC) && !(flags & IFA_F_DADFAILED));
	addr_settle(n, &addr);
	return 0;
}

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

/* The socket */

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

static void sweep(struct netlink *n)
{
	size_t i;

	for (i = n->nr_addrs; i-- > 0;)
		if (n->addrs[i].seen != n->reading)
			addr_remove(n, &n->addrs[i]);
	for (i = n->nr_links; i-- > 0;)
		if (n->links[i].seen != n->reading)
			link_remove(n, &n->links[i]);
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
	if (!err)
		sweep(n);
	return err;
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
