// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* gen.c - `sluice gen`: UDP traffic out of a device, counted and checkable. */
#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/frame.h"
#include "cli/inject.h"
#include "cli/neigh.h"
#include "cli/out.h"
#include "cli/payload.h"

#define NAME "gen"
#define ETH_HEADER 14u
/* The report lists flows one by one up to this many. */
#define LIST_FLOWS 1024u

struct gen {
	const char *dev, *dst, *src;
	struct opt_list dports, cpus;
	uint32_t sport, flows, size, batch;
	uint64_t rate, count, time_ns, seed;
	struct opt_mac dmac, smac;
	bool json;

	/* from here on: found out, not given */
	struct frame_spec spec;
	uint32_t ifindex;
	uint32_t mtu;
};

#define FIELD(f) offsetof(struct gen, f)
static const struct opt gen_opts[] = {
	{ 'i', "dev", "DEV", opt_string, FIELD(dev), 0, 0, "device to send from" },
	{ 0, "dst", "ADDR", opt_string, FIELD(dst), 0, 0, "destination, IPv4 or IPv6" },
	{ 0, "src", "ADDR", opt_string, FIELD(src), 0, 0, "source (default: the route's)" },
	{ 0, "dport", "N[,N...]", opt_list, FIELD(dports), 1, 65535,
	  "destination ports, flows in turn (default 9)" },
	{ 0, "sport", "N", opt_u32, FIELD(sport), 1, 65535,
	  "source port of flow 0; flow i has N+i (default 1024)" },
	{ 0, "flows", "N", opt_u32, FIELD(flows), 1, 65535, "number of flows (default 1)" },
	{ 0, "size", "BYTES", opt_u32, FIELD(size), 1, FRAME_MAX,
	  "frame with FCS (default: the smallest)" },
	{ 0, "rate", "PPS", opt_u64, FIELD(rate), 1, 1000000000,
	  "frames per second in all (default: no limit)" },
	{ 0, "count", "N", opt_u64, FIELD(count), 1, UINT64_MAX / 2,
	  "end after exactly N frames in all" },
	{ 0, "time", "SECONDS", opt_seconds, FIELD(time_ns), 1, 1000000ull * 1000000000,
	  "end after this time" },
	{ 0, "cpus", "LIST", opt_list, FIELD(cpus), 0, CPU_SETSIZE - 1,
	  "one thread on each (default: this CPU)" },
	{ 0, "batch", "N", opt_u32, FIELD(batch), 1, 256,
	  "frames per flush of the device (default 64)" },
	{ 0, "dmac", "MAC", opt_mac, FIELD(dmac), 0, 0, "next hop's MAC (default: resolved)" },
	{ 0, "smac", "MAC", opt_mac, FIELD(smac), 0, 0, "source MAC (default: the device's)" },
	{ 0, "seed", "N", opt_u64, FIELD(seed), 1, UINT32_MAX,
	  "run id in the payload (default: random)" },
	{ 'j', "json", NULL, NULL, FIELD(json), 0, 0, "report in JSON" },
};

static void gen_defaults(void *conf)
{
	struct gen *g = conf;

	g->dports = (struct opt_list){ .n = 1, .v = { 9 } };
	g->sport = 1024;
	g->flows = 1;
	g->batch = 64;
}

/* 0, or the exit status. */
static int check_usage(struct gen *g)
{
	struct frame_spec *s = &g->spec;
	uint32_t min;

	if (!g->dev || !g->dst)
		return opt_usage(NAME, "-i DEV and --dst ADDR are needed");
	s->family = strchr(g->dst, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(s->family, g->dst, s->daddr) != 1)
		return opt_usage(NAME, "`%s` is not an address", g->dst);
	if (g->src && inet_pton(s->family, g->src, s->saddr) != 1)
		return opt_usage(NAME, "--src `%s` is not an address of the destination's family",
				 g->src);
	if (g->flows > 65536 - g->sport)
		return opt_usage(NAME, "%u flows do not fit above source port %u: at most %u",
				 g->flows, g->sport, 65536 - g->sport);
	min = frame_min_size(s->family);
	if (g->size && g->size < min)
		return opt_usage(NAME, "--size %u is too small for %s: at least %u", g->size,
				 s->family == AF_INET ? "IPv4" : "IPv6", min);
	s->size = g->size ? g->size : min;
	if (g->cpus.n > g->flows)
		return opt_usage(NAME,
			"%u CPUs for %u flows: a flow belongs to one CPU; give --flows %u or more",
			g->cpus.n, g->flows, g->cpus.n);
	if (!g->count && !g->time_ns)
		return opt_usage(NAME, "give an end: --count N or --time SECONDS");
	return 0;
}

