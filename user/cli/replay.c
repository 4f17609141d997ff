// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* replay.c - `sluice replay`: the engine on a capture file, without a device and without root. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <sluice/drop.h>

#include "cli/commands.h"
#include "cli/out.h"
#include "cli/replayer.h"

#define NAME "replay"
#define LOCAL_MAX 64
#define NSEC ((uint64_t)1000000000)

struct ports {
	unsigned int n;
	uint16_t v[65536];
	bool set[65536];
};

struct locals {
	unsigned int n;
	struct sluice_addr v[LOCAL_MAX];
};

struct replay_conf {
	struct opt_words words;
	uint32_t poll;
	const char *write;
	const char *stage;
	bool json;
	struct locals local;
	struct ports udp;
};

static int opt_local(const struct opt *o, const char *arg, void *field)
{
	struct sluice_addr addr = { .w = { 0, 0, htonl(0xffff), 0 } };
	struct locals *l = field;

	(void)o;
	if (inet_pton(AF_INET, arg, &addr.w[3]) != 1 && inet_pton(AF_INET6, arg, &addr) != 1)
		return -EINVAL;
	if (l->n == LOCAL_MAX)
		return -ENOSPC;
	l->v[l->n++] = addr;
	return 0;
}

static void add_port(struct ports *p, unsigned long port)
{
	if (!p->set[port])
		p->v[p->n++] = (uint16_t)port;
	p->set[port] = true;
}

/* As opt_list(), but all ports there are may be named, and more than once. */
static int opt_ports(const struct opt *o, const char *arg, void *field)
{
	for (;;) {
		unsigned long first, last;
		char *end;

		if (*arg < '0' || *arg > '9')
			return -EINVAL;
		first = strtoul(arg, &end, 10);
		last = first;
		if (*end == '-' && end[1] >= '0' && end[1] <= '9')
			last = strtoul(end + 1, &end, 10);
		if (first > o->max || last > o->max)
			return -ERANGE;
		if (first > last || (*end && *end != ','))
			return -EINVAL;
		for (unsigned long v = first; v <= last; v++)
			add_port(field, v);
		if (!*end)
			return 0;
		arg = end + 1;
	}
}

static const struct opt replay_opts[] = {
	{ 0, "local", "ADDR", opt_local, offsetof(struct replay_conf, local), 0, 0,
	  "an address of this host; may be repeated (default: any is)" },
	{ 0, "udp", "PORT", opt_ports, offsetof(struct replay_conf, udp), 0, 65535,
	  "a socket on this port, or list as 53,4000-4010 (default: on all)" },
	{ 0, "poll", "N", opt_u32, offsetof(struct replay_conf, poll), 1, REPLAYER_POLL_MAX,
	  "packets that wait when a poll round begins (default 64)" },
	{ 'w', "write", "FILE", opt_string, offsetof(struct replay_conf, write), 0, 0,
	  "write the packets of the stage, as pcap" },
	{ 0, "stage", "STAGE", opt_string, offsetof(struct replay_conf, stage), 0, 0,
	  "rx (as captured), gro (after GRO) or l4 (what sockets got)" },
	{ 'j', "json", NULL, NULL, offsetof(struct replay_conf, json), 0, 0, "print JSON" },
};

struct reason {
	const char *name, *text;
};

#define X(id, name, text) { name, text },
static const struct reason drops[] = { SLUICE_DROP_LIST(X) };
#undef X

static uint64_t dropped(const struct napi_stat *stat)
{
	uint64_t sum = 0;

	for (int i = 0; i < SLUICE_DROPS; i++)
		sum += stat->drop[i];
	return sum;
}

static bool closed(const struct replayer_books *b, uint64_t packets)
{
	uint64_t delivered = 0;

	for (int i = 0; i < 65536; i++)
		delivered += b->port[i].packets;
	return b->stat->received == packets && b->stat->delivered == delivered &&
	       packets == delivered + dropped(b->stat);
}

static struct json_object *json_time(uint64_t ns)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRIu64 ".%09" PRIu64, ns / NSEC, ns % NSEC);
	return json_object_new_double_s((double)ns / 1e9, text);
}

static struct json_object *json_ports(const struct replayer_books *b)
{
	struct json_object *list = json_object_new_array();

