/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * refusals - descriptors that the daemon must not attach.
 *
 *	refusals DEV OTHER-NETNS
 *
 * Each is offered over the control protocol. The answer must be REFUSED, with an
 * errno and a reason, or, for what is no UDP socket, the end of the connection;
 * never a lane, and never silence.
 */
#include <err.h>
#include <linux/bpf.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "check.h"
#include "ctl.h"

#define PORT 7200

struct env {
	const char *dev, *netns;
	int extra; /* a second descriptor that a case needs open, or -1 */
};

struct offer {
	const char *what;
	int (*make)(struct env *e);
	int error; /* the errno that the library documents; 0: any */
};

static int must(int r, const char *what)
{
	if (r < 0)
		err(1, "%s", what);
	return r;
}

/* The daemon's copy of the last case's socket may live a moment longer than that case. */
static void bind_port(int fd, const struct sockaddr_in *sa)
{
	int i;

	for (i = 0; i < 100; i++) {
		if (!bind(fd, (const void *)sa, sizeof(*sa)))
			return;
		if (errno != EADDRINUSE)
			break;
		usleep(10000);
	}
	err(1, "bind");
}

/* option 0: none */
static int udp_on(const char *addr, int level, int option)
{
	struct sockaddr_in sa = ctl_addr4(addr, PORT);
	int fd = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"), on = 1;

	if (option)
		must(setsockopt(fd, level, option, &on, sizeof(on)), "option");
	bind_port(fd, &sa);
	return fd;
}

static int make_unbound(struct env *e)
{
	(void)e;
	return must(socket(AF_INET, SOCK_DGRAM, 0), "socket");
}

static int make_freebind(struct env *e)
{
	(void)e;
	return udp_on("10.77.0.77", IPPROTO_IP, IP_FREEBIND);
}

static int make_loopback(struct env *e)
{
	(void)e;
	return udp_on("127.0.0.1", 0, 0);
}

static int make_shared(struct env *e)
{
	e->extra = udp_on("0.0.0.0", SOL_SOCKET, SO_REUSEADDR);
	return udp_on("0.0.0.0", SOL_SOCKET, SO_REUSEADDR);
}

static int make_shared_address(struct env *e)
{
	e->extra = udp_on("10.77.0.2", SOL_SOCKET, SO_REUSEADDR);
	return udp_on("0.0.0.0", SOL_SOCKET, SO_REUSEADDR);
}

static int make_foreign_netns(struct env *e)
{
	int home = must(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), "netns"), fd;
	int ns = must(open(e->netns, O_RDONLY | O_CLOEXEC), e->netns);

	must(setns(ns, CLONE_NEWNET), "setns");
	fd = udp_on("0.0.0.0", 0, 0);
	must(setns(home, CLONE_NEWNET), "setns back");
	close(ns);
	close(home);
	return fd;
}

static int make_tcp(struct env *e)
{
	struct sockaddr_in sa = ctl_addr4("0.0.0.0", PORT);
	int fd = must(socket(AF_INET, SOCK_STREAM, 0), "socket");

	(void)e;
	must(bind(fd, (void *)&sa, sizeof(sa)), "bind");
	return fd;
}

static int make_raw(struct env *e)
{
	(void)e;
	return must(socket(AF_INET, SOCK_RAW, IPPROTO_UDP), "socket");
}

static int make_unix(struct env *e)
{
	(void)e;
	return must(socket(AF_UNIX, SOCK_DGRAM, 0), "socket");
}

static int make_pipe(struct env *e)
{
	int p[2];

	must(pipe(p), "pipe");
	e->extra = p[1];
	return p[0];
}

static int make_file(struct env *e)
{
	(void)e;
	return must(open("/proc/self/exe", O_RDONLY), "open");
}

static int make_path(struct env *e)
{
	(void)e;
	return must(open("/", O_PATH), "open");
}

