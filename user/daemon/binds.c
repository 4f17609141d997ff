// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "daemon/binds.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/json.h"
#include "daemon/rules.h"
#include "engine/addr.h"

static const char *const actions[] = {
#define X(id, name) [SLUICE_ACT_##id] = name,
	SLUICE_ACTION_LIST(X)
#undef X
};

/* Those in which the program finds a port: bpf/parse.h. */
static const struct {
	uint8_t number;
	const char *name;
} protocols[] = {
	{ IPPROTO_UDP, "udp" },
	{ IPPROTO_TCP, "tcp" },
	{ IPPROTO_SCTP, "sctp" },
	{ IPPROTO_DCCP, "dccp" },
	{ IPPROTO_UDPLITE, "udplite" },
};

static const char *protocol_name(uint8_t number)
{
	for (unsigned int i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
		if (protocols[i].number == number)
			return protocols[i].name;
	}
	return NULL;
}

void binds_destroy(struct binds *binds)
{
	free(binds->rule);
	memset(binds, 0, sizeof(*binds));
}

const char *binds_action(uint32_t action)
{
	bool known = action < sizeof(actions) / sizeof(actions[0]) && actions[action];

	return known ? actions[action] : "?";
}

static void addr_text(const struct sluice_addr *addr, char *text, size_t len)
{
	if (addr_is_any(addr))
		snprintf(text, len, "*");
	else if (addr_is_v4(addr))
		inet_ntop(AF_INET, &addr->w[3], text, (socklen_t)len);
	else
		inet_ntop(AF_INET6, addr, text, (socklen_t)len);
}

void binds_text(const struct sluice_bind_key *key, char *text)
{
	const char *proto = protocol_name(key->proto);
	char addr[INET6_ADDRSTRLEN];

	addr_text(&key->addr, addr, sizeof(addr));
	snprintf(text, BINDS_TEXT, strchr(addr, ':') ? "%s [%s]:%u" : "%s %s:%u",
		 proto ? proto : "?", addr, ntohs(key->port));
}

static int key_read(struct sluice_bind_key *key, const struct sluice_ctl_msg *request, char *why,
		    size_t len)
{
	uint8_t family = request->u.rule.family;

	*key = (struct sluice_bind_key){
		.port = request->u.rule.port,
		.proto = request->u.rule.proto,
	};
	if (!protocol_name(key->proto) || !key->port) {
		snprintf(why, len, "a rule needs a port, and a protocol that has them");
		return -EINVAL;
	}
	if (family == 4) {
		key->addr.w[2] = htonl(0xffff);
		key->addr.w[3] = request->u.rule.addr[0];
	} else if (family == 6) {
		memcpy(&key->addr, request->u.rule.addr, sizeof(key->addr));
	}
	if ((family && family != 4 && family != 6) || (family == 6 && addr_is_v4(&key->addr)) ||
	    (family && (addr_is_any(&key->addr) || (family == 4 && !key->addr.w[3])))) {
		snprintf(why, len, "this is no address of a host: leave it out for any");
		return -EINVAL;
	}
	return 0;
}

static struct bind_rule *find(const struct binds *binds, const struct sluice_bind_key *key)
{
	for (unsigned int i = 0; i < binds->nr; i++) {
		if (!memcmp(&binds->rule[i].key, key, sizeof(*key)))
			return &binds->rule[i];
	}
	return NULL;
}

static uint8_t kinds_of(const struct bind_rule *rule)
{
	uint8_t kinds = addr_is_any(&rule->key.addr) ? SLUICE_BIND_ANY : SLUICE_BIND_EXACT;

	return rule->bind.action == SLUICE_ACT_CPUMAP ? kinds | SLUICE_BIND_CPUMAP : kinds;
}

/* without: one that is on its way out, or NULL. */
static uint8_t kinds_of_all(const struct binds *binds, const struct bind_rule *without)
{
	uint8_t kinds = 0;

	for (unsigned int i = 0; i < binds->nr; i++)
		kinds |= &binds->rule[i] == without ? 0 : kinds_of(&binds->rule[i]);
	return kinds;
}

/* A program that looks for rules of these kinds only. */
static int set_kinds(struct device *dev, uint8_t kinds)
{
	struct steer_config config = dev->steer.config;

	if (config.bind_rules == kinds)
		return 0;
	config.bind_rules = kinds;
	return steer_reload(&dev->steer, &config, false);
}

static int make_room(struct binds *binds)
{
	unsigned int max = binds->max ? binds->max * 2 : 64;
	struct bind_rule *rule;

	if (binds->nr < binds->max)
		return 0;
	rule = reallocarray(binds->rule, max, sizeof(*rule));
	if (!rule)
		return -ENOMEM;
	binds->rule = rule;
	binds->max = max;
	return 0;
}

static int add(struct binds *binds, struct device *dev, struct bind_rule *rule)
{
	int err = binds->nr == SLUICE_BIND_RULES ? -ENOSPC : make_room(binds);

	if (err)
		return err;
	rule->bind.counter = steer_counter_get(&dev->steer, 1);
	err = set_kinds(dev, dev->steer.config.bind_rules | kinds_of(rule));
	if (err)
		goto put_counter;
	err = steer_rule_add(&dev->steer, &rule->key, &rule->bind);
	if (err)
		goto put_counter;
	binds->rule[binds->nr++] = *rule;
	return 0;

put_counter:
	steer_counter_put(&dev->steer, rule->bind.counter, 1);
	set_kinds(dev, kinds_of_all(binds, NULL));
	return err;
}

