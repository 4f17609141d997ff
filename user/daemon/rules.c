// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "daemon/rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/control.h"
#include "daemon/json.h"

void rules_destroy(struct rules *rules)
{
	free(rules->deny);
	binds_destroy(&rules->binds);
	memset(rules, 0, sizeof(*rules));
}

static void prefix_text(const struct steer_prefix *prefix, char *text)
{
	char addr[INET6_ADDRSTRLEN];

	inet_ntop(prefix->ipv6 ? AF_INET6 : AF_INET, prefix->addr, addr, sizeof(addr));
	snprintf(text, RULES_TEXT, "%s/%u", addr, prefix->len);
}

/* False where bits beyond the length are set: such a rule could not be named by what it matches. */
static bool prefix_read(struct steer_prefix *prefix, const struct sluice_ctl_msg *request)
{
	unsigned int bits = request->u.rule.family == 6 ? 128 : 32;

	if ((request->u.rule.family != 4 && request->u.rule.family != 6) ||
	    request->u.rule.len > bits)
		return false;
	*prefix = (struct steer_prefix){ .ipv6 = bits == 128, .len = request->u.rule.len };
	memcpy(prefix->addr, request->u.rule.addr, bits / 8);
	for (unsigned int bit = prefix->len; bit < bits; bit++) {
		if (ntohl(prefix->addr[bit / 32]) >> (31 - bit % 32) & 1)
			return false;
	}
	return true;
}

static struct deny_rule *deny_find(const struct rules *rules, const struct steer_prefix *prefix)
{
	for (unsigned int i = 0; i < rules->nr_deny; i++) {
		const struct steer_prefix *p = &rules->deny[i].prefix;

		if (p->ipv6 == prefix->ipv6 && p->len == prefix->len &&
		    !memcmp(p->addr, prefix->addr, sizeof(p->addr)))
			return &rules->deny[i];
	}
	return NULL;
}

/* A program that looks at the tries of these families only. */
static int set_families(struct device *dev, uint8_t families)
{
	struct steer_config config = dev->steer.config;

	if (config.deny == families)
		return 0;
	config.deny = families;
	return steer_reload(&dev->steer, &config, false);
}

static uint8_t family_bit(const struct steer_prefix *prefix)
{
	return prefix->ipv6 ? SLUICE_DENY_6 : SLUICE_DENY_4;
}

static int make_room(struct rules *rules)
{
	unsigned int max = rules->max_deny ? rules->max_deny * 2 : 64;
	struct deny_rule *deny;

	if (rules->nr_deny < rules->max_deny)
		return 0;
	deny = reallocarray(rules->deny, max, sizeof(*deny));
	if (!deny)
		return -ENOMEM;
	rules->deny = deny;
	rules->max_deny = max;
	return 0;
}

static int deny_add(struct rules *rules, struct device *dev, const struct steer_prefix *prefix)
{
	struct deny_rule rule = { .prefix = *prefix };
	int err;

	if (deny_find(rules, prefix))
		return -EEXIST;
	if (rules->of_family[prefix->ipv6] == SLUICE_DENY_MAX)
		return -ENOSPC;
	err = make_room(rules);
	if (err)
		return err;
	rule.counter = steer_counter_get(&dev->steer, 1);
	err = steer_deny_add(&dev->steer, prefix, rule.counter);
	if (err)
		goto put_counter;
	err = set_families(dev, dev->steer.config.deny | family_bit(prefix));
	if (err)
		goto del;
	rules->deny[rules->nr_deny++] = rule;
	rules->of_family[prefix->ipv6]++;
	return 0;

del:
	steer_deny_del(&dev->steer, prefix);
put_counter:
	steer_counter_put(&dev->steer, rule.counter, 1);
	return err;
}

static int deny_del(struct rules *rules, struct device *dev, const struct steer_prefix *prefix)
{
	struct deny_rule *rule = deny_find(rules, prefix);
	int err;

	if (!rule)
		return -ENOENT;
	err = steer_deny_del(&dev->steer, prefix);
	if (err)
		return err;
	steer_counter_put(&dev->steer, rule->counter, 1);
	*rule = rules->deny[--rules->nr_deny];
	/* A program that looks into an empty trie is slower, but not wrong. */
	if (!--rules->of_family[prefix->ipv6])
		set_families(dev, dev->steer.config.deny & (uint8_t)~family_bit(prefix));
	return 0;
}

static int deny_flush(struct rules *rules, struct device *dev)
{
	int err = set_families(dev, 0);

	if (err)
		return err;
	while (rules->nr_deny) {
		struct deny_rule *rule = &rules->deny[--rules->nr_deny];

		steer_deny_del(&dev->steer, &rule->prefix);
		steer_counter_put(&dev->steer, rule->counter, 1);
	}
	memset(rules->of_family, 0, sizeof(rules->of_family));
	return 0;
}

