// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * flow.c - `sluice flow`: who wants which flow, and where its packets go.
 *
 * The daemon answers in slices (daemon/flows.h), which are put together here. What is over
 * the limit is only counted.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/flow_cond.h"
#include "cli/out.h"
#include "cli/query.h"

#define NAME "flow"
#define SHOWN_DEFAULT 1000
#define CPUS_MAX 1024

struct flow_conf {
	const char *dev;
	uint32_t limit;
	bool json;
	struct opt_words words;
};

static const struct opt flow_opts[] = {
	{ 'i', "dev", "DEV", opt_string, offsetof(struct flow_conf, dev), 0, 0,
	  "device (default: the only daemon's)" },
	{ 'n', "limit", "N", opt_u32, offsetof(struct flow_conf, limit), 0, UINT32_MAX,
	  "show so many flows at most, count the others (default: 1000; 0: count only)" },
	{ 'j', "json", NULL, NULL, offsetof(struct flow_conf, json), 0, 0, "JSON" },
};

/* What is known after each slice. */
struct flow_table {
	const char *dev;	/* as the user named it */
	int sock;
	struct flow_cond cond;
	struct json_object *head;	/* the first answer: sizes, and what does not change */
	uint64_t used, matched;
	uint64_t cpu[CPUS_MAX];		/* entries of rps_sock_flow by CPU */
	struct json_object *flows;
};

static int ask(struct flow_table *t, uint32_t part, uint32_t start, uint32_t limit,
	       struct json_object **doc)
{
	struct sluice_ctl_msg msg = { .type = SLUICE_CTL_QUERY, .u.query.what = SLUICE_QUERY_FLOW };

	msg.u.query.flows = t->cond.ask;
	msg.u.query.flows.part = part;
	msg.u.query.flows.start = start;
	if (json_object_array_length(t->flows) >= limit)
		msg.u.query.flows.cond |= SLUICE_FLOWS_COUNT;
	return ask_daemon(NAME, t->dev, t->sock, &msg, doc);
}

static void add_cpus(struct flow_table *t, struct json_object *doc)
{
	t->used += js_u64(doc, "used");
	for (size_t i = 0; i < js_len(doc, "cpus"); i++) {
		struct json_object *c = js_at(doc, "cpus", i);

		t->cpu[js_u64(c, "cpu") % CPUS_MAX] += js_u64(c, "entries");
	}
}

static int read_sock_flow(struct flow_table *t)
{
	struct json_object *doc;
	uint64_t next = 0;

	do {
		if (ask(t, 0, (uint32_t)next, 0, &doc))
			return -1;
		add_cpus(t, doc);
		next = js_u64(doc, "next");
		if (!t->head)
			t->head = doc;
		else
			json_object_put(doc);
	} while (next);
	return 0;
}

static void add_flows(struct flow_table *t, struct json_object *doc, uint32_t limit)
{
	t->matched += js_u64(doc, "matched");
	for (size_t i = 0; i < js_len(doc, "flows"); i++) {
		if (json_object_array_length(t->flows) >= limit)
			break;
		json_object_array_add(t->flows, json_object_get(js_at(doc, "flows", i)));
	}
}

static int read_dev_flow(struct flow_table *t, uint32_t part, uint32_t limit)
{
	struct json_object *doc;
	uint64_t next = 0;

	do {
		if (ask(t, part, (uint32_t)next, limit, &doc))
			return -1;
		add_flows(t, doc, limit);
		next = js_u64(doc, "next");
		json_object_put(doc);
	} while (next);
	return 0;
}

static int read_all(struct flow_table *t, uint32_t limit)
{
	if (read_sock_flow(t))
		return -1;
	for (size_t i = 0; i < js_len(t->head, "queues"); i++) {
		uint64_t queue = json_object_get_uint64(js_at(t->head, "queues", i));

		if (t->cond.by_queue && queue != t->cond.queue)
			continue;
		if (read_dev_flow(t, (uint32_t)i + 1, limit))
			return -1;
	}
	json_object_array_sort(t->flows, flow_compare);
	return 0;
}

static void print_cpus(const struct flow_table *t)
{
	struct out_table *out = out_table_new("cpu worker entries");

	for (size_t i = 0; i < js_len(t->head, "cpus"); i++) {
		struct json_object *c = js_at(t->head, "cpus", i);

		js_cell(out, c, "cpu");
		js_cell(out, c, "worker");
		out_cell(out, "%" PRIu64, t->cpu[js_u64(c, "cpu") % CPUS_MAX]);
	}
	out_table_print(out);
}

static void cell_end(struct out_table *out, struct json_object *f, const char *addr,
		     const char *port)
{
	const char *text = js_str(f, addr);

	if (!js_get(f, addr))
		out_cell(out, "-");
	else
		out_cell(out, strchr(text, ':') ? "[%s]:%s" : "%s:%s", text, js_str(f, port));
}

/* The CPU where its reader is; "other": another flow has the slot, "-": nobody. */
static void cell_wanted(struct out_table *out, struct json_object *f)
{
	if (js_get(f, "wanted"))
		js_cell(out, f, "wanted");
	else
		out_cell(out, "%s", !strcmp(js_str(f, "slot_of"), "other") ? "other" : "-");
}

