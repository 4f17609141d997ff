// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* door.c - the porter process; see door.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "daemon/ctlmsg.h"
#include "daemon/door.h"
#include "daemon/handler.h"

/* Processes that refuse at the same time; too low: a crowd sees a bare end, no reason. */
#define REFUSALS_MAX 16
/* Refused connections kept, shut down, until a process can close them; full: nobody is accepted. */
#define HELD_MAX 512
/* After a failed fork or accept. */
#define RETRY_MS 100

struct child {
	pid_t pid;
	uid_t uid;
	bool refusal;
};

struct door {
	const struct porter_options *options;
	int listener;
	int daemon;
	int signals;
	unsigned int nr_children;
	unsigned int nr_refusals;
	unsigned int nr_held;
	struct child children[DOOR_CLIENTS_MAX + REFUSALS_MAX];
	int held[HELD_MAX];
};

/* Moves fds[] to 3, 4, ... and closes everything else but 0 to 2. */
static int keep_fds(int *fds[], int n)
{
	int i;

	/* Out of the way of each other first. */
	for (i = 0; i < n; i++) {
		*fds[i] = fcntl(*fds[i], F_DUPFD_CLOEXEC, 3 + n);
		if (*fds[i] < 0)
			return -errno;
	}
	for (i = 0; i < n; i++) {
		*fds[i] = dup3(*fds[i], 3 + i, O_CLOEXEC);
		if (*fds[i] < 0)
			return -errno;
	}
	return syscall(SYS_close_range, 3 + n, ~0u, 0) < 0 ? -errno : 0;
}

static void child_run(struct door *door, pid_t parent, int go[2], int client, int daemon)
{
	int *keep[] = { &client, &daemon };
	char byte;

	prctl(PR_SET_NAME, "sluiced-client");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(go[1]);
	while (read(go[0], &byte, 1) < 0 && errno == EINTR)
		;
	if (getppid() != parent || keep_fds(keep, daemon < 0 ? 1 : 2) < 0)
		_exit(1);
	if (daemon < 0)
		refusal_run(client);
	else
		handler_run(client, daemon, door->options);
	_exit(0);
}

/*
 * A child that takes over the connection; daemon < 0: to refuse it. On success
 * the descriptors are closed here. The child waits at the pipe until that is done:
 * the last close of a connection destroys what is queued on it, and must not
 * happen here.
 */
static int child_start(struct door *door, uid_t uid, int client, int daemon)
{
	pid_t pid, parent = getpid();
	int go[2];

	if (pipe2(go, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		child_run(door, parent, go, client, daemon);
	if (pid > 0) {
		close(client);
		if (daemon >= 0)
			close(daemon);
		door->children[door->nr_children++] = (struct child){ pid, uid, daemon < 0 };
		door->nr_refusals += daemon < 0;
	}
	close(go[0]);
	close(go[1]);
	return pid < 0 ? -EAGAIN : 0;
}

/* Ends a connection that gets no handler. Closing it here might hang: it waits for a process. */
static void refuse(struct door *door, uid_t uid, int client)
{
	if (door->nr_refusals < REFUSALS_MAX && child_start(door, uid, client, -1) == 0)
		return;
	shutdown(client, SHUT_RDWR);
	door->held[door->nr_held++] = client;
}

static void held_retry(struct door *door)
{
	while (door->nr_held && door->nr_refusals < REFUSALS_MAX) {
		if (child_start(door, (uid_t)-1, door->held[door->nr_held - 1], -1) < 0)
			return;
		door->nr_held--;
	}
}

static bool admitted(const struct door *door, uid_t uid)
{
	const struct porter_options *options = door->options;
	unsigned int i, own = 0;

	for (i = 0; i < door->nr_children; i++)
		own += !door->children[i].refusal && door->children[i].uid == uid;
	if (door->nr_children - door->nr_refusals >= options->clients)
		return false;
	return uid == 0 || own < options->clients_per_uid;
}

/* The daemon hears of the client first, then the handler runs. */
static int handler_start(struct door *door, const struct ucred *cred, int client)
{
	struct arrival arrival = { .pid = cred->pid, .uid = cred->uid };
	int pair[2], err;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	err = (int)ctlmsg_send(door->daemon, &arrival, sizeof(arrival), &pair[0], 1);
	close(pair[0]);
	if (err >= 0)
		err = child_start(door, cred->uid, client, pair[1]);
	if (err < 0)
		close(pair[1]);
	return err;
}

static void client_accept(struct door *door)
{
	struct ucred cred = { .uid = (uid_t)-1 };
	socklen_t len = sizeof(cred);
	int client = accept4(door->listener, NULL, NULL, SOCK_CLOEXEC);

	if (client < 0) {
		/* Out of descriptors or memory: the connection waits, and so must this loop. */
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			poll(NULL, 0, RETRY_MS);
		return;
	}
	if (getsockopt(client, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 ||
	    !admitted(door, cred.uid) || handler_start(door, &cred, client) < 0)
		refuse(door, cred.uid, client);
}

static void children_reap(struct door *door)
{
	struct signalfd_siginfo info;
	unsigned int i;
	pid_t pid;

	while (read(door->signals, &info, sizeof(info)) > 0)
		;
	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
		for (i = 0; i < door->nr_children && door->children[i].pid != pid; i++)
			;
		if (i == door->nr_children)
			continue;
		door->nr_refusals -= door->children[i].refusal;
		door->children[i] = door->children[--door->nr_children];
	}
}

static void door_loop(struct door *door)
{
	for (;;) {
		struct pollfd pfd[3] = {
			{ .fd = door->daemon, .events = POLLIN },
			{ .fd = door->signals, .events = POLLIN },
			{ .fd = door->nr_held < HELD_MAX ? door->listener : -1, .events = POLLIN },
		};

		/* The timeout: a fork that failed is tried again. */
		if (poll(pfd, 3, door->nr_held ? RETRY_MS : -1) < 0 && errno != EINTR)
			return;
		/* The daemon never writes here: this is its end. */
		if (pfd[0].revents)
			return;
		if (pfd[1].revents)
			children_reap(door);
		held_retry(door);
		if (pfd[2].revents)
			client_accept(door);
	}
}

static int door_signals(void)
{
	static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP };
	sigset_t mask;
	size_t i;

	for (i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	return signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int door_open(struct door *door)
{
	int *keep[] = { &door->listener, &door->daemon };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int i, err;

	prctl(PR_SET_NAME, "sluiced-porter");
	for (i = 0; null >= 0 && i < 3; i++)
		dup2(null, i);
	err = keep_fds(keep, 2);
	if (err)
		return err;
	door->signals = door_signals();
	return door->signals < 0 ? door->signals : 0;
}

void door_run(int listener, int daemon, const struct porter_options *options)
{
	struct door door = { .options = options, .listener = listener, .daemon = daemon };

	if (door_open(&door) == 0)
		door_loop(&door);
}
