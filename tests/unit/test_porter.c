// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* How it ends: by a stop, by the porter's death, by the daemon's. */
#include <signal.h>
#include <sys/prctl.h>
#include "test_porter_fixture.h"

static void test_stop_in_handshake(void **state)
{
	struct fixture *f = *state;
	struct porter_client client;
	int sock = udp_socket(AF_INET), fd, silent;

	assert_int_equal(start(f), 0);
	silent = client_connect(porter_path(f->porter));
	fd = client_connect(porter_path(f->porter));
	request(fd, SLUICE_CTL_ATTACH, 1, &sock, 1);
	client = arrive(f->porter);
	porter_stop(f->porter);
	f->porter = NULL;
	close(client.fd);
	assert_ended(fd);
	assert_ended(silent);
	close(fd);
	close(silent);
	close(sock);
}

static void test_porter_death(void **state)
{
	struct fixture *f = *state;
	struct porter_client client;
	struct stat st;
	int fd, killed;
	char path[108];

	assert_int_equal(start(f), 0);
	snprintf(path, sizeof(path), "%s", porter_path(f->porter));
	fd = client_connect(path);
	client = arrive(f->porter);
	killed = porter_pid();
	kill(killed, SIGKILL);
	assert_true(readable(porter_fd(f->porter), WAIT_MS));
	assert_int_equal(porter_next(f->porter, &client), -EPIPE);
	assert_ended(fd);
	close(fd);
	close(client.fd);
	porter_stop(f->porter);
	f->porter = NULL;
	assert_int_equal(stat(path, &st), -1);
}

/* The daemon as a process of its own, killed; its orphans become this process's children. */
static void test_daemon_killed(void **state)
{
	struct fixture *f = *state;
	struct sluice_ctl_msg msg;
	int ready[2], fds[3], i;
	pid_t daemon, pids[16];
	struct stat st;
	char path[108];
	long begin;

	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	daemon = fork();
	if (daemon == 0) {
		struct porter_client client;

		if (start(f))
			_exit(1);
		if (write(ready[1], porter_path(f->porter), strlen(porter_path(f->porter))) < 0)
			_exit(1);
		for (i = 0; i < 3; i++)
			client = arrive(f->porter);
		(void)client;
		if (write(ready[1], "k", 1) < 0)
			_exit(1);
		pause();
		_exit(0);
	}
	memset(path, 0, sizeof(path));
	assert_true(read(ready[0], path, sizeof(path) - 1) > 0);
	for (i = 0; i < 3; i++)
		fds[i] = client_connect(path);
	assert_int_equal(read(ready[0], &msg, 1), 1);
	begin = now_ms();
	kill(daemon, SIGKILL);
	for (i = 0; i < 3; i++) {
		assert_ended(fds[i]);
		close(fds[i]);
	}
	/* Daemon, porter and three handlers. */
	for (i = 0; waitpid(-1, NULL, 0) > 0; i++)
		;
	assert_int_equal(i, 5);
	assert_int_equal(stat(path, &st), -1);
	assert_true(now_ms() - begin < 1000);
	assert_int_equal(children_of(getpid(), pids, 16), 0);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	close(ready[0]);
	close(ready[1]);

	/* A new one takes over at once. */
	assert_int_equal(start(f), 0);
	assert_serves(f->porter, porter_path(f->porter));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_stop_in_handshake),
		TEST(test_porter_death),
		TEST(test_daemon_killed),
	};

	return cmocka_run_group_tests_name("porter", tests, NULL, NULL);
}
