// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* worker.c - `sluice worker`: the daemon's workers, added and removed as it runs. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/out.h"
#include "cli/query.h"

#define NAME "worker"

struct worker_conf {
	const char *dev;
	bool json;
	struct opt_words words;
};

static const struct opt worker_opts[] = {
	{ 'i', "dev", "DEV", opt_string, offsetof(struct worker_conf, dev), 0, 0,
	  "device (default: the only daemon's)" },
	{ 'j', "json", NULL, NULL, offsetof(struct worker_conf, json), 0, 0,
	  "show: the daemon's document as it is" },
};

static void print_workers(struct json_object *doc)
{
	struct out_table *t = out_table_new("worker cpu <state processed");
	static const char *const members[] = { "worker", "cpu", "state", "processed" };

	for (size_t i = 0; i < js_len(doc, "workers"); i++) {
		for (size_t m = 0; m < sizeof(members) / sizeof(members[0]); m++)
			js_cell(t, js_at(doc, "workers", i), members[m]);
	}
	out_table_print(t);
}

/* Only those of which the table above does not tell. */
static void print_cpus(struct json_object *doc)
{
	struct out_table *t = NULL;

	for (size_t i = 0; i < js_len(doc, "cpus"); i++) {
		struct json_object *cpu = js_at(doc, "cpus", i);

		if (!strcmp(js_str(cpu, "near"), "own"))
			continue;
		if (!t) {
			putchar('\n');
			t = out_table_new("cpu worker <shares");
		}
		js_cell(t, cpu, "cpu");
		js_cell(t, cpu, "worker");
		js_cell(t, cpu, "near");
	}
	out_table_print(t);
}

static int show(const struct worker_conf *c)
{
	struct json_object *doc;

	if (query_daemon(NAME, c->dev, SLUICE_QUERY_WORKER, &doc))
		return EXIT_FAILURE;
	if (c->json)
		return out_json(doc, true);
	printf("%s: %zu workers, %" PRIu64 " at most\n\n", js_str(doc, "dev"),
	       js_len(doc, "workers"), js_u64(doc, "max"));
	print_workers(doc);
	print_cpus(doc);
	json_object_put(doc);
	return EXIT_SUCCESS;
}

static int change(const struct worker_conf *c, enum sluice_ctl_worker verb, const char *text)
{
	static const struct opt any = { .max = UINT32_MAX };
	struct sluice_ctl_msg msg = { .type = SLUICE_CTL_WORKER, .u.worker.verb = verb };
	uint32_t cpu;

	if (opt_u32(&any, text, &cpu))
		return opt_usage(NAME, "`%s` is no number of a CPU", text);
	msg.u.worker.cpu = cpu;
	if (request_daemon(NAME, c->dev, &msg, NULL))
		return EXIT_FAILURE;
	if (msg.u.done.text[0])
		printf("%.*s\n", SLUICE_CTL_TEXT, msg.u.done.text);
	return EXIT_SUCCESS;
}

static int worker_run(void *conf)
{
	const struct worker_conf *c = conf;
	const struct opt_words *w = &c->words;

	if (!w->n || (w->n == 1 && !strcmp(w->v[0], "show")))
		return show(c);
	if (w->n == 2 && !strcmp(w->v[0], "add"))
		return change(c, SLUICE_WORKER_ADD, w->v[1]);
	if (w->n == 2 && !strcmp(w->v[0], "del"))
		return change(c, SLUICE_WORKER_DEL, w->v[1]);
	return opt_usage(NAME, "expected `show`, `add CPU` or `del CPU`");
}

const struct command cmd_worker = {
	.name = NAME,
	.summary = "the workers and their CPUs; added or removed",
	.args = " [show | add CPU | del CPU] [-i DEV] [-j]",
	.takes_words = true,
	.words = offsetof(struct worker_conf, words),
	.opts = worker_opts,
	.nopts = sizeof(worker_opts) / sizeof(worker_opts[0]),
	.conf_size = sizeof(struct worker_conf),
	.run = worker_run,
};
