// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* stat.c - `sluice stat`: the daemon's counters, along the way of a packet. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/out.h"
#include "cli/query.h"
#include "sluice/drop.h"
#include "sluice/steer.h"

#define NAME "stat"

struct stat_conf {
	const char *dev;
	bool json;
};

static const struct opt stat_opts[] = {
	{ 'i', "dev", "DEV", opt_string, offsetof(struct stat_conf, dev), 0, 0,
	  "device (default: the only daemon's)" },
	{ 'j', "json", NULL, NULL, offsetof(struct stat_conf, json), 0, 0,
	  "the daemon's document as it is" },
};

struct reason {
	const char *name, *text;
};

#define X(id, name, text) { name, text },
static const struct reason verdicts[] = { SLUICE_VERDICT_LIST(X) };
static const struct reason drops[] = { SLUICE_DROP_LIST(X) };
#undef X

static const char *explain(const struct reason *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(list[i].name, name))
			return list[i].text;
	return "";
}

/* The members of a JSON object of counters that are not 0, each with what it means. */
static void print_counters(struct json_object *counters, const char *title,
			   const struct reason *list, size_t n)
{
	struct out_table *t = NULL;
	char heads[64];

	if (!json_object_is_type(counters, json_type_object))
		return;
	snprintf(heads, sizeof(heads), "<%s packets <meaning", title);
	json_object_object_foreach(counters, name, v) {
		if (!json_object_get_uint64(v))
			continue;
		if (!t) {
			t = out_table_new(heads);
			putchar('\n');
		}
		out_cell(t, "%s", name);
		out_cell(t, "%" PRIu64, json_object_get_uint64(v));
		out_cell(t, "%s", explain(list, n, name));
	}
	out_table_print(t);
}

/* One row per element of the array `key`, one column per word of members. */
static void print_array(struct json_object *doc, const char *key, const char *heads,
			const char *const *members, size_t n)
{
	struct out_table *t;

	if (!js_len(doc, key))
		return;
	putchar('\n');
	t = out_table_new(heads);
	for (size_t i = 0; i < js_len(doc, key); i++)
		for (size_t m = 0; m < n; m++)
			js_cell(t, js_at(doc, key, i), members[m]);
	out_table_print(t);
}

static void add_drops(struct json_object *sum, struct json_object *drop)
{
	if (!json_object_is_type(drop, json_type_object))
		return;
	json_object_object_foreach(drop, name, v)
		js_add_u64(sum, name, js_u64(sum, name) + json_object_get_uint64(v));
}

static void print_drops(struct json_object *doc)
{
	struct json_object *sum = json_object_new_object();

	for (size_t i = 0; i < js_len(doc, "napi"); i++)
		add_drops(sum, js_get(js_at(doc, "napi", i), "drops"));
	if (js_get(doc, "gone"))
		add_drops(sum, js_get(js_get(doc, "gone"), "drops"));
	print_counters(sum, "drop", drops, sizeof(drops) / sizeof(drops[0]));
	json_object_put(sum);
}

/* What the rows of workers do not have: a slot that is taken again starts at 0. */
static void print_gone(struct json_object *gone)
{
	if (!gone || !js_u64(gone, "workers"))
		return;
	printf("\nworkers that were removed: %" PRIu64 "; received %" PRIu64 ", delivered %" PRIu64
	       ", ring_full %" PRIu64 ", rx_dropped %" PRIu64 "\n", js_u64(gone, "workers"),
	       js_u64(gone, "received"), js_u64(gone, "delivered"), js_u64(gone, "ring_full"),
	       js_u64(gone, "rx_dropped"));
}

static void print_books(struct json_object *books)
{
	if (!books)
		return;
	if (js_u64(books, "redirected_cpu"))
		printf("\nto the kernel's stack by CPU: %" PRIu64 " = received %" PRIu64
		       " + lost in queues %" PRIu64 "\n", js_u64(books, "redirected_cpu"),
		       js_u64(books, "cpu_received"), js_u64(books, "cpu_lost"));
	printf("\nbooks: redirected %" PRIu64 ", passed %" PRIu64 ", denied %" PRIu64
	       ", ruled out %" PRIu64 ", flow limit %" PRIu64 "; received %" PRIu64
	       " = delivered %" PRIu64 " + dropped %" PRIu64 "; lost in rings %" PRIu64 ": %s\n",
	       js_u64(books, "redirected"), js_u64(books, "passed"), js_u64(books, "denied"),
	       js_u64(books, "ruled_out"), js_u64(books, "flow_limit"), js_u64(books, "received"),
	       js_u64(books, "delivered"), js_u64(books, "dropped"), js_u64(books, "ring_lost"),
	       js_bool(books, "closed") ? "they close"
					: "THEY DO NOT CLOSE (in traffic: look again)");
}

static void print_stat(struct json_object *doc)
{
	static const char *const queues[] = {
		"queue", "bind", "frames", "free", "fill", "rx", "held",
	};
	static const char *const workers[] = {
		"worker", "cpu", "processed", "dropped", "time_squeeze", "rounds", "sleeps",
	};
	static const char *const cpus[] = {
		"cpu", "enqueued", "received", "lost",
	};
	static const char *const napi[] = {
		"queue",    "worker",	 "cpu",	       "enqueued",
		"received", "ring_full", "rx_dropped", "delivered",
	};

	static const char *const taps[] = { "pid", "stage", "snaplen", "copied", "lost" };

	printf("%s (index %" PRIu64 "), XDP %s\n", js_str(doc, "dev"), js_u64(doc, "ifindex"),
	       js_str(doc, "mode"));
	print_counters(js_get(doc, "xdp"), "xdp", verdicts, sizeof(verdicts) / sizeof(verdicts[0]));
	print_array(doc, "queues", "queue <bind frames free fill rx held", queues,
		    sizeof(queues) / sizeof(queues[0]));
	print_array(doc, "workers", "worker cpu processed dropped time_squeeze rounds sleeps",
		    workers, sizeof(workers) / sizeof(workers[0]));
	print_array(doc, "cpus", "cpu enqueued received lost", cpus,
		    sizeof(cpus) / sizeof(cpus[0]));
	print_array(doc, "napi",
		    "queue worker cpu enqueued received ring_full rx_dropped delivered", napi,
		    sizeof(napi) / sizeof(napi[0]));
	print_gone(js_get(doc, "gone"));
	print_drops(doc);
	print_array(doc, "taps", "tap_pid <stage snaplen copied lost", taps,
		    sizeof(taps) / sizeof(taps[0]));
	print_books(js_get(doc, "books"));
}

static int stat_run(void *conf)
{
	const struct stat_conf *c = conf;
	struct json_object *doc;

	if (query_daemon(NAME, c->dev, SLUICE_QUERY_STAT, &doc))
		return EXIT_FAILURE;
	if (c->json)
		return out_json(doc, true);
	print_stat(doc);
	json_object_put(doc);
	return EXIT_SUCCESS;
}

const struct command cmd_stat = {
	.name = NAME,
	.verb = "show",
	.summary = "counters of the device, its queues and workers, and whether they add up",
	.args = " [-i DEV] [-j]",
	.opts = stat_opts,
	.nopts = sizeof(stat_opts) / sizeof(stat_opts[0]),
	.conf_size = sizeof(struct stat_conf),
	.run = stat_run,
};
