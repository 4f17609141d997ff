// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* handler.c - one client's relay process; see handler.h. */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <peerpidfd.h>
#include "daemon/ctlmsg.h"
#include "daemon/deadline.h"
#include "daemon/facts.h"
#include "daemon/handler.h"

/* A refused client that has not sent its request by then learns nothing but the end. */
#define REFUSAL_MS 1000

/*
 * Descriptors of a message that breaks the rules are left to exit(2), which also
 * spares waiting for SO_LINGER.
 */
static int relay_request(int client, int daemon)
{
	char buf[sizeof(struct sluice_ctl_msg) + 1];
	struct porter_request request = { 0 };
	unsigned int nfds;
	int fds[CTLMSG_FDS];
	ssize_t n;

	n = ctlmsg_recv(client, buf, sizeof(buf), fds, &nfds);
	if (n == -EAGAIN)
		return 0;
	if (n <= 0)
		return n < 0 ? (int)n : -EPIPE;
	n = control_check(buf, (size_t)n, nfds, &request.msg);
	if (n < 0)
		return (int)n;
	if (nfds) {
		facts_read(fds[0], &request.facts);
		close(fds[0]);
	}
	/* Blocks while the daemon is busy: what else the client asks for stays in its own queue. */
	do {
		n = send(daemon, &request, sizeof(request), MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 1;
}

static int relay_answer(int daemon, int client, unsigned int answer_ms)
{
	int64_t deadline = deadline_in(answer_ms);
	struct sluice_ctl_msg msg;
	unsigned int nfds, i;
	int fds[CTLMSG_FDS];
	ssize_t len, n;

	len = ctlmsg_recv(daemon, &msg, sizeof(msg), fds, &nfds);
	if (len == -EAGAIN)
		return 0;
	if (len != (ssize_t)sizeof(msg) || nfds > HANDLER_ANSWER_FDS)
		return -EPIPE;
	do {
		n = ctlmsg_send(client, &msg, sizeof(msg), fds, nfds);
	} while (n == -EAGAIN && deadline_poll(deadline, client, POLLOUT) > 0);
	for (i = 0; i < nfds; i++)
		close(fds[i]);
	return n < 0 ? (int)n : 0;
}

/*
 * Of the process that connected. A child of it may hold the connection open
 * after its death, without being able to use it. -1: not to be had.
 */
static int peer_pidfd(int client)
{
	struct ucred cred;
	socklen_t len = sizeof(int);
	int fd;

	if (!getsockopt(client, SOL_SOCKET, SO_PEERPIDFD, &fd, &len))
		return fd;
	len = sizeof(cred);
	if (getsockopt(client, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return -1;
	return (int)syscall(SYS_pidfd_open, cred.pid, 0);
}

void handler_run(int client, int daemon, const struct porter_options *options)
{
	int64_t deadline = deadline_in(options->request_ms);
	int pidfd = peer_pidfd(client), n = 0;
	bool asked = false;

	while (n >= 0) {
		struct pollfd pfd[3] = {
			{ .fd = client, .events = POLLIN },
			{ .fd = daemon, .events = POLLIN },
			{ .fd = pidfd, .events = POLLIN },
		};

		n = poll(pfd, 3, asked ? -1 : deadline_left(deadline));
		if (n < 0 && errno == EINTR) {
			n = 0;
			continue;
		}
		if (n <= 0 || pfd[2].revents)
			break;
		n = pfd[1].revents ? relay_answer(daemon, client, options->answer_ms) : 0;
		if (n >= 0 && pfd[0].revents) {
			n = relay_request(client, daemon);
			asked |= n > 0;
		}
	}
	/* Both learn of the end before what this process holds is closed, which may hang. */
	shutdown(daemon, SHUT_RDWR);
	shutdown(client, SHUT_RDWR);
}

/* Reads the request: the answer needs its id, and one left unread would reset the connection. */
void refusal_run(int client)
{
	struct sluice_ctl_msg msg = { .magic = SLUICE_CTL_MAGIC, .version = SLUICE_CTL_VERSION };
	char buf[sizeof(msg) + 1];
	struct sluice_ctl_msg request;
	unsigned int nfds;
	int fds[CTLMSG_FDS];
	ssize_t n;

	if (deadline_poll(deadline_in(REFUSAL_MS), client, POLLIN) > 0) {
		n = ctlmsg_recv(client, buf, sizeof(buf), fds, &nfds);
		if (n > 0 && !control_check(buf, (size_t)n, nfds, &request)) {
			msg.type = SLUICE_CTL_REFUSED;
			msg.id = request.id;
			msg.u.refused.error = EUSERS;
			snprintf(msg.u.refused.text, sizeof(msg.u.refused.text),
				 "too many clients are connected; close one of this user's");
			ctlmsg_send(client, &msg, sizeof(msg), NULL, 0);
		}
	}
	shutdown(client, SHUT_RDWR);
}
