// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* recv.c - `sluice recv`: receives on UDP ports through sluice, and reports. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/sock_diag.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "cli/commands.h"
#include "cli/out.h"
#include "cli/receive.h"
#include "sluice/lane.h"

#define NAME "recv"
#define NO_CPU UINT32_MAX

struct recv {
	const char *addr, *dev;
	struct opt_list ports;
	uint32_t cpu, batch, lane, rcvbuf;
	uint64_t count, time_ns, idle_ns, interval_ns, hop_ns;
	bool ip4, ip6, kernel, view, require, verify, gro, json;
};

#define FIELD(f) offsetof(struct recv, f)
#define DAY_MS 86400000ull
static const struct opt recv_opts[] = {
	{ 'p', "port", "PORT[,PORT...]", opt_list, FIELD(ports), 1, 65535, "ports to receive on" },
	{ 'a', "address", "ADDR", opt_string, FIELD(addr), 0, 0, "local address (default: any)" },
	{ '4', "ipv4", NULL, NULL, FIELD(ip4), 0, 0, "IPv4 (the default)" },
	{ '6', "ipv6", NULL, NULL, FIELD(ip6), 0, 0, "IPv6" },
	{ 'n', "count", "N", opt_u64, FIELD(count), 1, UINT64_MAX, "end after N datagrams" },
	{ 't', "time", "SECONDS", opt_seconds, FIELD(time_ns), 1, 1000000ull * 1000000000,
	  "end after this time" },
	{ 0, "idle", "MS", opt_ms, FIELD(idle_ns), 1, DAY_MS,
	  "end when nothing came for MS after the first" },
	{ 0, "kernel", NULL, NULL, FIELD(kernel), 0, 0, "kernel socket only: do not attach" },
	{ 0, "view", NULL, NULL, FIELD(view), 0, 0,
	  "read datagrams where they lie, without a copy" },
	{ 0, "require", NULL, NULL, FIELD(require), 0, 0,
	  "fail rather than fall back to the kernel" },
	{ 0, "gro", NULL, NULL, FIELD(gro), 0, 0,
	  "take consecutive datagrams of a flow as one (UDP_GRO)" },
	{ 0, "verify", NULL, NULL, FIELD(verify), 0, 0, "check every byte of the payload" },
	{ 0, "dev", "DEV", opt_string, FIELD(dev), 0, 0, "device whose daemon to use" },
	{ 0, "lane", "BYTES", opt_u32, FIELD(lane), SLUICE_LANE_MIN, SLUICE_LANE_MAX,
	  "ring size, a power of two (default 2 MiB)" },
	{ 0, "rcvbuf", "BYTES", opt_u32, FIELD(rcvbuf), 1, 1 << 30, "kernel socket's buffer" },
	{ 0, "batch", "N", opt_u32, FIELD(batch), 1, 1024, "datagrams per call (default 64)" },
	{ 0, "cpu", "N", opt_u32, FIELD(cpu), 0, CPU_SETSIZE - 1,
	  "pin to this CPU; SIGUSR1 moves to the next" },
	{ 0, "hop", "MS", opt_ms, FIELD(hop_ns), 1, DAY_MS, "move to the next CPU every MS" },
	{ 0, "interval", "MS", opt_ms, FIELD(interval_ns), 1, DAY_MS, "print a line every MS" },
	{ 'j', "json", NULL, NULL, FIELD(json), 0, 0,
	  "report in JSON (a line each, if --interval)" },
};

static void recv_defaults(void *conf)
{
	struct recv *c = conf;

	c->cpu = NO_CPU;
	c->batch = 64;
}

struct progress {
	bool json;
	uint64_t received, ns;
};

