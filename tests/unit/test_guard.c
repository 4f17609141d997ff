// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Every change of a socket on a watched port shuts its gate; in namespaces of the test's own. */
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
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "daemon/guard.h"
#include "sluice/steer.h"

#define PORT 4444
#define PORTS 65536

struct fixture {
	bool usable;
	int map;
	struct sluice_port *ports;
	struct guard guard;
};

static int no_print(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

static uint64_t netns_cookie(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len), 0);
	close(fd);
	return cookie;
}

static void loopback_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
	close(fd);
}

static int setup(void **state)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	struct fixture *f = calloc(1, sizeof(*f));
	int err;

	*state = f;
	if (unshare(CLONE_NEWNET) < 0) {
		print_message("skipped: needs a network namespace of its own (root)\n");
		return 0;
	}
	loopback_up();
	f->map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bind_port", sizeof(__u32),
				sizeof(struct sluice_port), PORTS, &opts);
	if (f->map < 0) {
		print_message("skipped: bpf(BPF_MAP_CREATE): %s\n", strerror(-f->map));
		return 0;
	}
	f->ports = mmap(NULL, PORTS * sizeof(*f->ports), PROT_READ | PROT_WRITE, MAP_SHARED, f->map,
			0);
	assert_ptr_not_equal(f->ports, MAP_FAILED);
	f->ports[PORT].flags = SLUICE_PORT_WATCH;
	err = guard_open(&f->guard, f->map, netns_cookie());
	if (err == -EOPNOTSUPP)
		print_message("skipped: the kernel has no BTF or no fentry, or bars them\n");
	else
		assert_int_equal(err, 0);
	f->usable = !err;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->ports) {
		guard_close(&f->guard);
		munmap(f->ports, PORTS * sizeof(*f->ports));
		close(f->map);
	}
	free(f);
	return 0;
}

static struct fixture *ready(void **state)
{
	struct fixture *f = *state;

	if (!f->usable)
		skip();
	return f;
}

/* Opens the gate as the daemon does, after taking all reports. */
static void settle(struct fixture *f)
{
	struct pollfd pfd = { .fd = guard_fd(&f->guard), .events = POLLIN };
	uint16_t port = 0;

	while (guard_next(&f->guard, &port) == 0)
		assert_int_equal(port, PORT);
	assert_int_equal(poll(&pfd, 1, 0), 0);
	f->ports[PORT].open = __atomic_load_n(&f->ports[PORT].gen, __ATOMIC_ACQUIRE);
}

/* The gate is shut and the daemon was told; opens it again. */
static void assert_shut(struct fixture *f)
{
	struct pollfd pfd = { .fd = guard_fd(&f->guard), .events = POLLIN };
	uint16_t port = 0;

	assert_true(f->ports[PORT].open != __atomic_load_n(&f->ports[PORT].gen, __ATOMIC_ACQUIRE));
	assert_int_equal(poll(&pfd, 1, 1000), 1);
	assert_int_equal(guard_next(&f->guard, &port), 0);
	assert_int_equal(port, PORT);
	settle(f);
}

static void assert_open(struct fixture *f)
{
	struct pollfd pfd = { .fd = guard_fd(&f->guard), .events = POLLIN };

	assert_int_equal(f->ports[PORT].open, f->ports[PORT].gen);
	assert_int_equal(poll(&pfd, 1, 20), 0);
}

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

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

static int bind_to(int fd, const char *text, uint16_t port)
{
	union address a;
	socklen_t len = address(&a, text, port);

	return bind(fd, &a.sa, len);
}

static int connect_to(int fd, const char *text)
{
	union address a;
	socklen_t len = address(&a, text, 99);

	return connect(fd, &a.sa, len);
}

static int disconnect(int fd)
{
	struct sockaddr sa = { .sa_family = AF_UNSPEC };

	return connect(fd, &sa, sizeof(sa));
}

static void life_of_a_socket(struct fixture *f, const char *local, const char *peer)
{
	int fd = udp_socket(local, 0), lo = 1;

	settle(f);
	assert_open(f);
	assert_int_equal(bind_to(fd, local, PORT), 0);
	assert_shut(f);
	assert_int_equal(connect_to(fd, peer), 0);
	assert_shut(f);
	assert_int_equal(connect_to(fd, peer), 0);
	assert_shut(f);
	assert_int_equal(disconnect(fd), 0);
	assert_shut(f);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), 0);
	assert_shut(f);
	lo = 0;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &lo, sizeof(lo)), 0);
	assert_shut(f);
	close(fd);
	assert_shut(f);
	assert_open(f);
}

static void test_any4(void **state)
{
	life_of_a_socket(ready(state), "0.0.0.0", "127.0.0.1");
}

static void test_specific4(void **state)
{
	life_of_a_socket(ready(state), "127.0.0.3", "127.0.0.1");
}

static void test_any6(void **state)
{
	life_of_a_socket(ready(state), "::", "::1");
}

static void test_specific6(void **state)
{
	life_of_a_socket(ready(state), "::1", "::1");
}

static void test_mapped(void **state)
{
	life_of_a_socket(ready(state), "::ffff:127.0.0.3", "::ffff:127.0.0.1");
}

static void test_any6_mapped_peer(void **state)
{
	life_of_a_socket(ready(state), "::", "::ffff:127.0.0.1");
}

