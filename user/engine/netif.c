// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "engine/netif.h"

#include <errno.h>
#include <net/ethernet.h>
#include <stdbool.h>
#include <urcu-qsbr.h>

#include "engine/engine.h"
#include "engine/eth.h"
#include "engine/ip.h"
#include "engine/napi.h"
#include "engine/tap.h"
#include "engine/vlan.h"
#include "engine/worker.h"

static struct packet_type **type_bucket(struct netif *netif, uint16_t type)
{
	return &netif->type[type % NETIF_TYPE_BUCKETS];
}

int netif_type_add(struct netif *netif, struct packet_type *pt)
{
	struct packet_type **bucket = type_bucket(netif, pt->type), *other;

	if (pt->type == ETHERTYPE_IP || pt->type == ETHERTYPE_IPV6)
		return -EEXIST;
	for (other = *bucket; other; other = other->next) {
		if (other->type == pt->type)
			return -EEXIST;
	}
	pt->next = *bucket;
	rcu_assign_pointer(*bucket, pt);
	return 0;
}

int netif_type_del(struct netif *netif, struct packet_type *pt)
{
	struct packet_type **link = type_bucket(netif, pt->type);

	while (*link && *link != pt)
		link = &(*link)->next;
	if (!*link)
		return -ENOENT;
	rcu_assign_pointer(*link, pt->next);
	synchronize_rcu();
	return 0;
}

int netif_hook_add(struct netif *netif, struct netif_hook *hook)
{
	struct netif_hook **link, **at = NULL;

	for (link = &netif->hook; *link; link = &(*link)->next) {
		if (*link == hook)
			return -EEXIST;
		if (!at && (*link)->priority > hook->priority)
			at = link;
	}
	if (!at)
		at = link;
	hook->next = *at;
	rcu_assign_pointer(*at, hook);
	return 0;
}

int netif_hook_del(struct netif *netif, struct netif_hook *hook)
{
	struct netif_hook **link = &netif->hook;

	while (*link && *link != hook)
		link = &(*link)->next;
	if (!*link)
		return -ENOENT;
	rcu_assign_pointer(*link, hook->next);
	synchronize_rcu();
	return 0;
}

static void netif_deliver_other(struct worker *worker, struct pkt *pkt)
{
	uint16_t type = pkt->protocol < NETIF_8022_BELOW ? NETIF_TYPE_8022 : pkt->protocol;
	const struct packet_type *pt =
		rcu_dereference(*type_bucket(&worker->engine->netif, type));

	while (pt && pt->type != type)
		pt = rcu_dereference(pt->next);
	if (pt)
		pt->func(worker, pkt, pt);
	else
		pkt_drop(pkt, SLUICE_DROP_ETH_PROTO);
}

/* Direct calls for what nearly all packets are, as Linux's INDIRECT_CALL_INET. */
void netif_deliver(struct worker *worker, struct pkt *pkt)
{
	switch (pkt->protocol) {
	case ETHERTYPE_IP:
		ip4_rcv(worker, pkt);
		break;
	case ETHERTYPE_IPV6:
		ip6_rcv(worker, pkt);
		break;
	default:
		netif_deliver_other(worker, pkt);
	}
}

/* NETIF_ACCEPT: by all. */
static enum netif_verdict netif_hooks(struct worker *worker, struct pkt *pkt)
{
	const struct netif_hook *hook = rcu_dereference(worker->engine->netif.hook);
	enum netif_verdict verdict = NETIF_ACCEPT;

	while (hook && verdict == NETIF_ACCEPT) {
		verdict = hook->func(worker, pkt, hook);
		hook = rcu_dereference(hook->next);
	}
	return verdict;
}

/* A tag, or hooks. True: pkt is ready for netif_deliver(). */
static bool netif_rounds(struct worker *worker, struct pkt *pkt)
{
	for (int round = 0; round < NETIF_ROUNDS; round++) {
		enum vlan_result tag = vlan_receive(worker->engine, pkt);

		if (tag == VLAN_STRIPPED)
			continue;
		if (tag == VLAN_SHORT) {
			pkt_drop(pkt, SLUICE_DROP_ETH_SHORT);
			return false;
		}
		switch (netif_hooks(worker, pkt)) {
		case NETIF_ANOTHER:
			continue;
		case NETIF_CONSUMED:
			return false;
		case NETIF_DROP:
			pkt_drop(pkt, SLUICE_DROP_HOOK);
			return false;
		case NETIF_ACCEPT:
			if (tag == VLAN_NONE)
				return true;
			pkt_drop(pkt, SLUICE_DROP_VLAN);
			return false;
		}
	}
	pkt_drop(pkt, SLUICE_DROP_ROUNDS);
	return false;
}

void netif_receive(struct worker *worker, struct pkt *pkt)
{
	tap_see(&worker->engine->taps, TAP_GRO, worker, pkt);
	if (!eth_rcv(pkt)) {
		pkt_drop(pkt, SLUICE_DROP_ETH_SHORT);
		return;
	}
	/* Nearly all hosts have no hook, and nearly all packets no tag. */
	if (__builtin_expect(!rcu_dereference(worker->engine->netif.hook), 1)) {
		if (pkt->protocol == ETHERTYPE_IP) {
			ip4_rcv(worker, pkt);
			return;
		}
		if (!vlan_is_tag(pkt->protocol)) {
			netif_deliver(worker, pkt);
			return;
		}
	}
	if (netif_rounds(worker, pkt))
		netif_deliver(worker, pkt);
}
