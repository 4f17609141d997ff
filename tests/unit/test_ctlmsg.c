// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* What is a request, and what descriptors do on their way. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "daemon/ctlmsg.h"

static struct sluice_ctl_msg message(unsigned int type, unsigned int id)
{
	return (struct sluice_ctl_msg){
		.magic = SLUICE_CTL_MAGIC,
		.version = SLUICE_CTL_VERSION,
		.type = (uint16_t)type,
		.id = id,
	};
}

static void test_check(void **state)
{
	struct sluice_ctl_msg msg = message(SLUICE_CTL_ATTACH, 5), out = { .id = 9 };
	char big[sizeof(msg) + 1] = { 0 };

	(void)state;
	memcpy(big, &msg, sizeof(msg));
	assert_int_equal(control_check(&msg, 0, 1, &out), -EBADMSG);
	assert_int_equal(control_check(&msg, sizeof(msg) - 1, 1, &out), -EBADMSG);
	assert_int_equal(control_check(big, sizeof(big), 1, &out), -EBADMSG);
	assert_int_equal(control_check(&msg, sizeof(msg), 0, &out), -EPROTO);
	assert_int_equal(control_check(&msg, sizeof(msg), 2, &out), -EPROTO);
	assert_int_equal(out.id, 9);
	assert_int_equal(control_check(&msg, sizeof(msg), 1, &out), 0);
	assert_int_equal(out.id, 5);
	for (msg.type = SLUICE_CTL_DETACH; msg.type < SLUICE_CTL_REQUESTS; msg.type++) {
		assert_int_equal(control_check(&msg, sizeof(msg), 0, &out), 0);
		assert_int_equal(control_check(&msg, sizeof(msg), 1, &out), -EPROTO);
	}
	for (; msg.type <= SLUICE_CTL_REFUSED; msg.type++)
		assert_int_equal(control_check(&msg, sizeof(msg), 0, &out), -EPROTO);
	msg = message(0, 5);
	assert_int_equal(control_check(&msg, sizeof(msg), 0, &out), -EPROTO);
	msg = message(SLUICE_CTL_STOP, 5);
	msg.version++;
	assert_int_equal(control_check(&msg, sizeof(msg), 0, &out), -EPROTO);
	msg.magic ^= 1;
	assert_int_equal(control_check(&msg, sizeof(msg), 0, &out), -EBADMSG);
}

/* Sends one byte with as many descriptors as there may be. */
static void send_all(int sock)
{
	int fds[CTLMSG_FDS], i;

	for (i = 0; i < CTLMSG_FDS; i++)
		fds[i] = sock;
	assert_int_equal(ctlmsg_send(sock, "x", 1, fds, CTLMSG_FDS), 1);
}

static void test_descriptors(void **state)
{
	int pair[2], fds[CTLMSG_FDS];
	unsigned int nfds = 7, i;
	char buf[4];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(ctlmsg_recv(pair[1], buf, sizeof(buf), fds, &nfds), -EAGAIN);
	assert_int_equal(nfds, 7);
	assert_int_equal(ctlmsg_send(pair[0], "abcdef", 6, NULL, 0), 6);
	assert_int_equal(ctlmsg_recv(pair[1], buf, sizeof(buf), fds, &nfds), sizeof(buf));
	assert_int_equal(nfds, 0);
	send_all(pair[0]);
	assert_int_equal(ctlmsg_recv(pair[1], buf, sizeof(buf), fds, &nfds), 1);
	assert_int_equal(nfds, CTLMSG_FDS);
	for (i = 0; i < nfds; i++) {
		assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
		close(fds[i]);
	}
	close(pair[0]);
	assert_int_equal(ctlmsg_recv(pair[1], buf, sizeof(buf), fds, &nfds), 0);
	assert_int_equal(ctlmsg_send(pair[1], "x", 1, NULL, 0), -EPIPE);
	close(pair[1]);
}

/* A receiver with room for four more: the message says that it is not whole. */
static void test_descriptors_lost(void **state)
{
	struct rlimit old, few;
	int pair[2], fds[CTLMSG_FDS], i;
	unsigned int nfds = 0;
	char buf[4];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	send_all(pair[0]);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	few.rlim_cur = (rlim_t)pair[1] + 5;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(ctlmsg_recv(pair[1], buf, sizeof(buf), fds, &nfds), 1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(nfds, CTLMSG_FDS + 1);
	for (i = 0; i < 4; i++)
		close(fds[i]);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_descriptors_lost),
	};

	return cmocka_run_group_tests_name("ctlmsg", tests, NULL, NULL);
}