static int serve_deny(struct rules *rules, struct device *dev,
		      const struct sluice_ctl_msg *request, char *why, size_t len)
{
	struct steer_prefix prefix;
	char text[RULES_TEXT];
	int err;

	if (!prefix_read(&prefix, request)) {
		snprintf(why, len, "this is no prefix: its bits beyond the length must be 0");
		return -EINVAL;
	}
	prefix_text(&prefix, text);
	if (request->u.rule.verb == SLUICE_RULE_ADD)
		err = deny_add(rules, dev, &prefix);
	else
		err = deny_del(rules, dev, &prefix);
	if (err == -EEXIST)
		snprintf(why, len, "%s is denied already", text);
	else if (err == -ENOENT)
		snprintf(why, len, "there is no rule for %s: see 'sluice rule show'", text);
	else if (err == -ENOSPC)
		snprintf(why, len, "there are %u rules of this family already, which is the most",
			 SLUICE_DENY_MAX);
	else if (err)
		snprintf(why, len, "cannot change the rules: %s", strerror(-err));
	return err;
}

static int flush(struct rules *rules, struct device *dev, uint8_t kind)
{
	int err = 0;

	if (kind != SLUICE_RULE_BIND)
		err = deny_flush(rules, dev);
	if (!err && kind != SLUICE_RULE_DENY)
		err = binds_flush(&rules->binds, dev);
	return err;
}

int rules_serve(struct rules *rules, struct device *dev, const struct sluice_ctl_msg *request,
		char *why, size_t len)
{
	uint32_t verb = request->u.rule.verb;
	uint8_t kind = request->u.rule.kind;

	if (verb == SLUICE_RULE_DEFAULT)
		return binds_set_default(dev, request->u.rule.action, why, len);
	if (verb == SLUICE_RULE_FLUSH && kind <= SLUICE_RULE_BIND)
		return flush(rules, dev, kind);
	if (verb != SLUICE_RULE_ADD && verb != SLUICE_RULE_DEL)
		return -EINVAL;
	if (kind == SLUICE_RULE_DENY)
		return serve_deny(rules, dev, request, why, len);
	if (kind != SLUICE_RULE_BIND)
		return -EINVAL;
	return verb == SLUICE_RULE_ADD ? binds_add(&rules->binds, dev, request, why, len) :
					 binds_del(&rules->binds, dev, request, why, len);
}

const char *rules_find(const struct rules *rules, uint32_t counter, char *text)
{
	for (unsigned int i = 0; i < rules->nr_deny; i++) {
		if (rules->deny[i].counter != counter)
			continue;
		prefix_text(&rules->deny[i].prefix, text);
		return text;
	}
	return NULL;
}

void rules_put_packets(json_object *o, const struct steer *steer, uint32_t counter)
{
	uint64_t packets;
	bool known = counter && !steer_counter_read(steer, counter, &packets);

	json_object_object_add(o, "packets", known ? json_object_new_uint64(packets) : NULL);
}

static json_object *answer_deny(const struct rules *rules, const struct steer *steer)
{
	json_object *list = json_object_new_array();

	for (unsigned int i = 0; i < rules->nr_deny; i++) {
		const struct deny_rule *rule = &rules->deny[i];
		json_object *o = json_object_new_object();
		char text[RULES_TEXT];

		prefix_text(&rule->prefix, text);
		put_text(o, "prefix", text);
		put_text(o, "family", rule->prefix.ipv6 ? "inet6" : "inet");
		rules_put_packets(o, steer, rule->counter);
		json_object_array_add(list, o);
	}
	return list;
}

/* Where several sockets share a rule, each is listed with the count of the rule. */
static json_object *answer_bind(struct control *c, const struct attached *a, bool ipv6)
{
	const struct sluice_port *gate = &c->dev->steer.port[a->port];
	json_object *o = json_object_new_object();
	bool open = a->installed && gate->open == __atomic_load_n(&gate->gen, __ATOMIC_RELAXED);

	put_addr(o, "address", &a->key.local, ipv6);
	put_u64(o, "port", a->port);
	put_text(o, "family", ipv6 ? "inet6" : "inet");
	put_u64(o, "pid", (uint64_t)a->client->pid);
	put_u64(o, "cookie", a->sk.cookie);
	put_text(o, "state", open ? "open" : "shut");
	put_text(o, "reason", a->why);
	rules_put_packets(o, &c->dev->steer, ports_counter(c->ports, a, ipv6));
	return o;
}

json_object *rules_answer(struct control *c)
{
	json_object *o = json_object_new_object(), *bind = json_object_new_array();

	put_text(o, "dev", c->dev->config->ifname);
	put_text(o, "role", c->dev->steer.config.mirror ? "mirror" : "host");
	put_text(o, "default", binds_action(c->dev->steer.config.fallback));
	json_object_object_add(o, "rules", binds_answer(&c->rules.binds, c->dev));
	json_object_object_add(o, "deny", answer_deny(&c->rules, &c->dev->steer));
	for (struct client *client = c->first; client; client = client->next) {
		for (struct attached *a = client->first; a; a = a->next) {
			if (ports_takes(a, false))
				json_object_array_add(bind, answer_bind(c, a, false));
			if (ports_takes(a, true))
				json_object_array_add(bind, answer_bind(c, a, true));
		}
	}
	json_object_object_add(o, "bind", bind);
	return o;
}