static void cell_target(struct out_table *out, struct json_object *f)
{
	if (js_get(f, "worker"))
		out_cell(out, "worker %s", js_str(f, "worker"));
	else
		out_cell(out, "cpu %s", js_str(f, "cpu"));
}

static void print_flows(struct json_object *flows)
{
	struct out_table *out = out_table_new("<proto <src <dst <hash queue slot wanted entry "
					      "<target cpu last_qtail under_way filter");

	for (size_t i = 0; i < json_object_array_length(flows); i++) {
		struct json_object *f = json_object_array_get_idx(flows, i);

		out_cell(out, "%s",
			 js_get(f, "proto") ? proto_name((uint8_t)js_u64(f, "proto")) : "-");
		cell_end(out, f, "src", "sport");
		cell_end(out, f, "dst", "dport");
		js_cell(out, f, "hash");
		js_cell(out, f, "queue");
		js_cell(out, f, "slot");
		cell_wanted(out, f);
		js_cell(out, f, "entry");
		cell_target(out, f);
		js_cell(out, f, "cpu");
		js_cell(out, f, "last_qtail");
		js_cell(out, f, "under_way");
		js_cell(out, f, "filter");
	}
	out_table_print(out);
}

static void print_arfs(struct json_object *o)
{
	if (o)
		printf("\naRFS: %" PRIu64 " filters; %" PRIu64 " installed, %" PRIu64
		       " moved, %" PRIu64 " expired, %" PRIu64 " lost, %" PRIu64 " failed, %" PRIu64
		       " found the NIC full, %" PRIu64 " unknown\n",
		       js_u64(o, "filters"), js_u64(o, "installed"), js_u64(o, "moved"),
		       js_u64(o, "expired"), js_u64(o, "lost"), js_u64(o, "failed"),
		       js_u64(o, "full"), js_u64(o, "unknown"));
}

static void print_notes(const struct flow_table *t, size_t shown)
{
	if (!t->matched)
		printf("\nno flow%s\n", t->cond.ask.cond || t->cond.by_queue ? " fits" : "");
	else if (shown < t->matched)
		printf("\n%" PRIu64 " more flows: name some, or see --limit\n", t->matched - shown);
	if (t->matched && !js_u64(t->head, "flow_keys"))
		puts("\nno addresses: sluiced runs with --flow-keys 0");
}

static int print_text(const struct flow_table *t)
{
	size_t shown = json_object_array_length(t->flows);

	printf("%s: %" PRIu64 " of %" PRIu64 " entries used\n", js_str(t->head, "dev"), t->used,
	       js_u64(t->head, "entries"));
	if (js_len(t->head, "cpus")) {
		putchar('\n');
		print_cpus(t);
	}
	print_arfs(js_get(t->head, "arfs"));
	if (shown) {
		putchar('\n');
		print_flows(t->flows);
	}
	print_notes(t, shown);
	return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int print_json(const struct flow_table *t)
{
	struct json_object *doc = t->head;

	for (size_t i = 0; i < js_len(doc, "cpus"); i++) {
		struct json_object *c = js_at(doc, "cpus", i);

		js_add_u64(c, "entries", t->cpu[js_u64(c, "cpu") % CPUS_MAX]);
	}
	json_object_object_del(doc, "next");
	js_add_u64(doc, "used", t->used);
	js_add_u64(doc, "matched", t->matched);
	js_add_u64(doc, "shown", json_object_array_length(t->flows));
	json_object_object_add(doc, "flows", json_object_get(t->flows));
	return out_json(json_object_get(doc), true);
}

static int flow_run(void *conf)
{
	const struct flow_conf *c = conf;
	struct flow_table t = { .dev = c->dev };
	int status = flow_cond_parse(NAME, &c->words, &t.cond);

	if (status)
		return status;
	t.sock = open_daemon(NAME, c->dev);
	if (t.sock < 0)
		return EXIT_FAILURE;
	t.flows = json_object_new_array();
	if (read_all(&t, c->limit))
		status = EXIT_FAILURE;
	else
		status = c->json ? print_json(&t) : print_text(&t);
	close(t.sock);
	json_object_put(t.flows);
	json_object_put(t.head);
	return status;
}

static void flow_defaults(void *conf)
{
	((struct flow_conf *)conf)->limit = SHOWN_DEFAULT;
}

const struct command cmd_flow = {
	.name = NAME,
	.summary = "which CPU wants which flow, and where its packets go",
	.args = " [show] [proto PROTO] [src ADDR[/LEN]] [dst ADDR[/LEN]] [sport N] [dport N]\n"
		"                   [addr ADDR] [port N] [hash H] [queue N] [-i DEV] [-n N] [-j]",
	.takes_words = true,
	.words = offsetof(struct flow_conf, words),
	.opts = flow_opts,
	.nopts = sizeof(flow_opts) / sizeof(flow_opts[0]),
	.conf_size = sizeof(struct flow_conf),
	.defaults = flow_defaults,
	.run = flow_run,
};
