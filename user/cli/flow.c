// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* flow.c - `sluice flow`: the RFS table: which CPU wants which flow. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/out.h"
#include "cli/query.h"

#define NAME "flow"

struct flow_conf {
	const char *dev;
	bool json;
};

static const struct opt flow_opts[] = {
	{ 'i', "dev", "DEV", opt_string, offsetof(struct flow_conf, dev), 0, 0,
	  "device (default: the only daemon's)" },
	{ 'j', "json", NULL, NULL, offsetof(struct flow_conf, json), 0, 0,
	  "the daemon's document as it is" },
};

static void print_cpus(struct json_object *doc)
{
	struct out_table *t = out_table_new("cpu worker entries");

	for (size_t i = 0; i < js_len(doc, "cpus"); i++) {
		struct json_object *c = js_at(doc, "cpus", i);

		js_cell(t, c, "cpu");
		js_cell(t, c, "worker");
		js_cell(t, c, "entries");
	}
	out_table_print(t);
}

static void print_flows(struct json_object *doc)
{
	struct out_table *t = out_table_new("slot hash cpu worker");

	for (size_t i = 0; i < js_len(doc, "flows"); i++) {
		struct json_object *f = js_at(doc, "flows", i);

		js_cell(t, f, "slot");
		js_cell(t, f, "hash");
		js_cell(t, f, "cpu");
		js_cell(t, f, "worker");
	}
	out_table_print(t);
}

static int flow_run(void *conf)
{
	const struct flow_conf *c = conf;
	struct json_object *doc;

	if (query_daemon(NAME, c->dev, SLUICE_QUERY_FLOW, &doc))
		return EXIT_FAILURE;
	if (c->json)
		return out_json(doc, true);
	printf("%s: %" PRIu64 " of %" PRIu64 " entries used\n", js_str(doc, "dev"),
	       js_u64(doc, "used"), js_u64(doc, "entries"));
	if (js_len(doc, "cpus")) {
		putchar('\n');
		print_cpus(doc);
	}
	if (js_len(doc, "flows")) {
		putchar('\n');
		print_flows(doc);
	}
	json_object_put(doc);
	return EXIT_SUCCESS;
}

const struct command cmd_flow = {
	.name = NAME,
	.verb = "show",
	.summary = "the flow table that steers flows to the CPUs of their readers",
	.args = " [-i DEV] [-j]",
	.opts = flow_opts,
	.nopts = sizeof(flow_opts) / sizeof(flow_opts[0]),
	.conf_size = sizeof(struct flow_conf),
	.run = flow_run,
};
