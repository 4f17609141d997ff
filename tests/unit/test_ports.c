// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Which attached sockets receive through sluice: real sockets in a namespace of the test's own,
 * real maps, no program attached.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <bpf/steer.skel.h>

#include "daemon/ports.h"

#define PORT 4444
#define HERE "192.0.2.2"
#define THERE "192.0.2.9"
#define LOOPBACK_IFINDEX 1

struct fixture {
	bool usable;
	struct config config;
	struct device dev;
	struct ports *ports;
	struct rfs rfs;
};

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static int no_print(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

static socklen_t address(union address *a, const char *text, uint16_t port)
{
	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET, text, &a->in.sin_addr) == 1) {
		a->in.sin_family = AF_INET;
		a->in.sin_port = htons(port);
		return sizeof(a->in);
	}
	assert_int_equal(inet_pton(AF_INET6, text, &a->in6.sin6_addr), 1);
	a->in6.sin6_family = AF_INET6;
	a->in6.sin6_port = htons(port);
	return sizeof(a->in6);
}

static struct sluice_addr addr_of(const char *text)
{
	struct sluice_addr a = { { 0, 0, htonl(0xffff), 0 } };

	if (inet_pton(AF_INET, text, &a.w[3]) != 1)
		assert_int_equal(inet_pton(AF_INET6, text, &a), 1);
	return a;
}

/* The namespace's loopback, with an address that is not loopback's. */
static void loopback_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	union address a;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
	address(&a, HERE, 0);
	ifr = (struct ifreq){ .ifr_name = "lo:1", .ifr_addr = a.sa };
	assert_int_equal(ioctl(fd, SIOCSIFADDR, &ifr), 0);
	close(fd);
}

static int setup_group(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct steer_config steer = { .ifindex = LOOPBACK_IFINDEX, .nr_queues = 1 };
	int err;

	*state = f;
	libbpf_set_print(no_print);
	if (unshare(CLONE_NEWNET)) {
		print_message("skipped: needs a network namespace of its own (root)\n");
		return 0;
	}
	loopback_up();
	err = steer_open(&f->dev.steer, &steer);
	if (err) {
		print_message("skipped: cannot load the XDP program: %s\n", strerror(-err));
		return 0;
	}
	f->dev.config = &f->config;
	f->dev.info.ifindex = LOOPBACK_IFINDEX;
	f->dev.engine = calloc(1, sizeof(*f->dev.engine));
	f->usable = true;
	return 0;
}

static int teardown_group(void **state)
{
	struct fixture *f = *state;

	if (f->usable)
		steer_close(&f->dev.steer);
	free(f->dev.engine);
	free(f);
	return 0;
}

static struct fixture *ready(void **state)
{
	struct fixture *f = *state;
	struct sluice_addr here = addr_of(HERE);

	if (!f->usable)
		skip();
	f->ports = calloc(1, sizeof(*f->ports));
	assert_int_equal(ports_init(f->ports), 0);
	assert_int_equal(ports_local_add(f->ports, &here, LOOPBACK_IFINDEX), 0);
	assert_int_equal(ports_start(f->ports, &f->dev), 0);
	return f;
}

/* Nothing is left of what was in effect. */
static void done(struct fixture *f)
{
	struct sluice_addr here = addr_of(HERE);

	assert_null(f->ports->port[PORT]);
	assert_null(f->dev.engine->udp.port[PORT]);
	assert_int_equal(f->dev.steer.port[PORT].open, 0);
	assert_int_equal(f->dev.steer.port[PORT].flags, 0);
	ports_local_del(f->ports, &here);
	ports_destroy(f->ports);
	free(f->ports);
}

static bool gate_open(const struct fixture *f)
{
	const struct sluice_port *gate = &f->dev.steer.port[PORT];

	return gate->open == gate->gen;
}

static uint32_t rule_flags(const struct fixture *f)
{
	return f->dev.steer.port[PORT].flags & ~SLUICE_PORT_WATCH;
}

static bool has_rule(const struct fixture *f, const char *text)
{
	struct sluice_bind_key key = { .addr = addr_of(text), .port = htons(PORT),
				      .proto = IPPROTO_UDP };
	struct sluice_bind rule;

	return !bpf_map_lookup_elem(bpf_map__fd(f->dev.steer.skel->maps.bind), &key, &rule) &&
	       rule.action == SLUICE_ACT_XSK;
}

