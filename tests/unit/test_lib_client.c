// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Finding a daemon, attaching, and what happens when it fails at any step. */
#include "test_lib_fake.h"

#include <signal.h>
#include <time.h>

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Attaches, checks that the kernel serves, and that -errno comes with SLUICE_REQUIRE. */
static void expect_kernel(int err, const char *reason)
{
	struct sluice_opts require = { .flags = SLUICE_REQUIRE };
	struct sluice_sock *s = NULL;
	int tx, fd = fake_udp(AF_INET, &tx);
	unsigned int fds = fake_count_fds();
	char buf[16];

	assert_int_equal(sluice_attach(&s, fd, &require), err);
	assert_null(s);
	assert_true(fake_fds_become(fds));
	assert_int_equal(sluice_attach(&s, fd, NULL), 0);
	assert_int_equal(sluice_path(s), SLUICE_PATH_KERNEL);
	assert_non_null(strstr(sluice_reason(s), reason));
	assert_int_equal(send(tx, "hello", 5, 0), 5);
	assert_int_equal(sluice_recvfrom(s, buf, sizeof(buf), 0, NULL, NULL), 5);
	assert_int_equal(sluice_recvfrom(s, buf, sizeof(buf), MSG_DONTWAIT, NULL, NULL), -EAGAIN);
	assert_int_equal(sluice_stop(s), 0);
	sluice_detach(s);
	assert_true(fake_fds_become(fds));
	close(fd);
	close(tx);
}

static void test_arguments(void **state)
{
	struct sluice_opts opts = { .lane_bytes = 100000 };
	struct sluice_sock *s = NULL;
	int pipefd[2], tcp = socket(AF_INET, SOCK_STREAM, 0), udp = fake_udp(AF_INET, NULL);

	(void)state;
	assert_int_equal(pipe(pipefd), 0);
	assert_int_equal(sluice_attach(&s, -1, NULL), -EBADF);
	assert_int_equal(sluice_attach(&s, pipefd[0], NULL), -ENOTSOCK);
	assert_int_equal(sluice_attach(&s, tcp, NULL), -EPROTOTYPE);
	assert_int_equal(sluice_attach(&s, udp, &opts), -EINVAL);
	opts.lane_bytes = SLUICE_LANE_MIN / 2;
	assert_int_equal(sluice_attach(&s, udp, &opts), -EINVAL);
	opts.lane_bytes = SLUICE_LANE_MAX * 2;
	assert_int_equal(sluice_attach(&s, udp, &opts), -EINVAL);
	opts = (struct sluice_opts){ .flags = 0x80 };
	assert_int_equal(sluice_attach(&s, udp, &opts), -EINVAL);
	assert_null(s);
	sluice_detach(NULL);
	sluice_client_close(NULL);
	close(pipefd[0]);
	close(pipefd[1]);
	close(tcp);
	close(udp);
}

static void test_no_daemon(void **state)
{
	struct sluice_client *c = NULL;
	struct fake f;

	(void)state;
	setenv("SLUICE_RUN_DIR", "/nonexistent", 1);
	assert_int_equal(sluice_client_open(&c, NULL), -ENOENT);
	fake_new_dir(&f);
	assert_int_equal(sluice_client_open(&c, NULL), -ENOENT);
	assert_int_equal(sluice_client_open(&c, "veth0"), -ENOENT);
	assert_int_equal(sluice_client_open(&c, "../veth0"), -ENOENT);
	assert_int_equal(sluice_client_open(&c, ""), -ENOENT);
	expect_kernel(-ENOENT, "no daemon");
	assert_null(c);
	fake_stop(&f);
}

