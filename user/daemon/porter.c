// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* porter.c - the processes between the clients and the daemon; see porter.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "daemon/porter.h"

#define CLIENTS_MAX 256
#define CLIENTS_PER_UID 64
#define REQUEST_MS 10000
#define ANSWER_MS 5000
#define ANSWER_FDS 3
/* Linux's SCM_MAX_FD: one message never carries more. */
#define SCM_FDS 253
/* A refused client that has not sent its request by then learns nothing but the end. */
#define REFUSAL_MS 1000
/* Processes that refuse at the same time; too low: a crowd sees a bare end, no reason. */
#define REFUSALS_MAX 16
/* Refused connections kept, shut down, until a process can close them; full: nobody is accepted. */
#define HELD_MAX 512
/* After a failed fork or accept. */
#define RETRY_MS 100
/* How long a new daemon waits for the porter of one that has just died. */
#define PROBES 4
#define PROBE_NS 50000000L
#define STOP_MS 1000

struct porter {
	int fd;			/* the daemon's end of the pair with the porter process */
	pid_t pid;
	uint64_t netns_cookie;
	dev_t dev;		/* of the socket file, so that nobody else's is removed */
	ino_t ino;
	struct porter_options options;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

/* Porter to daemon, with the daemon's end of the pair with the handler. */
struct arrival {
	pid_t pid;
	uid_t uid;
};

struct child {
	pid_t pid;
	uid_t uid;
	bool refusal;
};

/* The porter process. */
struct door {
	const struct porter *porter;
	int listener;
	int daemon;
	int signals;
	unsigned int nr_children;
	unsigned int nr_refusals;
	unsigned int nr_held;
	struct child children[CLIENTS_MAX + REFUSALS_MAX];
	int held[HELD_MAX];
};

union fd_control {
	struct cmsghdr align;
	char buf[CMSG_SPACE(SCM_FDS * sizeof(int))];
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* poll(2) for one descriptor until a time of now_ms(). > 0: ready. */
static int poll_until(int fd, short events, int64_t deadline)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	int64_t left;
	int n;

	do {
		left = deadline - now_ms();
		n = poll(&pfd, 1, left > 0 ? (int)left : 0);
	} while (n < 0 && errno == EINTR);
	return n;
}

int control_check(const void *buf, size_t len, unsigned int nfds, struct sluice_ctl_msg *out)
{
	struct sluice_ctl_msg msg;

	if (len != sizeof(msg))
		return -EBADMSG;
	memcpy(&msg, buf, sizeof(msg));
	if (msg.magic != SLUICE_CTL_MAGIC)
		return -EBADMSG;
	if (msg.version != SLUICE_CTL_VERSION)
		return -EPROTO;
	if (msg.type < SLUICE_CTL_ATTACH || msg.type > SLUICE_CTL_QUERY)
		return -EPROTO;
	if (nfds != (msg.type == SLUICE_CTL_ATTACH ? 1u : 0u))
		return -EPROTO;
	*out = msg;
	return 0;
}

/* Messages with descriptors */

static ssize_t send_fds(int sock, const void *buf, size_t len, const int *fds, unsigned int nfds)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	union fd_control control = { 0 };
	struct cmsghdr *cmsg;
	ssize_t n;