static int udp_socket(const char *text, int option)
{
	union address a;
	int one = 1, fd;

	address(&a, text, 0);
	fd = socket(a.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	if (option)
		assert_int_equal(setsockopt(fd, SOL_SOCKET, option, &one, sizeof(one)), 0);
	return fd;
}

static int bound(const char *text, int option)
{
	union address a;
	socklen_t len = address(&a, text, PORT);
	int fd = udp_socket(text, option);

	assert_int_equal(bind(fd, &a.sa, len), 0);
	return fd;
}

static int bound_v6only(void)
{
	union address a;
	socklen_t len = address(&a, "::", PORT);
	int fd = udp_socket("::", 0), one = 1;

	assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, &a.sa, len), 0);
	return fd;
}

static struct attached *attached_new(struct fixture *f, int fd)
{
	struct attached *a = calloc(1, sizeof(*a));
	socklen_t len = sizeof(uint64_t);
	struct sluice_lane_ctl *ctl;
	void *head;
	uint64_t cookie = 0;
	int reuseport = 0;

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len), 0);
	len = sizeof(reuseport);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &reuseport, &len), 0);
	a->port = PORT;
	a->reuseport = reuseport;
	assert_int_equal(sock_init(&a->sk, cookie, 1), 0);
	head = calloc(1, SLUICE_LANE_HEAD + SLUICE_LANE_MIN);
	ctl = aligned_alloc(128, sizeof(*ctl));
	memset(ctl, 0, sizeof(*ctl));
	assert_int_equal(lane_init(&a->sk.lane, head, ctl, SLUICE_LANE_MIN, -1, &f->rfs), 0);
	return a;
}

static void attached_free(struct attached *a)
{
	free(a->sk.lane.head);
	free(a->sk.lane.ctl);
	lane_destroy(&a->sk.lane);
	sock_destroy(&a->sk);
	free(a);
}

static void detach(struct fixture *f, struct attached *a)
{
	ports_detach(f->ports, a);
	assert_false(a->installed);
	attached_free(a);
}

static struct attached *attach(struct fixture *f, int fd)
{
	struct attached *a = attached_new(f, fd);

	assert_int_equal(ports_attach(f->ports, a), 0);
	return a;
}

static void refused(struct fixture *f, int fd, int err)
{
	struct attached *a = attached_new(f, fd);

	assert_int_equal(ports_attach(f->ports, a), err);
	assert_int_equal(a->error, err);
	assert_int_not_equal(a->why[0], 0);
	assert_null(f->ports->port[PORT]);
	assert_false(gate_open(f));
	attached_free(a);
}

/* The socket that the workers would find. */
static const struct sock *lookup(const struct fixture *f, const char *saddr, uint16_t sport,
				 const char *daddr,
				 uint32_t hash)
{
	struct pkt pkt = {
		.version = strchr(saddr, ':') ? 6 : 4,
		.saddr = addr_of(saddr),
		.daddr = addr_of(daddr),
		.sport = htons(sport),
		.dport = htons(PORT),
		.ifindex = LOOPBACK_IFINDEX,
		.hash = hash,
	};

	return udp_lookup(&f->dev.engine->udp, &pkt);
}

static void assert_active(const struct fixture *f, const struct attached *a)
{
	assert_int_equal(a->state, SLUICE_LANE_ACTIVE);
	assert_int_equal(a->error, 0);
	assert_true(a->installed);
	assert_int_equal(a->sk.lane.head->state, SLUICE_LANE_ACTIVE);
	assert_true(gate_open(f));
	assert_int_equal(f->dev.steer.port[PORT].action, SLUICE_ACT_XSK);
	assert_true(f->dev.steer.port[PORT].flags & SLUICE_PORT_WATCH);
}

/* Not active, and with nobody else on the port nothing is in effect. */
static void assert_out(const struct fixture *f, const struct attached *a,
		       enum sluice_lane_state state, int err)
{
	assert_int_equal(a->state, state);
	assert_int_equal(a->error, err);
	assert_int_not_equal(a->why[0], 0);
	assert_false(a->installed);
	assert_int_equal(a->sk.lane.head->state, state);
	assert_false(gate_open(f));
	assert_null(f->dev.engine->udp.port[PORT]);
}

