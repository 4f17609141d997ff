// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* netlink_link.c - the device itself and the VLAN devices on it; see netlink_table.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/netlink_attr.h"
#include "daemon/netlink_table.h"

struct link *link_find(const struct netlink *n, unsigned int ifindex)
{
	size_t i;

	for (i = 0; i < n->nr_links; i++)
		if (n->links[i].ifindex == ifindex)
			return &n->links[i];
	return NULL;
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
	vlan_settle(n, vid);
	if (old_vid != vid)
		vlan_settle(n, old_vid);
	addrs_settle(n, ifindex);
}

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

/* Some messages (wireless events) have few attributes: what is absent has not changed. */
static void link_vlan(struct link *link, const struct nlattr **tb, const char *kind,
		      const struct nlattr *data)
{
	const struct nlattr *vlan[IFLA_VLAN_MAX + 1] = { NULL };
	uint16_t proto = htons(ETH_P_8021Q);
	uint32_t lower = 0;

	if (data)
		nest_read(data, vlan, IFLA_VLAN_MAX);
	attr_copy(vlan[IFLA_VLAN_PROTOCOL], &proto, sizeof(proto));
	link->vlan = !strcmp(kind, "vlan") && proto == htons(ETH_P_8021Q) &&
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

int link_message(struct netlink *n, const struct nlmsghdr *nlh)
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
	attrs_of(nlh, sizeof(*info), tb, IFLA_MAX);
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

void links_sweep(struct netlink *n)
{
	size_t i;

	for (i = n->nr_links; i-- > 0;)
		if (n->links[i].seen != n->reading)
			link_remove(n, &n->links[i]);
}
