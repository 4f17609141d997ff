// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "daemon/flows.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "daemon/control.h"
#include "daemon/device_steer.h"
#include "daemon/json.h"
#include "engine/addr.h"

/*
 * Bounds of one answer, each worth some ms: entries that are only read, flows that are
 * looked up in flow_key, and flows that are printed. Higher: others wait longer for the
 * daemon; lower: more round trips.
 */
#define SLICE_SOCK_ENTRIES (1u << 20)
#define SLICE_DEV_ENTRIES (1u << 16)
#define SLICE_FLOWS 4096
#define SLICE_PRINTED 1024

#define NEEDS_KEY (SLUICE_FLOWS_SRC | SLUICE_FLOWS_DST | SLUICE_FLOWS_ADDR | SLUICE_FLOWS_SPORT | \
		   SLUICE_FLOWS_DPORT | SLUICE_FLOWS_PORT | SLUICE_FLOWS_PROTO)

/* One entry of rps_dev_flow in use. */
struct found {
	uint32_t queue;
	uint32_t entry;
	struct sluice_dev_flow at;
	struct sluice_flow key;
	bool known;		/* key is */
};

static json_object *sock_cpus(const struct device *dev, const uint32_t *entries)
{
	json_object *list = json_object_new_array();

	for (uint32_t cpu = 0; cpu <= dev->steer.cpu_mask; cpu++) {
		int worker = device_worker_of(dev, cpu);
		json_object *o;

		if (!entries[cpu] && worker < 0)
			continue;
		o = json_object_new_object();
		put_u64(o, "cpu", cpu);
		json_object_object_add(o, "worker",
				       worker < 0 ? NULL : json_object_new_int(worker));
		put_u64(o, "entries", entries[cpu]);
		json_object_array_add(list, o);
	}
	return list;
}

/* The one that stands at i is part i + 1. */
static json_object *queue_list(const struct device *dev)
{
	json_object *list = json_object_new_array();

	for (uint32_t i = 0; i < dev->nr_queues; i++)
		json_object_array_add(list, json_object_new_uint64(dev->queue[i]));
	return list;
}

static void answer_sock_flow(const struct control *c, json_object *o, uint32_t start)
{
	const struct device *dev = c->dev;
	uint32_t entries[SLUICE_MAX_CPUS] = { 0 }, used = 0, i = start;
	uint32_t size = dev->steer.config.sock_flow_entries;

	for (; i < size && i - start < SLICE_SOCK_ENTRIES; i++) {
		uint32_t val = __atomic_load_n(&dev->steer.sock_flow[i], __ATOMIC_RELAXED);

		if (steer_sock_flow_empty(&dev->steer, i, val))
			continue;
		used++;
		entries[val & dev->steer.cpu_mask]++;
	}
	put_u64(o, "entries", size);
	put_u64(o, "used", used);
	json_object_object_add(o, "cpus", sock_cpus(dev, entries));
	json_object_object_add(o, "queues", queue_list(dev));
	put_u64(o, "flow_keys", dev->steer.config.flow_keys);
	if (c->accel->running)
		json_object_object_add(o, "arfs", accel_answer(c->accel));
	if (i < size)
		put_u64(o, "next", i);
}

static bool in_prefix(const struct sluice_addr *addr, const struct sluice_addr *prefix,
		      uint32_t len)
{
	for (uint32_t bit = 0; bit < len && bit < 128; bit += 32) {
		uint32_t mask = len - bit < 32 ? htonl(~0u << (32 - (len - bit))) : ~0u;

		if ((addr->w[bit / 32] ^ prefix->w[bit / 32]) & mask)
			return false;
	}
	return true;
}

/* ::/0 is all of IPv6 and nothing of IPv4, though these addresses are numbers in it. */
static bool end_wanted(const struct sluice_addr *addr, const struct sluice_addr *prefix,
		       uint32_t len)
{
	return addr_is_v4(addr) == (len >= 96 && addr_is_v4(prefix)) &&
	       in_prefix(addr, prefix, len);
}

static bool key_wanted(const struct sluice_ctl_flows *ask, const struct sluice_flow *f)
{
	uint32_t cond = ask->cond;

	if (cond & SLUICE_FLOWS_PROTO && f->proto != ask->proto)
		return false;
	if (cond & SLUICE_FLOWS_SRC && !end_wanted(&f->saddr, &ask->src, ask->src_len))
		return false;
	if (cond & SLUICE_FLOWS_DST && !end_wanted(&f->daddr, &ask->dst, ask->dst_len))
		return false;
	if (cond & SLUICE_FLOWS_ADDR && memcmp(&f->saddr, &ask->addr, sizeof(f->saddr)) &&
	    memcmp(&f->daddr, &ask->addr, sizeof(f->daddr)))
		return false;
	if (cond & SLUICE_FLOWS_SPORT && f->sport != ask->sport)
		return false;
	if (cond & SLUICE_FLOWS_DPORT && f->dport != ask->dport)
		return false;
	return !(cond & SLUICE_FLOWS_PORT) || f->sport == ask->port || f->dport == ask->port;
}

static bool is_wanted(const struct sluice_ctl_flows *ask, const struct found *found)
{
	return !(ask->cond & NEEDS_KEY) || (found->known && key_wanted(ask, &found->key));
}