static int check_cpus(struct gen *g)
{
	cpu_set_t allowed;
	int cpu = sched_getcpu();

	if (!g->cpus.n)
		g->cpus = (struct opt_list){ .n = 1, .v = { cpu < 0 ? 0 : (uint32_t)cpu } };
	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		return out_error(NAME, "cannot read the CPU affinity: %s", strerror(errno));
	for (uint32_t i = 0; i < g->cpus.n; i++)
		if (!CPU_ISSET(g->cpus.v[i], &allowed))
			return out_error(NAME,
				"CPU %u is absent or not allowed here; give others in --cpus",
				g->cpus.v[i]);
	return 0;
}

/* Index, MTU and MAC of the device. */
static int check_device(struct gen *g)
{
	struct ifreq ifr = { 0 };
	int fd, err = 0;

	g->ifindex = if_nametoindex(g->dev);
	if (!g->ifindex || strlen(g->dev) >= IFNAMSIZ)
		return out_error(NAME,
				 "%s: no such device in this network namespace; see `ip link`",
				 g->dev);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return out_error(NAME, "cannot open a socket: %s", strerror(errno));
	memcpy(ifr.ifr_name, g->dev, strlen(g->dev));
	if (ioctl(fd, SIOCGIFFLAGS, &ifr))
		err = out_error(NAME, "%s: cannot read its flags: %s", g->dev, strerror(errno));
	else if (!(ifr.ifr_flags & IFF_UP))
		err = out_error(NAME, "%s is down: nothing can be sent; `ip link set %s up`",
				g->dev, g->dev);
	if (!err && !ioctl(fd, SIOCGIFMTU, &ifr))
		g->mtu = (uint32_t)ifr.ifr_mtu;
	if (!err && (ioctl(fd, SIOCGIFHWADDR, &ifr) || ifr.ifr_hwaddr.sa_family != ARPHRD_ETHER))
		err = out_error(NAME, "%s is not an Ethernet device; choose another", g->dev);
	close(fd);
	if (err)
		return err;
	memcpy(g->spec.smac, g->smac.set ? g->smac.v : (uint8_t *)ifr.ifr_hwaddr.sa_data, 6);
	if (g->spec.size - FRAME_FCS - ETH_HEADER > g->mtu)
		return out_error(NAME,
			"%s has an MTU of %u: frames of %u bytes do not fit; --size %u at most",
			g->dev, g->mtu, g->spec.size, g->mtu + ETH_HEADER + FRAME_FCS);
	return 0;
}

static int resolve(struct gen *g)
{
	struct frame_spec *s = &g->spec;
	struct neigh_route route;
	int err;

	if (g->dmac.set)
		memcpy(s->dmac, g->dmac.v, 6);
	if (g->dmac.set && g->src)
		return 0;
	err = neigh_route(&route, s->family, s->daddr, g->ifindex);
	if (err)
		return out_error(NAME,
				 "no route to %s out of %s: %s; add one, or give --src and --dmac",
				 g->dst, g->dev, strerror(-err));
	if (route.type == RTN_LOCAL)
		return out_error(NAME,
			"%s is an address of this host: it cannot be reached over %s; give another",
			g->dst, g->dev);
	if (!g->src && !route.has_source)
		return out_error(NAME,
				 "%s has no address to send to %s from; add one, or give --src",
				 g->dev, g->dst);
	if (!g->src)
		memcpy(s->saddr, route.source, sizeof(s->saddr));
	if (g->dmac.set)
		return 0;
	err = neigh_mac(s->dmac, &route, s->family, g->dev, g->ifindex);
	if (err)
		return out_error(NAME,
			"the next hop to %s does not tell its MAC: %s; is it up? else give --dmac",
			g->dst, strerror(-err));
	return 0;
}

