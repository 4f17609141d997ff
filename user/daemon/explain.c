// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "daemon/explain.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/control.h"
#include "daemon/json.h"
#include "engine/dissect.h"

struct explain {
	struct control *c;
	const struct steer *steer;
	const struct sluice_ctl_flow *flow;
	bool ipv6;
	uint32_t hash;
	bool stack;		/* to the kernel's stack on a CPU, not to a worker */
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

/* A rule of a user; SLUICE_ACT_NONE: there is none for it. */
static uint32_t explain_rule(struct explain *x)
{
	struct bind_rule rule;
	char text[BINDS_TEXT];

	if (!binds_find(x->c->dev, x->flow, &rule))
		return SLUICE_ACT_NONE;
	binds_text(&rule.key, text);
	put_rule(x, "bind", text);
	put_text(x->out, "action", binds_action(rule.bind.action));
	because(x, "the rule for %s says %s", text, binds_action(rule.bind.action));
	return rule.bind.action;
}

static enum sluice_verdict explain_gate(struct explain *x)
{
	unsigned int port = ntohs(x->flow->dport);
	const struct sluice_port *gate = &x->steer->port[port];
	uint32_t any = x->ipv6 ? SLUICE_PORT_ANY6 : SLUICE_PORT_ANY4;

	uint32_t open = __atomic_load_n(&gate->open, __ATOMIC_RELAXED);

	if (gate->flags & (any | SLUICE_PORT_EXACT) &&
	    open == __atomic_load_n(&gate->gen, __ATOMIC_RELAXED))
		return SLUICE_XDP_REDIRECT;
	if (!x->c->ports->port[port])
		because(x, "no socket is attached on port %u", port);
	else if (gate->flags & (any | SLUICE_PORT_EXACT))
		because(x, "the gate of port %u is shut, since its sockets are not all attached, "
			"or just changed (see 'sluice sock')", port);
	else
		because(x, "no socket attached on port %u takes this family", port);
	return SLUICE_XDP_PASS_PORT;
}

static enum sluice_verdict explain_bind(struct explain *x)
{
	unsigned int port = ntohs(x->flow->dport);
	const struct sluice_port *gate = &x->steer->port[port];
	const struct sluice_addr *daddr = &x->flow->daddr;
	char text[INET6_ADDRSTRLEN + 8], addr[INET6_ADDRSTRLEN];
	bool local = steer_is_local(x->steer, daddr);

	inet_ntop(x->ipv6 ? AF_INET6 : AF_INET, x->ipv6 ? &daddr->w[0] : &daddr->w[3], addr,
		  sizeof(addr));
	if (gate->flags & SLUICE_PORT_EXACT && steer_bind_find(x->steer, daddr, x->flow->dport)) {
		snprintf(text, sizeof(text), x->ipv6 ? "[%s]:%u" : "%s:%u", addr, port);
		put_rule(x, "socket", text);
		because(x, "a socket is attached on %s itself", text);
		return SLUICE_XDP_REDIRECT;
	}
	if (gate->flags & (x->ipv6 ? SLUICE_PORT_ANY6 : SLUICE_PORT_ANY4) &&
	    (local || x->steer->config.mirror)) {
		snprintf(text, sizeof(text), "*:%u", port);
		put_rule(x, "socket", text);
		because(x, "a socket is attached on any address, port %u, and %s is %s", port, addr,
			local ? "one of this host" : "as good as any in role mirror");
		return SLUICE_XDP_REDIRECT;
	}
	because(x, "on port %u no socket is for the address %s%s", port, addr,
		local ? "" : ", which is no unicast address of this host");
	return SLUICE_XDP_PASS_ADDR;
}

/* Whether an attached socket takes it: SLUICE_XDP_REDIRECT, or why not. */
static enum sluice_verdict explain_attached(struct explain *x)
{
	enum sluice_verdict v;

