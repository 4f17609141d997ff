// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "daemon/ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/device_queue.h"
#include "daemon/judge.h"
#include "engine/addr.h"

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
	uint64_t judged;		/* signature of the kernel's sockets, last time */
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

static uint64_t mix(uint64_t h, uint64_t word)
{
	h = (h ^ word) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 32;
}

/*
 * Of everything about a socket that a judgement depends on. Added up over the sockets of a
 * port, in any order.
 */
static uint64_t signature(const struct diag_sock *d)
{
	uint64_t h = mix(1, d->cookie);

	for (int i = 0; i < 4; i++)
		h = mix(h, (uint64_t)d->local.w[i] << 32 | d->peer.w[i]);
	h = mix(h, (uint64_t)d->peer_port << 32 | d->ifindex);
	return mix(h, (uint64_t)d->uid << 16 | (uint64_t)d->family << 1 | d->v6only);
}

static struct exact *find_exact(struct exact *list, unsigned int n, const struct sluice_addr *addr)
{
	for (unsigned int i = 0; i < n; i++) {
		if (addr_equal(&list[i].addr, addr))
			return &list[i];
	}
	return NULL;
}

static void plan_add(struct plan *plan, struct port *port, struct attached *a)
{
	plan->entry[plan->nr++] = (struct udp_entry){
		.key = a->key,
		.sk = &a->sk,
		.group = judge_group(port->first, a),
	};
	if (addr_is_any(&a->key.local)) {
		plan->flags |= judge_takes_v4(&a->key) ? SLUICE_PORT_ANY4 : 0;
		plan->flags |= judge_takes_v6(&a->key) ? SLUICE_PORT_ANY6 : 0;
		return;
	}
	plan->flags |= SLUICE_PORT_EXACT;
	if (!find_exact(plan->exact, plan->nr_exact, &a->key.local))
		plan->exact[plan->nr_exact++].addr = a->key.local;
}

/* Entries in the kernel's order: among equals the first one wins, as there. */
static void plan_make(struct plan *plan, struct port *port, const struct diag_sock *list,
		      unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct attached *a = judge_find(port->first, list[i].cookie);

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
		if (!addr_equal(&port->exact[i].addr, &plan->exact[i].addr))
			return true;
	}
	return port->nr_exact != plan->nr_exact;
}

/*
 * leaver: an attached socket that is not in the plan because it is being removed, or NULL.
 * gen: read before the kernel was asked.
 */
static void put_into_effect(struct ports *ports, uint16_t number, struct port *port,
			    struct plan *plan, const struct attached *leaver,
			    uint32_t gen)
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
	__atomic_store_n(&gate->flags, plan->flags | (port->first ? SLUICE_PORT_WATCH : 0),
			 __ATOMIC_RELEASE);
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

	/*
	 * The guard must act from here on: what it reports after gen was read keeps the
	 * gate shut.
	 */
	__atomic_fetch_or(&gate->flags, SLUICE_PORT_WATCH, __ATOMIC_SEQ_CST);
	gen = __atomic_load_n(&gate->gen, __ATOMIC_SEQ_CST);
	port->shut = 0;
	n = list_socks(ports, number, &list);
	judge_socks(ports, port->first, list, n < 0 ? 0 : (unsigned int)n);
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
			judge_refuse(a, SLUICE_LANE_GONE, -ENOMEM, "out of memory");
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
		    __atomic_load_n(&gate->open, __ATOMIC_RELAXED) !=
			    __atomic_load_n(&gate->gen, __ATOMIC_RELAXED);

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

	if (err || judge_is_local(ports, addr))
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
		if (!addr_equal(&ports->local[i].addr, addr))
			continue;
		ports->local[i] = ports->local[--ports->nr_local];
		ports_judge_all(ports);
		return;
	}
}

struct attached *ports_find(const struct ports *ports, uint16_t port, uint64_t cookie)
{
	struct attached *a =
		ports->port[port] ? judge_find(ports->port[port]->first, cookie) : NULL;

	return a && a->state != SLUICE_LANE_GONE ? a : NULL;
}

bool ports_takes(const struct attached *a, bool ipv6)
{
	return ipv6 ? judge_takes_v6(&a->key) : judge_takes_v4(&a->key);
}

uint32_t ports_counter(const struct ports *ports, const struct attached *a, bool ipv6)
{
	const struct port *port = ports->port[a->port];
	uint32_t any = ports->dev->steer.port[a->port].counter;
	const struct exact *exact;

	if (!port)
		return 0;
	if (addr_is_any(&a->key.local))
		return any ? any + ipv6 : 0;
	exact = find_exact(port->exact, port->nr_exact, &a->key.local);
	return exact ? exact->counter : 0;
}