	for (unsigned int i = 0; i < 65536; i++) {
		struct json_object *o;

		if (!b->port[i].packets)
			continue;
		o = json_object_new_object();
		js_add_u64(o, "port", i);
		js_add_u64(o, "packets", b->port[i].packets);
		js_add_u64(o, "bytes", b->port[i].bytes);
		json_object_array_add(list, o);
	}
	return list;
}

static int print_json(const struct replay_conf *conf, const struct capture *c,
		      const struct replayer_books *b)
{
	struct json_object *doc = json_object_new_object(), *o = json_object_new_object();

	js_add_str(doc, "file", conf->words.v[0]);
	js_add_str(doc, "link", pcap_datalink_val_to_name(c->link));
	js_add_u64(doc, "packets", c->packets);
	json_object_object_add(doc, "first", json_time(b->first));
	json_object_object_add(doc, "last", json_time(b->last));
	js_add_u64(doc, "received", b->stat->received);
	js_add_u64(doc, "bytes", b->stat->bytes);
	js_add_u64(doc, "delivered", b->stat->delivered);
	js_add_u64(doc, "dropped", dropped(b->stat));
	js_add_u64(doc, "merged", b->merged);
	js_add_u64(doc, "merged_into", b->merged_into);
	js_add_u64(doc, "csum_partial", b->stat->csum_partial);
	for (int i = 0; i < SLUICE_DROPS; i++)
		js_add_u64(o, drops[i].name, b->stat->drop[i]);
	json_object_object_add(doc, "drops", o);
	json_object_object_add(doc, "ports", json_ports(b));
	js_add_bool(doc, "closed", closed(b, c->packets));
	if (c->ended < 0)
		js_add_str(doc, "error", c->error);
	return out_json(doc, true);
}

static void print_ports(const struct replayer_books *b)
{
	struct out_table *t = NULL;

	for (unsigned int i = 0; i < 65536; i++) {
		if (!b->port[i].packets)
			continue;
		if (!t) {
			t = out_table_new("port packets bytes");
			putchar('\n');
		}
		out_cell(t, "%u", i);
		out_cell(t, "%" PRIu64, b->port[i].packets);
		out_cell(t, "%" PRIu64, b->port[i].bytes);
	}
	out_table_print(t);
}

static void print_drops(const struct napi_stat *stat)
{
	struct out_table *t = NULL;

	for (int i = 0; i < SLUICE_DROPS; i++) {
		if (!stat->drop[i])
			continue;
		if (!t) {
			t = out_table_new("<drop packets <meaning");
			putchar('\n');
		}
		out_cell(t, "%s", drops[i].name);
		out_cell(t, "%" PRIu64, stat->drop[i]);
		out_cell(t, "%s", drops[i].text);
	}
	out_table_print(t);
}