static void test_attach(void **state)
{
	struct sluice_opts opts = { .lane_bytes = 2 * SLUICE_LANE_MIN, .flags = SLUICE_REQUIRE };
	int fd = fake_udp(AF_INET, NULL);
	struct sluice_stats st;
	struct sluice_sock *s;
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	struct fake f;
	char buf[8];

	(void)state;
	fake_start(&f, FAKE_OK);
	assert_int_equal(sluice_attach(&s, fd, &opts), 0);
	getsockname(fd, (struct sockaddr *)&a, &len);
	assert_int_equal(f.port, ntohs(a.sin_port));
	assert_int_equal(f.sock_cookie, fake_cookie(fd, SO_COOKIE));
	assert_int_equal(f.lane[0].size, 2 * SLUICE_LANE_MIN);
	assert_int_equal(f.lane[0].ctl->armed, 1);
	assert_int_equal(sluice_path(s), SLUICE_PATH_LANE);
	assert_string_equal(sluice_reason(s), "bypasses nothing");
	f.lane[0].head->state = SLUICE_LANE_WAITING;
	assert_int_equal(sluice_path(s), SLUICE_PATH_WAITING);
	assert_non_null(strstr(sluice_reason(s), "reuseport"));
	f.lane[0].head->state = SLUICE_LANE_WITHDRAWN;
	assert_int_equal(sluice_path(s), SLUICE_PATH_KERNEL);
	assert_non_null(strstr(sluice_reason(s), "shares"));
	f.lane[0].head->state = SLUICE_LANE_GONE;
	assert_int_equal(sluice_path(s), SLUICE_PATH_KERNEL);
	f.lane[0].head->state = SLUICE_LANE_ACTIVE;
	f.lane[0].head->drops = 3;
	fake_send(&f.lane[0], "abc");
	assert_int_equal(sluice_stop(s), 0);
	assert_true(f.lane[0].stopped);
	assert_int_equal(sluice_path(s), SLUICE_PATH_KERNEL);
	assert_int_equal(sluice_recvfrom(s, buf, sizeof(buf), 0, NULL, NULL), 3);
	assert_int_equal(sluice_stats(s, &st), 0);
	assert_int_equal(st.lane_datagrams, 1);
	assert_int_equal(st.lane_drops, 3);
	sluice_detach(s);
	assert_true(f.lane[0].detached);
	assert_int_equal(f.requests, 3);
	fake_stop(&f);
	close(fd);
}

static void test_refused(void **state)
{
	struct fake f;

	(void)state;
	fake_start(&f, FAKE_REFUSE);
	expect_kernel(-EADDRINUSE, "shared with pid 7");
	fake_stop(&f);
}

static void test_unbound(void **state)
{
	struct sluice_opts require = { .flags = SLUICE_REQUIRE };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sluice_sock *s;
	struct fake f;

	(void)state;
	fake_start(&f, FAKE_OK);
	assert_int_equal(sluice_attach(&s, fd, &require), -EDESTADDRREQ);
	assert_int_equal(sluice_attach(&s, fd, NULL), 0);
	assert_non_null(strstr(sluice_reason(s), "not bound"));
	sluice_detach(s);
	fake_stop(&f);
	close(fd);
}

static void test_dies_while_attaching(void **state)
{
	static const struct {
		enum fake_mode mode;
		int err;
	} steps[] = {
		{ FAKE_CLOSE_ATTACH, -ECONNRESET }, { FAKE_BAD_VERSION, -EPROTO },
		{ FAKE_BAD_ID, -EPROTO }, { FAKE_SHORT, -EPROTO }, { FAKE_NO_WAKE, -EPROTO },
		{ FAKE_NO_FDS, -EPROTO }, { FAKE_BAD_HEAD, -EPROTO }, { FAKE_BAD_RANGE, -EPROTO },
	};
	struct fake f;

	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		fake_start(&f, steps[i].mode);
		expect_kernel(steps[i].err, "");
		for (uint32_t n = 0; n < f.lanes; n++) {
			/* what the daemon believes attached must not stay so */
			for (int ms = 0; ms < 1000 && !f.lane[n].detached; ms++)
				usleep(1000);
			assert_true(f.lane[n].detached);
		}
		fake_stop(&f);
	}
}