static void choose_run(struct gen *g)
{
	g->spec.run = (uint32_t)g->seed;
	while (!g->spec.run)
		if (getrandom(&g->spec.run, sizeof(g->spec.run), 0) != sizeof(g->spec.run))
			g->spec.run = (uint32_t)getpid();
}

/* Sequence numbers of the flow: [0, result). */
static uint64_t flow_frames(const struct inject_thread_result *t, uint32_t flow)
{
	return frame_share(t->offered, t->end - t->first, flow - t->first, flow - t->first + 1);
}

struct seq_range {
	uint64_t least, most;	/* frames of the flow that has the fewest, the most */
};

static struct seq_range seq_range(const struct gen *g, const struct inject *in)
{
	struct seq_range r = { .least = UINT64_MAX };

	for (uint32_t i = 0; i < g->cpus.n; i++) {
		struct inject_thread_result t;
		uint64_t first, last;

		inject_thread(in, i, &t);
		first = flow_frames(&t, t.first);
		last = flow_frames(&t, t.end - 1);
		if (first > r.most)
			r.most = first;
		if (last < r.least)
			r.least = last;
	}
	return r;
}

static struct json_object *flow_list(const struct gen *g, const struct inject *in)
{
	struct json_object *list = json_object_new_array();

	for (uint32_t i = 0; i < g->cpus.n; i++) {
		struct inject_thread_result t;

		inject_thread(in, i, &t);
		for (uint32_t f = t.first; f < t.end; f++) {
			struct json_object *o = json_object_new_object();
			uint64_t n = flow_frames(&t, f);

			js_add_u64(o, "flow", f);
			js_add_u64(o, "sport", g->sport + f);
			js_add_u64(o, "dport", g->dports.v[f % g->dports.n]);
			js_add_u64(o, "offered", n);
			if (n) {
				js_add_u64(o, "seq_min", 0);
				js_add_u64(o, "seq_max", n - 1);
			}
			json_object_array_add(list, o);
		}
	}
	return list;
}

static struct json_object *thread_list(const struct gen *g, const struct inject *in)
{
	struct json_object *list = json_object_new_array();

	for (uint32_t i = 0; i < g->cpus.n; i++) {
		struct json_object *o = json_object_new_object();
		struct inject_thread_result t;

		inject_thread(in, i, &t);
		js_add_u64(o, "cpu", t.cpu);
		js_add_u64(o, "flow_first", t.first);
		js_add_u64(o, "flow_last", t.end - 1);
		js_add_u64(o, "offered", t.offered);
		json_object_array_add(list, o);
	}
	return list;
}

static int report_json(const struct gen *g, const struct inject *in, const struct inject_result *r)
{
	struct json_object *o = json_object_new_object();
	struct seq_range seq = seq_range(g, in);
	double s = (double)r->ns / 1e9;

	js_add_str(o, "dev", g->dev);
	js_add_str(o, "dst", g->dst);
	js_add_u64(o, "run", g->spec.run);
	js_add_u64(o, "size", g->spec.size);
	js_add_u64(o, "offered", r->offered);
	js_add_u64(o, "sent", r->sent);
	js_add_u64(o, "dropped", r->offered - r->sent);
	js_add_str(o, "counted_by", r->by_statistics ? "device" : "tracepoint");
	js_add_real(o, "seconds", s);
	js_add_real(o, "offered_pps", s > 0 ? (double)r->offered / s : 0);
	js_add_real(o, "pps", s > 0 ? (double)r->sent / s : 0);
	js_add_bool(o, "interrupted", r->interrupted);
	js_add_u64(o, "flows", g->flows);
	js_add_u64(o, "flow_offered_min", seq.least);
	js_add_u64(o, "flow_offered_max", seq.most);
	json_object_object_add(o, "threads", thread_list(g, in));
	if (g->flows <= LIST_FLOWS)
		json_object_object_add(o, "per_flow", flow_list(g, in));
	return out_json(o, true);
}