/* A second socket may take datagrams from the first in each of these cases. */
static void test_second_socket(void **state)
{
	static const int options[] = { SO_REUSEADDR, SO_REUSEPORT };
	static const char *const locals[][2] = {
		{ "0.0.0.0", "0.0.0.0" }, { "0.0.0.0", "127.0.0.1" },
		{ "::", "127.0.0.1" }, { "::", "::1" },
	};
	struct fixture *f = ready(state);
	size_t i, j;

	for (i = 0; i < 2; i++) {
		for (j = 0; j < 4; j++) {
			int fd = udp_socket(locals[j][0], options[i]);
			int second = udp_socket(locals[j][1], options[i]);

			assert_int_equal(bind_to(fd, locals[j][0], PORT), 0);
			settle(f);
			assert_int_equal(bind_to(second, locals[j][1], PORT), 0);
			assert_shut(f);
			close(second);
			assert_shut(f);
			close(fd);
		}
	}
}

/* A socket that leaves its port altogether: implicitly bound, then disconnected. */
static void test_autobind(void **state)
{
	struct fixture *f = ready(state);
	union address a;
	socklen_t len = sizeof(a);
	int fd = udp_socket("127.0.0.1", 0);
	uint16_t port, got = 0;

	assert_int_equal(connect_to(fd, "127.0.0.1"), 0);
	assert_int_equal(getsockname(fd, &a.sa, &len), 0);
	port = ntohs(a.in.sin_port);
	f->ports[port].flags = SLUICE_PORT_WATCH;
	assert_int_equal(disconnect(fd), 0);
	assert_in_range(f->ports[port].gen, 2, 100);
	assert_int_equal(guard_next(&f->guard, &got), 0);
	assert_int_equal(got, port);
	close(fd);
}

static void test_exit_and_kill(void **state)
{
	struct fixture *f = ready(state);
	int sig;

	for (sig = 0; sig <= SIGKILL; sig += SIGKILL) {
		int go[2];
		pid_t pid;

		assert_int_equal(pipe(go), 0);
		pid = fork();
		if (pid == 0) {
			int fd = udp_socket("0.0.0.0", 0);

			if (bind_to(fd, "0.0.0.0", PORT) || write(go[1], "x", 1) != 1)
				_exit(1);
			while (sig)
				pause();
			_exit(0);
		}
		assert_int_equal(read(go[0], go, 1), 1);
		if (sig) {
			settle(f);
			kill(pid, sig);
		}
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		assert_shut(f);
		assert_open(f);
	}
}

static void test_others(void **state)
{
	struct fixture *f = ready(state);
	int fd, tcp, lite, one = 1;

	settle(f);
	fd = udp_socket("0.0.0.0", 0);
	assert_int_equal(bind_to(fd, "0.0.0.0", PORT + 1), 0);
	assert_int_equal(connect_to(fd, "127.0.0.1"), 0);
	close(fd);
	assert_int_equal(f->ports[PORT + 1].gen, 0);

	tcp = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind_to(tcp, "0.0.0.0", PORT), 0);
	assert_int_equal(listen(tcp, 1), 0);
	close(tcp);

	lite = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE);
	if (lite >= 0) {
		assert_int_equal(bind_to(lite, "0.0.0.0", PORT), 0);
		close(lite);
	}
	assert_open(f);

	/* A bind that fails changes nothing, or any user could hold the gate shut. */
	fd = udp_socket("0.0.0.0", 0);
	assert_int_equal(bind_to(fd, "0.0.0.0", PORT), 0);
	settle(f);
	tcp = udp_socket("0.0.0.0", 0);
	assert_int_equal(bind_to(tcp, "0.0.0.0", PORT), -1);
	close(tcp);
	assert_open(f);
	close(fd);
	assert_shut(f);

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	loopback_up();
	fd = udp_socket("0.0.0.0", 0);
	assert_int_equal(bind_to(fd, "0.0.0.0", PORT), 0);
	assert_int_equal(connect_to(fd, "127.0.0.1"), 0);
	close(fd);
	assert_open(f);
}

/* More reports than the ring holds: told once, after which it works as before. */
static void test_lost(void **state)
{
	struct fixture *f = ready(state);
	int fd = udp_socket("0.0.0.0", 0), i, n = 0;
	uint16_t port;

	assert_int_equal(bind_to(fd, "0.0.0.0", PORT), 0);
	for (i = 0; i < 6000; i++)
		assert_int_equal(connect_to(fd, "127.0.0.1"), 0);
	assert_in_range(f->ports[PORT].gen, 12001, 60000);
	assert_int_equal(guard_next(&f->guard, &port), -ENOBUFS);
	while (guard_next(&f->guard, &port) == 0)
		n++;
	assert_in_range(n, 1000, 6000);
	settle(f);
	close(fd);
	assert_shut(f);
}

static void test_errors(void **state)
{
	struct fixture *f = ready(state);
	struct guard g;
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "small", sizeof(__u32), 4, 10, NULL);

	assert_true(map >= 0);
	assert_int_equal(guard_open(&g, map, 1), -EINVAL);
	guard_close(&g);
	close(map);
	/* EBADF or EBADFD. */
	assert_true(guard_open(&g, map, 1) < 0);
	/* Two at a time, as when one daemon starts before the other has ended. */
	assert_int_equal(guard_open(&g, f->map, netns_cookie()), 0);
	guard_close(&g);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_any4),
		TEST(test_specific4),
		TEST(test_any6),
		TEST(test_specific6),
		TEST(test_mapped),
		TEST(test_any6_mapped_peer),
		TEST(test_second_socket),
		TEST(test_autobind),
		TEST(test_exit_and_kill),
		TEST(test_others),
		TEST(test_lost),
		TEST(test_errors),
	};

	libbpf_set_print(no_print);
	return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