/* A lane that cannot be used is given back, and the connection stays good for others. */
static void test_given_back(void **state)
{
	struct sluice_opts opts = { .flags = SLUICE_REQUIRE };
	int fd = fake_udp(AF_INET, NULL);
	struct sluice_sock *s = NULL;
	struct fake f;

	(void)state;
	fake_start(&f, FAKE_BAD_HEAD);
	assert_int_equal(sluice_client_open(&opts.client, "veth0"), 0);
	assert_int_equal(sluice_attach(&s, fd, &opts), -EPROTO);
	assert_true(f.lane[0].detached);
	f.mode = FAKE_NO_WAKE;
	assert_int_equal(sluice_attach(&s, fd, &opts), -EPROTO);
	assert_true(f.lane[1].detached);
	f.mode = FAKE_OK;
	assert_int_equal(sluice_attach(&s, fd, &opts), 0);
	assert_int_equal(sluice_path(s), SLUICE_PATH_LANE);
	sluice_detach(s);
	sluice_client_close(opts.client);
	fake_stop(&f);
	close(fd);
}

static void test_dies_at_accept(void **state)
{
	struct sluice_opts require = { .flags = SLUICE_REQUIRE };
	int fd = fake_udp(AF_INET, NULL);
	struct sluice_sock *s = NULL;
	struct fake f;

	(void)state;
	fake_start(&f, FAKE_CLOSE_ACCEPT);
	assert_int_equal(sluice_attach(&s, fd, &require), -ECONNRESET);
	fake_stop(&f);
	close(fd);
}

static void test_left_socket(void **state)
{
	struct sluice_client *c = NULL;
	struct fake f;

	(void)state;
	fake_start(&f, FAKE_OK);
	fake_kill(&f);
	assert_int_equal(sluice_client_open(&c, "veth0"), -ECONNREFUSED);
	expect_kernel(-ECONNREFUSED, "left its socket");
	fake_stop(&f);
}

static void test_choice_of_daemon(void **state)
{
	struct sluice_client *c = NULL;
	char other[128], foreign[128];
	struct fake f;
	int fd, fd2;

	(void)state;
	fake_start(&f, FAKE_OK);
	fake_path(&f, other, sizeof(other), "veth1");
	snprintf(foreign, sizeof(foreign), "%s/1-veth0.sock", f.dir);
	fd = fake_listen(other);
	fd2 = fake_listen(foreign);
	assert_int_equal(sluice_client_open(&c, NULL), -ENOTUNIQ);
	assert_null(c);
	assert_int_equal(sluice_client_open(&c, "veth1"), 0);
	sluice_client_close(c);
	/* a dead daemon's socket is no choice */
	close(fd);
	assert_int_equal(sluice_client_open(&c, NULL), 0);
	sluice_client_close(c);
	close(fd2);
	unlink(other);
	unlink(foreign);
	fake_stop(&f);
}

/* A daemon that takes the connection and is silent, and one that does not even accept. */
static void test_stuck_daemon(void **state)
{
	struct sluice_opts require = { .flags = SLUICE_REQUIRE };
	struct sluice_client *c[32];
	int n, err, fd = fake_udp(AF_INET, NULL);
	struct sluice_sock *s, *s2;
	struct fake f;
	double t;

	(void)state;
	fake_start(&f, FAKE_OK);
	assert_int_equal(sluice_client_open(&c[0], NULL), 0);
	require.client = c[0];
	assert_int_equal(sluice_attach(&s, fd, &require), 0);
	f.mode = FAKE_SILENT;
	t = seconds();
	assert_int_equal(sluice_attach(&s2, fd, &require), -ETIMEDOUT);
	t = seconds() - t;
	assert_true(t > 4 && t < 7);
	/* once is enough: the connection is given up */
	t = seconds();
	assert_int_equal(sluice_attach(&s2, fd, &require), -ENOTCONN);
	sluice_detach(s);
	assert_true(seconds() - t < 1);
	sluice_client_close(c[0]);
	fake_kill(&f);
	unlink(f.path);

	f.listener = fake_listen(f.path);
	t = seconds();
	for (n = 0; n < 32; n++) {
		err = sluice_client_open(&c[n], NULL);
		if (err)
			break;
	}
	t = seconds() - t;
	assert_int_equal(err, -ETIMEDOUT);
	assert_true(t > 1 && t < 4);
	while (n--)
		sluice_client_close(c[n]);
	close(f.listener);
	f.listener = -1;
	fake_stop(&f);
	close(fd);
}