static void test_any(void **state)
{
	struct fixture *f = ready(state);
	int fd = bound("0.0.0.0", 0);
	struct attached *a;

	assert_false(gate_open(f));
	a = attach(f, fd);
	assert_active(f, a);
	assert_int_equal(rule_flags(f), SLUICE_PORT_ANY4);
	assert_ptr_equal(lookup(f, THERE, 99, HERE, 0), &a->sk);
	assert_null(lookup(f, "2001:db8::1", 99, "2001:db8::2", 0));
	assert_ptr_equal(ports_find(f->ports, PORT, a->sk.cookie), a);
	assert_null(ports_find(f->ports, PORT, a->sk.cookie + 1));
	assert_null(ports_find(f->ports, PORT + 1, a->sk.cookie));
	detach(f, a);
	close(fd);
	done(f);
}

static void test_any6(void **state)
{
	struct fixture *f = ready(state);
	int fd = bound("::", 0);
	struct attached *a = attach(f, fd);

	assert_active(f, a);
	assert_int_equal(rule_flags(f), SLUICE_PORT_ANY4 | SLUICE_PORT_ANY6);
	assert_ptr_equal(lookup(f, THERE, 99, HERE, 0), &a->sk);
	assert_ptr_equal(lookup(f, "2001:db8::1", 99, "2001:db8::2", 0), &a->sk);
	detach(f, a);
	close(fd);

	fd = bound_v6only();
	a = attach(f, fd);
	assert_int_equal(rule_flags(f), SLUICE_PORT_ANY6);
	assert_null(lookup(f, THERE, 99, HERE, 0));
	detach(f, a);
	close(fd);
	done(f);
}

static void test_exact(void **state)
{
	struct fixture *f = ready(state);
	struct sluice_addr here = addr_of(HERE);
	int fd = bound(HERE, 0);
	struct attached *a = attach(f, fd);

	assert_active(f, a);
	assert_int_equal(rule_flags(f), SLUICE_PORT_EXACT);
	assert_true(has_rule(f, HERE));
	assert_ptr_equal(lookup(f, THERE, 99, HERE, 0), &a->sk);
	assert_null(lookup(f, THERE, 99, "192.0.2.3", 0));

	ports_local_del(f->ports, &here);
	assert_out(f, a, SLUICE_LANE_WITHDRAWN, -EADDRNOTAVAIL);
	assert_false(has_rule(f, HERE));
	assert_int_equal(ports_local_add(f->ports, &here, LOOPBACK_IFINDEX), 0);
	assert_active(f, a);
	assert_true(has_rule(f, HERE));
	detach(f, a);
	assert_false(has_rule(f, HERE));
	close(fd);
	done(f);
}

static void test_refused_alone(void **state)
{
	struct fixture *f = ready(state);
	int fd = bound("127.0.0.1", 0);

	refused(f, fd, -EADDRNOTAVAIL);
	close(fd);
	fd = udp_socket("0.0.0.0", 0);
	refused(f, fd, -ENOTCONN);
	close(fd);
	done(f);
}

static void test_device(void **state)
{
	struct fixture *f = ready(state);
	int fd = udp_socket("0.0.0.0", 0);
	union address any;
	socklen_t len = address(&any, "0.0.0.0", PORT);
	struct attached *a;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), 0);
	assert_int_equal(bind(fd, &any.sa, len), 0);
	a = attach(f, fd);
	assert_active(f, a);
	assert_int_equal(a->key.ifindex, LOOPBACK_IFINDEX);
	detach(f, a);

	f->dev.info.ifindex = 77;
	refused(f, fd, -EOPNOTSUPP);
	/* A VLAN device on ours. */
	f->dev.steer.vlan_dev[5] = LOOPBACK_IFINDEX;
	a = attach(f, fd);
	assert_active(f, a);
	detach(f, a);
	f->dev.steer.vlan_dev[5] = 0;
	f->dev.info.ifindex = LOOPBACK_IFINDEX;
	close(fd);
	done(f);
}

