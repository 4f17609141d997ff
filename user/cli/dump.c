// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * dump.c - `sluice dump`: frames that pass the daemon, as lines or as a capture.
 *
 * The filter runs here and not in the daemon: what it costs, or does, is nobody else's business
 * then, and what a tap costs the daemon is the same for every filter.
 */
#include <errno.h>
#include <inttypes.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/out.h"
#include "cli/print.h"
#include "cli/tap.h"

#define NAME "dump"

/*
 * How long to wait when nothing has come. The daemon wakes nobody here; its default ring holds
 * this long a stretch of any traffic. Longer makes frames late.
 */
#define LOOK_MS 2
/* Frames after which their room is given back, if so many come at once. */
#define RELEASE_EVERY 256

struct dump {
	const char *dev;
	const char *file;
	const char *stage_name;
	uint64_t count;
	uint32_t snaplen;
	uint32_t ring;
	bool json;
	struct opt_words words;

	enum sluice_tap_stage stage;
	struct tap_reader tap;
	pcap_t *pcap;
	struct bpf_program filter;
	bool has_filter;
	pcap_dumper_t *out;
	uint64_t seen;
	uint64_t matched;
};

#define FIELD(f) offsetof(struct dump, f)

static const struct opt dump_opts[] = {
	{ 'i', "dev", "DEV", opt_string, FIELD(dev), 0, 0,
	  "device (default: the only daemon's)" },
	{ 'w', "write", "FILE", opt_string, FIELD(file), 0, 0,
	  "capture file instead of lines; - is the standard output" },
	{ 0, "stage", "rx|gro|l4", opt_string, FIELD(stage_name), 0, 0,
	  "as received (default), after GRO, or what sockets get" },
	{ 'c', "count", "N", opt_u64, FIELD(count), 1, UINT64_MAX, "end after so many frames" },
	{ 's', "snaplen", "BYTES", opt_u32, FIELD(snaplen), 1, SLUICE_TAP_SNAP,
	  "bytes to keep of each frame (default: all)" },
	{ 0, "ring", "BYTES", opt_u32, FIELD(ring), SLUICE_LANE_MIN, SLUICE_LANE_MAX,
	  "memory per worker, a power of two (default 4194304)" },
	{ 'j', "json", NULL, NULL, FIELD(json), 0, 0,
	  "one JSON document per frame and a last one" },
};

static int check_usage(struct dump *d)
{
	static const char *const names[] = { "rx", "gro", "l4" };
	uint32_t stage = 0;

	while (d->stage_name && stage < SLUICE_TAP_STAGES && strcmp(d->stage_name, names[stage]))
		stage++;
	if (stage == SLUICE_TAP_STAGES)
		return opt_usage(NAME, "--stage `%s` is none of rx, gro, l4", d->stage_name);
	if (d->ring & (d->ring - 1))
		return opt_usage(NAME, "--ring %u is no power of two", d->ring);
	if (d->json && d->file && !strcmp(d->file, "-"))
		return opt_usage(NAME, "-j and -w - both want the standard output");
	d->stage = (enum sluice_tap_stage)stage;
	return 0;
}

static int compile(struct dump *d)
{
	char text[4096] = "";
	size_t at = 0;

	d->pcap = pcap_open_dead_with_tstamp_precision(DLT_EN10MB, SLUICE_TAP_SNAP,
						       PCAP_TSTAMP_PRECISION_NANO);
	if (!d->pcap)
		return out_error(NAME, "out of memory");
	for (size_t i = 0; i < d->words.n && at < sizeof(text); i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", i ? " " : "",
				       d->words.v[i]);
	if (at >= sizeof(text))
		return opt_usage(NAME, "the filter is longer than %zu characters", sizeof(text));
	if (!at)
		return 0;
	if (pcap_compile(d->pcap, &d->filter, text, 1, PCAP_NETMASK_UNKNOWN))
		return opt_usage(NAME, "filter `%s`: %s", text, pcap_geterr(d->pcap));
	d->has_filter = true;
	return 0;
}

static int open_file(struct dump *d)
{
	if (!d->file)
		return 0;
	d->out = pcap_dump_open(d->pcap, d->file);
	return d->out ? 0 : out_error(NAME, "cannot write: %s", pcap_geterr(d->pcap));
}

static void print_line(const struct dump *d, const struct sluice_tap_rec *rec)
{
	time_t s = (time_t)(rec->tstamp / 1000000000);
	char text[256], clock[16] = "";
	struct tm tm;

	print_frame(text, sizeof(text), (const uint8_t *)(rec + 1), rec->len, rec->wire_len);
	if (d->json) {
		struct json_object *o = json_object_new_object();

		js_add_u64(o, "time_ns", rec->tstamp);
		js_add_u64(o, "length", rec->wire_len);
		js_add_u64(o, "captured", rec->len);
		js_add_u64(o, "queue", rec->queue);
		js_add_u64(o, "worker", rec->worker);
		js_add_u64(o, "hash", rec->hash);
		js_add_u64(o, "ifindex", rec->ifindex);
		js_add_str(o, "text", text);
		out_json(o, false);
		return;
	}
	if (localtime_r(&s, &tm))
		strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	printf("%s.%06u %s\n", clock, (unsigned int)(rec->tstamp % 1000000000 / 1000), text);
}

