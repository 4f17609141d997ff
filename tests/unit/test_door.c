// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Who is let in, and what the processes hold and heed. */
#include <signal.h>
#include "test_porter_fixture.h"

#define NOBODY 65534

static void test_limit(void **state)
{
	struct fixture *f = *state;
	struct porter_client clients[3];
	int fds[3], i;

	f->options.clients = 3;
	assert_int_equal(start(f), 0);
	for (i = 0; i < 3; i++) {
		fds[i] = client_connect(porter_path(f->porter));
		clients[i] = arrive(f->porter);
	}
	for (i = 0; i < 20; i++)
		assert_refused(porter_path(f->porter));
	assert_false(readable(porter_fd(f->porter), 0));
	for (i = 0; i < 3; i++) {
		close(fds[i]);
		close(clients[i].fd);
	}
	assert_idle();
	assert_serves(f->porter, porter_path(f->porter));
}

/* More than can be refused at once, none of which says a word. */
static void test_refused_crowd(void **state)
{
	struct fixture *f = *state;
	struct porter_client client;
	int first, fds[100], i;

	f->options.clients = 1;
	assert_int_equal(start(f), 0);
	first = client_connect(porter_path(f->porter));
	client = arrive(f->porter);
	for (i = 0; i < 100; i++)
		fds[i] = client_connect(porter_path(f->porter));
	for (i = 0; i < 100; i++) {
		assert_ended(fds[i]);
		close(fds[i]);
	}
	close(first);
	close(client.fd);
	assert_idle();
	assert_serves(f->porter, porter_path(f->porter));
}

static void test_limit_per_user(void **state)
{
	struct fixture *f = *state;
	struct porter_client clients[2];
	int i, status;
	pid_t pid;

	if (getuid() != 0) {
		print_message("skipped: only root can become another user\n");
		skip();
	}
	f->options.clients_per_uid = 2;
	assert_int_equal(start(f), 0);
	pid = fork();
	if (pid == 0) {
		if (setresuid(NOBODY, NOBODY, NOBODY) < 0)
			_exit(1);
		for (i = 0; i < 2; i++)
			client_connect(porter_path(f->porter));
		assert_refused(porter_path(f->porter));
		_exit(0);
	}
	for (i = 0; i < 2; i++) {
		clients[i] = arrive(f->porter);
		assert_int_equal(clients[i].uid, NOBODY);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	for (i = 0; i < 2; i++)
		close(clients[i].fd);
	/* Root is not among those who are limited. */
	for (i = 0; i < 4; i++)
		assert_serves(f->porter, porter_path(f->porter));
}

static int count_fds(pid_t pid)
{
	struct dirent *entry;
	char path[64];
	DIR *dir;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

/* Signals of a terminal go to the whole group; the daemon alone decides. */
static void test_signals_and_fds(void **state)
{
	struct fixture *f = *state;
	struct porter_client client;
	struct porter_request r;
	pid_t porter, pids[4];
	int fd;

	assert_int_equal(start(f), 0);
	porter = porter_pid();
	fd = client_connect(porter_path(f->porter));
	client = arrive(f->porter);
	request(fd, SLUICE_CTL_DETACH, 1, NULL, 0);
	assert_int_equal(take(client.fd, &r), 0);
	assert_int_equal(await_children(porter, 1, pids, 4), 1);
	/* Standard descriptors; listener, daemon, signalfd; client, daemon, the client's pidfd. */
	assert_int_equal(count_fds(porter), 3 + 3);
	assert_int_equal(count_fds(pids[0]), 3 + 3);
	kill(porter, SIGINT);
	kill(porter, SIGTERM);
	kill(pids[0], SIGINT);
	kill(pids[0], SIGTERM);
	request(fd, SLUICE_CTL_DETACH, 2, NULL, 0);
	assert_int_equal(take(client.fd, &r), 0);
	assert_serves(f->porter, porter_path(f->porter));
	close(fd);
	close(client.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_limit),
		TEST(test_refused_crowd),
		TEST(test_limit_per_user),
		TEST(test_signals_and_fds),
	};

	return cmocka_run_group_tests_name("door", tests, NULL, NULL);
}
