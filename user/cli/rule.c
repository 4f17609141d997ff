// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * rule.c - `sluice rule`: sources whose packets are dropped, what becomes of protocols and
 * ports, the default; what the rules of sockets match.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/endpoint.h"
#include "cli/out.h"
#include "cli/query.h"

#define NAME "rule"

struct rule_conf {
	const char *dev;
	bool json;
	struct opt_words words;
};

static const struct opt rule_opts[] = {
	{ 'i', "dev", "DEV", opt_string, offsetof(struct rule_conf, dev), 0, 0,
	  "device (default: the only daemon's)" },
	{ 'j', "json", NULL, NULL, offsetof(struct rule_conf, json), 0, 0,
	  "show: the daemon's document as it is" },
};

static const struct {
	const char *name;
	uint32_t number;
} actions[] = {
#define X(id, name) { name, SLUICE_ACT_##id },
	SLUICE_ACTION_LIST(X)
#undef X
};

#define SYNTAX "expected `show`, `add|del deny PREFIX`, `add bind PROTO PORT [addr ADDR] action " \
	"ACTION`, `del bind PROTO PORT [addr ADDR]`, `flush [deny|bind]` or `set default ACTION`"

static void print_deny(struct json_object *doc)
{
	struct out_table *t = out_table_new("<deny packets");

	for (size_t i = 0; i < js_len(doc, "deny"); i++) {
		js_cell(t, js_at(doc, "deny", i), "prefix");
		js_cell(t, js_at(doc, "deny", i), "packets");
	}
	out_table_print(t);
}

/* "*:53", "[2001:db8::1]:53" */
static void endpoint_cell(struct out_table *t, struct json_object *o)
{
	const char *addr = js_str(o, "address");

	out_cell(t, strchr(addr, ':') ? "[%s]:%" PRIu64 : "%s:%" PRIu64, addr, js_u64(o, "port"));
}

static void print_rules(struct json_object *doc)
{
	struct out_table *t = out_table_new("<rule <for <action packets");

	for (size_t i = 0; i < js_len(doc, "rules"); i++) {
		struct json_object *r = js_at(doc, "rules", i);

		js_cell(t, r, "proto");
		endpoint_cell(t, r);
		js_cell(t, r, "action");
		js_cell(t, r, "packets");
	}
	out_table_print(t);
}

static void print_bind(struct json_object *doc)
{
	struct out_table *t = out_table_new("<socket <family pid cookie <state packets");
	static const char *const rest[] = { "family", "pid", "cookie", "state", "packets" };

	for (size_t i = 0; i < js_len(doc, "bind"); i++) {
		struct json_object *b = js_at(doc, "bind", i);

		endpoint_cell(t, b);
		for (size_t m = 0; m < sizeof(rest) / sizeof(rest[0]); m++)
			js_cell(t, b, rest[m]);
	}
	out_table_print(t);
}

static int show(const struct rule_conf *c)
{
	struct json_object *doc;

	if (query_daemon(NAME, c->dev, SLUICE_QUERY_RULE, &doc))
		return EXIT_FAILURE;
	if (c->json)
		return out_json(doc, true);
	printf("%s: role %s, default %s; %zu deny rules, %zu bind rules, %zu of sockets\n",
	       js_str(doc, "dev"), js_str(doc, "role"), js_str(doc, "default"),
	       js_len(doc, "deny"), js_len(doc, "rules"), js_len(doc, "bind"));
	if (js_len(doc, "deny")) {
		putchar('\n');
		print_deny(doc);
	}
	if (js_len(doc, "rules")) {
		putchar('\n');
		print_rules(doc);
	}
	if (js_len(doc, "bind")) {
		putchar('\n');
		print_bind(doc);
	}
	json_object_put(doc);
	return EXIT_SUCCESS;
}

static int read_prefix(const char *text, struct sluice_ctl_msg *msg)
{
	char proper[INET6_ADDRSTRLEN];
	int family = 0, err = prefix_parse(text, msg->u.rule.addr, &msg->u.rule.len, &family);

	msg->u.rule.family = (__u8)family;
	if (err == -ERANGE) {
		inet_ntop(family == 6 ? AF_INET6 : AF_INET, msg->u.rule.addr, proper,
			  sizeof(proper));
		opt_usage(NAME, "`%s` has bits set beyond its length: %s/%u is the prefix", text,
			  proper, msg->u.rule.len);
	} else if (err) {
		opt_usage(NAME, "`%s` is no prefix such as 192.0.2.0/24 or 2001:db8::/32", text);
	}
	return err;
}