	if (x->flow->proto != IPPROTO_UDP) {
		because(x, "sockets receive only UDP through sluice");
		return SLUICE_XDP_PASS_L4;
	}
	v = explain_gate(x);
	return v == SLUICE_XDP_REDIRECT ? explain_bind(x) : v;
}

static void explain_hash(struct explain *x)
{
	const struct sluice_ctl_flow *f = x->flow;
	struct flow_key key = {
		.version = f->family,
		.proto = f->proto,
		.ports = 1,
		.sport = f->sport,
		.dport = f->dport,
	};
	char text[16];

	memcpy(&key.saddr, x->ipv6 ? &f->saddr.w[0] : &f->saddr.w[3], x->ipv6 ? 16 : 4);
	memcpy(&key.daddr, x->ipv6 ? &f->daddr.w[0] : &f->daddr.w[3], x->ipv6 ? 16 : 4);
	x->hash = dissect_key_hash(x->c->dev->engine, &key);
	snprintf(text, sizeof(text), "0x%08x", x->hash);
	put_text(x->out, "hash", text);
}

/* The target that stands for a CPU; SLUICE_NO_WORKER: none. what: says so after "CPU n, which". */
static uint32_t target_of_cpu(const struct explain *x, uint32_t cpu, char *what, size_t len)
{
	bool has = steer_has_cpu(x->steer, cpu);
	uint32_t worker = SLUICE_NO_WORKER;

	if (x->stack) {
		snprintf(what, len, has ? "is in cpu_map" : "is not in cpu_map");
		return has ? SLUICE_TARGET_CPU + cpu : SLUICE_NO_WORKER;
	}
	steer_get_cpu_worker(x->steer, cpu, &worker);
	if (worker < SLUICE_MAX_WORKERS)
		snprintf(what, len, "worker %u serves", worker);
	else
		snprintf(what, len, "has no worker");
	return worker;
}

static bool is_target(uint32_t target)
{
	return target < SLUICE_TARGET_CPU + SLUICE_MAX_CPUS;
}

/* The target by the flow's entry of rps_sock_flow, or SLUICE_NO_WORKER. */
static uint32_t explain_rfs(struct explain *x, uint32_t *cpu)
{
	uint32_t entries = x->steer->config.sock_flow_entries, mask = x->steer->cpu_mask;
	uint32_t slot = x->hash & (entries - 1), entry, target;
	char text[16], what[32];

	if (!entries) {
		because(x, "RFS is off (rps_sock_flow_entries is 0)");
		return SLUICE_NO_WORKER;
	}
	entry = __atomic_load_n(&x->steer->sock_flow[slot], __ATOMIC_RELAXED);
	put_u64(x->out, "slot", slot);
	snprintf(text, sizeof(text), "0x%08x", entry);
	put_text(x->out, "entry", text);
	if (steer_sock_flow_empty(x->steer, slot, entry)) {
		because(x, "RFS: slot %u of %u is empty: nobody has received this flow yet", slot,
			entries);
		return SLUICE_NO_WORKER;
	}
	if ((entry ^ x->hash) & ~mask) {
		because(x, "RFS: slot %u of %u is another flow's", slot, entries);
		return SLUICE_NO_WORKER;
	}
	*cpu = entry & mask;
	target = target_of_cpu(x, *cpu, what, sizeof(what));
	because(x, "RFS: slot %u of %u says that the flow was last received on CPU %u, which %s",
		slot, entries, *cpu, what);
	return target;
}

/* The target by the queue's mask. */
static uint32_t explain_rps(struct explain *x, uint32_t queue, uint32_t *cpu)
{
	struct sluice_rps_map map = { 0 };
	uint32_t target, i;
	char what[32];

	steer_get_rps(x->steer, queue, &map);
	i = (uint32_t)((uint64_t)x->hash * map.len >> 32);
	if (!map.len || i >= SLUICE_RPS_MAX) {
		because(x, "RPS: the mask of queue %u is 0: the kernel has what RFS does not steer",
			queue);
		return SLUICE_NO_WORKER;
	}
	*cpu = map.cpus[i];
	target = target_of_cpu(x, *cpu, what, sizeof(what));
	because(x,
		"RPS: the hash chooses CPU %u, number %u of the %u in the mask of queue %u, which "
		"%s", *cpu, i + 1, map.len, queue, what);
	return target;
}

static void put_target(json_object *o, const char *worker, const char *cpu, uint32_t target)
{
	if (target < SLUICE_MAX_WORKERS)
		put_u64(o, worker, target);
	else if (is_target(target))
		put_u64(o, cpu, target - SLUICE_TARGET_CPU);
}

/*
 * Where the last packet by the flow's entry of rps_dev_flow went. Until that target
 * has processed it, the flow stays there, whatever is said above (bpf/dev_flow.h, cpu.h).
 */
static void explain_last(const struct explain *x, json_object *o, const struct steer_table *table)
{
	put_target(o, "last", "last_cpu", table->flow[x->hash & (table->entries - 1)].target);
}

/* False where this queue's packets of the flow are not redirected. rfs: the target by RFS. */
static bool explain_queue(struct explain *x, json_object *list, uint32_t queue, uint32_t rfs,
			  uint32_t rfs_cpu)
{
	const struct steer_queue *q = &x->c->dev->steer.queue[queue];
	const struct steer_table *table = &q->table[q->current];
	json_object *o = json_object_new_object();
	uint32_t cpu = rfs_cpu, target;

	/* As in Linux, a queue without rps_dev_flow has no RFS. */
	if (!table->flow)
		rfs = SLUICE_NO_WORKER;
	target = rfs;
	if (!is_target(target))
		target = explain_rps(x, queue, &cpu);
	put_u64(o, "queue", queue);
	put_text(o, "by", is_target(rfs) ? "rfs" : is_target(target) ? "rps" : "none");
	if (is_target(target))
		put_u64(o, "cpu", cpu);
	if (target < SLUICE_MAX_WORKERS)
		put_u64(o, "worker", target);
	if (table->flow)
		explain_last(x, o, table);
	json_object_array_add(list, o);
	return x->stack ? is_target(target) :
			  target < SLUICE_MAX_WORKERS && q->targets >> target & 1;
}

static bool explain_target(struct explain *x, enum sluice_verdict redirect)
{
	const struct device *dev = x->c->dev;
	json_object *list = json_object_new_array();
	uint32_t cpu = 0, rfs = explain_rfs(x, &cpu);
	bool any = false;

	for (uint32_t i = 0; i < dev->nr_queues; i++)
		any |= explain_queue(x, list, dev->queue[i], rfs, cpu);
	json_object_object_add(x->out, "queues", list);
	verdict(x, any ? redirect : SLUICE_XDP_PASS_TARGET);
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
	because(x, "the worker delivers it to lane %u of process %d%s", a->slot,
		(int)a->client->pid,
		a->reuseport ? ", which the hash chooses where a SO_REUSEPORT group shares the port" : "");
}

static void explain_xsk(struct explain *x)
{
	explain_hash(x);
	if (!explain_target(x, SLUICE_XDP_REDIRECT))
		return;
	if (x->flow->proto == IPPROTO_UDP)
		explain_socket(x);
	else
		because(x, "the worker has no use for this protocol, and drops it (ip_proto)");
}

static void explain_cpumap(struct explain *x)
{
	x->stack = true;
	explain_hash(x);
	if (explain_target(x, SLUICE_XDP_REDIRECT_CPU))
		because(x, "the kernel's stack on that CPU has it");
	else
		because(x, "there is no CPU for it: the kernel has it where it was received");
}

/* why: of SLUICE_ACT_PASS. */
static void explain_action(struct explain *x, uint32_t action, enum sluice_verdict why)
{
	switch (action) {
	case SLUICE_ACT_XSK:
		explain_xsk(x);
		break;
	case SLUICE_ACT_CPUMAP:
		explain_cpumap(x);
		break;
	case SLUICE_ACT_DROP:
		verdict(x, SLUICE_XDP_DROP_RULE);
		because(x, "dropped");
		break;
	default:
		verdict(x, why);
		because(x, "the kernel has it");
	}
}

static void explain_flow(struct explain *x)
{
	uint32_t action;
	enum sluice_verdict v;

	if (explain_deny(x))
		return;
	action = explain_rule(x);
	if (action != SLUICE_ACT_NONE) {
		explain_action(x, action, SLUICE_XDP_PASS_RULE);
		return;
	}
	v = explain_attached(x);
	if (v == SLUICE_XDP_REDIRECT) {
		explain_xsk(x);
		return;
	}
	action = x->steer->config.fallback;
	because(x, "the default is %s", binds_action(action));
	explain_action(x, action, v);
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
	put_text(x.out, "role", x.steer->config.mirror ? "mirror" : "host");
	put_text(x.out, "default", binds_action(x.steer->config.fallback));
	explain_flow(&x);
	json_object_object_add(x.out, "why", x.why);
	return x.out;
}
