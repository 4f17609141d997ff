// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* sock.c - `sluice sock`: the attached sockets, in the manner of ss. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/out.h"
#include "cli/query.h"

#define NAME "sock"

struct sock_conf {
	const char *dev;
	bool json;
};

static const struct opt sock_opts[] = {
	{ 'i', "dev", "DEV", opt_string, offsetof(struct sock_conf, dev), 0, 0,
	  "device (default: the only daemon's)" },
	{ 'j', "json", NULL, NULL, offsetof(struct sock_conf, json), 0, 0,
	  "the daemon's document as it is" },
};

static void endpoint(struct out_table *t, struct json_object *s, const char *addr, const char *port)
{
	const char *a = js_str(s, addr), *p = js_str(s, port);
	bool colon = strchr(a, ':') != NULL;

	out_cell(t, "%s%s%s:%s", colon ? "[" : "", *a && strcmp(a, "-") ? a : "*", colon ? "]" : "",
		 strcmp(p, "0") && strcmp(p, "-") ? p : "*");
}

static void print_socks(struct json_object *doc)
{
	static const char *const rest[] = {
		"device", "pid", "uid", "cpu", "used", "ring", "delivered", "drops", "wakeups",
	};
	struct out_table *t =
		out_table_new("lane <state <local <peer <device pid uid cpu used ring "
			      "delivered drops wakeups");

	for (size_t i = 0; i < js_len(doc, "sockets"); i++) {
		struct json_object *s = js_at(doc, "sockets", i);

		js_cell(t, s, "lane");
		js_cell(t, s, "state");
		endpoint(t, s, "local", "port");
		endpoint(t, s, "peer", "peer_port");
		for (size_t m = 0; m < sizeof(rest) / sizeof(rest[0]); m++)
			js_cell(t, s, rest[m]);
	}
	out_table_print(t);
}

static int sock_run(void *conf)
{
	const struct sock_conf *c = conf;
	struct json_object *doc;

	if (query_daemon(NAME, c->dev, SLUICE_QUERY_SOCK, &doc))
		return EXIT_FAILURE;
	if (c->json)
		return out_json(doc, true);
	print_socks(doc);
	json_object_put(doc);
	return EXIT_SUCCESS;
}

const struct command cmd_sock = {
	.name = NAME,
	.verb = "show",
	.summary = "the attached sockets",
	.args = " [-i DEV] [-j]",
	.opts = sock_opts,
	.nopts = sizeof(sock_opts) / sizeof(sock_opts[0]),
	.conf_size = sizeof(struct sock_conf),
	.run = sock_run,
};