static void put_hash(json_object *o, uint32_t hash)
{
	char text[16];

	snprintf(text, sizeof(text), "0x%08x", hash);
	put_text(o, "hash", text);
}

static void put_key(json_object *o, const struct sluice_flow *key)
{
	bool ipv6 = key->family == 6;

	put_u64(o, "proto", key->proto);
	put_addr(o, "src", &key->saddr, ipv6);
	put_u64(o, "sport", ntohs(key->sport));
	put_addr(o, "dst", &key->daddr, ipv6);
	put_u64(o, "dport", ntohs(key->dport));
}

/* Where its reader wants it: "slot" of rps_sock_flow, whose it is, and the CPU if this flow's. */
static void put_wanted(json_object *o, const struct steer *s, uint32_t hash)
{
	uint32_t size = s->config.sock_flow_entries, slot = hash & (size - 1), val;

	if (!size)
		return;
	val = __atomic_load_n(&s->sock_flow[slot], __ATOMIC_RELAXED);
	put_u64(o, "slot", slot);
	if (steer_sock_flow_empty(s, slot, val)) {
		put_text(o, "slot_of", "none");
	} else if ((val ^ hash) & ~s->cpu_mask) {
		put_text(o, "slot_of", "other");
	} else {
		put_text(o, "slot_of", "flow");
		put_u64(o, "wanted", val & s->cpu_mask);
	}
}

/* Where its packets go. under_way: those in the target's ring up to the flow's last one. */
static void put_target(json_object *o, const struct steer *s, const struct found *found)
{
	uint32_t target = found->at.target, tail = 0, head = 0;
	int32_t under_way;

	put_u64(o, "cpu", found->at.cpu);
	if (target < SLUICE_MAX_WORKERS)
		put_u64(o, "worker", target);
	steer_target_seqs(s, found->queue, target, &tail, &head);
	under_way = (int32_t)(found->at.last_qtail - head);
	put_u64(o, "last_qtail", found->at.last_qtail);
	put_u64(o, "tail", tail);
	put_u64(o, "head", head);
	put_u64(o, "under_way", under_way > 0 ? (uint32_t)under_way : 0);
}

static json_object *print_flow(const struct control *c, const struct found *found)
{
	const struct steer *s = &c->dev->steer;
	json_object *o = json_object_new_object();

	put_hash(o, found->at.hash);
	if (found->known)
		put_key(o, &found->key);
	put_u64(o, "queue", found->queue);
	put_wanted(o, s, found->at.hash);
	put_u64(o, "entry", found->entry);
	put_target(o, s, found);
	if (found->at.filter != SLUICE_NO_FILTER)
		put_u64(o, "filter", found->at.filter);
	return o;
}

/* Members one by one: the program writes them meanwhile. False: nobody's. */
static bool read_entry(struct sluice_dev_flow *at, const struct sluice_dev_flow *from)
{
	at->hash = __atomic_load_n(&from->hash, __ATOMIC_RELAXED);
	at->target = __atomic_load_n(&from->target, __ATOMIC_RELAXED);
	if (!at->hash || at->target >= SLUICE_TARGET_CPU + SLUICE_MAX_CPUS)
		return false;
	at->cpu = __atomic_load_n(&from->cpu, __ATOMIC_RELAXED);
	at->filter = __atomic_load_n(&from->filter, __ATOMIC_RELAXED);
	at->last_qtail = __atomic_load_n(&from->last_qtail, __ATOMIC_RELAXED);
	return true;
}

static void answer_dev_flow(const struct control *c, json_object *o, uint32_t queue,
			    const struct sluice_ctl_flows *ask)
{
	const struct steer *s = &c->dev->steer;
	const struct steer_queue *q = &s->queue[queue];
	const struct steer_table *table = &q->table[q->current];
	json_object *list = json_object_new_array();
	uint32_t i = ask->start, looked = 0, matched = 0, printed = 0;

	for (; i < table->entries && i - ask->start < SLICE_DEV_ENTRIES; i++) {
		struct found found = { .queue = queue, .entry = i };

		if (!read_entry(&found.at, &table->flow[i]) ||
		    (ask->cond & SLUICE_FLOWS_HASH && found.at.hash != ask->hash))
			continue;
		if (looked++ == SLICE_FLOWS || printed == SLICE_PRINTED)
			break;
		found.known = !steer_flow_key(s, found.at.hash, &found.key);
		if (!is_wanted(ask, &found))
			continue;
		matched++;
		if (ask->cond & SLUICE_FLOWS_COUNT)
			continue;
		printed++;
		json_object_array_add(list, print_flow(c, &found));
	}
	put_u64(o, "queue", queue);
	put_u64(o, "entries", table->entries);
	put_u64(o, "matched", matched);
	json_object_object_add(o, "flows", list);
	if (i < table->entries)
		put_u64(o, "next", i);
}

json_object *flows_answer(struct control *c, const struct sluice_ctl_flows *ask)
{
	json_object *o = json_object_new_object();

	put_text(o, "dev", c->dev->config->ifname);
	if (!ask->part)
		answer_sock_flow(c, o, ask->start);
	else if (ask->part <= c->dev->nr_queues)
		answer_dev_flow(c, o, c->dev->queue[ask->part - 1], ask);
	return o;
}
