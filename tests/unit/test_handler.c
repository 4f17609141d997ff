// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* One client and its handler: answers, and clients that break the rules, die or do nothing. */
#include <signal.h>
#include <sys/mman.h>
#include "test_porter_fixture.h"

static void test_answer(void **state)
{
	struct sluice_ctl_msg msg = message(SLUICE_CTL_ATTACHED, 3);
	struct fixture *f = *state;
	struct porter_client client;
	struct stat want, got;
	unsigned int nfds, i;
	int fd, fds[8], own[4];

	assert_int_equal(start(f), 0);
	fd = client_connect(porter_path(f->porter));
	client = arrive(f->porter);
	for (i = 0; i < 4; i++)
		own[i] = memfd_create("test", MFD_CLOEXEC);
	strcpy(msg.u.attached.text, "text");
	assert_int_equal(porter_reply(client.fd, &msg, own, 4), -EINVAL);
	assert_int_equal(porter_reply(client.fd, &msg, own, 3), 0);
	memset(&msg, 0, sizeof(msg));
	assert_int_equal(answer(fd, &msg, fds, &nfds), sizeof(msg));
	assert_int_equal(msg.type, SLUICE_CTL_ATTACHED);
	assert_int_equal(msg.id, 3);
	assert_string_equal(msg.u.attached.text, "text");
	assert_int_equal(nfds, 3);
	for (i = 0; i < 3; i++) {
		fstat(own[i], &want);
		fstat(fds[i], &got);
		assert_true(want.st_ino == got.st_ino && want.st_dev == got.st_dev);
		close(fds[i]);
	}
	for (i = 0; i < 4; i++)
		close(own[i]);

	/* What the daemon said before it dropped the client arrives. */
	msg = message(SLUICE_CTL_REFUSED, 4);
	assert_int_equal(porter_reply(client.fd, &msg, NULL, 0), 0);
	close(client.fd);
	assert_int_equal(answer(fd, &msg, fds, &nfds), sizeof(msg));
	assert_int_equal(msg.id, 4);
	assert_ended(fd);
	close(fd);
}

static void test_violations(void **state)
{
	struct sluice_ctl_msg msg = message(SLUICE_CTL_DETACH, 1);
	struct fixture *f = *state;
	struct porter_client client;
	struct porter_request r;
	int fd, many[250], i, kind;

	assert_int_equal(start(f), 0);
	for (i = 0; i < 250; i++)
		many[i] = udp_socket(AF_INET);
	for (kind = 0; kind < 5; kind++) {
		fd = client_connect(porter_path(f->porter));
		client = arrive(f->porter);
		if (kind == 0)
			request(fd, SLUICE_CTL_ATTACH, 1, many, 250);
		else if (kind == 1)
			request(fd, SLUICE_CTL_ATTACH, 1, NULL, 0);
		else if (kind == 2)
			request(fd, SLUICE_CTL_QUERY, 1, many, 1);
		else if (kind == 3)
			send_raw(fd, &msg, sizeof(msg) - 4, NULL, 0);
		else
			send_raw(fd, many, sizeof(many), NULL, 0);
		assert_int_equal(take(client.fd, &r), -EPIPE);
		assert_ended(fd);
		close(fd);
		close(client.fd);
	}
	for (i = 0; i < 250; i++)
		close(many[i]);
	assert_serves(f->porter, porter_path(f->porter));
}

static void test_client_death(void **state)
{
	struct fixture *f = *state;
	struct porter_client client;
	struct porter_request r;
	pid_t pid, porter, pids[4];

	assert_int_equal(start(f), 0);
	porter = porter_pid();
	pid = fork();
	if (pid == 0) {
		request(client_connect(porter_path(f->porter)), SLUICE_CTL_DETACH, 1, NULL, 0);
		pause();
		_exit(0);
	}
	client = arrive(f->porter);
	assert_int_equal(client.pid, pid);
	assert_int_equal(take(client.fd, &r), 0);
	kill(pid, SIGKILL);
	assert_int_equal(take(client.fd, &r), -EPIPE);
	close(client.fd);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	/* Neither a handler nor a zombie of one is left. */
	assert_int_equal(await_children(porter, 0, pids, 4), 0);
}

/* As a program that forks into the background does: the child has the descriptor, not the lane. */
static void test_client_death_with_child(void **state)
{
	struct fixture *f = *state;
	struct porter_client client;
	struct porter_request r;
	int hold[2];
	pid_t pid;
	char c;

	assert_int_equal(start(f), 0);
	assert_int_equal(pipe(hold), 0);
	pid = fork();
	if (pid == 0) {
		request(client_connect(porter_path(f->porter)), SLUICE_CTL_DETACH, 1, NULL, 0);
		close(hold[1]);
		/* The grandchild ends when the test closes the pipe. */
		if (fork() == 0)
			_exit((int)read(hold[0], &c, 1));
		pause();
		_exit(0);
	}
	close(hold[0]);
	client = arrive(f->porter);
	assert_int_equal(take(client.fd, &r), 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(take(client.fd, &r), -EPIPE);
	close(client.fd);
	close(hold[1]);
}

static void test_silent_client(void **state)
{
	struct fixture *f = *state;
	struct porter_client client;
	struct porter_request r;
	long begin;
	int fd;

	f->options.request_ms = 200;
	assert_int_equal(start(f), 0);
	begin = now_ms();
	fd = client_connect(porter_path(f->porter));
	client = arrive(f->porter);
	assert_int_equal(take(client.fd, &r), -EPIPE);
	assert_true(now_ms() - begin >= 190);
	assert_ended(fd);
	close(fd);
	close(client.fd);

	/* After the first request it may be silent for ever. */
	fd = client_connect(porter_path(f->porter));
	client = arrive(f->porter);
	request(fd, SLUICE_CTL_STOP, 1, NULL, 0);
	assert_int_equal(take(client.fd, &r), 0);
	assert_false(readable(client.fd, 500));
	close(fd);
	close(client.fd);
}

static void test_client_does_not_read(void **state)
{
	struct sluice_ctl_msg msg = message(SLUICE_CTL_DONE, 1);
	struct fixture *f = *state;
	struct porter_client client;
	struct porter_request r;
	bool full = false;
	int fd, err = 0, n;
	long begin;

	f->options.answer_ms = 300;
	assert_int_equal(start(f), 0);
	fd = client_connect(porter_path(f->porter));
	client = arrive(f->porter);
	request(fd, SLUICE_CTL_STOP, 1, NULL, 0);
	assert_int_equal(take(client.fd, &r), 0);
	begin = now_ms();
	/* The daemon is told at once, the handler waits before it gives up. */
	for (n = 0; err != -EPIPE && now_ms() - begin < WAIT_MS; n++) {
		err = porter_reply(client.fd, &msg, NULL, 0);
		full |= err == -EAGAIN;
		if (err == -EAGAIN)
			sleep_ms(5);
	}
	assert_true(full);
	assert_int_equal(err, -EPIPE);
	assert_true(now_ms() - begin >= 290);
	assert_int_equal(take(client.fd, &r), -EPIPE);
	close(fd);
	close(client.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_answer),
		TEST(test_violations),
		TEST(test_client_death),
		TEST(test_client_death_with_child),
		TEST(test_silent_client),
		TEST(test_client_does_not_read),
	};

	return cmocka_run_group_tests_name("handler", tests, NULL, NULL);
}
