// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* udp_diag against sockets made here, in a network namespace of the test's own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "daemon/diag.h"

#define PORT 4444
#define CROWD 900	/* stays below the usual limit of 1,024 descriptors */

struct fixture {
	bool netns;
	struct diag diag;
};

static int bind_udp(const char *text, uint16_t port, int reuse)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	bool v4 = inet_pton(AF_INET, text, &in.sin_addr) == 1;
	int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_true(v4 || inet_pton(AF_INET6, text, &in6.sin6_addr) == 1);
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &reuse, sizeof(reuse));
	if (v4)
		assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	else
		assert_int_equal(bind(fd, (struct sockaddr *)&in6, sizeof(in6)), 0);
	return fd;
}

static void connect_udp(int fd, const char *text, uint16_t port)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };

	if (inet_pton(AF_INET, text, &in.sin_addr) == 1) {
		assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
		return;
	}
	assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
	assert_int_equal(connect(fd, (struct sockaddr *)&in6, sizeof(in6)), 0);
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len), 0);
	return cookie;
}

/* The only socket on PORT. */
static struct diag_sock only(struct diag *d, int fd)
{
	struct diag_sock s[4];
	struct stat st;

	assert_int_equal(diag_udp(d, PORT, s, 4), 1);
	assert_true(s[0].cookie == cookie_of(fd));
	assert_int_equal(s[0].port, PORT);
	assert_int_equal(s[0].uid, getuid());
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(s[0].inode, st.st_ino);
	return s[0];
}

static void assert_addr(const struct sluice_addr *addr, const char *text)
{
	struct in6_addr want;

	assert_int_equal(inet_pton(AF_INET6, text, &want), 1);
	assert_memory_equal(addr, &want, sizeof(want));
}

static int setup(void **state)
{
	static const char *const why = "skipped: needs a network namespace of its own (root)\n";
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	struct fixture *f = test_calloc(1, sizeof(*f));
	int fd;

	*state = f;
	if (unshare(CLONE_NEWNET) < 0) {
		print_message("%s", why);
		return 0;
	}
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
	close(fd);
	f->netns = true;
	return diag_open(&f->diag);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->netns)
		diag_close(&f->diag);
	test_free(f);
	return 0;
}

static struct diag *ready(void **state)
{
	struct fixture *f = *state;

	if (!f->netns)
		skip();
	return &f->diag;
}

static void test_none(void **state)
{
	struct diag *d = ready(state);
	struct diag_sock s;
	int fd = bind_udp("127.0.0.1", PORT + 1, 0), tcp = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(PORT) };

	assert_int_equal(bind(tcp, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(tcp, 1), 0);
	assert_int_equal(diag_udp(d, PORT, &s, 1), 0);
	close(tcp);
	close(fd);
}

static void test_ipv4(void **state)
{
	struct diag *d = ready(state);
	int fd = bind_udp("0.0.0.0", PORT, 0), lo = 1;
	struct diag_sock s = only(d, fd);

	assert_int_equal(s.family, AF_INET);
	assert_int_equal(s.state, TCP_CLOSE);
	assert_int_equal(s.peer_port, 0);
	assert_int_equal(s.ifindex, 0);
	assert_addr(&s.local, "::ffff:0.0.0.0");
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &lo, sizeof(lo)), 0);
	connect_udp(fd, "127.0.0.2", 99);
	s = only(d, fd);
	assert_int_equal(s.state, TCP_ESTABLISHED);
	assert_int_equal(s.ifindex, 1);
	assert_int_equal(s.peer_port, 99);
	assert_addr(&s.peer, "::ffff:127.0.0.2");
	assert_addr(&s.local, "::ffff:127.0.0.1");
	close(fd);
}

static void test_ipv6(void **state)
{
	struct diag *d = ready(state);
	int fd = bind_udp("::", PORT, 0), one = 1;
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(PORT) };
	struct diag_sock s = only(d, fd);

	assert_int_equal(s.family, AF_INET6);
	assert_false(s.v6only);
	assert_addr(&s.local, "::");
	connect_udp(fd, "::1", 99);
	s = only(d, fd);
	assert_int_equal(s.state, TCP_ESTABLISHED);
	assert_addr(&s.local, "::1");
	assert_addr(&s.peer, "::1");
	close(fd);

	fd = bind_udp("::ffff:127.0.0.5", PORT, 0);
	s = only(d, fd);
	assert_int_equal(s.family, AF_INET6);
	assert_addr(&s.local, "::ffff:127.0.0.5");
	close(fd);

	fd = socket(AF_INET6, SOCK_DGRAM, 0);
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	assert_int_equal(bind(fd, (struct sockaddr *)&in6, sizeof(in6)), 0);
	assert_true(only(d, fd).v6only);
	close(fd);
}