static void take(struct dump *d, const struct sluice_tap_rec *rec)
{
	struct pcap_pkthdr h = {
		/* In nanoseconds, as the file is. */
		.ts = { .tv_sec = (time_t)(rec->tstamp / 1000000000),
			.tv_usec = (suseconds_t)(rec->tstamp % 1000000000) },
		.caplen = rec->len,
		.len = rec->wire_len,
	};

	d->seen++;
	if (d->has_filter && !pcap_offline_filter(&d->filter, &h, (const u_char *)(rec + 1)))
		return;
	d->matched++;
	if (d->out)
		pcap_dump((u_char *)d->out, &h, (const u_char *)(rec + 1));
	else
		print_line(d, rec);
}

static bool is_enough(const struct dump *d)
{
	return d->count && d->matched >= d->count;
}

/* What has come. True: something. */
static bool drain(struct dump *d)
{
	const struct sluice_tap_rec *rec;
	unsigned int n = 0;

	if (!tap_look(&d->tap))
		return false;
	while (!is_enough(d) && (rec = tap_next(&d->tap))) {
		take(d, rec);
		if (++n % RELEASE_EVERY == 0)
			tap_release(&d->tap);
	}
	tap_release(&d->tap);
	return true;
}

/* Lost its reader, or its disk. */
static bool output_failed(struct dump *d)
{
	return d->out ? pcap_dump_flush(d->out) || ferror(pcap_dump_file(d->out)) :
			fflush(stdout) || ferror(stdout);
}

static int loop(struct dump *d, int signals)
{
	struct pollfd fds[2] = {
		{ .fd = signals, .events = POLLIN },
		{ .fd = d->tap.sock, .events = POLLIN },
	};

	while (!is_enough(d)) {
		bool some = drain(d);

		if (some && output_failed(d))
			return out_error(NAME, "cannot write: %s", strerror(errno));
		if (poll(fds, 2, some ? 0 : LOOK_MS) < 0 && errno != EINTR)
			return out_error(NAME, "poll: %s", strerror(errno));
		if (fds[0].revents) {
			/* What the user saw happen before the signal is in the rings. */
			drain(d);
			break;
		}
		if (fds[1].revents) {
			drain(d);
			return out_error(NAME, "the daemon has ended the tap; is it well? see "
					 "its log");
		}
	}
	return output_failed(d) ? out_error(NAME, "cannot write: %s", strerror(errno)) :
				  EXIT_SUCCESS;
}

static void report(const struct dump *d)
{
	uint64_t copied, lost;

	tap_count(&d->tap, &copied, &lost);
	if (d->json) {
		struct json_object *o = json_object_new_object();

		js_add_u64(o, "written", d->matched);
		js_add_u64(o, "seen", d->seen);
		js_add_u64(o, "lost", lost);
		out_json(o, false);
		return;
	}
	fprintf(stderr, "%" PRIu64 " frames %s, %" PRIu64 " seen, %" PRIu64
		" lost because a ring was full\n", d->matched, d->out ? "written" : "printed",
		d->seen, lost);
}

static int run(struct dump *d)
{
	sigset_t set;
	int status = check_usage(d), signals;

	if (!status)
		status = compile(d);
	if (status)
		return status;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		return out_error(NAME, "signalfd: %s", strerror(errno));
	if (tap_open(&d->tap, NAME, d->dev, d->stage, d->snaplen, d->ring)) {
		close(signals);
		return EXIT_FAILURE;
	}
	/* Not before it is sure that there is something to write. */
	status = open_file(d);
	if (!status) {
		fprintf(stderr, "sluice dump: looking at what the daemon receives\n");
		status = loop(d, signals);
		report(d);
	}
	tap_close(&d->tap);
	close(signals);
	return status;
}

static int dump_run(void *conf)
{
	struct dump *d = conf;
	int status = run(d);

	if (d->out)
		pcap_dump_close(d->out);
	if (d->has_filter)
		pcap_freecode(&d->filter);
	if (d->pcap)
		pcap_close(d->pcap);
	return status;
}

const struct command cmd_dump = {
	.name = NAME,
	.summary = "shows, or writes to a file, the frames that pass the daemon",
	.args = " [-i DEV] [-w FILE] [--stage rx|gro|l4] [-c N] [FILTER...]",
	.takes_words = true,
	.words = FIELD(words),
	.opts = dump_opts,
	.nopts = sizeof(dump_opts) / sizeof(dump_opts[0]),
	.conf_size = sizeof(struct dump),
	.run = dump_run,
};