static int submit(const struct rule_conf *c, struct sluice_ctl_msg *msg)
{
	msg->type = SLUICE_CTL_RULE;
	return request_daemon(NAME, c->dev, msg, NULL) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int change_deny(const struct rule_conf *c, enum sluice_ctl_rule verb, const char *prefix)
{
	struct sluice_ctl_msg msg = { .u.rule = { .verb = verb, .kind = SLUICE_RULE_DENY } };

	return read_prefix(prefix, &msg) ? 2 : submit(c, &msg);
}

static int read_action(const char *text, struct sluice_ctl_msg *msg)
{
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (strcmp(text, actions[i].name))
			continue;
		msg->u.rule.action = actions[i].number;
		return 0;
	}
	return opt_usage(NAME, "`%s` is no action: xsk, cpumap, drop or pass", text);
}

static int read_protocol(const char *text, struct sluice_ctl_msg *msg)
{
	msg->u.rule.proto = protocol_parse(text);
	if (msg->u.rule.proto)
		return 0;
	return opt_usage(NAME, "`%s` is no protocol with ports: udp, tcp, sctp, dccp or udplite",
			 text);
}

static int read_port(const char *text, struct sluice_ctl_msg *msg)
{
	static const struct opt port = { .min = 1, .max = 65535 };
	uint32_t v;

	if (opt_u32(&port, text, &v))
		return opt_usage(NAME, "`%s` is no port", text);
	msg->u.rule.port = htons((uint16_t)v);
	return 0;
}

static int read_addr(const char *text, struct sluice_ctl_msg *msg)
{
	msg->u.rule.family = strchr(text, ':') ? 6 : 4;
	if (inet_pton(msg->u.rule.family == 6 ? AF_INET6 : AF_INET, text, msg->u.rule.addr) == 1)
		return 0;
	return opt_usage(NAME, "`%s` is no address", text);
}

/* v: PROTO PORT [addr ADDR] [action ACTION] */
static int change_bind(const struct rule_conf *c, enum sluice_ctl_rule verb, const char *const *v,
		       size_t n)
{
	struct sluice_ctl_msg msg = { .u.rule = { .verb = verb, .kind = SLUICE_RULE_BIND } };
	bool add = verb == SLUICE_RULE_ADD;
	size_t i = 2;
	int err;

	if (n < 2)
		return opt_usage(NAME, SYNTAX);
	err = read_protocol(v[0], &msg);
	if (!err)
		err = read_port(v[1], &msg);
	if (!err && i + 1 < n && !strcmp(v[i], "addr")) {
		err = read_addr(v[i + 1], &msg);
		i += 2;
	}
	if (!err && add && i + 1 < n && !strcmp(v[i], "action")) {
		err = read_action(v[i + 1], &msg);
		i += 2;
	}
	if (err)
		return err;
	if (i != n || (add && !msg.u.rule.action))
		return opt_usage(NAME, SYNTAX);
	return submit(c, &msg);
}

static int flush(const struct rule_conf *c, const char *kind)
{
	struct sluice_ctl_msg msg = { .u.rule.verb = SLUICE_RULE_FLUSH };

	if (kind && strcmp(kind, "deny") && strcmp(kind, "bind"))
		return opt_usage(NAME, SYNTAX);
	if (kind)
		msg.u.rule.kind = *kind == 'd' ? SLUICE_RULE_DENY : SLUICE_RULE_BIND;
	return submit(c, &msg);
}

static int set_default(const struct rule_conf *c, const char *action)
{
	struct sluice_ctl_msg msg = { .u.rule.verb = SLUICE_RULE_DEFAULT };
	int err = read_action(action, &msg);

	return err ? err : submit(c, &msg);
}

static int rule_run(void *conf)
{
	const struct rule_conf *c = conf;
	const char *const *v = c->words.v;
	size_t n = c->words.n;
	bool add = n && !strcmp(v[0], "add"), del = n && !strcmp(v[0], "del");
	enum sluice_ctl_rule verb = add ? SLUICE_RULE_ADD : SLUICE_RULE_DEL;

	if (!n || (n == 1 && !strcmp(v[0], "show")))
		return show(c);
	if ((add || del) && n == 3 && !strcmp(v[1], "deny"))
		return change_deny(c, verb, v[2]);
	if ((add || del) && n > 1 && !strcmp(v[1], "bind"))
		return change_bind(c, verb, v + 2, n - 2);
	if (n <= 2 && !strcmp(v[0], "flush"))
		return flush(c, n == 2 ? v[1] : NULL);
	if (n == 3 && !strcmp(v[0], "set") && !strcmp(v[1], "default"))
		return set_default(c, v[2]);
	return opt_usage(NAME, SYNTAX);
}

const struct command cmd_rule = {
	.name = NAME,
	.summary = "what is dropped, passed or steered, by source or by port; the default",
	.args = " [show | add|del deny PREFIX | add bind PROTO PORT [addr ADDR] action ACTION |\n"
		"       del bind PROTO PORT [addr ADDR] | flush [deny|bind] | set default ACTION]"
		" [-i DEV] [-j]",
	.takes_words = true,
	.words = offsetof(struct rule_conf, words),
	.opts = rule_opts,
	.nopts = sizeof(rule_opts) / sizeof(rule_opts[0]),
	.conf_size = sizeof(struct rule_conf),
	.run = rule_run,
};
