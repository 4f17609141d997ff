// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* explain.c - `sluice explain`: where the packets of one flow go, and why. */
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/endpoint.h"
#include "cli/out.h"
#include "cli/query.h"

#define NAME "explain"

struct explain_conf {
	const char *dev;
	bool json;
	struct opt_words words;
};

static const struct opt explain_opts[] = {
	{ 'i', "dev", "DEV", opt_string, offsetof(struct explain_conf, dev), 0, 0,
	  "device (default: the only daemon's)" },
	{ 'j', "json", NULL, NULL, offsetof(struct explain_conf, json), 0, 0,
	  "the daemon's document as it is" },
};

static void print_explanation(struct json_object *doc)
{
	static const char *const queues[] = { "queue", "by", "cpu", "worker", "last",
					      "last_cpu" };
	struct json_object *sock = js_get(doc, "socket");
	struct out_table *t;

	printf("%s: %s (role %s, default %s)\n", js_str(doc, "dev"), js_str(doc, "verdict"),
	       js_str(doc, "role"), js_str(doc, "default"));
	if (js_get(doc, "rule"))
		printf("rule    %s %s%s%s\n", js_str(js_get(doc, "rule"), "kind"),
		       js_str(js_get(doc, "rule"), "match"), js_get(doc, "action") ? ": " : "",
		       js_get(doc, "action") ? js_str(doc, "action") : "");
	if (js_get(doc, "hash"))
		printf("hash    %s\n", js_str(doc, "hash"));
	if (js_get(doc, "slot"))
		printf("slot    %" PRIu64 ": %s\n", js_u64(doc, "slot"), js_str(doc, "entry"));
	if (sock)
		printf("socket  %s, port %" PRIu64 ", process %" PRIu64 ", lane %" PRIu64 "\n",
		       js_str(sock, "local"), js_u64(sock, "port"), js_u64(sock, "pid"),
		       js_u64(sock, "lane"));
	if (js_len(doc, "queues")) {
		putchar('\n');
		t = out_table_new("queue <by cpu worker last last_cpu");
		for (size_t i = 0; i < js_len(doc, "queues"); i++)
			for (size_t m = 0; m < sizeof(queues) / sizeof(queues[0]); m++)
				js_cell(t, js_at(doc, "queues", i), queues[m]);
		out_table_print(t);
	}
	putchar('\n');
	for (size_t i = 0; i < js_len(doc, "why"); i++)
		printf("- %s\n", json_object_get_string(js_at(doc, "why", i)));
}

static int read_flow(const struct opt_words *w, struct sluice_ctl_flow *flow)
{
	int from, to;

	if (w->n == 3)
		flow->proto = protocol_parse(w->v[0]);
	if (!flow->proto)
		return opt_usage(NAME, "expected `PROTO SRC:PORT DST:PORT`, PROTO one of udp, tcp, "
				 "sctp, dccp and udplite");
	from = endpoint_parse(w->v[1], &flow->saddr, &flow->sport);
	to = endpoint_parse(w->v[2], &flow->daddr, &flow->dport);
	if (from < 0 || to < 0)
		return opt_usage(NAME, "`%s` is no address with a port such as 192.0.2.1:53 or "
				 "[2001:db8::1]:53", w->v[from < 0 ? 1 : 2]);
	if (from != to)
		return opt_usage(NAME, "one end is IPv4, the other IPv6");
	flow->family = (__u8)from;
	return 0;
}

static int explain_run(void *conf)
{
	const struct explain_conf *c = conf;
	struct sluice_ctl_msg msg = { .type = SLUICE_CTL_QUERY,
				      .u.query.what = SLUICE_QUERY_EXPLAIN };
	int status = read_flow(&c->words, &msg.u.query.flow);
	struct json_object *doc;

	if (status)
		return status;
	if (request_daemon(NAME, c->dev, &msg, &doc))
		return EXIT_FAILURE;
	if (c->json)
		return out_json(doc, true);
	print_explanation(doc);
	json_object_put(doc);
	return EXIT_SUCCESS;
}

const struct command cmd_explain = {
	.name = NAME,
	.summary = "where the packets of a flow go at this moment, and why",
	.args = " PROTO SRC:PORT DST:PORT [-i DEV] [-j]",
	.takes_words = true,
	.words = offsetof(struct explain_conf, words),
	.opts = explain_opts,
	.nopts = sizeof(explain_opts) / sizeof(explain_opts[0]),
	.conf_size = sizeof(struct explain_conf),
	.run = explain_run,
};
