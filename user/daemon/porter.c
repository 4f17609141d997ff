// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* porter.c - the daemon's side of the porter and the handlers; see porter.h. */
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "daemon/ctlmsg.h"
#include "daemon/deadline.h"
#include "daemon/door.h"
#include "daemon/handler.h"
#include "daemon/listener.h"
#include "daemon/porter.h"

#define CLIENTS_PER_UID 64
#define REQUEST_MS 10000
#define ANSWER_MS 5000
#define STOP_MS 1000

struct porter {
	int fd;			/* the daemon's end of the pair with the porter process */
	pid_t pid;
	struct listener listener;	/* the porter's; here its descriptor is closed */
	struct porter_options options;
};

static void options_fill(struct porter_options *o)
{
	if (!o->dir)
		o->dir = SLUICE_CTL_DIR;
	if (!o->clients || o->clients > DOOR_CLIENTS_MAX)
		o->clients = DOOR_CLIENTS_MAX;
	if (!o->clients_per_uid)
		o->clients_per_uid = CLIENTS_PER_UID;
	if (!o->request_ms)
		o->request_ms = REQUEST_MS;
	if (!o->answer_ms)
		o->answer_ms = ANSWER_MS;
}

static void porter_run(const struct porter *p, int daemon)
{
	door_run(p->listener.fd, daemon, &p->options);
	/* First of all the file: a new daemon takes its absence, not our end, for the sign. */
	listener_remove(&p->listener);
	_exit(0);
}

int porter_start(struct porter **out, const char *ifname, const struct porter_options *options)
{
	struct porter *p;
	int err, pair[2];

	if (!ifname[0] || strlen(ifname) >= IFNAMSIZ || strchr(ifname, '/'))
		return -EINVAL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	if (options)
		p->options = *options;
	options_fill(&p->options);
	err = listener_open(&p->listener, p->options.dir, ifname);
	if (err)
		goto out_free;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		err = -errno;
		goto out_listener;
	}
	p->pid = fork();
	if (p->pid == 0)
		porter_run(p, pair[1]);
	if (p->pid < 0) {
		err = -errno;
		goto out_pair;
	}
	close(pair[1]);
	close(p->listener.fd);
	p->fd = pair[0];
	p->options.dir = NULL;
	*out = p;
	return 0;

out_pair:
	close(pair[0]);
	close(pair[1]);
out_listener:
	listener_remove(&p->listener);
	close(p->listener.fd);
out_free:
	free(p);
	return err;
}

void porter_stop(struct porter *p)
{
	int pidfd;

	if (!p)
		return;
	listener_remove(&p->listener);
	close(p->fd);
	/* Even the porter's exit may hang: on what connections it never accepted had queued. */
	pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	if (pidfd < 0 || deadline_poll(deadline_in(STOP_MS), pidfd, POLLIN) <= 0)
		kill(p->pid, SIGKILL);
	waitpid(p->pid, NULL, WNOHANG);
	if (pidfd >= 0)
		close(pidfd);
	free(p);
}

const char *porter_path(const struct porter *p)
{
	return p->listener.path;
}

uint64_t porter_netns_cookie(const struct porter *p)
{
	return p->listener.netns_cookie;
}

int porter_fd(const struct porter *p)
{
	return p->fd;
}

int porter_next(struct porter *p, struct porter_client *client)
{
	struct arrival arrival;
	unsigned int nfds;
	int fds[CTLMSG_FDS];
	ssize_t n;

	n = ctlmsg_recv(p->fd, &arrival, sizeof(arrival), fds, &nfds);
	if (n == -EAGAIN)
		return -EAGAIN;
	/* With no descriptor left the client is lost, and its handler ends by itself. */
	if (n == (ssize_t)sizeof(arrival) && nfds != 1)
		return -EAGAIN;
	if (n != (ssize_t)sizeof(arrival))
		return -EPIPE;
	*client = (struct porter_client){ .fd = fds[0], .pid = arrival.pid, .uid = arrival.uid };
	return 0;
}

int porter_recv(int fd, struct porter_request *request)
{
	struct porter_request r;
	ssize_t n;

	do {
		n = recv(fd, &r, sizeof(r), MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return -EAGAIN;
	if (n <= 0)
		return -EPIPE;
	if (n != (ssize_t)sizeof(r))
		return -EBADMSG;
	*request = r;
	return 0;
}

int porter_reply(int fd, const struct sluice_ctl_msg *msg, const int *fds, unsigned int nfds)
{
	ssize_t n;

	if (nfds > HANDLER_ANSWER_FDS)
		return -EINVAL;
	n = ctlmsg_send(fd, msg, sizeof(*msg), fds, nfds);
	return n == -ECONNRESET ? -EPIPE : n < 0 ? (int)n : 0;
}
