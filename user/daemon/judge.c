// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "daemon/judge.h"

#include <errno.h>
#include <stdio.h>

#include "engine/addr.h"

/* ::ffff:0.0.0.0 as all zero */
static struct sluice_addr without_family(const struct sluice_addr *addr)
{
	return addr_is_v4(addr) && !addr->w[3] ? (struct sluice_addr){ 0 } : *addr;
}

/* Bind to 0.0.0.0 and to :: are both "any"; which families that means is in ipv6 and v6only. */
static void key_of(const struct diag_sock *d, struct udp_key *key)
{
	*key = (struct udp_key){
		.local = without_family(&d->local),
		.peer = without_family(&d->peer),
		.peer_port = htons(d->peer_port),
		.ifindex = d->ifindex,
		.ipv6 = d->family == AF_INET6,
		.v6only = d->v6only,
	};
}

bool judge_takes_v4(const struct udp_key *key)
{
	return !key->ipv6 || (addr_is_any(&key->local) ? !key->v6only : addr_is_v4(&key->local));
}

bool judge_takes_v6(const struct udp_key *key)
{
	return key->ipv6 && (addr_is_any(&key->local) || !addr_is_v4(&key->local));
}

/* True when the device, or a VLAN on it, is the one a socket is bound to. */
static bool on_device(const struct device *dev, uint32_t ifindex)
{
	if (!ifindex || ifindex == dev->info.ifindex)
		return true;
	for (int vid = 1; vid < SLUICE_VLAN_IDS; vid++) {
		if (dev->steer.vlan_dev[vid] == ifindex)
			return true;
	}
	return false;
}

/* Could a datagram that the rule of `mine` takes be meant for `other`? */
static bool overlaps(const struct device *dev, const struct udp_key *mine,
		     const struct udp_key *other)
{
	if (!on_device(dev, other->ifindex) || addr_is_loopback(&other->local))
		return false;
	if (addr_is_any(&mine->local) || addr_is_any(&other->local)) {
		bool family = (judge_takes_v4(mine) && judge_takes_v4(other)) ||
			      (judge_takes_v6(mine) && judge_takes_v6(other));

		/* The kernel prefers the more specific socket; not connected, it takes everything. */
		if (!addr_is_any(&mine->local) && !mine->peer_port)
			return false;
		return family;
	}
	return addr_equal(&mine->local, &other->local);
}

struct attached *judge_find(struct attached *first, uint64_t cookie)
{
	for (struct attached *a = first; a; a = a->next_on_port) {
		if (a->sk.cookie == cookie)
			return a;
	}
	return NULL;
}

bool judge_is_local(const struct ports *ports, const struct sluice_addr *addr)
{
	for (unsigned int i = 0; i < ports->nr_local; i++) {
		if (addr_equal(&ports->local[i].addr, addr))
			return true;
	}
	return false;
}

void judge_refuse(struct attached *a, enum sluice_lane_state state, int error, const char *why)
{
	a->state = state;
	a->error = error;
	snprintf(a->why, sizeof(a->why), "%s", why);
}

/* What the socket itself is, whoever else is on the port. */
static void judge_alone(const struct ports *ports, struct attached *a)
{
	judge_refuse(a, SLUICE_LANE_ACTIVE, 0, "");
	if (a->stopped)
		judge_refuse(a, SLUICE_LANE_WITHDRAWN, -ECANCELED, "stopped by its program");
	else if (!ports->dev->steer.config.mirror && !addr_is_any(&a->key.local) &&
		 !judge_is_local(ports, &a->key.local))
		judge_refuse(a, SLUICE_LANE_WITHDRAWN, -EADDRNOTAVAIL,
			     "bound to an address that is no unicast address of this host");
	else if (!on_device(ports->dev, a->key.ifindex))
		judge_refuse(a, SLUICE_LANE_WITHDRAWN, -EOPNOTSUPP,
			     "bound to another device than this daemon's");
}

/* `other` is not attached. */
static void judge_against(const struct ports *ports, struct attached *a,
			  const struct diag_sock *other)
{
	struct udp_key key;

	key_of(other, &key);
	if (a->state == SLUICE_LANE_WITHDRAWN || !overlaps(ports->dev, &a->key, &key))
		return;
	/* Of the same group as far as anyone can tell: it may still be attached. */
	if (a->reuseport && other->uid == a->uid && addr_equal(&key.local, &a->key.local) &&
	    key.ipv6 == a->key.ipv6 && key.ifindex == a->key.ifindex)
		judge_refuse(a, SLUICE_LANE_WAITING, 0,
			     "waits until the rest of its SO_REUSEPORT group is attached");
	else
		judge_refuse(a, SLUICE_LANE_WITHDRAWN, -EADDRINUSE,
			     "a socket that is not attached shares the port (see 'ss -ulpn')");
}

void judge_socks(const struct ports *ports, struct attached *first, const struct diag_sock *list,
		 unsigned int n)
{
	for (struct attached *a = first; a; a = a->next_on_port)
		judge_refuse(a, SLUICE_LANE_GONE, -ENOTCONN,
			     "the socket is no longer bound to the port it was attached with");
	for (unsigned int i = 0; i < n; i++) {
		struct attached *a = judge_find(first, list[i].cookie);

		if (!a)
			continue;
		key_of(&list[i], &a->key);
		a->uid = list[i].uid;
		judge_alone(ports, a);
	}
	for (unsigned int i = 0; i < n; i++) {
		struct attached *other = judge_find(first, list[i].cookie);

		if (other && !other->stopped)
			continue;
		for (struct attached *a = first; a; a = a->next_on_port) {
			if (a != other && a->state != SLUICE_LANE_GONE)
				judge_against(ports, a, &list[i]);
		}
	}
}

static bool same_group(const struct attached *a, const struct attached *b)
{
	return a->reuseport && b->reuseport && a->uid == b->uid && a->key.ipv6 == b->key.ipv6 &&
	       a->key.ifindex == b->key.ifindex && addr_equal(&a->key.local, &b->key.local);
}

/* Connected sockets are chosen by their peer, not by hash. */
uint32_t judge_group(struct attached *first, const struct attached *a)
{
	uint32_t number = 1;

	if (!a->reuseport || a->key.peer_port)
		return 0;
	for (struct attached *b = first; b; b = b->next_on_port, number++) {
		if (same_group(a, b))
			return number;
	}
	return 0;
}
