// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "daemon/explain.h"

#include <arpa/inet.h>
#include <hash.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/control.h"
#include "daemon/json.h"

struct explain {
	struct control *c;
	const struct steer *steer;
	const struct sluice_ctl_flow *flow;
	bool ipv6;
	uint32_t hash;
	json_object *out;
	json_object *why;
};

__attribute__((format(printf, 2, 3)))
static void because(struct explain *x, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_object_array_add(x->why, json_object_new_string(text));
}

static void verdict(struct explain *x, enum sluice_verdict v)
{
	static const char *const names[] = {
#define X(id, name, text) [SLUICE_XDP_##id] = name,
		SLUICE_VERDICT_LIST(X)
#undef X
	};

	put_text(x->out, "verdict", names[v]);
}

static void put_rule(struct explain *x, const char *kind, const char *what)
{
	json_object *o = json_object_new_object();

	put_text(o, "kind", kind);
	put_text(o, "match", what);
	json_object_object_add(x->out, "rule", o);
}

static bool explain_deny(struct explain *x)
{
	char text[RULES_TEXT] = "a rule that is being removed";
	uint32_t counter;

	/* As the program: a family without rules is not looked at. */
	if (!(x->steer->config.deny & (x->ipv6 ? SLUICE_DENY_6 : SLUICE_DENY_4)) ||
	    steer_deny_find(x->steer, &x->flow->saddr, x->ipv6, &counter))
		return false;
	rules_find(&x->c->rules, counter, text);
	put_rule(x, "deny", text);
	verdict(x, SLUICE_XDP_DROP_DENY);
	because(x, "the source address is denied by the rule for %s: dropped", text);
	return true;
}

static bool explain_gate(struct explain *x)
{
	unsigned int port = ntohs(x->flow->dport);
	const struct sluice_port *gate = &x->steer->port[port];
	uint32_t any = x->ipv6 ? SLUICE_PORT_ANY6 : SLUICE_PORT_ANY4;

	uint32_t open = __atomic_load_n(&gate->open, __ATOMIC_RELAXED);

	if (gate->flags & (any | SLUICE_PORT_EXACT) &&
	    open == __atomic_load_n(&gate->gen, __ATOMIC_RELAXED))
		return true;
	verdict(x, SLUICE_XDP_PASS_PORT);
	if (!x->c->ports->port[port])
		because(x, "no socket is attached on port %u: the kernel has it", port);
	else if (gate->flags & (any | SLUICE_PORT_EXACT))
		because(x, "the gate of port %u is shut, since its sockets are not all attached, or just changed "
			"(see 'sluice sock'): the kernel has it", port);
	else
		because(x, "no socket attached on port %u takes this family: the kernel has it", port);
	return false;
}

static bool explain_bind(struct explain *x)
{
	unsigned int port = ntohs(x->flow->dport);
	const struct sluice_port *gate = &x->steer->port[port];
	const struct sluice_addr *daddr = &x->flow->daddr;
	char text[INET6_ADDRSTRLEN + 8], addr[INET6_ADDRSTRLEN];

	inet_ntop(x->ipv6 ? AF_INET6 : AF_INET, x->ipv6 ? &daddr->w[0] : &daddr->w[3], addr,
		  sizeof(addr));
	if (gate->flags & SLUICE_PORT_EXACT && steer_bind_find(x->steer, daddr, x->flow->dport)) {
		snprintf(text, sizeof(text), x->ipv6 ? "[%s]:%u" : "%s:%u", addr, port);
		put_rule(x, "bind", text);
		because(x, "a socket is attached on %s itself", text);
		return true;
	}
	if (gate->flags & (x->ipv6 ? SLUICE_PORT_ANY6 : SLUICE_PORT_ANY4) &&
	    steer_is_local(x->steer, daddr)) {
		snprintf(text, sizeof(text), "*:%u", port);
		put_rule(x, "bind", text);
		because(x, "a socket is attached on any address, port %u, and %s is one of this host",
			port, addr);
		return true;
	}
	verdict(x, SLUICE_XDP_PASS_ADDR);
	because(x, "on port %u no rule is for the address %s%s: the kernel has it", port, addr,
		steer_is_local(x->steer, daddr) ? "" : ", which is no unicast address of this host");
	return false;
}