static void report_progress(const struct receive *r, void *arg)
{
	uint64_t lost = track_lost(&r->track), new_ones;
	struct progress *p = arg;
	double s, pps;

	s = (double)(r->now_ns - (p->ns ? p->ns : r->start_ns)) / 1e9;
	new_ones = r->received - p->received;
	pps = s > 0 ? (double)new_ones / s : 0;
	p->ns = r->now_ns;
	p->received = r->received;
	s = (double)(r->now_ns - r->start_ns) / 1e9;
	if (p->json) {
		struct json_object *o = json_object_new_object();

		js_add_real(o, "seconds", s);
		js_add_u64(o, "received", r->received);
		js_add_real(o, "pps", pps);
		js_add_u64(o, "lost", lost);
		js_add_u64(o, "reordered", r->track.reordered);
		js_add_u64(o, "duplicates", r->track.duplicates);
		js_add_u64(o, "flows", r->track.flows);
		js_add_u64(o, "cpu", (uint64_t)sched_getcpu());
		out_json(o, false);
		return;
	}
	printf("%8.3f s  %12" PRIu64 "  %10.0f pps  lost %" PRIu64 "  reordered %" PRIu64
	       "  dup %" PRIu64 "  flows %u  cpu %d\n",
	       s, r->received, pps, lost, r->track.reordered, r->track.duplicates, r->track.flows,
	       sched_getcpu());
	fflush(stdout);
}

static const char *path_name(const struct receive_port *p)
{
	static const char *const name[] = {
		[SLUICE_PATH_KERNEL] = "kernel",
		[SLUICE_PATH_WAITING] = "waiting",
		[SLUICE_PATH_LANE] = "lane",
	};

	return name[p->sock ? sluice_path(p->sock) : SLUICE_PATH_KERNEL];
}

static const char *path_reason(const struct receive_port *p)
{
	return p->sock ? sluice_reason(p->sock) : "--kernel";
}

/* Datagrams that found the kernel socket's buffer full. */
static uint64_t socket_drops(int fd)
{
	uint32_t info[SK_MEMINFO_VARS] = { 0 };
	socklen_t len = sizeof(info);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len))
		return 0;
	return info[SK_MEMINFO_DROPS];
}

static struct sluice_stats port_stats(const struct receive_port *p)
{
	struct sluice_stats st = { 0 };

	if (!p->sock || sluice_stats(p->sock, &st))
		st.kernel_datagrams = p->received;
	return st;
}

struct summary {
	double seconds, pps;
	double user, system, ns_each;
	uint64_t lane, kernel;
};

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static struct summary summarize(const struct receive *r, const struct rusage *before)
{
	struct summary s = { .seconds = (double)(r->last_ns - r->first_ns) / 1e9 };
	struct rusage now;

	getrusage(RUSAGE_SELF, &now);
	s.user = seconds(now.ru_utime) - seconds(before->ru_utime);
	s.system = seconds(now.ru_stime) - seconds(before->ru_stime);
	if (s.seconds > 0)
		s.pps = (double)r->received / s.seconds;
	if (r->received)
		s.ns_each = (s.user + s.system) * 1e9 / (double)r->received;
	for (uint32_t i = 0; i < r->plan.nports; i++) {
		struct sluice_stats st = port_stats(&r->port[i]);

		s.lane += st.lane_datagrams;
		s.kernel += st.kernel_datagrams;
	}
	return s;
}

static struct json_object *port_list(const struct receive *r)
{
	struct json_object *list = json_object_new_array();

	for (uint32_t i = 0; i < r->plan.nports; i++) {
		const struct receive_port *p = &r->port[i];
		struct json_object *o = json_object_new_object();
		struct sluice_stats st = port_stats(p);

		js_add_u64(o, "port", p->port);
		js_add_u64(o, "received", p->received);
		js_add_u64(o, "lane", st.lane_datagrams);
		js_add_u64(o, "kernel", st.kernel_datagrams);
		js_add_u64(o, "lane_drops", st.lane_drops);
		js_add_u64(o, "socket_drops", socket_drops(p->fd));
		js_add_u64(o, "wakeups", st.wakeups);
		js_add_str(o, "path", path_name(p));
		js_add_str(o, "reason", path_reason(p));
		json_object_array_add(list, o);
	}
	return list;
}

