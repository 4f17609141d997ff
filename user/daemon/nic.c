// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "daemon/nic.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define KINDS 0x7fu	/* of flow_type; drivers add flags */

static int kernel_ioctl(void *ctx, const char *ifname, void *data)
{
	const struct nic *nic = ctx;
	struct ifreq ifr = { .ifr_data = data };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	return ioctl(nic->fd, SIOCETHTOOL, &ifr) ? -errno : 0;
}

static struct nic *nic_of(struct nic_filters *filters)
{
	return (struct nic *)filters;
}

static int nic_ask(const struct nic *nic, void *data)
{
	return nic->ioctl(nic->ctx, nic->ifname, data);
}

/* The flow's kind to ethtool; 0: there is none. */
static uint32_t flow_kind(const struct sluice_flow *flow)
{
	bool ipv6 = flow->family == 6;

	/* Without ports it is a fragment's hash, or of a protocol without. */
	if (!flow->sport && !flow->dport)
		return 0;
	switch (flow->proto) {
	case IPPROTO_UDP:
		return ipv6 ? UDP_V6_FLOW : UDP_V4_FLOW;
	case IPPROTO_TCP:
		return ipv6 ? TCP_V6_FLOW : TCP_V4_FLOW;
	case IPPROTO_SCTP:
		return ipv6 ? SCTP_V6_FLOW : SCTP_V4_FLOW;
	default:
		return 0;
	}
}

/* Both addresses and ports in full. UDP, TCP and SCTP have the same structure. */
static int fill_rule(struct ethtool_rx_flow_spec *fs, const struct nic_filter *filter)
{
	const struct sluice_flow *flow = &filter->flow;

	*fs = (struct ethtool_rx_flow_spec){ .flow_type = flow_kind(flow),
					     .ring_cookie = filter->queue };
	if (!fs->flow_type)
		return -EOPNOTSUPP;
	if (flow->family == 6) {
		memcpy(fs->h_u.udp_ip6_spec.ip6src, &flow->saddr, 16);
		memcpy(fs->h_u.udp_ip6_spec.ip6dst, &flow->daddr, 16);
		fs->h_u.udp_ip6_spec.psrc = flow->sport;
		fs->h_u.udp_ip6_spec.pdst = flow->dport;
		memset(fs->m_u.udp_ip6_spec.ip6src, 0xff, 16);
		memset(fs->m_u.udp_ip6_spec.ip6dst, 0xff, 16);
		fs->m_u.udp_ip6_spec.psrc = fs->m_u.udp_ip6_spec.pdst = 0xffff;
	} else {
		fs->h_u.udp_ip4_spec.ip4src = flow->saddr.w[3];
		fs->h_u.udp_ip4_spec.ip4dst = flow->daddr.w[3];
		fs->h_u.udp_ip4_spec.psrc = flow->sport;
		fs->h_u.udp_ip4_spec.pdst = flow->dport;
		fs->m_u.udp_ip4_spec.ip4src = fs->m_u.udp_ip4_spec.ip4dst = 0xffffffff;
		fs->m_u.udp_ip4_spec.psrc = fs->m_u.udp_ip4_spec.pdst = 0xffff;
	}
	return 0;
}

/* All that was asked for: a driver may add masks and flags of its own. */
static bool same_rule(const struct ethtool_rx_flow_spec *a, const struct ethtool_rx_flow_spec *b)
{
	if ((a->flow_type ^ b->flow_type) & KINDS || a->ring_cookie != b->ring_cookie)
		return false;
	if ((a->flow_type & KINDS) >= TCP_V6_FLOW)
		return !memcmp(&a->h_u.udp_ip6_spec, &b->h_u.udp_ip6_spec,
			       offsetof(struct ethtool_tcpip6_spec, tclass));
	return !memcmp(&a->h_u.udp_ip4_spec, &b->h_u.udp_ip4_spec,
		       offsetof(struct ethtool_tcpip4_spec, tos));
}

/* The rules that are there: *size of the table, 0: not said; *list, for the caller to free. */
static int read_rules(const struct nic *nic, uint32_t *size, struct ethtool_rxnfc **list)
{
	struct ethtool_rxnfc count = { .cmd = ETHTOOL_GRXCLSRLCNT }, *all;
	int err = nic_ask(nic, &count);

	if (err)
		return err;
	all = calloc(1, sizeof(*all) + count.rule_cnt * sizeof(all->rule_locs[0]));
	if (!all)
		return -ENOMEM;
	all->cmd = ETHTOOL_GRXCLSRLALL;
	all->rule_cnt = count.rule_cnt;
	err = nic_ask(nic, all);
	if (err) {
		free(all);
		return err;
	}
	/* Some drivers tell the size with the one, some with the other. */
	*size = (uint32_t)(all->data ? all->data : count.data) & ~RX_CLS_LOC_SPECIAL;
	*list = all;
	return 0;
}

