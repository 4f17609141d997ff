// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* rule.c - `sluice rule`: sources whose packets are dropped; what the rules of sockets match. */
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

static void print_deny(struct json_object *doc)
{
	struct out_table *t = out_table_new("<deny packets");

	for (size_t i = 0; i < js_len(doc, "deny"); i++) {
		js_cell(t, js_at(doc, "deny", i), "prefix");
		js_cell(t, js_at(doc, "deny", i), "packets");
	}
	out_table_print(t);
}

static void print_bind(struct json_object *doc)
{
	struct out_table *t = out_table_new("<bind <family pid cookie <state packets");
	static const char *const rest[] = { "family", "pid", "cookie", "state", "packets" };

	for (size_t i = 0; i < js_len(doc, "bind"); i++) {
		struct json_object *b = js_at(doc, "bind", i);
		const char *addr = js_str(b, "address");

		out_cell(t, strchr(addr, ':') ? "[%s]:%" PRIu64 : "%s:%" PRIu64, addr,
			 js_u64(b, "port"));
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
	printf("%s: %zu deny rules, %zu bind rules\n", js_str(doc, "dev"), js_len(doc, "deny"),
	       js_len(doc, "bind"));
	if (js_len(doc, "deny")) {
		putchar('\n');
		print_deny(doc);
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
		inet_ntop(family == 6 ? AF_INET6 : AF_INET, msg->u.rule.addr, proper, sizeof(proper));
		opt_usage(NAME, "`%s` has bits set beyond its length: %s/%u is the prefix", text, proper,
			  msg->u.rule.len);
	} else if (err) {
		opt_usage(NAME, "`%s` is no prefix such as 192.0.2.0/24 or 2001:db8::/32", text);
	}
	return err;
}

static int change(const struct rule_conf *c, enum sluice_ctl_rule verb)
{
	struct sluice_ctl_msg msg = { .type = SLUICE_CTL_RULE, .u.rule.verb = verb };

	if (verb != SLUICE_RULE_FLUSH && read_prefix(c->words.v[2], &msg))
		return 2;
	return request_daemon(NAME, c->dev, &msg, NULL) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int rule_run(void *conf)
{
	static const char *const verbs[] = {
		[SLUICE_RULE_ADD] = "add",
		[SLUICE_RULE_DEL] = "del",
		[SLUICE_RULE_FLUSH] = "flush",
	};
	const struct rule_conf *c = conf;
	const struct opt_words *w = &c->words;

	if (!w->n || (w->n == 1 && !strcmp(w->v[0], "show")))
		return show(c);
	for (unsigned int verb = SLUICE_RULE_ADD; verb <= SLUICE_RULE_FLUSH; verb++) {
		if (!strcmp(w->v[0], verbs[verb]) && w->n == (verb == SLUICE_RULE_FLUSH ? 2 : 3) &&
		    !strcmp(w->v[1], "deny"))
			return change(c, verb);
	}
	return opt_usage(NAME, "expected `show`, `add deny PREFIX`, `del deny PREFIX` or `flush deny`");
}

const struct command cmd_rule = {
	.name = NAME,
	.summary = "sources whose packets are dropped; what the rules of sockets match",
	.args = " [show | add deny PREFIX | del deny PREFIX | flush deny] [-i DEV] [-j]",
	.takes_words = true,
	.words = offsetof(struct rule_conf, words),
	.opts = rule_opts,
	.nopts = sizeof(rule_opts) / sizeof(rule_opts[0]),
	.conf_size = sizeof(struct rule_conf),
	.run = rule_run,
};
