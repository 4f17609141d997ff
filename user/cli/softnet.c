// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * softnet.c - `sluice softnet`: the workers as /proc/net/softnet_stat shows CPUs, for scripts
 * that read that.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/out.h"
#include "cli/query.h"

#define NAME "softnet"

struct softnet_conf {
	const char *dev;
	bool json;
};

static const struct opt softnet_opts[] = {
	{ 'i', "dev", "DEV", opt_string, offsetof(struct softnet_conf, dev), 0, 0,
	  "device (default: the only daemon's)" },
	{ 'j', "json", NULL, NULL, offsetof(struct softnet_conf, json), 0, 0,
	  "the same numbers by name" },
};

/* One line; columns that Linux has no use for any more are 0 there and here. */
struct softnet {
	uint64_t processed, dropped, time_squeeze, received_rps, flow_limit, cpu, input, process;
};

static struct softnet of_worker(struct json_object *doc, struct json_object *worker)
{
	struct json_object *backlog = js_get(worker, "backlog");
	struct softnet s = {
		.processed = js_u64(worker, "processed"),
		.dropped = js_u64(backlog, "refused"),
		.time_squeeze = js_u64(worker, "time_squeeze"),
		.received_rps = js_u64(worker, "received_rps"),
		.flow_limit = js_u64(backlog, "flow_limited"),
		.cpu = js_u64(worker, "cpu"),
		.input = js_u64(backlog, "queued"),
		.process = js_u64(backlog, "processing"),
	};

	for (size_t i = 0; i < js_len(doc, "napi"); i++) {
		struct json_object *napi = js_at(doc, "napi", i);

		if (js_u64(napi, "worker") != js_u64(worker, "worker"))
			continue;
		s.dropped += js_u64(napi, "ring_full") + js_u64(napi, "rx_dropped");
		s.flow_limit += js_u64(napi, "flow_limited");
		s.input += js_u64(napi, "waiting");
	}
	s.dropped += s.flow_limit - js_u64(backlog, "flow_limited");
	return s;
}

/* 32 bits each, as Linux prints them. */
static void print_line(const struct softnet *s)
{
	const uint64_t column[] = {
		s->processed, s->dropped, s->time_squeeze, 0, 0, 0, 0, 0, 0, s->received_rps,
		s->flow_limit, s->input + s->process, s->cpu, s->input, s->process,
	};

	for (size_t i = 0; i < sizeof(column) / sizeof(column[0]); i++)
		printf("%s%08" PRIx32, i ? " " : "", (uint32_t)column[i]);
	putchar('\n');
}

static struct json_object *line_json(const struct softnet *s)
{
	struct json_object *o = json_object_new_object();

	js_add_u64(o, "cpu", s->cpu);
	js_add_u64(o, "processed", s->processed);
	js_add_u64(o, "dropped", s->dropped);
	js_add_u64(o, "time_squeeze", s->time_squeeze);
	js_add_u64(o, "received_rps", s->received_rps);
	js_add_u64(o, "flow_limit_count", s->flow_limit);
	js_add_u64(o, "backlog_len", s->input + s->process);
	js_add_u64(o, "input_qlen", s->input);
	js_add_u64(o, "process_qlen", s->process);
	return o;
}

static int softnet_run(void *conf)
{
	const struct softnet_conf *c = conf;
	struct json_object *doc, *list = json_object_new_array(), *out;

	if (query_daemon(NAME, c->dev, SLUICE_QUERY_STAT, &doc)) {
		json_object_put(list);
		return EXIT_FAILURE;
	}
	for (size_t i = 0; i < js_len(doc, "workers"); i++) {
		struct softnet s = of_worker(doc, js_at(doc, "workers", i));

		if (!c->json)
			print_line(&s);
		json_object_array_add(list, line_json(&s));
	}
	json_object_put(doc);
	out = json_object_new_object();
	json_object_object_add(out, "workers", list);
	if (c->json)
		return out_json(out, true);
	json_object_put(out);
	return EXIT_SUCCESS;
}

const struct command cmd_softnet = {
	.name = NAME,
	.summary = "the workers in the format of /proc/net/softnet_stat",
	.args = " [-i DEV] [-j]",
	.opts = softnet_opts,
	.nopts = sizeof(softnet_opts) / sizeof(softnet_opts[0]),
	.conf_size = sizeof(struct softnet_conf),
	.run = softnet_run,
};