static int make_ebpf_filter(struct env *e)
{
	struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insns = (__u64)(unsigned long)code,
		.insn_cnt = 2,
		.license = (__u64)(unsigned long)"GPL",
	};
	int fd = udp_on("0.0.0.0", 0, 0);
	int prog = must((int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr)), "BPF_PROG_LOAD");

	(void)e;
	must(setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &prog, sizeof(prog)), "SO_ATTACH_BPF");
	close(prog);
	return fd;
}

static int make_encap(struct env *e)
{
	int fd = udp_on("0.0.0.0", 0, 0), type = UDP_ENCAP_ESPINUDP;

	(void)e;
	must(setsockopt(fd, IPPROTO_UDP, UDP_ENCAP, &type, sizeof(type)), "UDP_ENCAP");
	return fd;
}

static void offer(struct checks *c, struct env *e, const struct offer *o)
{
	int sock = ctl_open(e->dev), fd, r;
	struct ctl_lane l;

	if (sock < 0)
		errx(1, "no daemon for %s: %s", e->dev, strerror(-sock));
	e->extra = -1;
	fd = o->make(e);
	r = ctl_attach(sock, fd, PORT, &l);
	check(c, r > 0 ? (!o->error || r == o->error) && l.text[0] : r == -ECONNRESET && !o->error,
	      "%s: %s (%s)", o->what, r ? strerror(abs(r)) : "ATTACHED", r > 0 ? l.text : "");
	close(fd);
	if (e->extra >= 0)
		close(e->extra);
	close(sock);
}

/* A group is fed only when the daemon has all of its members. */
static void reuseport(struct checks *c, const char *dev)
{
	int a = udp_on("0.0.0.0", SOL_SOCKET, SO_REUSEPORT);
	int b = udp_on("0.0.0.0", SOL_SOCKET, SO_REUSEPORT);
	int sock = ctl_open(dev), ra, rb;
	struct ctl_lane la, lb;

	ra = ctl_attach(sock, a, PORT, &la);
	check(c, ra == 0 && la.state == SLUICE_LANE_WAITING && la.text[0],
	      "one of two SO_REUSEPORT members: waits (%s)", la.text);
	rb = ctl_attach(sock, b, PORT, &lb);
	check(c, rb == 0 && lb.state == SLUICE_LANE_ACTIVE, "both members: active");
	if (!ra && !ctl_map(&la))
		check(c, la.head->state == SLUICE_LANE_ACTIVE, "and so is the first one");
	close(sock);
	close(a);
	close(b);
}

int main(int argc, char **argv)
{
	static const struct offer offers[] = {
		{ "an unbound socket", make_unbound, EDESTADDRREQ },
		{ "an address that is not local (IP_FREEBIND)", make_freebind, EADDRNOTAVAIL },
		{ "the loopback address", make_loopback, 0 },
		{ "a port shared with an unattached socket", make_shared, EADDRINUSE },
		{ "a port of which another socket has one address", make_shared_address,
		  EADDRINUSE },
		{ "a socket of another network namespace", make_foreign_netns, EPERM },
		{ "a TCP socket", make_tcp, 0 },
		{ "a raw socket", make_raw, 0 },
		{ "a unix socket", make_unix, 0 },
		{ "a pipe", make_pipe, 0 },
		{ "a file", make_file, 0 },
		{ "an O_PATH descriptor", make_path, 0 },
		{ "a socket with an eBPF filter", make_ebpf_filter, EOPNOTSUPP },
		{ "a socket with encapsulation", make_encap, EOPNOTSUPP },
	};
	struct checks c = { 0 };
	struct env e = { 0 };
	size_t i;

	if (argc != 3)
		errx(2, "usage: refusals DEV OTHER-NETNS");
	e.dev = argv[1];
	e.netns = argv[2];
	for (i = 0; i < sizeof(offers) / sizeof(offers[0]); i++)
		offer(&c, &e, &offers[i]);
	reuseport(&c, e.dev);
	return check_exit(&c);
}