/* A socket outside sluice that may get some of the same datagrams. */
static void shares(struct fixture *f, const char *mine, const char *other, bool conflict)
{
	int fd = bound(mine, SO_REUSEADDR), second;
	struct attached *a = attach(f, fd);

	assert_active(f, a);
	second = bound(other, SO_REUSEADDR);
	ports_judge(f->ports, PORT);
	if (conflict)
		assert_out(f, a, SLUICE_LANE_WITHDRAWN, -EADDRINUSE);
	else
		assert_active(f, a);
	close(second);
	ports_judge(f->ports, PORT);
	assert_active(f, a);
	detach(f, a);

	second = bound(other, SO_REUSEADDR);
	if (conflict) {
		refused(f, fd, -EADDRINUSE);
	} else {
		a = attach(f, fd);
		assert_active(f, a);
		detach(f, a);
	}
	close(second);
	close(fd);
}

static void test_another_socket(void **state)
{
	struct fixture *f = ready(state);

	shares(f, "0.0.0.0", "0.0.0.0", true);
	shares(f, "0.0.0.0", HERE, true);
	shares(f, "::", HERE, true);
	shares(f, "::", "0.0.0.0", true);
	shares(f, "0.0.0.0", "::", true);
	shares(f, HERE, HERE, true);
	/* The kernel prefers the bound one, and nothing from the wire is for loopback. */
	shares(f, HERE, "0.0.0.0", false);
	shares(f, HERE, "::", false);
	shares(f, "0.0.0.0", "127.0.0.1", false);
	shares(f, "::", "::1", false);
	shares(f, HERE, "127.0.0.1", false);
	shares(f, "0.0.0.0", "::1", false);
	done(f);
}

static void test_another_family(void **state)
{
	struct fixture *f = ready(state);
	int fd = bound("0.0.0.0", 0), second = bound_v6only();
	struct attached *a = attach(f, fd), *b;

	assert_active(f, a);
	b = attach(f, second);
	assert_active(f, b);
	assert_int_equal(rule_flags(f), SLUICE_PORT_ANY4 | SLUICE_PORT_ANY6);
	assert_ptr_equal(lookup(f, THERE, 99, HERE, 0), &a->sk);
	assert_ptr_equal(lookup(f, "2001:db8::1", 99, "2001:db8::2", 0), &b->sk);
	detach(f, a);
	assert_active(f, b);
	assert_int_equal(rule_flags(f), SLUICE_PORT_ANY6);
	assert_null(lookup(f, THERE, 99, HERE, 0));
	detach(f, b);
	close(fd);
	close(second);
	done(f);
}

static void test_group(void **state)
{
	struct fixture *f = ready(state);
	int fd[2] = { bound("0.0.0.0", SO_REUSEPORT), bound("0.0.0.0", SO_REUSEPORT) };
	struct attached *a = attach(f, fd[0]), *b;

	assert_out(f, a, SLUICE_LANE_WAITING, 0);
	b = attach(f, fd[1]);
	assert_active(f, a);
	assert_active(f, b);
	/* Both members get their share. */
	assert_ptr_not_equal(lookup(f, THERE, 99, HERE, 0), lookup(f, THERE, 99, HERE, UINT32_MAX));
	assert_int_not_equal(f->dev.engine->udp.port[PORT]->entry[0].group, 0);
	assert_int_equal(f->dev.engine->udp.port[PORT]->entry[0].group,
			 f->dev.engine->udp.port[PORT]->entry[1].group);

	/* Stopped, or detached but still open: part of the traffic is its. */
	ports_stop(f->ports, b);
	assert_out(f, a, SLUICE_LANE_WAITING, 0);
	assert_int_equal(b->error, -ECANCELED);
	detach(f, b);
	assert_out(f, a, SLUICE_LANE_WAITING, 0);
	close(fd[1]);
	ports_judge(f->ports, PORT);
	assert_active(f, a);
	detach(f, a);
	close(fd[0]);
	done(f);
}

