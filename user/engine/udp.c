/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
#include "engine/udp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <urcu-qsbr.h>

#include "engine/addr.h"
#include "engine/csum.h"
#include "engine/engine.h"
#include "engine/napi.h"
#include "engine/sock.h"
#include "engine/stat.h"
#include "engine/tap.h"
#include "engine/worker.h"

static int udp_port_set(struct udp_port **port, const struct udp_entry *entry, unsigned int nr)
{
	struct udp_port *old = *port, *new = NULL;

	if (nr) {
		new = malloc(sizeof(*new) + nr * sizeof(*entry));
		if (!new)
			return -ENOMEM;
		new->nr = nr;
		new->gro = false;
		for (unsigned int i = 0; i < nr; i++)
			new->gro |= entry[i].sk->gro;
		memcpy(new->entry, entry, nr * sizeof(*entry));
	}
	rcu_assign_pointer(*port, new);
	synchronize_rcu();
	free(old);
	return 0;
}

int udp_table_set(struct udp_table *table, uint16_t port, const struct udp_entry *entry,
		  unsigned int nr)
{
	return udp_port_set(&table->port[port], entry, nr);
}

int udp_table_set_rest(struct udp_table *table, const struct udp_entry *entry, unsigned int nr)
{
	return udp_port_set(&table->rest, entry, nr);
}

void udp_table_destroy(struct udp_table *table)
{
	free(table->rest);
	for (unsigned int i = 0; i < 65536; i++)
		free(table->port[i]);
	memset(table, 0, sizeof(*table));
}

/* Linux's compute_score for a socket whose local address matches; -1: not for this packet. */
static int udp_score(const struct udp_key *key, const struct pkt *pkt)
{
	int score = 0;

	if (pkt->version == 4) {
		if (key->ipv6 && key->v6only)
			return -1;
		score = key->ipv6 ? 1 : 2;
	} else if (!key->ipv6) {
		return -1;
	}
	if (key->peer_port) {
		if (key->peer_port != pkt->sport)
			return -1;
		score += 4;
	}
	if (!addr_is_any(&key->peer)) {
		if (!addr_equal(&key->peer, &pkt->saddr))
			return -1;
		score += 4;
	}
	if (key->ifindex) {
		if (key->ifindex != pkt->ifindex)
			return -1;
		score += 4;
	}
	return score;
}

/* The member of the group that the flow's hash selects, as reciprocal_scale() does. */
static struct sock *udp_select(const struct udp_port *port, uint32_t group, uint32_t hash)
{
	unsigned int members = 0, chosen;

	for (unsigned int i = 0; i < port->nr; i++)
		members += port->entry[i].group == group;
	chosen = (unsigned int)(((uint64_t)hash * members) >> 32);
	for (unsigned int i = 0; i < port->nr; i++) {
		if (port->entry[i].group == group && chosen-- == 0)
			return port->entry[i].sk;
	}
	return NULL;
}

/* One of Linux's two passes: sockets bound to the destination, then those bound to any address. */
static const struct udp_entry *udp_best(const struct udp_port *port, const struct pkt *pkt,
					bool any)
{
	const struct udp_entry *best = NULL;
	int score, best_score = -1;

	for (unsigned int i = 0; i < port->nr; i++) {
		const struct udp_entry *entry = &port->entry[i];

		if (any ? !addr_is_any(&entry->key.local) :
			  !addr_equal(&entry->key.local, &pkt->daddr))
			continue;
		score = udp_score(&entry->key, pkt);
		if (score > best_score) {
			best_score = score;
			best = entry;
		}
	}
	return best;
}

struct sock *udp_lookup(const struct udp_table *table, const struct pkt *pkt)
{
	const struct udp_port *port = rcu_dereference(table->port[ntohs(pkt->dport)]);
	const struct udp_entry *best;

	if (!port)
		port = rcu_dereference(table->rest);
	if (!port)
		return NULL;
	best = udp_best(port, pkt, false);
	if (!best)
		best = udp_best(port, pkt, true);
	if (!best)
		return NULL;
	return best->group ? udp_select(port, best->group, pkt->hash) : best->sk;
}

/* len: the UDP length. */
static bool udp_csum_ok(const struct engine *engine, const struct pkt *pkt,
			const struct udphdr *uh, uint32_t len)
{
	uint64_t pseudo;

	if (!uh->check)
		return pkt->version == 4;
	if (pkt->csum == PKT_CSUM_UNNECESSARY || pkt->gso_size)
		return true;
	pseudo = csum_pseudo(&pkt->saddr, &pkt->daddr, pkt->version, IPPROTO_UDP, len);
	if (csum_fold(csum_partial(pkt->data, len, pseudo)) == 0xffff)
		return true;
	if (engine->csum != CSUM_PARTIAL_OK || uh->check != csum_fold(pseudo))
		return false;
	stat_add(&pkt->napi->stat.csum_partial, 1);
	return true;
}

bool udp_gro_asked(const struct engine *engine, const struct pkt *pkt)
{
	const struct sock *sk;

	if (!udp_port_asked(&engine->udp, pkt->dport))
		return false;
	sk = udp_lookup(&engine->udp, pkt);
	return sk && sk->gro;
}

/* A socket that did not ask gets the datagrams as they came (Linux: udp_unexpected_gso). */
static void udp_queue(struct worker *worker, struct sock *sk, struct pkt *pkt)
{
	struct pkt *rest = pkt->gso_size && !sk->gro ? pkt_split(pkt) : NULL, *next;

	sock_queue(worker, sk, pkt);
	for (; rest; rest = next) {
		next = rest->next;
		sock_queue(worker, sk, rest);
	}
}

void udp_rcv(struct worker *worker, struct pkt *pkt)
{
	struct engine *engine = worker->engine;
	struct udphdr uh;
	struct sock *sk;
	uint32_t len;

	if (!pkt_may_pull(pkt, sizeof(uh))) {
		pkt_drop(pkt, SLUICE_DROP_UDP_SHORT);
		return;
	}
	memcpy(&uh, pkt->data, sizeof(uh));
	len = ntohs(uh.len);
	if (len < sizeof(uh)) {
		pkt_drop(pkt, SLUICE_DROP_UDP_SHORT);
		return;
	}
	if (!pkt_trim(pkt, len)) {
		pkt_drop(pkt, SLUICE_DROP_UDP_LEN);
		return;
	}
	if (!udp_csum_ok(engine, pkt, &uh, len)) {
		pkt_drop(pkt, SLUICE_DROP_UDP_CSUM);
		return;
	}
	pkt->sport = uh.source;
	pkt->dport = uh.dest;
	sk = udp_lookup(&engine->udp, pkt);
	if (!sk) {
		pkt_drop(pkt, SLUICE_DROP_NO_SOCKET);
		return;
	}
	tap_see(&engine->taps, TAP_L4, worker, pkt);
	if (!pkt_pull(pkt, sizeof(uh))) {
		pkt_drop(pkt, SLUICE_DROP_UDP_SHORT);
		return;
	}
	udp_queue(worker, sk, pkt);
}