static int capacity(struct nic_filters *filters, uint32_t *room)
{
	struct ethtool_rxnfc *list;
	uint32_t size;
	int err = read_rules(nic_of(filters), &size, &list);

	if (err)
		return err;
	/* Where the driver does not tell, its refusal does. */
	*room = !size ? ARFS_FILTERS : size > list->rule_cnt ? size - list->rule_cnt : 0;
	free(list);
	return 0;
}

static int compare_location(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x < y) - (x > y);
}

static int free_location(const struct nic *nic, uint32_t *location)
{
	struct ethtool_rxnfc *list;
	uint32_t size, at;
	int err = read_rules(nic, &size, &list);

	if (err)
		return err;
	qsort(list->rule_locs, list->rule_cnt, sizeof(list->rule_locs[0]), compare_location);
	at = size;
	for (uint32_t i = 0; at && i < list->rule_cnt && list->rule_locs[i] + 1 >= at; i++)
		at = list->rule_locs[i] < at ? list->rule_locs[i] : at;
	free(list);
	if (!at)
		return -ENOSPC;
	*location = at - 1;
	return 0;
}

static int add(struct nic_filters *filters, struct nic_filter *filter)
{
	struct nic *nic = nic_of(filters);
	struct ethtool_rxnfc rule = { .cmd = ETHTOOL_SRXCLSRLINS };
	int err = fill_rule(&rule.fs, filter);

	rule.fs.location = RX_CLS_LOC_ANY;
	if (!err && !nic->chooses)
		err = free_location(nic, &rule.fs.location);
	if (!err)
		err = nic_ask(nic, &rule);
	if (err)
		return err;
	filter->location = rule.fs.location;
	return 0;
}

static int del(struct nic_filters *filters, const struct nic_filter *filter)
{
	struct nic *nic = nic_of(filters);
	struct ethtool_rxnfc rule = { .cmd = ETHTOOL_GRXCLSRULE };
	struct ethtool_rx_flow_spec ours;
	int err = fill_rule(&ours, filter);

	if (err)
		return err;
	rule.fs.location = filter->location;
	err = nic_ask(nic, &rule);
	/* Drivers say -EINVAL of an empty location, too. */
	if (err == -EINVAL || (!err && !same_rule(&rule.fs, &ours)))
		return -ENOENT;
	if (err)
		return err;
	rule = (struct ethtool_rxnfc){ .cmd = ETHTOOL_SRXCLSRLDEL };
	rule.fs.location = filter->location;
	return nic_ask(nic, &rule);
}

static const struct nic_filters_ops nic_ops = { capacity, add, del };

static int nic_probe(struct nic *nic, char *why, size_t len)
{
	struct ethtool_rxnfc count = { .cmd = ETHTOOL_GRXCLSRLCNT };
	struct ethtool_value flags = { .cmd = ETHTOOL_GFLAGS };
	int err = nic_ask(nic, &count);

	if (err == -EOPNOTSUPP || err == -EINVAL) {
		snprintf(why, len,
			 "the driver of %s has no n-tuple filters (see 'ethtool -n %s'): leave "
			 "--arfs out, RFS works without",
			 nic->ifname, nic->ifname);
		return -EOPNOTSUPP;
	}
	if (!err)
		err = nic_ask(nic, &flags);
	if (!err && !(flags.data & ETH_FLAG_NTUPLE)) {
		snprintf(why, len,
			 "the n-tuple filters of %s are switched off: 'ethtool -K %s ntuple on', "
			 "or leave --arfs out",
			 nic->ifname, nic->ifname);
		return -ENXIO;
	}
	if (err)
		snprintf(why, len, "cannot ask %s for its n-tuple filters: %s", nic->ifname,
			 strerror(-err));
	nic->chooses = count.data & RX_CLS_LOC_SPECIAL;
	return err;
}

int nic_open(struct nic *nic, const char *ifname, nic_ioctl ask, void *ctx, char *why, size_t len)
{
	int err;

	*nic = (struct nic){ .filters = { &nic_ops }, .ioctl = ask, .ctx = ctx, .fd = -1 };
	snprintf(nic->ifname, sizeof(nic->ifname), "%s", ifname);
	if (!ask) {
		nic->ioctl = kernel_ioctl;
		nic->ctx = nic;
		nic->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (nic->fd < 0) {
			err = -errno;
			snprintf(why, len, "cannot open a socket: %s", strerror(-err));
			return err;
		}
	}
	err = nic_probe(nic, why, len);
	if (err)
		nic_close(nic);
	return err;
}

void nic_close(struct nic *nic)
{
	if (nic->fd >= 0)
		close(nic->fd);
	nic->fd = -1;
}