static void test_connected(void **state)
{
	struct fixture *f = ready(state);
	int fd = bound(HERE, 0);
	union address peer;
	socklen_t len = address(&peer, THERE, 99);
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	struct attached *a;

	assert_int_equal(connect(fd, &peer.sa, len), 0);
	a = attach(f, fd);
	assert_active(f, a);
	assert_ptr_equal(lookup(f, THERE, 99, HERE, 0), &a->sk);
	assert_null(lookup(f, THERE, 98, HERE, 0));
	assert_null(lookup(f, "192.0.2.8", 99, HERE, 0));
	assert_int_equal(connect(fd, &none, sizeof(none)), 0);
	ports_judge(f->ports, PORT);
	assert_active(f, a);
	assert_ptr_equal(lookup(f, "192.0.2.8", 98, HERE, 0), &a->sk);
	detach(f, a);
	close(fd);
	done(f);
}

/* A connected socket does not take what the unattached wildcard beside it gets. */
static void test_connected_beside_wildcard(void **state)
{
	struct fixture *f = ready(state);
	int fd = bound(HERE, SO_REUSEADDR), other;
	union address peer;
	socklen_t len = address(&peer, THERE, 99);

	assert_int_equal(connect(fd, &peer.sa, len), 0);
	other = bound("0.0.0.0", SO_REUSEADDR);
	refused(f, fd, -EADDRINUSE);
	close(other);
	close(fd);
	done(f);
}

static void test_closed(void **state)
{
	struct fixture *f = ready(state);
	int fd = bound("0.0.0.0", 0);
	struct attached *a = attach(f, fd);

	close(fd);
	ports_judge(f->ports, PORT);
	assert_out(f, a, SLUICE_LANE_GONE, -ENOTCONN);
	assert_null(ports_find(f->ports, PORT, a->sk.cookie));
	/* The port may be another's now. */
	fd = bound("0.0.0.0", 0);
	ports_judge(f->ports, PORT);
	assert_int_equal(a->state, SLUICE_LANE_GONE);
	detach(f, a);
	close(fd);
	done(f);
}

static void test_stop(void **state)
{
	struct fixture *f = ready(state);
	int fd = bound("0.0.0.0", 0);
	struct attached *a = attach(f, fd);

	ports_stop(f->ports, a);
	assert_out(f, a, SLUICE_LANE_WITHDRAWN, -ECANCELED);
	ports_judge_all(f->ports);
	assert_out(f, a, SLUICE_LANE_WITHDRAWN, -ECANCELED);
	detach(f, a);
	close(fd);
	done(f);
}

/* What the guard does when a socket changes: shut until judged again. */
static void test_gate(void **state)
{
	struct fixture *f = ready(state);
	int fd = bound("0.0.0.0", 0);
	struct attached *a = attach(f, fd);

	assert_true(gate_open(f));
	f->dev.steer.port[PORT].gen++;
	assert_false(gate_open(f));
	ports_judge(f->ports, PORT + 1);
	assert_false(gate_open(f));
	ports_judge(f->ports, PORT);
	assert_active(f, a);
	detach(f, a);
	assert_false(gate_open(f));
	close(fd);
	done(f);
}

/* Without a report of the guard, the kernel's list tells. */
static void test_check(void **state)
{
	struct fixture *f = ready(state);
	int fd = bound("0.0.0.0", SO_REUSEADDR), other;
	struct attached *a = attach(f, fd);

	assert_int_equal(ports_check(f->ports), 0);
	assert_active(f, a);
	other = bound(HERE, SO_REUSEADDR);
	assert_active(f, a);
	assert_int_equal(ports_check(f->ports), 0);
	assert_out(f, a, SLUICE_LANE_WITHDRAWN, -EADDRINUSE);
	close(other);
	assert_int_equal(ports_check(f->ports), 0);
	assert_active(f, a);
	close(fd);
	assert_int_equal(ports_check(f->ports), 0);
	assert_out(f, a, SLUICE_LANE_GONE, -ENOTCONN);
	detach(f, a);
	done(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any),
		cmocka_unit_test(test_any6),
		cmocka_unit_test(test_exact),
		cmocka_unit_test(test_refused_alone),
		cmocka_unit_test(test_device),
		cmocka_unit_test(test_another_socket),
		cmocka_unit_test(test_another_family),
		cmocka_unit_test(test_group),
		cmocka_unit_test(test_connected),
		cmocka_unit_test(test_connected_beside_wildcard),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_gate),
		cmocka_unit_test(test_check),
	};

	return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