/* More sockets than fit into the array, or into one of the kernel's buffers; others beside them. */
static void test_many(void **state)
{
	struct diag *d = ready(state);
	struct diag_sock s[CROWD + 1];
	int fds[CROWD], i, j, seen = 0;

	for (i = 0; i < CROWD; i++)
		fds[i] = bind_udp(i & 1 ? "::" : "0.0.0.0",
				  (uint16_t)(i < CROWD / 2 ? PORT : PORT + i), 1);
	assert_int_equal(diag_udp(d, PORT, s, CROWD + 1), CROWD / 2);
	for (i = 0; i < CROWD / 2; i++)
		for (j = 0; j < CROWD / 2; j++)
			seen += s[j].cookie == cookie_of(fds[i]);
	assert_int_equal(seen, CROWD / 2);
	s[3].cookie = 1;
	assert_int_equal(diag_udp(d, PORT, s, 3), CROWD / 2);
	assert_int_equal(s[3].cookie, 1);
	assert_int_equal(diag_udp(d, PORT, NULL, 0), CROWD / 2);
	for (i = 0; i < CROWD; i++)
		close(fds[i]);
}

/* What the callback was told: how often each of the sockets, and how many others. */
struct census {
	uint64_t cookie[CROWD];
	uint16_t port[CROWD];
	unsigned int seen[CROWD];
	unsigned int others;
};

static void count(void *ctx, const struct diag_sock *s)
{
	struct census *census = ctx;
	int i;

	for (i = 0; i < CROWD && census->cookie[i] != s->cookie; i++)
		;
	if (i == CROWD) {
		census->others++;
		return;
	}
	census->seen[i]++;
	assert_int_equal(s->port, census->port[i]);
	assert_int_equal(s->family, i & 1 ? AF_INET6 : AF_INET);
	assert_addr(&s->local, i & 1 ? "::1" : "::ffff:127.0.0.7");
}

/* Every socket once, whatever its port, and neither those without a port nor those of TCP. */
static void test_all(void **state)
{
	struct diag *d = ready(state);
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	struct census *census = test_calloc(1, sizeof(*census));
	int fds[CROWD], i, tcp = socket(AF_INET, SOCK_STREAM, 0), unbound;

	unbound = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(tcp, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(diag_udp_all(d, count, census), 0);
	assert_int_equal(census->others, 0);
	for (i = 0; i < CROWD; i++) {
		census->port[i] = (uint16_t)(i < CROWD / 2 ? PORT : PORT + i);
		fds[i] = bind_udp(i & 1 ? "::1" : "127.0.0.7", census->port[i], 1);
		census->cookie[i] = cookie_of(fds[i]);
	}
	assert_int_equal(diag_udp_all(d, count, census), 0);
	for (i = 0; i < CROWD; i++)
		assert_int_equal(census->seen[i], 1);
	assert_int_equal(census->others, 0);
	/* The answer was taken whole: the next question gets its own. */
	assert_int_equal(diag_udp(d, PORT + CROWD - 1, NULL, 0), 1);
	close(fds[0]);
	assert_int_equal(diag_udp_all(d, count, census), 0);
	assert_int_equal(census->seen[0], 1);
	assert_int_equal(census->seen[1], 2);
	for (i = 1; i < CROWD; i++)
		close(fds[i]);
	close(unbound);
	close(tcp);
	test_free(census);
}

struct churn {
	bool stop;
};

static void *churn_run(void *arg)
{
	struct churn *churn = arg;

	while (!__atomic_load_n(&churn->stop, __ATOMIC_RELAXED)) {
		int fd = socket(AF_INET, SOCK_DGRAM, 0);
		int one = 1;
		struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(PORT) };

		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
		if (bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0)
			connect_udp(fd, "127.0.0.1", 9);
		close(fd);
	}
	return NULL;
}

/* Sockets that come and go meanwhile neither hide the one that stays nor show it twice. */
static void test_churn(void **state)
{
	struct diag *d = ready(state);
	struct churn churn = { false };
	struct diag_sock s[8];
	int fd = bind_udp("0.0.0.0", PORT, 1), i, j, n, seen;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, churn_run, &churn), 0);
	for (i = 0; i < 2000; i++) {
		n = diag_udp(d, PORT, s, 8);
		assert_in_range(n, 1, 2);
		for (seen = 0, j = 0; j < n; j++) {
			seen += s[j].cookie == cookie_of(fd);
			assert_int_equal(s[j].port, PORT);
		}
		assert_int_equal(seen, 1);
	}
	__atomic_store_n(&churn.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	close(fd);
}

/* The sockets of the namespace of diag_open(), wherever the caller is by then. */
static void test_other_netns(void **state)
{
	struct diag *d = ready(state);
	struct diag_sock s;
	int fd;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	fd = bind_udp("0.0.0.0", PORT, 0);
	assert_int_equal(diag_udp(d, PORT, &s, 1), 0);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_none),
		TEST(test_ipv4),
		TEST(test_ipv6),
		TEST(test_many),
		TEST(test_all),
		TEST(test_churn),
		TEST(test_other_netns),
	};

	return cmocka_run_group_tests_name("diag", tests, NULL, NULL);
}
