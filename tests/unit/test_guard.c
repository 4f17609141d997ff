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
#include <linux/filter.h>
#include <linux/udp.h>
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
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "daemon/guard.h"
#include "daemon/guard_root.h"
#include "sluice/steer.h"

#define PORT 4444
#define PORTS 65536

struct fixture {
	bool usable;
	enum guard_kind kind;
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

static int setup(void **state, enum guard_kind kind)
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
	f->kind = kind;
	err = guard_open_kind(&f->guard, kind, f->map, netns_cookie());
	if (err == -EOPNOTSUPP)
		print_message(kind == GUARD_TRACING ?
			      "skipped: the kernel has no BTF or no fentry, or bars them\n" :
			      "skipped: no cgroup2 tree, or the kernel bars hooks in it\n");
	else
		assert_int_equal(err, 0);
	f->usable = !err;
	return 0;
}

static int setup_tracing(void **state)
{
	return setup(state, GUARD_TRACING);
}

static int setup_cgroup(void **state)
{
	return setup(state, GUARD_CGROUP);
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
	/* The cgroup kind has no hook for it. */
	if (f->kind == GUARD_TRACING)
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
	assert_in_range(f->ports[PORT].gen, f->kind == GUARD_TRACING ? 12001 : 6001, 60000);
	assert_int_equal(guard_next(&f->guard, &port), -ENOBUFS);
	while (guard_next(&f->guard, &port) == 0)
		n++;
	assert_in_range(n, 1000, 6000);
	settle(f);
	close(fd);
	assert_shut(f);
}

/* Set on a bound socket, these change what it receives, or who else may bind its port. */
static void test_options(void **state)
{
	struct sock_filter all = { .code = BPF_RET | BPF_K, .k = 0xffff };
	struct sock_fprog prog = { .len = 1, .filter = &all };
	const struct {
		int level, name;
		const void *value;
		socklen_t len;
	} options[] = {
		{ SOL_SOCKET, SO_REUSEPORT, &(int){ 1 }, sizeof(int) },
		{ SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog) },
		{ SOL_SOCKET, SO_DETACH_FILTER, &(int){ 0 }, sizeof(int) },
		{ SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &prog, sizeof(prog) },
		{ SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &(int){ 0 }, sizeof(int) },
		{ IPPROTO_UDP, UDP_NO_CHECK6_RX, &(int){ 1 }, sizeof(int) },
		{ IPPROTO_UDP, UDP_ENCAP, &(int){ UDP_ENCAP_L2TPINUDP }, sizeof(int) },
	};
	struct fixture *f = ready(state);
	int fd = udp_socket("::", SO_REUSEPORT), v4 = AF_INET;
	size_t i;

	assert_int_equal(bind_to(fd, "::", PORT), 0);
	settle(f);
	for (i = 0; i < sizeof(options) / sizeof(*options); i++) {
		assert_int_equal(setsockopt(fd, options[i].level, options[i].name, options[i].value,
					    options[i].len), 0);
		assert_shut(f);
	}
	close(fd);
	fd = udp_socket("::", 0);
	assert_int_equal(bind_to(fd, "::ffff:127.0.0.1", PORT), 0);
	assert_int_equal(connect_to(fd, "::ffff:127.0.0.1"), 0);
	settle(f);
	assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_ADDRFORM, &v4, sizeof(v4)), 0);
	assert_shut(f);
	close(fd);
	assert_shut(f);
}

/* Calls that are none of the guard's business get their results from the kernel alone. */
static void test_pass_through(void **state)
{
	struct fixture *f = ready(state);
	int fd = udp_socket("0.0.0.0", 0), pair[2], got, want;
	socklen_t len = sizeof(got);
	int large[4096] = { 8192 };

	assert_int_equal(bind_to(fd, "0.0.0.0", PORT), 0);
	settle(f);
	/* A value longer than a page. */
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, large, sizeof(large)), 0);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &got, &len), 0);
	assert_int_equal(got, 2 * large[0]);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, large, 1), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, NULL, 4), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(setsockopt(fd, IPPROTO_UDP, 9999, large, 4), -1);
	assert_int_equal(errno, ENOPROTOOPT);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
	want = 1;
	assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &want, sizeof(want)), 0);
	assert_int_equal(getsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &got, &len), 0);
	assert_int_equal(got, want);
	assert_open(f);
	close(pair[0]);
	close(pair[1]);
	close(fd);
}