static int report_text(const struct gen *g, const struct inject *in, const struct inject_result *r)
{
	struct seq_range seq = seq_range(g, in);
	double s = (double)r->ns / 1e9;

	printf("%s -> %s  %u B  run 0x%08x\n", g->dev, g->dst, g->spec.size, g->spec.run);
	printf("offered  %12" PRIu64 "  %.0f pps\n", r->offered,
	       s > 0 ? (double)r->offered / s : 0);
	printf("sent     %12" PRIu64 "  %.0f pps%s\n", r->sent, s > 0 ? (double)r->sent / s : 0,
	       r->by_statistics ? "  (by the device's statistics)" : "");
	printf("dropped  %12" PRIu64 "\n", r->offered - r->sent);
	printf("seconds  %12.3f\n", s);
	printf("flows    %12u  sequences 0 to %" PRId64, g->flows, (int64_t)seq.least - 1);
	if (seq.most > seq.least)
		printf(" (some to %" PRId64 ")", (int64_t)seq.most - 1);
	putchar('\n');
	for (uint32_t i = 0; g->cpus.n > 1 && i < g->cpus.n; i++) {
		struct inject_thread_result t;

		inject_thread(in, i, &t);
		printf("cpu %-5u%12" PRIu64 "  flows %u to %u\n", t.cpu, t.offered, t.first,
		       t.end - 1);
	}
	return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int all_dropped(const struct gen *g, const struct inject_result *r)
{
	return out_error(NAME,
			 "%s took none of %" PRIu64
			 " frames%s%s: a veth takes them only while its peer is up and has "
			 "XDP or GRO on; in the peer's namespace: `ethtool -K PEER gro on`",
			 g->dev, r->offered, r->dev_error ? ": " : "",
			 r->dev_error ? strerror(-r->dev_error) : "");
}

static int silent(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	(void)level;
	(void)fmt;
	(void)ap;
	return 0;
}

static int gen_send(struct gen *g, const struct frame *frame)
{
	struct inject_plan plan = {
		.frame = frame,
		.dev = g->dev,
		.ifindex = g->ifindex,
		.flows = g->flows,
		.sport = g->sport,
		.dports = g->dports.v,
		.ndports = g->dports.n,
		.cpus = g->cpus.v,
		.ncpus = g->cpus.n,
		.count = g->count,
		.time_ns = g->time_ns,
		.rate = g->rate,
		.batch = g->batch,
	};
	struct inject_result res;
	struct inject *in;
	int err, status;

	libbpf_set_print(silent);
	err = inject_open(&in, &plan);
	if (err)
		return out_error(NAME, "cannot load the generator: %s; %s", strerror(-err),
				 err == -EPERM || err == -EACCES
					 ? "run as root (CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN)"
					 : "it needs a kernel >= 5.18 with BTF");
	err = inject_run(in, &res);
	if (err && !res.offered) {
		status = out_error(NAME, "cannot send: %s; live frames need a kernel >= 5.18",
				   strerror(-err));
	} else {
		status = g->json ? report_json(g, in, &res) : report_text(g, in, &res);
		if (err)
			status = out_error(NAME, "ended early: %s; the report holds what was sent",
					   strerror(-err));
		else if (res.offered && !res.sent)
			status = all_dropped(g, &res);
	}
	inject_close(in);
	return status;
}

static int gen_run(void *conf)
{
	struct gen *g = conf;
	struct frame frame;
	int status = check_usage(g);

	if (!status)
		status = check_cpus(g);
	if (!status)
		status = check_device(g);
	if (!status)
		status = resolve(g);
	if (status)
		return status;
	choose_run(g);
	if (frame_build(&frame, &g->spec))
		return out_error(NAME, "cannot build a frame of %u bytes", g->spec.size);
	return gen_send(g, &frame);
}

const struct command cmd_gen = {
	.name = NAME,
	.summary = "send UDP datagrams that `sluice recv` can check",
	.args = " -i DEV --dst ADDR (--count N | --time SECONDS) [OPTION...]",
	.opts = gen_opts,
	.nopts = sizeof(gen_opts) / sizeof(gen_opts[0]),
	.conf_size = sizeof(struct gen),
	.defaults = gen_defaults,
	.run = gen_run,
};
