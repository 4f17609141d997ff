// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * The rules half of steer.h: local addresses, rules for single addresses, deny
 * rules, and the counters that rules name.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "engine/steer.h"
#include "engine/steer_map.h"

#include <bpf/steer.skel.h>

bool steer_is_local(const struct steer *s, const struct sluice_addr *addr)
{
	uint32_t ifindex;

	return !bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.local_addr), addr, &ifindex);
}

int steer_local_add(struct steer *s, const struct sluice_addr *addr, uint32_t ifindex)
{
	return steer_update(s->skel->maps.local_addr, addr, &ifindex);
}

int steer_local_del(struct steer *s, const struct sluice_addr *addr)
{
	return bpf_map_delete_elem(bpf_map__fd(s->skel->maps.local_addr), addr);
}

static struct sluice_bind_key bind_key(const struct sluice_addr *addr, uint16_t port)
{
	return (struct sluice_bind_key){ .addr = *addr, .port = port, .proto = IPPROTO_UDP };
}

int steer_bind_add(struct steer *s, const struct sluice_addr *addr, uint16_t port, uint32_t counter)
{
	struct sluice_bind_key key = bind_key(addr, port);
	struct sluice_bind rule = { .action = SLUICE_ACT_XSK, .counter = counter };

	return steer_update(s->skel->maps.bind, &key, &rule);
}

int steer_bind_del(struct steer *s, const struct sluice_addr *addr, uint16_t port)
{
	struct sluice_bind_key key = bind_key(addr, port);

	return bpf_map_delete_elem(bpf_map__fd(s->skel->maps.bind), &key);
}

bool steer_bind_find(const struct steer *s, const struct sluice_addr *addr, uint16_t port)
{
	struct sluice_bind_key key = bind_key(addr, port);
	struct sluice_bind rule;

	return !bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.bind), &key, &rule);
}

/* Both families' keys begin alike; the trie reads as much of it as it has. */
static const struct bpf_map *deny_map(const struct steer *s, bool ipv6)
{
	return ipv6 ? s->skel->maps.deny6 : s->skel->maps.deny4;
}

static struct sluice_deny6_key deny_key(const struct steer_prefix *prefix)
{
	struct sluice_deny6_key key = { .prefixlen = prefix->len };

	memcpy(key.addr, prefix->addr, sizeof(key.addr));
	return key;
}

int steer_deny_add(struct steer *s, const struct steer_prefix *prefix, uint32_t counter)
{
	struct sluice_deny6_key key = deny_key(prefix);
	struct sluice_deny rule = { .counter = counter };

	return steer_update(deny_map(s, prefix->ipv6), &key, &rule);
}

int steer_deny_del(struct steer *s, const struct steer_prefix *prefix)
{
	struct sluice_deny6_key key = deny_key(prefix);

	return bpf_map_delete_elem(bpf_map__fd(deny_map(s, prefix->ipv6)), &key);
}

int steer_deny_find(const struct steer *s, const struct sluice_addr *addr, bool ipv6,
		    uint32_t *counter)
{
	struct sluice_deny6_key key = { .prefixlen = ipv6 ? 128 : 32 };
	struct sluice_deny rule;
	int err;

	memcpy(key.addr, ipv6 ? &addr->w[0] : &addr->w[3], ipv6 ? 16 : 4);
	err = bpf_map_lookup_elem(bpf_map__fd(deny_map(s, ipv6)), &key, &rule);
	if (!err)
		*counter = rule.counter;
	return err;
}

int steer_rule_add(struct steer *s, const struct sluice_bind_key *key,
		   const struct sluice_bind *rule)
{
	return steer_update(s->skel->maps.bind_rule, key, rule);
}

int steer_rule_del(struct steer *s, const struct sluice_bind_key *key)
{
	return bpf_map_delete_elem(bpf_map__fd(s->skel->maps.bind_rule), key);
}

bool steer_rule_find(const struct steer *s, const struct sluice_bind_key *key,
		     struct sluice_bind *rule)
{
	return !bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.bind_rule), key, rule);
}

static uint64_t *counter_buffer(int *cpus)
{
	*cpus = libbpf_num_possible_cpus();
	return *cpus > 0 ? calloc((size_t)*cpus, sizeof(uint64_t)) : NULL;
}

uint32_t steer_counter_get(struct steer *s, uint32_t n)
{
	uint32_t first = counter_alloc(&s->counters, n);
	int cpus;
	uint64_t *zero = counter_buffer(&cpus);

	for (uint32_t i = first; zero && first && i < first + n; i++)
		steer_update(s->skel->maps.rule_count, &i, zero);
	free(zero);
	return first;
}

void steer_counter_put(struct steer *s, uint32_t first, uint32_t n)
{
	counter_free(&s->counters, first, n);
}

int steer_counter_read(const struct steer *s, uint32_t counter, uint64_t *packets)
{
	int cpus, err;
	uint64_t *each = counter_buffer(&cpus);

	if (!each)
		return -ENOMEM;
	err = bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.rule_count), &counter, each);
	if (!err) {
		*packets = 0;
		for (int cpu = 0; cpu < cpus; cpu++)
			*packets += each[cpu];
	}
	free(each);
	return err;
}