	if (nfds) {
		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&mh);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, nfds * sizeof(int));
	}
	do {
		n = sendmsg(sock, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/*
 * Receives one message and up to SCM_FDS descriptors; *nfds is SCM_FDS + 1 where
 * some were lost. Its length (at most len); 0: end; -errno.
 */
static ssize_t recv_fds(int sock, void *buf, size_t len, int fds[SCM_FDS], unsigned int *nfds)
{
	union fd_control control;
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct msghdr mh = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.buf, .msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *cmsg;
	ssize_t n;

	do {
		n = recvmsg(sock, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	*nfds = 0;
	for (cmsg = CMSG_FIRSTHDR(&mh); cmsg; cmsg = CMSG_NXTHDR(&mh, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		*nfds = (unsigned int)((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(cmsg), *nfds * sizeof(int));
	}
	if (mh.msg_flags & MSG_CTRUNC)
		*nfds = SCM_FDS + 1;
	return n;
}

/* The handler: one process for one client */

static int sock_int(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, name, &value, &len) < 0 ? -errno : value;
}

static uint64_t sock_u64(int fd, int name)
{
	uint64_t value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0 ? 0 : value;
}

static uint16_t sock_port(int fd)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} addr;
	socklen_t len = sizeof(addr);

	if (getsockname(fd, &addr.sa, &len) < 0)
		return 0;
	return ntohs(addr.sa.sa_family == AF_INET ? addr.in.sin_port : addr.in6.sin6_port);
}

/* The number of instructions of a classic filter, 0 or -errno; an eBPF one is -EACCES. */
static int sock_filter_len(int fd)
{
	socklen_t len = 0;

	return getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &len) < 0 ? -errno : (int)len;
}

/* Any of these calls may hang; that is what this process is for. */
static void facts_read(int fd, struct porter_facts *facts)
{
	int domain = sock_int(fd, SOL_SOCKET, SO_DOMAIN);
	int type = sock_int(fd, SOL_SOCKET, SO_TYPE);
	int protocol = sock_int(fd, SOL_SOCKET, SO_PROTOCOL);
	int ifindex;

	memset(facts, 0, sizeof(*facts));
	if (domain < 0) {
		facts->error = -domain;
		return;
	}
	if ((domain != AF_INET && domain != AF_INET6) || type != SOCK_DGRAM ||
	    protocol != IPPROTO_UDP) {
		facts->error = EPROTOTYPE;
		return;
	}
	facts->domain = domain;
	facts->type = type;
	facts->protocol = protocol;
	facts->cookie = sock_u64(fd, SO_COOKIE);
	facts->netns_cookie = sock_u64(fd, SO_NETNS_COOKIE);
	facts->filter = sock_filter_len(fd);
	facts->encap = sock_int(fd, IPPROTO_UDP, UDP_ENCAP);
	ifindex = sock_int(fd, SOL_SOCKET, SO_BINDTOIFINDEX);
	facts->ifindex = ifindex > 0 ? (uint32_t)ifindex : 0;
	facts->port = sock_port(fd);
	facts->reuseport = sock_int(fd, SOL_SOCKET, SO_REUSEPORT) > 0;
	facts->v6only = domain == AF_INET6 && sock_int(fd, IPPROTO_IPV6, IPV6_V6ONLY) > 0;
}

/*
 * Descriptors of a message that breaks the rules are left to exit(2), which also
 * spares waiting for SO_LINGER.
 */
static int relay_request(int client, int daemon)
{
	char buf[sizeof(struct sluice_ctl_msg) + 1];
	struct porter_request request = { 0 };
	unsigned int nfds;
	int fds[SCM_FDS];
	ssize_t n;

	n = recv_fds(client, buf, sizeof(buf), fds, &nfds);
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
	int64_t deadline = now_ms() + answer_ms;
	struct sluice_ctl_msg msg;
	unsigned int nfds, i;
	int fds[SCM_FDS];
	ssize_t len, n;

	len = recv_fds(daemon, &msg, sizeof(msg), fds, &nfds);
	if (len == -EAGAIN)
		return 0;
	if (len != (ssize_t)sizeof(msg) || nfds > ANSWER_FDS)
		return -EPIPE;
	do {
		n = send_fds(client, &msg, sizeof(msg), fds, nfds);
	} while (n == -EAGAIN && poll_until(client, POLLOUT, deadline) > 0);
	for (i = 0; i < nfds; i++)
		close(fds[i]);
	return n < 0 ? (int)n : 0;
}

static void handler_run(int client, int daemon, const struct porter_options *options)
{
	int64_t deadline = now_ms() + options->request_ms;
	bool asked = false;
	int64_t left;
	int n = 0;

	while (n >= 0) {
		struct pollfd pfd[2] = {
			{ .fd = client, .events = POLLIN },
			{ .fd = daemon, .events = POLLIN },
		};

		left = deadline - now_ms();
		n = poll(pfd, 2, asked ? -1 : left > 0 ? (int)left : 0);
		if (n < 0 && errno == EINTR) {
			n = 0;
			continue;
		}
		if (n <= 0)
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
static void refusal_run(int client)
{
	struct sluice_ctl_msg msg = { .magic = SLUICE_CTL_MAGIC, .version = SLUICE_CTL_VERSION };
	char buf[sizeof(msg) + 1];
	struct sluice_ctl_msg request;
	unsigned int nfds;
	int fds[SCM_FDS];
	ssize_t n;

	if (poll_until(client, POLLIN, now_ms() + REFUSAL_MS) > 0) {
		n = recv_fds(client, buf, sizeof(buf), fds, &nfds);
		if (n > 0 && !control_check(buf, (size_t)n, nfds, &request)) {
			msg.type = SLUICE_CTL_REFUSED;
			msg.id = request.id;
			msg.u.refused.error = EUSERS;
			snprintf(msg.u.refused.text, sizeof(msg.u.refused.text),
				 "too many clients are connected; close one of this user's");
			send_fds(client, &msg, sizeof(msg), NULL, 0);
		}
	}
	shutdown(client, SHUT_RDWR);
}

/* The porter: one process, which never touches what clients send */

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
		handler_run(client, daemon, &door->porter->options);
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
	const struct porter_options *options = &door->porter->options;
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
	err = (int)send_fds(door->daemon, &arrival, sizeof(arrival), &pair[0], 1);
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

static void door_run(struct door *door)
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

/* Removes the socket file, unless it is another daemon's by now. */
static void socket_remove(const struct porter *p)
{
	struct stat st;

	if (lstat(p->path, &st) == 0 && st.st_dev == p->dev && st.st_ino == p->ino)
		unlink(p->path);
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

static void porter_run(const struct porter *p, int listener, int daemon)
{
	struct door door = { .porter = p, .listener = listener, .daemon = daemon };
	int *keep[] = { &door.listener, &door.daemon };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int i;

	prctl(PR_SET_NAME, "sluiced-porter");
	for (i = 0; null >= 0 && i < 3; i++)
		dup2(null, i);
	if (keep_fds(keep, 2) == 0) {
		door.signals = door_signals();
		if (door.signals >= 0)
			door_run(&door);
	}
	/* First of all the file: a new daemon takes its absence, not our end, for the sign. */
	socket_remove(p);
	_exit(0);
}

/* Start and stop, in the daemon */

static int dir_prepare(const char *dir)
{
	struct stat st;

	if (mkdir(dir, 0755) == 0)
		return chmod(dir, 0755) < 0 ? -errno : 0;
	if (errno != EEXIST)
		return -errno;
	if (lstat(dir, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 022) ? 0 : -EPERM;
}

/* Whether anybody listens at addr. A full backlog (EAGAIN) is somebody, too. */
static bool socket_served(const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool served;

	if (fd < 0)
		return true;
	served = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 ||
		 (errno != ECONNREFUSED && errno != ENOENT);
	close(fd);
	return served;
}

/* Under the directory's lock: between two daemons that both find a dead one's file. */
static int socket_bind(struct porter *p, int fd)
{
	const struct timespec pause = { .tv_nsec = PROBE_NS };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct stat st;
	int i;

	memcpy(addr.sun_path, p->path, sizeof(addr.sun_path));
	for (i = 0; socket_served(&addr); i++) {
		if (i == PROBES - 1)
			return -EADDRINUSE;
		nanosleep(&pause, NULL);
	}
	if (unlink(p->path) < 0 && errno != ENOENT)
		return -errno;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	if (lstat(p->path, &st) < 0)
		return -errno;
	p->dev = st.st_dev;
	p->ino = st.st_ino;
	if (chmod(p->path, 0666) < 0 || listen(fd, SOMAXCONN) < 0)
		return -errno;
	return 0;
}

static int socket_name(struct porter *p, const char *dir, const char *ifname)
{
	int n = snprintf(p->path, sizeof(p->path), "%s/%" PRIu64 "-%s.sock", dir,
			 p->netns_cookie, ifname);

	return n < (int)sizeof(p->path) ? 0 : -ENAMETOOLONG;
}

/* The lock is a file of its own, which other users cannot open and so not lock. */
static int lock_open(const char *dir)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];
	int fd;

	snprintf(path, sizeof(path), "%s/.lock", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX) < 0) {
		if (errno == EINTR)
			continue;
		close(fd);
		return -ENOLCK;
	}
	return fd;
}

/* The listening socket, or -errno with nothing left behind. */
static int listener_open(struct porter *p, const char *dir, const char *ifname)
{
	int fd, lock, err;

	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	p->netns_cookie = sock_u64(fd, SO_NETNS_COOKIE);
	err = p->netns_cookie ? socket_name(p, dir, ifname) : -EOPNOTSUPP;
	if (!err)
		err = dir_prepare(dir);
	if (err)
		goto out_fd;
	lock = lock_open(dir);
	if (lock < 0) {
		err = lock;
		goto out_fd;
	}
	err = socket_bind(p, fd);
	if (err)
		socket_remove(p);
	close(lock);
	if (!err)
		return fd;
out_fd:
	close(fd);
	return err;
}

static void options_fill(struct porter_options *o)
{
	if (!o->dir)
		o->dir = SLUICE_CTL_DIR;
	if (!o->clients || o->clients > CLIENTS_MAX)
		o->clients = CLIENTS_MAX;
	if (!o->clients_per_uid)
		o->clients_per_uid = CLIENTS_PER_UID;
	if (!o->request_ms)
		o->request_ms = REQUEST_MS;
	if (!o->answer_ms)
		o->answer_ms = ANSWER_MS;
}

int porter_start(struct porter **out, const char *ifname, const struct porter_options *options)
{
	struct porter *p;
	int listener, err, pair[2];

	if (!ifname[0] || strlen(ifname) >= IFNAMSIZ || strchr(ifname, '/'))
		return -EINVAL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	if (options)
		p->options = *options;
	options_fill(&p->options);
	listener = listener_open(p, p->options.dir, ifname);
	if (listener < 0) {
		err = listener;
		goto out_free;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		err = -errno;
		goto out_listener;
	}
	p->pid = fork();
	if (p->pid == 0)
		porter_run(p, listener, pair[1]);
	if (p->pid < 0) {
		err = -errno;
		goto out_pair;
	}
	close(pair[1]);
	close(listener);
	p->fd = pair[0];
	p->options.dir = NULL;
	*out = p;
	return 0;

out_pair:
	close(pair[0]);
	close(pair[1]);
out_listener:
	socket_remove(p);
	close(listener);
out_free:
	free(p);
	return err;
}

void porter_stop(struct porter *p)
{
	int pidfd;

	if (!p)
		return;
	socket_remove(p);
	close(p->fd);
	/* Even the porter's exit may hang: on what connections it never accepted had queued. */
	pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	if (pidfd < 0 || poll_until(pidfd, POLLIN, now_ms() + STOP_MS) <= 0)
		kill(p->pid, SIGKILL);
	waitpid(p->pid, NULL, WNOHANG);
	if (pidfd >= 0)
		close(pidfd);
	free(p);
}

const char *porter_path(const struct porter *p)
{
	return p->path;
}

uint64_t porter_netns_cookie(const struct porter *p)
{
	return p->netns_cookie;
}

int porter_fd(const struct porter *p)
{
	return p->fd;
}

int porter_next(struct porter *p, struct porter_client *client)
{
	struct arrival arrival;
	unsigned int nfds;
	int fds[SCM_FDS];
	ssize_t n;

	n = recv_fds(p->fd, &arrival, sizeof(arrival), fds, &nfds);
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

	if (nfds > ANSWER_FDS)
		return -EINVAL;
	n = send_fds(fd, msg, sizeof(*msg), fds, nfds);
	return n == -ECONNRESET ? -EPIPE : n < 0 ? (int)n : 0;
}