static int print_text(const struct replay_conf *conf, const struct capture *c,
		      const struct replayer_books *b)
{
	uint64_t ns = b->last - b->first;

	printf("%s: %s, %" PRIu64 " packets, %" PRIu64 " bytes, %" PRIu64 ".%09" PRIu64 " s\n",
	       conf->words.v[0], pcap_datalink_val_to_name(c->link), c->packets, b->stat->bytes,
	       ns / NSEC, ns % NSEC);
	print_ports(b);
	print_drops(b->stat);
	if (b->merged)
		printf("\n%" PRIu64 " merged into %" PRIu64 " by GRO\n", b->merged, b->merged_into);
	if (b->stat->csum_partial)
		printf("\n%" PRIu64 " with the checksum that a sender leaves to its device\n",
		       b->stat->csum_partial);
	printf("\nbooks: received %" PRIu64 " = delivered %" PRIu64 " + dropped %" PRIu64 ": %s\n",
	       b->stat->received, b->stat->delivered, dropped(b->stat),
	       closed(b, c->packets) ? "they close" : "THEY DO NOT CLOSE");
	return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static bool same_file(FILE *in, const char *path)
{
	struct stat a, b;

	return !fstat(fileno(in), &a) && !stat(path, &b) && S_ISREG(b.st_mode) &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int open_out(const struct replay_conf *conf, enum replayer_stage stage,
		    const struct capture *c, struct capture_out *out)
{
	int link = stage == REPLAYER_RX ? c->link : stage == REPLAYER_GRO ? DLT_EN10MB : DLT_RAW;
	int err = 0;

	if (!conf->write)
		return 0;
	/* Opening it would empty what is yet to be read. */
	if (same_file(pcap_file(c->pcap), conf->write))
		return out_error(NAME, "%s: is the capture itself; write to another file",
				 conf->write);
	err = capture_out_open(out, conf->write, link);
	return err ? out_error(NAME, "%s: %s", conf->write, strerror(-err)) : 0;
}

static int play(const struct replay_conf *conf, const struct replayer_config *config,
		struct capture *c)
{
	struct replayer_books books;
	struct replayer *r;
	int err, status;

	err = replayer_new(&r, config);
	if (err)
		return out_error(NAME, "cannot start the engine: %s", strerror(-err));
	err = replayer_run(r, c);
	books = replayer_books(r);
	status = conf->json ? print_json(conf, c, &books) : print_text(conf, c, &books);
	if (err)
		status = out_error(NAME, "%s: %s; the %" PRIu64 " packets before it are counted",
				   conf->words.v[0], c->error, c->packets);
	else if (!closed(&books, c->packets))
		status = out_error(NAME, "the books do not close");
	replayer_free(r);
	return status;
}

static int play_file(const struct replay_conf *conf, enum replayer_stage stage, struct capture *c)
{
	const struct addr_list local = { .nr = conf->local.n, .addr = conf->local.v };
	struct capture_out out = { 0 };
	struct replayer_config config = {
		.poll = conf->poll,
		.local = local.nr ? &local : NULL,
		.port = conf->udp.v,
		.nr_port = conf->udp.n,
		.out = conf->write ? &out : NULL,
		.stage = stage,
	};
	int status = open_out(conf, stage, c, &out);

	if (status)
		return status;
	status = play(conf, &config, c);
	if (capture_out_close(&out))
		status = out_error(NAME, "%s: could not be written to its end", conf->write);
	return status;
}

static int read_stage(const char *name, enum replayer_stage *stage)
{
	static const char *const names[] = {
		[REPLAYER_RX] = "rx",
		[REPLAYER_GRO] = "gro",
		[REPLAYER_L4] = "l4",
	};

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(names[i], name)) {
			*stage = i;
			return 0;
		}
	}
	return opt_usage(NAME, "--stage does not take `%s`: it wants rx, gro or l4", name);
}

static int check(const struct replay_conf *conf, enum replayer_stage *stage)
{
	if (conf->words.n != 1)
		return opt_usage(NAME, "expected one FILE");
	if (!conf->write != !conf->stage)
		return opt_usage(NAME, "-w FILE and --stage STAGE belong together");
	if (conf->write && !strcmp(conf->write, "-"))
		return opt_usage(NAME, "-w does not take `-`: the books are on standard output");
	return conf->stage ? read_stage(conf->stage, stage) : 0;
}

static int replay_run(void *v)
{
	const struct replay_conf *conf = v;
	enum replayer_stage stage = REPLAYER_RX;
	int status = check(conf, &stage);
	struct capture c;
	FILE *file;

	if (status)
		return status;
	file = strcmp(conf->words.v[0], "-") ? fopen(conf->words.v[0], "rb") : stdin;
	if (!file)
		return out_error(NAME, "%s: %s", conf->words.v[0], strerror(errno));
	if (capture_open(&c, file))
		return out_error(NAME, "%s: %s", conf->words.v[0], c.error);
	status = play_file(conf, stage, &c);
	capture_close(&c);
	return status;
}

static void replay_defaults(void *v)
{
	struct replay_conf *conf = v;

	conf->poll = NAPI_WEIGHT;
}

const struct command cmd_replay = {
	.name = NAME,
	.summary = "the receive path on a capture file: what is delivered, what is dropped and why",
	.args = " FILE [--local ADDR]... [--udp PORT]... [--poll N] [-w FILE --stage STAGE] [-j]",
	.takes_words = true,
	.words = offsetof(struct replay_conf, words),
	.opts = replay_opts,
	.nopts = sizeof(replay_opts) / sizeof(replay_opts[0]),
	.conf_size = sizeof(struct replay_conf),
	.defaults = replay_defaults,
	.run = replay_run,
};