static void explain_hash(struct explain *x)
{
	const struct sluice_ctl_flow *f = x->flow;
	struct flow_key key = {
		.version = f->family,
		.proto = IPPROTO_UDP,
		.sport = f->sport,
		.dport = f->dport,
	};
	char text[16];

	memcpy(&key.saddr, x->ipv6 ? &f->saddr.w[0] : &f->saddr.w[3], x->ipv6 ? 16 : 4);
	memcpy(&key.daddr, x->ipv6 ? &f->daddr.w[0] : &f->daddr.w[3], x->ipv6 ? 16 : 4);
	x->hash = flow_hash(x->c->dev->engine->hash_key, &key);
	snprintf(text, sizeof(text), "0x%08x", x->hash);
	put_text(x->out, "hash", text);
}

/* The worker that the flow's entry of rps_sock_flow names, or SLUICE_NO_WORKER. */
static uint32_t explain_rfs(struct explain *x, uint32_t *cpu)
{
	uint32_t entries = x->steer->config.sock_flow_entries, mask = x->steer->cpu_mask;
	uint32_t slot = x->hash & (entries - 1), entry, worker = SLUICE_NO_WORKER;
	char text[16];

	if (!entries) {
		because(x, "RFS is off (rps_sock_flow_entries is 0)");
		return SLUICE_NO_WORKER;
	}
	entry = __atomic_load_n(&x->steer->sock_flow[slot], __ATOMIC_RELAXED);
	put_u64(x->out, "slot", slot);
	snprintf(text, sizeof(text), "0x%08x", entry);
	put_text(x->out, "entry", text);
	if (steer_sock_flow_empty(x->steer, slot, entry)) {
		because(x, "RFS: slot %u of %u is empty: nobody has received this flow yet", slot, entries);
		return SLUICE_NO_WORKER;
	}
	if ((entry ^ x->hash) & ~mask) {
		because(x, "RFS: slot %u of %u is another flow's", slot, entries);
		return SLUICE_NO_WORKER;
	}
	*cpu = entry & mask;
	steer_get_cpu_worker(x->steer, *cpu, &worker);
	if (worker < SLUICE_MAX_WORKERS)
		because(x, "RFS: slot %u of %u says that the flow was last received on CPU %u, "
			"which worker %u serves", slot, entries, *cpu, worker);
	else
		because(x, "RFS: slot %u of %u says CPU %u, which has no worker", slot, entries, *cpu);
	return worker;
}

/* The worker of the queue's mask. */
static uint32_t explain_rps(struct explain *x, uint32_t queue, uint32_t *cpu)
{
	struct sluice_rps_map map = { 0 };
	uint32_t worker = SLUICE_NO_WORKER, i;

	steer_get_rps(x->steer, queue, &map);
	i = (uint32_t)((uint64_t)x->hash * map.len >> 32);
	if (!map.len || i >= SLUICE_RPS_MAX) {
		because(x, "RPS: the mask of queue %u is 0: the kernel has what RFS does not steer",
			queue);
		return SLUICE_NO_WORKER;
	}
	*cpu = map.cpus[i];
	steer_get_cpu_worker(x->steer, *cpu, &worker);
	if (worker < SLUICE_MAX_WORKERS)
		because(x, "RPS: the hash chooses CPU %u, number %u of the %u in the mask of queue %u, "
			"which worker %u serves", *cpu, i + 1, map.len, queue, worker);
	else
		because(x, "RPS: the hash chooses CPU %u of the mask of queue %u, which has no worker",
			*cpu, queue);
	return worker;
}

/*
 * Where the last packet by the flow's entry of rps_dev_flow went. Until that worker
 * has processed it, the flow stays there, whatever is said above (bpf/dev_flow.h).
 */
static void explain_last(const struct explain *x, json_object *o, const struct steer_table *table)
{
	uint32_t worker = table->flow[x->hash & (table->entries - 1)].worker;

	if (worker < SLUICE_MAX_WORKERS)
		put_u64(o, "last", worker);
}

