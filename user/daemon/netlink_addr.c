// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* netlink_addr.c - addresses, and which of them count; see netlink_table.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "daemon/netlink_attr.h"
#include "daemon/netlink_table.h"

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

void addrs_settle(struct netlink *n, unsigned int ifindex)
{
	size_t i;

	for (i = 0; i < n->nr_addrs; i++)
		if (n->addrs[i].ifindex == ifindex)
			addr_settle(n, &n->addrs[i].addr);
}

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

int addr_message(struct netlink *n, const struct nlmsghdr *nlh)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *tb[IFA_MAX + 1] = { NULL };
	struct sluice_addr addr;
	struct addr *a;
	uint32_t flags;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*ifa))
		return 0;
	attrs_of(nlh, sizeof(*ifa), tb, IFA_MAX);
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

void addrs_sweep(struct netlink *n)
{
	size_t i;

	for (i = n->nr_addrs; i-- > 0;)
		if (n->addrs[i].seen != n->reading)
			addr_remove(n, &n->addrs[i]);
}
