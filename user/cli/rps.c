// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* rps.c - `sluice rps`: the CPUs and flows of each queue, and the size of the flow table. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/mask.h"
#include "cli/out.h"
#include "cli/query.h"

#define NAME "rps"

struct rps_conf {
	const char *dev;
	bool json;
	struct opt_words words;
};

static const struct opt rps_opts[] = {
	{ 'i', "dev", "DEV", opt_string, offsetof(struct rps_conf, dev), 0, 0,
	  "device (default: the only daemon's)" },
	{ 'j', "json", NULL, NULL, offsetof(struct rps_conf, json), 0, 0,
	  "show: the daemon's document as it is" },
};

static int show(const struct rps_conf *c)
{
	struct json_object *doc;
	struct out_table *t;

	if (query_daemon(NAME, c->dev, SLUICE_QUERY_RPS, &doc))
		return EXIT_FAILURE;
	if (c->json)
		return out_json(doc, true);
	printf("%s: rps_sock_flow_entries %" PRIu64 ", kernel-rfs %s, cpumap %s, queue %" PRIu64
	       "\n\n", js_str(doc, "dev"), js_u64(doc, "rps_sock_flow_entries"),
	       js_str(doc, "kernel_rfs"), js_str(doc, "cpumap_cpus"), js_u64(doc, "cpumap_queue"));
	t = out_table_new("queue <rps_cpus rps_flow_cnt");
	for (size_t i = 0; i < js_len(doc, "queues"); i++) {
		js_cell(t, js_at(doc, "queues", i), "queue");
		js_cell(t, js_at(doc, "queues", i), "rps_cpus");
		js_cell(t, js_at(doc, "queues", i), "rps_flow_cnt");
	}
	out_table_print(t);
	json_object_put(doc);
	return EXIT_SUCCESS;
}

/* A decimal number of 32 bits. */
static int number(const char *what, const char *text, uint32_t *v)
{
	static const struct opt any = { .max = UINT32_MAX };

	if (!opt_u32(&any, text, v))
		return 0;
	opt_usage(NAME, "`%s` is no number for %s", text, what);
	return -EINVAL;
}

static int mask(const char *text, struct sluice_ctl_msg *msg)
{
	uint64_t cpus[SLUICE_MAX_CPUS / 64];
	int err = mask_parse(text, cpus, SLUICE_MAX_CPUS);

	if (err == -EOVERFLOW)
		opt_usage(NAME,
			  "`%s` is too large for a CPU mask (8 hexadecimal digits between commas, "
			  "at most %u CPUs)", text, SLUICE_MAX_CPUS);
	else if (err)
		opt_usage(NAME, "`%s` is no CPU mask such as 3 or ff,00000000", text);
	else
		memcpy(msg->u.rps.cpus, cpus, sizeof(cpus));
	return err;
}

static int set(const char *dev, struct sluice_ctl_msg *msg)
{
	msg->type = SLUICE_CTL_RPS;
	return request_daemon(NAME, dev, msg, NULL) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int set_entries(const struct rps_conf *c, const char *text)
{
	struct sluice_ctl_msg msg = { .u.rps.what = SLUICE_RPS_ENTRIES };
	uint32_t entries;

	if (number("entries", text, &entries))
		return 2;
	msg.u.rps.entries = entries;
	return set(c->dev, &msg);
}

static int set_kernel_rfs(const struct rps_conf *c, const char *text)
{
	struct sluice_ctl_msg msg = { .u.rps.what = SLUICE_RPS_KERNEL_RFS };

	if (strcmp(text, "on") && strcmp(text, "off"))
		return opt_usage(NAME, "`%s`: kernel-rfs is on or off", text);
	msg.u.rps.entries = !strcmp(text, "on");
	return set(c->dev, &msg);
}

/* One value. 0; 2: the user has been told. */
static int set_key(const char *key, const char *text, struct sluice_ctl_msg *msg)
{
	uint32_t bit = strcmp(key, "cpus") ? SLUICE_RPS_FLOW_CNT : SLUICE_RPS_CPUS, n;

	if (msg->u.rps.what & bit)
		return opt_usage(NAME, "`%s` is given twice", key);
	msg->u.rps.what |= bit;
	if (bit == SLUICE_RPS_CPUS)
		return mask(text, msg) ? 2 : 0;
	if (number(key, text, &n))
		return 2;
	msg->u.rps.flow_cnt = n;
	return 0;
}

/* KEY VALUE in any order. */
static int set_queue(const struct rps_conf *c, const char *const *v, size_t n)
{
	struct sluice_ctl_msg msg = { .u.rps.what = 0 };
	const char *dev = c->dev;
	bool has_queue = false;
	uint32_t queue = 0;

	for (size_t i = 0; i + 1 < n; i += 2) {
		if (!strcmp(v[i], "dev")) {
			dev = v[i + 1];
		} else if (!strcmp(v[i], "queue") && !has_queue) {
			if (number("queue", v[i + 1], &queue))
				return 2;
			has_queue = true;
		} else if (!strcmp(v[i], "cpus") || !strcmp(v[i], "flow_cnt")) {
			if (set_key(v[i], v[i + 1], &msg))
				return 2;
		} else {
			return opt_usage(NAME, "`%s` is not known here, or given twice", v[i]);
		}
	}
	if (n % 2 || !has_queue || !msg.u.rps.what)
		return opt_usage(NAME, "expected `set dev DEV queue N [cpus MASK] [flow_cnt N]`");
	msg.u.rps.queue = queue;
	return set(dev, &msg);
}

static int set_arfs(const struct rps_conf *c, const char *text)
{
	struct sluice_ctl_msg msg = { .u.rps.what = SLUICE_RPS_ARFS };

	if (strcmp(text, "on") && strcmp(text, "off"))
		return opt_usage(NAME, "`arfs` is `on` or `off`, not `%s`", text);
	msg.u.rps.entries = !strcmp(text, "on");
	return set(c->dev, &msg);
}

static int rps_run(void *conf)
{
	const struct rps_conf *c = conf;
	const struct opt_words *w = &c->words;

	if (!w->n || (w->n == 1 && !strcmp(w->v[0], "show")))
		return show(c);
	if (w->n == 3 && !strcmp(w->v[0], "set") && !strcmp(w->v[1], "entries"))
		return set_entries(c, w->v[2]);
	if (w->n == 3 && !strcmp(w->v[0], "set") && !strcmp(w->v[1], "kernel-rfs"))
		return set_kernel_rfs(c, w->v[2]);
	if (w->n == 3 && !strcmp(w->v[0], "set") && !strcmp(w->v[1], "arfs"))
		return set_arfs(c, w->v[2]);
	if (!strcmp(w->v[0], "set"))
		return set_queue(c, w->v + 1, w->n - 1);
	return opt_usage(NAME, "expected `show`, `set dev DEV queue N [cpus MASK] [flow_cnt N]`, "
			 "`set entries N`, `set kernel-rfs on|off` or `set arfs on|off`");
}

const struct command cmd_rps = {
	.name = NAME,
	.summary = "CPUs and flows of each queue, the flow table's size, RFS of the kernel; read or set",
	.args = " [show | set dev DEV queue N [cpus MASK] [flow_cnt N] | set entries N |\n"
		"                  set kernel-rfs on|off | set arfs on|off] [-i DEV] [-j]",
	.takes_words = true,
	.words = offsetof(struct rps_conf, words),
	.opts = rps_opts,
	.nopts = sizeof(rps_opts) / sizeof(rps_opts[0]),
	.conf_size = sizeof(struct rps_conf),
	.run = rps_run,
};