static int report_json(const struct recv *c, const struct receive *r, const struct summary *s)
{
	struct json_object *o = json_object_new_object(), *cpu = json_object_new_object();

	js_add_u64(o, "received", r->received);
	js_add_u64(o, "lane", s->lane);
	js_add_u64(o, "kernel", s->kernel);
	js_add_u64(o, "merged", r->merged);
	js_add_u64(o, "bytes", r->bytes);
	js_add_u64(o, "lost", track_lost(&r->track));
	js_add_u64(o, "reordered", r->track.reordered);
	js_add_u64(o, "duplicates", r->track.duplicates);
	js_add_u64(o, "corrupt", r->corrupt);
	js_add_bool(o, "verified", c->verify);
	js_add_u64(o, "foreign", r->foreign);
	js_add_u64(o, "malformed", r->malformed);
	js_add_u64(o, "untracked", r->track.untracked);
	js_add_u64(o, "flows", r->track.flows);
	js_add_real(o, "seconds", s->seconds);
	js_add_real(o, "pps", s->pps);
	js_add_u64(o, "hops", r->hops);
	js_add_real(cpu, "user", s->user);
	js_add_real(cpu, "system", s->system);
	js_add_real(cpu, "ns_per_datagram", s->ns_each);
	json_object_object_add(o, "cpu_time", cpu);
	json_object_object_add(o, "ports", port_list(r));
	return out_json(o, !c->interval_ns);
}

static void print_ports(const struct receive *r)
{
	struct out_table *t = out_table_new(
		"<port <path received lane kernel lane-drops sock-drops wakeups <reason");

	for (uint32_t i = 0; i < r->plan.nports; i++) {
		const struct receive_port *p = &r->port[i];
		struct sluice_stats st = port_stats(p);

		out_cell(t, "%u", p->port);
		out_cell(t, "%s", path_name(p));
		out_cell(t, "%" PRIu64, p->received);
		out_cell(t, "%" PRIu64, st.lane_datagrams);
		out_cell(t, "%" PRIu64, st.kernel_datagrams);
		out_cell(t, "%" PRIu64, st.lane_drops);
		out_cell(t, "%" PRIu64, socket_drops(p->fd));
		out_cell(t, "%" PRIu64, st.wakeups);
		out_cell(t, "%s", path_reason(p));
	}
	out_table_print(t);
}