/* The same rule with another action keeps its counter. */
static int replace(struct binds *binds, struct device *dev, struct bind_rule *old, uint32_t action)
{
	struct bind_rule rule = *old;
	int err;

	rule.bind.action = action;
	err = set_kinds(dev, dev->steer.config.bind_rules | kinds_of(&rule));
	if (!err)
		err = steer_rule_add(&dev->steer, &rule.key, &rule.bind);
	if (!err)
		*old = rule;
	set_kinds(dev, kinds_of_all(binds, NULL));
	return err;
}

int binds_add(struct binds *binds, struct device *dev, const struct sluice_ctl_msg *request,
	      char *why, size_t len)
{
	struct bind_rule rule = { .bind.action = request->u.rule.action }, *old;
	char text[BINDS_TEXT];
	int err = key_read(&rule.key, request, why, len);

	if (err)
		return err;
	if (*binds_action(rule.bind.action) == '?')
		return -EINVAL;
	if (rule.bind.action == SLUICE_ACT_XSK && !dev->steer.config.mirror) {
		snprintf(why, len, "in role host workers take only what a socket has asked for: "
			 "attach one, or use sluiced --role mirror");
		return -EINVAL;
	}
	binds_text(&rule.key, text);
	old = find(binds, &rule.key);
	if (old && old->bind.action == rule.bind.action) {
		snprintf(why, len, "there is this rule for %s already", text);
		return -EEXIST;
	}
	err = old ? replace(binds, dev, old, rule.bind.action) : add(binds, dev, &rule);
	if (err == -ENOSPC)
		snprintf(why, len, "there are %u bind rules already, which is the most",
			 SLUICE_BIND_RULES);
	else if (err)
		snprintf(why, len, "cannot change the rules: %s", strerror(-err));
	return err;
}

int binds_del(struct binds *binds, struct device *dev, const struct sluice_ctl_msg *request,
	      char *why, size_t len)
{
	struct bind_rule *rule;
	struct sluice_bind_key key;
	char text[BINDS_TEXT];
	int err = key_read(&key, request, why, len);

	if (err)
		return err;
	rule = find(binds, &key);
	if (!rule) {
		binds_text(&key, text);
		snprintf(why, len, "there is no rule for %s: see 'sluice rule show'", text);
		return -ENOENT;
	}
	err = steer_rule_del(&dev->steer, &key);
	if (err)
		return err;
	steer_counter_put(&dev->steer, rule->bind.counter, 1);
	*rule = binds->rule[--binds->nr];
	/* A program that looks for rules which are not there is slower, but not wrong. */
	set_kinds(dev, kinds_of_all(binds, NULL));
	return 0;
}

int binds_flush(struct binds *binds, struct device *dev)
{
	int err = set_kinds(dev, 0);

	if (err)
		return err;
	while (binds->nr) {
		struct bind_rule *rule = &binds->rule[--binds->nr];

		steer_rule_del(&dev->steer, &rule->key);
		steer_counter_put(&dev->steer, rule->bind.counter, 1);
	}
	return 0;
}

int binds_set_default(struct device *dev, uint32_t action, char *why, size_t len)
{
	struct steer_config config = dev->steer.config;
	int err;

	if (*binds_action(action) == '?')
		return -EINVAL;
	err = config_check_default(config.mirror, (uint8_t)action, why, len);
	if (err || config.fallback == action)
		return err;
	config.fallback = (uint8_t)action;
	err = steer_reload(&dev->steer, &config, false);
	if (err)
		snprintf(why, len, "cannot exchange the program: %s", strerror(-err));
	return err;
}

bool binds_find(const struct device *dev, const struct sluice_ctl_flow *flow,
		struct bind_rule *rule)
{
	const struct steer *s = &dev->steer;

	rule->key = (struct sluice_bind_key){
		.addr = flow->daddr, .port = flow->dport, .proto = flow->proto,
	};
	if (!s->config.bind_rules || (!s->config.mirror && !steer_is_local(s, &flow->daddr)))
		return false;
	if (steer_rule_find(s, &rule->key, &rule->bind))
		return true;
	rule->key.addr = (struct sluice_addr){ { 0 } };
	return steer_rule_find(s, &rule->key, &rule->bind);
}

json_object *binds_answer(const struct binds *binds, const struct device *dev)
{
	json_object *list = json_object_new_array();

	for (unsigned int i = 0; i < binds->nr; i++) {
		const struct bind_rule *rule = &binds->rule[i];
		json_object *o = json_object_new_object();
		char addr[INET6_ADDRSTRLEN];

		addr_text(&rule->key.addr, addr, sizeof(addr));
		put_text(o, "proto", protocol_name(rule->key.proto));
		put_u64(o, "port", ntohs(rule->key.port));
		put_text(o, "address", addr);
		put_text(o, "action", binds_action(rule->bind.action));
		rules_put_packets(o, &dev->steer, rule->bind.counter);
		json_object_array_add(list, o);
	}
	return list;
}