static void test_many_sockets(void **state)
{
	enum { N = 100 };
	struct sluice_opts opts = { .lane_bytes = SLUICE_LANE_MIN, .flags = SLUICE_REQUIRE };
	struct sluice_sock *s[N];
	unsigned int before, fds[N];
	struct fake f;
	char buf[8];

	(void)state;
	fake_start(&f, FAKE_OK);
	assert_int_equal(sluice_client_open(&opts.client, NULL), 0);
	for (int i = 0; i < N; i++)
		fds[i] = (unsigned int)fake_udp(AF_INET, NULL);
	usleep(20000);	/* the connection is accepted */
	before = fake_count_fds();
	for (int i = 0; i < N; i++) {
		assert_int_equal(sluice_attach(&s[i], (int)fds[i], &opts), 0);
		assert_true(sluice_fd(s[i]) >= 0);
	}
	/* wake and epoll on this side, the wake socket's other end in the fake daemon */
	assert_true(fake_fds_become(before + 3 * N));
	/* closing first is allowed: the sockets keep the connection */
	sluice_client_close(opts.client);
	for (int i = 0; i < N; i++) {
		buf[0] = 0;
		fake_send(&f.lane[i], i & 1 ? "odd" : "even");
		assert_int_equal(sluice_recvfrom(s[i], buf, sizeof(buf), 0, NULL, NULL),
				 i & 1 ? 3 : 4);
	}
	for (int i = 0; i < N; i++)
		sluice_detach(s[i]);
	for (int i = 0; i < N; i++) {
		assert_true(f.lane[i].detached);
		close((int)fds[i]);
	}
	fake_stop(&f);
}

struct attacher {
	struct sluice_client *c;
	int fd, bad;
};

static void *attach_loop(void *arg)
{
	struct attacher *a = arg;
	struct sluice_opts opts = { .client = a->c, .lane_bytes = SLUICE_LANE_MIN,
				    .flags = SLUICE_REQUIRE };
	struct sluice_sock *s;

	for (int i = 0; i < 20; i++) {
		if (sluice_attach(&s, a->fd, &opts)) {
			a->bad++;
			continue;
		}
		a->bad += sluice_path(s) != SLUICE_PATH_LANE;
		sluice_detach(s);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct attacher a[4];
	pthread_t t[4];
	struct fake f;

	(void)state;
	fake_start(&f, FAKE_OK);
	for (int i = 0; i < 4; i++)
		a[i] = (struct attacher){ .fd = fake_udp(AF_INET, NULL) };
	assert_int_equal(sluice_client_open(&a[0].c, NULL), 0);
	for (int i = 0; i < 4; i++) {
		a[i].c = a[0].c;
		pthread_create(&t[i], NULL, attach_loop, &a[i]);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], NULL);
		assert_int_equal(a[i].bad, 0);
		close(a[i].fd);
	}
	sluice_client_close(a[0].c);
	assert_int_equal(f.lanes, 80);
	fake_stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_no_daemon),
		cmocka_unit_test(test_attach),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_unbound),
		cmocka_unit_test(test_dies_while_attaching),
		cmocka_unit_test(test_given_back),
		cmocka_unit_test(test_dies_at_accept),
		cmocka_unit_test(test_left_socket),
		cmocka_unit_test(test_choice_of_daemon),
		cmocka_unit_test(test_stuck_daemon),
		cmocka_unit_test(test_many_sockets),
		cmocka_unit_test(test_threads),
	};

	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
