// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "daemon/ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A rule in the map `bind`. */
struct exact {
	struct sluice_addr addr;
	uint32_t counter;
};

/* A port with attached sockets, and what is in effect for it. */
struct port {
	struct attached *first;
	struct exact *exact;
	unsigned int nr_exact;
	uint64_t judged;		/* signature of the kernel's sockets at the last judgement */
	uint64_t seen;			/* the same, while ports_check() reads them */
	unsigned int active;		/* sockets in the engine's table */
	unsigned int shut;		/* checks in a row that found the gate shut nevertheless */
};

/* What should be in effect. */
struct plan {
	struct udp_entry *entry;
	unsigned int nr;
	struct exact *exact;	/* counters: see plan_counters() */
	unsigned int nr_exact;
	uint32_t flags;
};

static const struct sluice_addr any_addr;

static bool same_addr(const struct sluice_addr *a, const struct sluice_addr *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static bool is_any(const struct sluice_addr *a)
{
	return same_addr(a, &any_addr);
}

static bool is_v4(const struct sluice_addr *a)
{
	return !a->w[0] && !a->w[1] && a->w[2] == htonl(0xffff);
}

static bool is_loopback(const struct sluice_addr *a)
{
	static const struct sluice_addr v6 = { { 0, 0, 0, 0x01000000 } };

	return is_v4(a) ? (ntohl(a->w[3]) >> 24) == 127 : same_addr(a, &v6);
}

/* Bind to 0.0.0.0 and to :: are both "any"; which families that means is in ipv6 and v6only. */
static void key_of(const struct diag_sock *d, struct udp_key *key)
{
	static const struct sluice_addr v4_any = { { 0, 0, 0xffff0000, 0 } };

	*key = (struct udp_key){
		.local = same_addr(&d->local, &v4_any) ? any_addr : d->local,
		.peer = same_addr(&d->peer, &v4_any) ? any_addr : d->peer,
		.peer_port = htons(d->peer_port),
		.ifindex = d->ifindex,
		.ipv6 = d->family == AF_INET6,
		.v6only = d->v6only,
	};
}

static bool takes_v4(const struct udp_key *key)
{
	return !key->ipv6 || (is_any(&key->local) ? !key->v6only : is_v4(&key->local));
}

static bool takes_v6(const struct udp_key *key)
{
	return key->ipv6 && (is_any(&key->local) || !is_v4(&key->local));
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
static bool overlaps(const struct device *dev, const struct udp_key *mine, const struct udp_key *other)
{
	if (!on_device(dev, other->ifindex) || is_loopback(&other->local))
		return false;
	if (is_any(&mine->local) || is_any(&other->local)) {
		bool family = (takes_v4(mine) && takes_v4(other)) || (takes_v6(mine) && takes_v6(other));

		/* The kernel prefers the more specific socket, and one that is not connected takes everything. */
		if (!is_any(&mine->local) && !mine->peer_port)
			return false;
		return family;
	}
	return same_addr(&mine->local, &other->local);
}

static uint64_t mix(uint64_t h, uint64_t word)
{
	h = (h ^ word) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 32;
}

/* Of everything about a socket that a judgement depends on. Added up over the sockets of a port, in any order. */
static uint64_t signature(const struct diag_sock *d)
{
	uint64_t h = mix(1, d->cookie);

	for (int i = 0; i < 4; i++)
		h = mix(h, (uint64_t)d->local.w[i] << 32 | d->peer.w[i]);
	h = mix(h, (uint64_t)d->peer_port << 32 | d->ifindex);
	return mix(h, (uint64_t)d->uid << 16 | (uint64_t)d->family << 1 | d->v6only);
}

static struct attached *find_cookie(struct attached *first, uint64_t cookie)
{
	for (struct attached *a = first; a; a = a->next_on_port) {
		if (a->sk.cookie == cookie)
			return a;
	}
	return NULL;
}

static bool is_local(const struct ports *ports, const struct sluice_addr *addr)
{
	for (unsigned int i = 0; i < ports->nr_local; i++) {
		if (same_addr(&ports->local[i].addr, addr))
			return true;
	}
	return false;
}

static void refuse(struct attached *a, enum sluice_lane_state state, int error, const char *why)
{
	a->state = state;
	a->error = error;
	snprintf(a->why, sizeof(a->why), "%s", why);
}

/* What the socket itself is, whoever else is on the port. */
static void judge_alone(struct ports *ports, struct attached *a)
{
	refuse(a, SLUICE_LANE_ACTIVE, 0, "");
	if (a->stopped)
		refuse(a, SLUICE_LANE_WITHDRAWN, -ECANCELED, "stopped by its program");
	else if (!is_any(&a->key.local) && !is_local(ports, &a->key.local))
		refuse(a, SLUICE_LANE_WITHDRAWN, -EADDRNOTAVAIL,
		       "bound to an address that is no unicast address of this host");
	else if (!on_device(ports->dev, a->key.ifindex))
		refuse(a, SLUICE_LANE_WITHDRAWN, -EOPNOTSUPP,
		       "bound to another device than this daemon's");
}

/* `other` is not attached. */
static void judge_against(struct ports *ports, struct attached *a, const struct diag_sock *other)
{
	struct udp_key key;

	key_of(other, &key);
	if (a->state == SLUICE_LANE_WITHDRAWN || !overlaps(ports->dev, &a->key, &key))
		return;
	/* Of the same group as far as anyone can tell: it may still be attached. */
	if (a->reuseport && other->uid == a->uid && same_addr(&key.local, &a->key.local) &&
	    key.ipv6 == a->key.ipv6 && key.ifindex == a->key.ifindex)
		refuse(a, SLUICE_LANE_WAITING, 0,
		       "waits until the other sockets of its SO_REUSEPORT group are attached");
	else
		refuse(a, SLUICE_LANE_WITHDRAWN, -EADDRINUSE,
		       "another socket that is not attached shares the port (see 'ss -ulpn')");
}

static void judge_socks(struct ports *ports, struct port *port, const struct diag_sock *list, unsigned int n)
{
	for (struct attached *a = port->first; a; a = a->next_on_port)
		refuse(a, SLUICE_LANE_GONE, -ENOTCONN, "the socket is no longer bound to the port it was attached with");
	for (unsigned int i = 0; i < n; i++) {
		struct attached *a = find_cookie(port->first, list[i].cookie);

		if (!a)
			continue;
		key_of(&list[i], &a->key);
		a->uid = list[i].uid;
		judge_alone(ports, a);
	}
	for (unsigned int i = 0; i < n; i++) {
		struct attached *other = find_cookie(port->first, list[i].cookie);

		if (other && !other->stopped)
			continue;
		for (struct attached *a = port->first; a; a = a->next_on_port) {
			if (a != other && a->state != SLUICE_LANE_GONE)
				judge_against(ports, a, &list[i]);
		}
	}
}

static bool same_group(const struct attached *a, const struct attached *b)
{
	return a->reuseport && b->reuseport && a->uid == b->uid && a->key.ipv6 == b->key.ipv6 &&
	       a->key.ifindex == b->key.ifindex && same_addr(&a->key.local, &b->key.local);
}

/* Connected sockets are chosen by their peer, not by hash. */
static uint32_t group_of(struct port *port, const struct attached *a)
{
	uint32_t number = 1;

	if (!a->reuseport || a->key.peer_port)
		return 0;
	for (struct attached *b = port->first; b; b = b->next_on_port, number++) {
		if (same_group(a, b))
			return number;
	}
	return 0;
}

static struct exact *find_exact(struct exact *list, unsigned int n, const struct sluice_addr *addr)
{
	for (unsigned int i = 0; i < n; i++) {
		if (same_addr(&list[i].addr, addr))
			return &list[i];
	}
	return NULL;
}

static void plan_add(struct plan *plan, struct port *port, struct attached *a)
{
	plan->entry[plan->nr++] = (struct udp_entry){
		.key = a->key,
		.sk = &a->sk,
		.group = group_of(port, a),
	};
	if (is_any(&a->key.local)) {
		plan->flags |= takes_v4(&a->key) ? SLUICE_PORT_ANY4 : 0;
		plan->flags |= takes_v6(&a->key) ? SLUICE_PORT_ANY6 : 0;
		return;
	}
	plan->flags |= SLUICE_PORT_EXACT;
	if (!find_exact(plan->exact, plan->nr_exact, &a->key.local))
		plan->exact[plan->nr_exact++].addr = a->key.local;
}

/* Entries in the kernel's order: among equals the first one wins, as there. */
static void plan_make(struct plan *plan, struct port *port, const struct diag_sock *list, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct attached *a = find_cookie(port->first, list[i].cookie);

		if (a && a->state == SLUICE_LANE_ACTIVE)
			plan_add(plan, port, a);
	}
}

static bool plan_has(const struct plan *plan, const struct sock *sk)
{
	for (unsigned int i = 0; i < plan->nr; i++) {
		if (plan->entry[i].sk == sk)
			return true;
	}
	return false;
}

/* A rule that stays keeps its counter, one that goes gives it back. */
static void plan_counters(struct steer *steer, struct port *port, struct plan *plan)
{
	for (unsigned int i = 0; i < plan->nr_exact; i++) {
		struct exact *old = find_exact(port->exact, port->nr_exact, &plan->exact[i].addr);

		plan->exact[i].counter = old ? old->counter : steer_counter_get(steer, 1);
		if (old)
			old->counter = 0;
	}
	for (unsigned int i = 0; i < port->nr_exact; i++)
		steer_counter_put(steer, port->exact[i].counter, 1);
}

static void set_exact(struct ports *ports, uint16_t number, struct port *port, struct plan *plan)
{
	struct steer *steer = &ports->dev->steer;

	plan_counters(steer, port, plan);
	for (unsigned int i = 0; i < port->nr_exact; i++)
		steer_bind_del(steer, &port->exact[i].addr, htons(number));
	for (unsigned int i = 0; i < plan->nr_exact; i++)
		steer_bind_add(steer, &plan->exact[i].addr, htons(number), plan->exact[i].counter);
	free(port->exact);
	port->exact = plan->exact;
	port->nr_exact = plan->nr_exact;
	plan->exact = NULL;
}

static bool exact_differs(const struct port *port, const struct plan *plan)
{
	for (unsigned int i = 0; i < plan->nr_exact && i < port->nr_exact; i++) {
		if (!same_addr(&port->exact[i].addr, &plan->exact[i].addr))
			return true;
	}
	return port->nr_exact != plan->nr_exact;
}

/* leaver: an attached socket that is not in the plan because it is being removed, or NULL. gen: read before the kernel was asked. */
static void put_into_effect(struct ports *ports, uint16_t number, struct port *port, struct plan *plan,
			    const struct attached *leaver, uint32_t gen)
{
	struct sluice_port *gate = &ports->dev->steer.port[number];
	bool out = leaver && leaver->installed;

	for (struct attached *a = port->first; a; a = a->next_on_port)
		out |= a->installed && !plan_has(plan, &a->sk);
	/* A rule that vanishes for a moment under an open gate would split a flow. */
	if (out || exact_differs(port, plan)) {
		__atomic_store_n(&gate->open, 0, __ATOMIC_RELEASE);
		device_drain(ports->dev);
	}
	if (udp_table_set(&ports->dev->engine->udp, number, plan->entry, plan->nr)) {
		__atomic_store_n(&gate->open, 0, __ATOMIC_RELEASE);
		return;
	}
	if (exact_differs(port, plan))
		set_exact(ports, number, port, plan);
	for (struct attached *a = port->first; a; a = a->next_on_port) {
		a->installed = a->state == SLUICE_LANE_ACTIVE;
		__atomic_store_n(&a->sk.lane.head->state, (uint32_t)a->state, __ATOMIC_RELAXED);
	}
	port->active = plan->nr;
	gate->action = SLUICE_ACT_XSK;
	if (plan->flags & SLUICE_PORT_ANY && !gate->counter)
		gate->counter = (uint16_t)steer_counter_get(&ports->dev->steer, 2);
	__atomic_store_n(&gate->flags, plan->flags | (port->first ? SLUICE_PORT_WATCH : 0), __ATOMIC_RELEASE);
	__atomic_store_n(&gate->open, plan->nr ? gen : 0, __ATOMIC_RELEASE);
}

/* All sockets of the port. A count, or -errno; *list is to be freed. */
static int list_socks(struct ports *ports, uint16_t number, struct diag_sock **list)
{
	unsigned int max = 64;

	for (;;) {
		int n;

		*list = calloc(max, sizeof(**list));
		if (!*list)
			return -ENOMEM;
		n = diag_udp(&ports->diag, number, *list, max);
		if (n >= 0 && (unsigned int)n <= max)
			return n;
		free(*list);
		*list = NULL;
		if (n < 0)
			return n;
		max = (unsigned int)n + 64;
	}
}

static unsigned int count_attached(const struct port *port)
{
	unsigned int n = 0;

	for (const struct attached *a = port->first; a; a = a->next_on_port)
		n++;
	return n;
}

static void judge(struct ports *ports, uint16_t number, const struct attached *leaver)
{
	struct port *port = ports->port[number];
	struct sluice_port *gate = &ports->dev->steer.port[number];
	struct diag_sock *list = NULL;
	struct plan plan = { 0 };
	unsigned int max;
	uint32_t gen;
	int n;

	/* The guard must act from here on: what it reports after gen was read keeps the gate shut. */
	__atomic_fetch_or(&gate->flags, SLUICE_PORT_WATCH, __ATOMIC_SEQ_CST);
	gen = __atomic_load_n(&gate->gen, __ATOMIC_SEQ_CST);
	port->shut = 0;
	n = list_socks(ports, number, &list);
	judge_socks(ports, port, list, n < 0 ? 0 : (unsigned int)n);
	port->judged = 0;
	for (int i = 0; i < n; i++)
		port->judged += signature(&list[i]);
	/* The kernel lists a socket twice when it changes family meanwhile. */
	max = count_attached(port) * 2 + 1;
	plan.entry = calloc(max, sizeof(*plan.entry));
	plan.exact = calloc(max, sizeof(*plan.exact));
	if (n >= 0 && plan.entry && plan.exact)
		plan_make(&plan, port, list, (unsigned int)n);
	put_into_effect(ports, number, port, &plan, leaver, gen);
	free(plan.entry);
	free(plan.exact);
	free(list);
}

int ports_init(struct ports *ports)
{
	memset(ports, 0, sizeof(*ports));
	return diag_open(&ports->diag);
}

int ports_start(struct ports *ports, struct device *dev)
{
	int err = 0;

	ports->dev = dev;
	for (unsigned int i = 0; !err && i < ports->nr_local; i++)
		err = steer_local_add(&dev->steer, &ports->local[i].addr, ports->local[i].ifindex);
	return err;
}

void ports_destroy(struct ports *ports)
{
	diag_close(&ports->diag);
	free(ports->local);
	ports->local = NULL;
	ports->nr_local = 0;
}

static void port_remove(struct ports *ports, struct attached *a)
{
	struct port *port = ports->port[a->port];
	struct attached **link = &port->first;

	while (*link != a)
		link = &(*link)->next_on_port;
	*link = a->next_on_port;
	judge(ports, a->port, a);
	a->installed = false;
	if (port->first)
		return;
	steer_counter_put(&ports->dev->steer, ports->dev->steer.port[a->port].counter, 2);
	ports->dev->steer.port[a->port].counter = 0;
	free(port->exact);
	free(port);
	ports->port[a->port] = NULL;
}

int ports_attach(struct ports *ports, struct attached *a)
{
	struct port *port = ports->port[a->port];

	if (!port) {
		port = calloc(1, sizeof(*port));
		if (!port) {
			refuse(a, SLUICE_LANE_GONE, -ENOMEM, "out of memory");
			return -ENOMEM;
		}
		ports->port[a->port] = port;
	}
	a->next_on_port = port->first;
	port->first = a;
	judge(ports, a->port, NULL);
	if (a->state == SLUICE_LANE_ACTIVE || a->state == SLUICE_LANE_WAITING)
		return 0;
	port_remove(ports, a);
	return a->error;
}

void ports_detach(struct ports *ports, struct attached *a)
{
	port_remove(ports, a);
}

void ports_stop(struct ports *ports, struct attached *a)
{
	a->stopped = true;
	judge(ports, a->port, NULL);
}

void ports_judge(struct ports *ports, uint16_t port)
{
	if (ports->port[port])
		judge(ports, port, NULL);
}

void ports_judge_all(struct ports *ports)
{
	for (uint32_t port = 0; port < 65536; port++)
		ports_judge(ports, (uint16_t)port);
}

static void check_one(void *ctx, const struct diag_sock *d)
{
	struct ports *ports = ctx;
	struct port *port = ports->port[d->port];

	if (port)
		port->seen += signature(d);
}

/* A gate found shut twice has no event under way that would have it judged. */
static bool needs_judgement(struct ports *ports, uint16_t number)
{
	const struct sluice_port *gate = &ports->dev->steer.port[number];
	struct port *port = ports->port[number];
	bool shut = port->active &&
		    __atomic_load_n(&gate->open, __ATOMIC_RELAXED) != __atomic_load_n(&gate->gen, __ATOMIC_RELAXED);

	port->shut = shut ? port->shut + 1 : 0;
	return port->seen != port->judged || port->shut >= 2;
}

int ports_check(struct ports *ports)
{
	int err;

	for (uint32_t i = 0; i < 65536; i++) {
		if (ports->port[i])
			ports->port[i]->seen = 0;
	}
	err = diag_udp_all(&ports->diag, check_one, ports);
	for (uint32_t i = 0; !err && i < 65536; i++) {
		if (ports->port[i] && needs_judgement(ports, (uint16_t)i))
			judge(ports, (uint16_t)i, NULL);
	}
	return err;
}

int ports_local_add(struct ports *ports, const struct sluice_addr *addr, uint32_t ifindex)
{
	struct port_local *local;
	int err = ports->dev ? steer_local_add(&ports->dev->steer, addr, ifindex) : 0;

	if (err || is_local(ports, addr))
		return err;
	local = reallocarray(ports->local, ports->nr_local + 1, sizeof(*local));
	if (!local)
		return -ENOMEM;
	ports->local = local;
	ports->local[ports->nr_local++] = (struct port_local){ .addr = *addr, .ifindex = ifindex };
	ports_judge_all(ports);
	return 0;
}

void ports_local_del(struct ports *ports, const struct sluice_addr *addr)
{
	if (ports->dev)
		steer_local_del(&ports->dev->steer, addr);
	for (unsigned int i = 0; i < ports->nr_local; i++) {
		if (!same_addr(&ports->local[i].addr, addr))
			continue;
		ports->local[i] = ports->local[--ports->nr_local];
		ports_judge_all(ports);
		return;
	}
}

struct attached *ports_find(const struct ports *ports, uint16_t port, uint64_t cookie)
{
	struct attached *a = ports->port[port] ? find_cookie(ports->port[port]->first, cookie) : NULL;

	return a && a->state != SLUICE_LANE_GONE ? a : NULL;
}

bool ports_takes(const struct attached *a, bool ipv6)
{
	return ipv6 ? takes_v6(&a->key) : takes_v4(&a->key);
}

uint32_t ports_counter(const struct ports *ports, const struct attached *a, bool ipv6)
{
	const struct port *port = ports->port[a->port];
	uint32_t any = ports->dev->steer.port[a->port].counter;
	const struct exact *exact;

	if (!port)
		return 0;
	if (is_any(&a->key.local))
		return any ? any + ipv6 : 0;
	exact = find_exact(port->exact, port->nr_exact, &a->key.local);
	return exact ? exact->counter : 0;
}