/* False where this queue's packets of the flow go to the kernel. rfs: the worker by RFS, if any. */
static bool explain_queue(struct explain *x, json_object *list, uint32_t queue, uint32_t rfs,
			  uint32_t rfs_cpu)
{
	const struct steer_queue *q = &x->c->dev->steer.queue[queue];
	const struct steer_table *table = &q->table[q->current];
	json_object *o = json_object_new_object();
	uint32_t cpu = rfs_cpu, worker;

	/* As in Linux, a queue without rps_dev_flow has no RFS. */
	if (!table->flow)
		rfs = SLUICE_NO_WORKER;
	worker = rfs;
	if (worker >= SLUICE_MAX_WORKERS)
		worker = explain_rps(x, queue, &cpu);
	put_u64(o, "queue", queue);
	put_text(o, "by", rfs < SLUICE_MAX_WORKERS ? "rfs" : worker < SLUICE_MAX_WORKERS ? "rps" : "none");
	if (worker < SLUICE_MAX_WORKERS) {
		put_u64(o, "cpu", cpu);
		put_u64(o, "worker", worker);
	}
	if (table->flow)
		explain_last(x, o, table);
	json_object_array_add(list, o);
	return worker < SLUICE_MAX_WORKERS && x->steer->queue[queue].targets >> worker & 1;
}

static bool explain_target(struct explain *x)
{
	const struct device *dev = x->c->dev;
	json_object *list = json_object_new_array();
	uint32_t cpu = 0, rfs = explain_rfs(x, &cpu);
	bool any = false;

	for (uint32_t i = 0; i < dev->nr_queues; i++)
		any |= explain_queue(x, list, dev->queue[i], rfs, cpu);
	json_object_object_add(x->out, "queues", list);
	verdict(x, any ? SLUICE_XDP_REDIRECT : SLUICE_XDP_PASS_TARGET);
	return any;
}

static const struct attached *owner_of(const struct control *c, const struct sock *sk)
{
	for (struct client *client = c->first; client; client = client->next) {
		for (struct attached *a = client->first; a; a = a->next) {
			if (&a->sk == sk)
				return a;
		}
	}
	return NULL;
}

static void explain_socket(struct explain *x)
{
	const struct sluice_ctl_flow *f = x->flow;
	const struct pkt pkt = {
		.version = f->family,
		.l4_proto = IPPROTO_UDP,
		.hash = x->hash,
		.ifindex = x->c->dev->info.ifindex,
		.saddr = f->saddr,
		.daddr = f->daddr,
		.sport = f->sport,
		.dport = f->dport,
	};
	const struct sock *sk = udp_lookup(&x->c->dev->engine->udp, &pkt);
	const struct attached *a = sk ? owner_of(x->c, sk) : NULL;
	json_object *o;

	if (!a) {
		because(x, "the worker finds no socket that takes it, and drops it (no_socket)");
		return;
	}
	o = json_object_new_object();
	put_u64(o, "pid", (uint64_t)a->client->pid);
	put_u64(o, "cookie", a->sk.cookie);
	put_u64(o, "lane", a->slot);
	put_addr(o, "local", &a->key.local, a->key.ipv6);
	put_u64(o, "port", a->port);
	json_object_object_add(x->out, "socket", o);
	because(x, "the worker delivers it to lane %u of process %d%s", a->slot, (int)a->client->pid,
		a->reuseport ? ", which the hash chooses where a SO_REUSEPORT group shares the port" : "");
}

static void explain_flow(struct explain *x)
{
	if (explain_deny(x))
		return;
	if (x->flow->proto != IPPROTO_UDP) {
		verdict(x, SLUICE_XDP_PASS_L4);
		because(x, "only UDP is received through sluice: the kernel has it");
		return;
	}
	if (!explain_gate(x) || !explain_bind(x))
		return;
	explain_hash(x);
	if (explain_target(x))
		explain_socket(x);
}

json_object *explain_answer(struct control *c, const struct sluice_ctl_flow *flow)
{
	struct explain x = {
		.c = c,
		.steer = &c->dev->steer,
		.flow = flow,
		.ipv6 = flow->family == 6,
		.out = json_object_new_object(),
		.why = json_object_new_array(),
	};

	put_text(x.out, "dev", c->dev->config->ifname);
	explain_flow(&x);
	json_object_object_add(x.out, "why", x.why);
	return x.out;
}