static int report_text(const struct recv *c, const struct receive *r, const struct summary *s)
{
	printf("received   %12" PRIu64 "  lane %" PRIu64 ", kernel %" PRIu64 ", %" PRIu64
	       " bytes\n",
	       r->received, s->lane, s->kernel, r->bytes);
	if (c->gro)
		printf("merged     %12" PRIu64 "  times that several came as one\n", r->merged);
	printf("lost       %12" PRIu64 "\n", track_lost(&r->track));
	printf("reordered  %12" PRIu64 "\n", r->track.reordered);
	printf("duplicates %12" PRIu64 "\n", r->track.duplicates);
	if (c->verify)
		printf("corrupt    %12" PRIu64 "\n", r->corrupt);
	printf("foreign    %12" PRIu64 "\n", r->foreign);
	if (r->malformed || r->track.untracked)
		printf("malformed  %12" PRIu64 "  untracked %" PRIu64 "\n", r->malformed,
		       r->track.untracked);
	printf("flows      %12u\n", r->track.flows);
	printf("rate       %12.0f pps over %.3f s\n", s->pps, s->seconds);
	printf("cpu time   %12.3f s  user %.3f, system %.3f, %.0f ns per datagram, %" PRIu64
	       " hops\n",
	       s->user + s->system, s->user, s->system, s->ns_each, r->hops);
	print_ports(r);
	return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int explain_open(const struct recv *c, int err, uint16_t port, const char *what)
{
	if (!strcmp(what, "pin"))
		return out_error(NAME, "cannot pin to CPU %u: %s; choose another", c->cpu,
				 strerror(-err));
	if (!strcmp(what, "bind"))
		return out_error(NAME, "cannot bind port %u: %s; see `ss -ulnp`", port,
				 strerror(-err));
	if (!strcmp(what, "attach") && err == -ENOENT)
		return out_error(NAME,
			"cannot attach port %u: no daemon runs; start it, or leave --require out",
			port);
	if (!strcmp(what, "attach"))
		return out_error(NAME,
			"cannot attach port %u: %s; without --require it says why",
			port, strerror(-err));
	return out_error(NAME, "cannot start: %s: %s", what, strerror(-err));
}

/* 0, or the exit status. */
static int plan_from(const struct recv *c, struct receive_plan *plan, uint8_t *addr)
{
	int family = c->ip6 ? AF_INET6 : AF_INET;

	if (c->addr)
		family = strchr(c->addr, ':') ? AF_INET6 : AF_INET;
	if (!c->ports.n)
		return opt_usage(NAME, "-p PORT is needed");
	if (c->ip4 && c->ip6)
		return opt_usage(NAME, "-4 and -6 exclude each other");
	if (c->kernel && (c->view || c->require))
		return opt_usage(NAME, "--kernel excludes --view and --require");
	if (c->lane & (c->lane - 1))
		return opt_usage(NAME, "--lane %u is not a power of two", c->lane);
	if (c->addr && (inet_pton(family, c->addr, addr) != 1 || (c->ip4 && family != AF_INET) ||
			(c->ip6 && family != AF_INET6)))
		return opt_usage(NAME, "`%s` is not an address of this family", c->addr);
	*plan = (struct receive_plan){
		.family = family,
		.addr = c->addr ? addr : NULL,
		.ports = c->ports.v,
		.nports = c->ports.n,
		.mode = c->kernel ? RECEIVE_KERNEL
			: c->view ? RECEIVE_VIEW
				  : RECEIVE_LANE,
		.batch = c->batch,
		.lane_bytes = c->lane,
		.rcvbuf = c->rcvbuf,
		.dev = c->dev,
		.require = c->require,
		.verify = c->verify,
		.gro = c->gro,
		.cpu = c->cpu == NO_CPU ? -1 : (int)c->cpu,
		.hop_ns = c->hop_ns,
		.count = c->count,
		.time_ns = c->time_ns,
		.idle_ns = c->idle_ns,
		.interval_ns = c->interval_ns,
	};
	return 0;
}

static void print_paths(const struct receive *r)
{
	for (uint32_t i = 0; i < r->plan.nports; i++) {
		const char *why = path_reason(&r->port[i]);

		printf("port %u: %s%s%s\n", r->port[i].port, path_name(&r->port[i]),
		       *why ? ": " : "", why);
	}
	fflush(stdout);
}

static int recv_run(void *conf)
{
	const struct recv *c = conf;
	struct progress progress = { .json = c->json };
	struct receive_plan plan;
	struct rusage before;
	struct receive r;
	struct summary s;
	uint8_t addr[16] = { 0 };
	const char *what;
	uint16_t port;
	int status = plan_from(c, &plan, addr), err;

	if (status)
		return status;
	err = receive_open(&r, &plan, &port, &what);
	if (err)
		return explain_open(c, err, port, what);
	if (!c->json)
		print_paths(&r);
	getrusage(RUSAGE_SELF, &before);
	err = receive_run(&r, report_progress, &progress);
	s = summarize(&r, &before);
	status = c->json ? report_json(c, &r, &s) : report_text(c, &r, &s);
	if (err)
		status = out_error(NAME, "ended early: %s; the report holds what was received",
				   strerror(-err));
	receive_close(&r);
	return status;
}

const struct command cmd_recv = {
	.name = NAME,
	.summary = "receive UDP datagrams through sluice, and check them",
	.args = " -p PORT[,PORT...] [OPTION...]",
	.opts = recv_opts,
	.nopts = sizeof(recv_opts) / sizeof(recv_opts[0]),
	.conf_size = sizeof(struct recv),
	.defaults = recv_defaults,
	.run = recv_run,
};