/* A socket bound before the guard was there: its close is seen once the guard has met it. */
static void test_older_socket(void **state)
{
	struct fixture *f = ready(state);
	int fd = udp_socket("0.0.0.0", 0);

	guard_close(&f->guard);
	assert_int_equal(bind_to(fd, "0.0.0.0", PORT), 0);
	assert_int_equal(connect_to(fd, "127.0.0.1"), 0);
	assert_int_equal(f->ports[PORT].gen, 0);
	assert_int_equal(guard_open_kind(&f->guard, f->kind, f->map, netns_cookie()), 0);
	assert_open(f);
	assert_int_equal(connect_to(fd, "127.0.0.1"), 0);
	assert_shut(f);
	close(fd);
	assert_shut(f);
}

/* Exit status: 0, the root was found; 1, it was not; 2, nobody else sees the tree either. */
static int find_hidden_root(ino_t want)
{
	char link[32], path[4096];
	struct stat st;
	ssize_t len;
	int fd;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return 2;
	fd = guard_root_open();
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	path[len < 0 ? 0 : len] = 0;
	close(fd);
	if (len > 1 && umount2(path, MNT_DETACH) < 0)
		return 2;
	fd = guard_root_open();
	if (fd < 0)
		return fd == -ENOENT ? 2 : 1;
	return fstat(fd, &st) < 0 || st.st_ino != want;
}

/* Where this process sees no cgroup2 mount, as under `ip netns exec`. */
static void test_hidden_tree(void **state)
{
	struct stat st;
	int fd, status;
	pid_t pid;

	ready(state);
	fd = guard_root_open();
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	close(fd);
	pid = fork();
	if (pid == 0)
		_exit(find_hidden_root(st.st_ino));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 2) {
		print_message("skipped: the cgroup2 tree cannot be hidden, or is in no table\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Whoever opens a guard gets one that sees a bind, of the kind that it says. */
static void test_any_kind(void **state)
{
	struct fixture *f = ready(state);
	int fd = udp_socket("0.0.0.0", 0), err;

	guard_close(&f->guard);
	err = guard_open_kind(&f->guard, GUARD_TRACING, f->map, netns_cookie());
	guard_close(&f->guard);
	assert_int_equal(guard_open(&f->guard, f->map, netns_cookie()), 0);
	assert_int_equal(guard_kind(&f->guard), err ? GUARD_CGROUP : GUARD_TRACING);
	assert_int_equal(bind_to(fd, "0.0.0.0", PORT), 0);
	assert_shut(f);
	close(fd);
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
	assert_int_equal(guard_open_kind(&g, f->kind, f->map, netns_cookie()), 0);
	guard_close(&g);
}

#define TEST(name, kind) { #name " (" #kind ")", name, setup_##kind, teardown, NULL }
#define BOTH(name) TEST(name, tracing), TEST(name, cgroup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_any4),
		BOTH(test_specific4),
		BOTH(test_any6),
		BOTH(test_specific6),
		BOTH(test_mapped),
		BOTH(test_any6_mapped_peer),
		BOTH(test_second_socket),
		TEST(test_autobind, tracing),
		BOTH(test_exit_and_kill),
		BOTH(test_others),
		BOTH(test_lost),
		TEST(test_options, cgroup),
		BOTH(test_pass_through),
		TEST(test_older_socket, cgroup),
		TEST(test_hidden_tree, cgroup),
		TEST(test_any_kind, cgroup),
		BOTH(test_errors),
	};

	libbpf_set_print(no_print);
	return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
