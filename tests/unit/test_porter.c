// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* What clients pass stays out of the daemon, whatever it is. Works in a directory under /tmp. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/userfaultfd.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "daemon/porter.h"

#define WAIT_MS 2000
#define NOBODY 65534

struct fixture {
	char dir[64];
	struct porter *porter;
	struct porter_options options;
};

static long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void sleep_ms(int ms)
{
	poll(NULL, 0, ms);
}

static bool readable(int fd, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, ms) > 0;
}

/* The client's side */

static int client_connect(const char *path)
{
	struct timeval tv = { .tv_sec = 3 };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	return fd;
}

static struct sluice_ctl_msg message(unsigned int type, unsigned int id)
{
	return (struct sluice_ctl_msg){
		.magic = SLUICE_CTL_MAGIC,
		.version = SLUICE_CTL_VERSION,
		.type = (uint16_t)type,
		.id = id,
	};
}

static void send_raw(int fd, const void *buf, size_t len, const int *fds, unsigned int nfds)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(253 * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nfds) {
		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		CMSG_FIRSTHDR(&mh)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&mh)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&mh)->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&mh)), fds, nfds * sizeof(int));
	}
	assert_int_equal(sendmsg(fd, &mh, MSG_NOSIGNAL), len);
}

static void request(int fd, unsigned int type, unsigned int id, const int *fds, unsigned int nfds)
{
	struct sluice_ctl_msg msg = message(type, id);

	send_raw(fd, &msg, sizeof(msg), fds, nfds);
}

/* Length of the answer, 0 at the end or -errno; the number of its descriptors in *nfds. */
static ssize_t answer(int fd, struct sluice_ctl_msg *msg, int *fds, unsigned int *nfds)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(8 * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = msg, .iov_len = sizeof(*msg) };
	struct msghdr mh = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.buf, .msg_controllen = sizeof(control.buf),
	};
	ssize_t n = recvmsg(fd, &mh, MSG_CMSG_CLOEXEC);

	*nfds = 0;
	if (n > 0 && CMSG_FIRSTHDR(&mh)) {
		*nfds = (unsigned int)((CMSG_FIRSTHDR(&mh)->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&mh)), *nfds * sizeof(int));
	}
	return n < 0 ? -errno : n;
}

/* The connection ended, with or without a reset for what was left unread. */
static void assert_ended(int fd)
{
	struct sluice_ctl_msg msg;
	unsigned int nfds;
	int fds[8];
	ssize_t n = answer(fd, &msg, fds, &nfds);

	assert_true(n == 0 || n == -ECONNRESET);
}

static int udp_socket(int family)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in in = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (family == AF_INET)
		assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	else
		assert_int_equal(bind(fd, (struct sockaddr *)&in6, sizeof(in6)), 0);
	return fd;
}

/* The daemon's side */

static int start(struct fixture *f)
{
	f->options.dir = f->dir;
	return porter_start(&f->porter, "test0", &f->options);
}

static struct porter_client arrive(struct porter *p)
{
	struct porter_client client = { .fd = -1 };

	assert_true(readable(porter_fd(p), WAIT_MS));
	assert_int_equal(porter_next(p, &client), 0);
	assert_true(client.fd >= 0);
	assert_true(fcntl(client.fd, F_GETFD) & FD_CLOEXEC);
	return client;
}

static int take(int fd, struct porter_request *r)
{
	return readable(fd, WAIT_MS) ? porter_recv(fd, r) : -ETIMEDOUT;
}

/* A client that is served from request to answer: the porter and others are well. */
static void assert_serves(struct porter *p, const char *path)
{
	struct sluice_ctl_msg msg = message(SLUICE_CTL_DONE, 77);
	int fd = client_connect(path);
	struct porter_client client = arrive(p);
	struct porter_request r;
	unsigned int nfds;
	int fds[8];

	request(fd, SLUICE_CTL_DETACH, 77, NULL, 0);
	assert_int_equal(take(client.fd, &r), 0);
	assert_int_equal(r.msg.id, 77);
	assert_int_equal(porter_reply(client.fd, &msg, NULL, 0), 0);
	assert_int_equal(answer(fd, &msg, fds, &nfds), sizeof(msg));
	assert_int_equal(msg.type, SLUICE_CTL_DONE);
	close(fd);
	assert_int_equal(take(client.fd, &r), -EPIPE);
	close(client.fd);
}

/* Processes whose parent is pid, zombies included. */
static int children_of(pid_t pid, pid_t *out, int max)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	char path[300], line[512];
	int n = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		char *end;
		int ppid = -1;
		FILE *f;

		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fgets(line, sizeof(line), f) && (end = strrchr(line, ')')))
			sscanf(end + 1, " %*c %d", &ppid);
		fclose(f);
		if (ppid == pid && n < max)
			out[n++] = atoi(entry->d_name);
	}
	closedir(dir);
	return n;
}

/* Waits for `want` children of pid; how many there were in the end. */
static int await_children(pid_t pid, int want, pid_t *out, int max)
{
	long deadline = now_ms() + WAIT_MS;
	int n;

	do {
		n = children_of(pid, out, max);
		if (n == want)
			break;
		sleep_ms(10);
	} while (now_ms() < deadline);
	return n;
}

static pid_t porter_pid(void)
{
	pid_t pids[4];

	assert_int_equal(await_children(getpid(), 1, pids, 4), 1);
	return pids[0];
}

/* Every handler has ended and left its place. */
static void assert_idle(void)
{
	pid_t pids[4];

	assert_int_equal(await_children(porter_pid(), 0, pids, 4), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/sluice-porter-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(chmod(f->dir, 0755), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char lock[80];

	porter_stop(f->porter);
	snprintf(lock, sizeof(lock), "%s/.lock", f->dir);
	unlink(lock);
	assert_int_equal(rmdir(f->dir), 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	free(f);
	return 0;
}

/* Tests */

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
	for (msg.type = SLUICE_CTL_DETACH; msg.type <= SLUICE_CTL_QUERY; msg.type++) {
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

static void test_socket_file(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct fixture *f = *state;
	struct porter *second;
	struct stat st;
	char path[sizeof(addr.sun_path)] = "";
	int fd;

	assert_int_equal(porter_start(&second, "a/b", &f->options), -EINVAL);
	assert_int_equal(porter_start(&second, "", &f->options), -EINVAL);
	assert_int_equal(start(f), 0);
	snprintf(path, sizeof(path), "%s", porter_path(f->porter));
	assert_non_null(strstr(path, "-test0.sock"));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0666);
	assert_int_equal(porter_start(&second, "test0", &f->options), -EADDRINUSE);
	assert_int_equal(stat(path, &st), 0);
	/* The failed start connected to find out. */
	while (readable(porter_fd(f->porter), 100)) {
		struct porter_client client;

		assert_int_equal(porter_next(f->porter, &client), 0);
		close(client.fd);
	}
	porter_stop(f->porter);
	f->porter = NULL;
	assert_int_equal(stat(path, &st), -1);

	/* What a daemon leaves behind that was killed together with its porter. */
	fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	memcpy(addr.sun_path, path, sizeof(addr.sun_path));
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
	assert_int_equal(start(f), 0);
	assert_serves(f->porter, path);

	/* Not ours any more: another daemon's file must stay. */
	unlink(path);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	porter_stop(f->porter);
	f->porter = NULL;
	assert_int_equal(unlink(path), 0);

	assert_int_equal(chmod(f->dir, 0777), 0);
	assert_int_equal(start(f), -EPERM);
}

static struct porter_facts facts_of(struct fixture *f, int fd)
{
	int client_fd = client_connect(porter_path(f->porter));
	struct porter_client client = arrive(f->porter);
	struct porter_request r;

	assert_int_equal(client.pid, getpid());
	assert_int_equal(client.uid, getuid());
	assert_int_equal(porter_recv(client.fd, &r), -EAGAIN);
	request(client_fd, SLUICE_CTL_ATTACH, 1, &fd, 1);
	assert_int_equal(take(client.fd, &r), 0);
	assert_int_equal(r.msg.type, SLUICE_CTL_ATTACH);
	close(client_fd);
	assert_int_equal(take(client.fd, &r), -EPIPE);
	close(client.fd);
	return r.facts;
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len);
	return cookie;
}

static void test_facts(void **state)
{
	struct sock_filter insn[2] = {
		BPF_STMT(BPF_LD | BPF_IMM, 0), BPF_STMT(BPF_RET | BPF_K, 0xffff),
	};
	struct sock_fprog prog = { .len = 2, .filter = insn };
	struct sockaddr_in in;
	socklen_t len = sizeof(in);
	struct fixture *f = *state;
	struct porter_facts facts;
	int zero = 0, one = 1, lo = 1, encap = UDP_ENCAP_ESPINUDP, fd;

	assert_int_equal(start(f), 0);
	fd = udp_socket(AF_INET);
	getsockname(fd, (struct sockaddr *)&in, &len);
	facts = facts_of(f, fd);
	assert_int_equal(facts.error, 0);
	assert_true(facts.cookie == cookie_of(fd) && facts.cookie);
	assert_true(facts.netns_cookie == porter_netns_cookie(f->porter) && facts.netns_cookie);
	assert_int_equal(facts.domain, AF_INET);
	assert_int_equal(facts.type, SOCK_DGRAM);
	assert_int_equal(facts.protocol, IPPROTO_UDP);
	assert_int_equal(facts.port, ntohs(in.sin_port));
	assert_int_equal(facts.filter, 0);
	assert_int_equal(facts.encap, 0);
	assert_int_equal(facts.ifindex, 0);
	assert_int_equal(facts.reuseport, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &lo, sizeof(lo));
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)), 0);
	assert_int_equal(setsockopt(fd, IPPROTO_UDP, UDP_ENCAP, &encap, sizeof(encap)), 0);
	facts = facts_of(f, fd);
	assert_int_equal(facts.reuseport, 1);
	assert_int_equal(facts.ifindex, 1);
	assert_int_equal(facts.filter, 2);
	assert_int_equal(facts.encap, UDP_ENCAP_ESPINUDP);
	close(fd);

	fd = udp_socket(AF_INET6);
	facts = facts_of(f, fd);
	assert_int_equal(facts.domain, AF_INET6);
	/* Linux sets it where the address is an IPv6 one. */
	assert_int_equal(facts.v6only, 1);
	close(fd);
	fd = socket(AF_INET6, SOCK_DGRAM, 0);
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	assert_int_equal(facts_of(f, fd).v6only, 0);
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	facts = facts_of(f, fd);
	assert_int_equal(facts.v6only, 1);
	assert_int_equal(facts.port, 0);
	close(fd);
}

static void test_ebpf_filter(void **state)
{
	const struct bpf_insn insns[2] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0xffff },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int prog = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "test", "GPL", insns, 2, NULL);
	struct fixture *f = *state;
	int fd;

	if (prog < 0) {
		print_message("skipped: bpf(BPF_PROG_LOAD) fails: %s\n", strerror(-prog));
		skip();
	}
	assert_int_equal(start(f), 0);
	fd = udp_socket(AF_INET);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &prog, sizeof(prog)), 0);
	assert_int_equal(facts_of(f, fd).filter, -EACCES);
	close(prog);
	close(fd);
}

static void test_not_udp(void **state)
{
	struct fixture *f = *state;
	int fd, fds[2];

	assert_int_equal(start(f), 0);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(facts_of(f, fds[0]).error, ENOTSOCK);
	close(fds[0]);
	close(fds[1]);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(facts_of(f, fd).error, EPROTOTYPE);
	assert_int_equal(facts_of(f, fd).cookie, 0);
	close(fd);
	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	assert_int_equal(facts_of(f, fd).error, EPROTOTYPE);
	close(fd);
	fd = open("/proc/self/cmdline", O_RDONLY | O_PATH);
	assert_int_equal(facts_of(f, fd).error, EBADF);
	close(fd);
}

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
	/* Standard descriptors; listener, daemon, signalfd; client, daemon. */
	assert_int_equal(count_fds(porter), 3 + 3);
	assert_int_equal(count_fds(pids[0]), 3 + 2);
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

static void assert_refused(const char *path)
{
	struct sluice_ctl_msg msg;
	int sock = udp_socket(AF_INET), fd = client_connect(path), fds[8];
	unsigned int nfds;

	request(fd, SLUICE_CTL_ATTACH, 42, &sock, 1);
	assert_int_equal(answer(fd, &msg, fds, &nfds), sizeof(msg));
	assert_int_equal(msg.type, SLUICE_CTL_REFUSED);
	assert_int_equal(msg.id, 42);
	assert_int_equal(msg.u.refused.error, EUSERS);
	assert_true(strlen(msg.u.refused.text) > 10);
	assert_ended(fd);
	close(fd);
	close(sock);
}

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

/* A UDP socket whose lock a thread holds: it corks a datagram from memory that nobody provides. */
struct locked_socket {
	int sock, uffd;
	char *memory;
	pthread_t thread;
};

static void *hold_lock(void *arg)
{
	struct locked_socket *l = arg;
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(9),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	sendto(l->sock, l->memory, 100, MSG_MORE | MSG_DONTWAIT, (struct sockaddr *)&to,
	       sizeof(to));
	return NULL;
}

static bool lock_socket(struct locked_socket *l)
{
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_api api = { .api = UFFD_API };

	l->uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (l->uffd < 0)
		return false;
	assert_int_equal(ioctl(l->uffd, UFFDIO_API, &api), 0);
	l->memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(l->memory, MAP_FAILED);
	reg.range.start = (uintptr_t)l->memory;
	reg.range.len = 4096;
	assert_int_equal(ioctl(l->uffd, UFFDIO_REGISTER, &reg), 0);
	l->sock = udp_socket(AF_INET);
	assert_int_equal(pthread_create(&l->thread, NULL, hold_lock, l), 0);
	assert_true(readable(l->uffd, WAIT_MS));
	return true;
}

static void unlock_socket(struct locked_socket *l)
{
	struct uffdio_zeropage zero = { .range = { .start = (uintptr_t)l->memory, .len = 4096 } };

	assert_int_equal(ioctl(l->uffd, UFFDIO_ZEROPAGE, &zero), 0);
	pthread_join(l->thread, NULL);
	munmap(l->memory, 4096);
	close(l->uffd);
	close(l->sock);
}

/* A TCP connection that closes for as long as the peer does not read. */
static int lingering_socket(int *peer)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 5 };
	struct sockaddr_in in = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(in);
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
	char data[4096] = { 0 };

	assert_int_equal(bind(listener, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&in, &len), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	*peer = accept(listener, NULL, NULL);
	close(listener);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	while (send(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
		;
	return fd;
}

/* Others are served and stopping takes its bounded time while a handler hangs on `sock`. */
static void serve_beside(struct fixture *f, int sock, bool close_sock)
{
	struct porter_client client;
	struct porter_request r;
	long begin;
	int fd, i;

	assert_int_equal(start(f), 0);
	fd = client_connect(porter_path(f->porter));
	client = arrive(f->porter);
	request(fd, SLUICE_CTL_ATTACH, 1, &sock, 1);
	if (close_sock)
		close(sock);
	for (i = 0; i < 5; i++)
		assert_serves(f->porter, porter_path(f->porter));
	assert_int_equal(porter_recv(client.fd, &r), -EAGAIN);
	close(client.fd);
	begin = now_ms();
	porter_stop(f->porter);
	f->porter = NULL;
	assert_true(now_ms() - begin < 1500);
	close(fd);
}

static void test_stuck_lock(void **state)
{
	struct locked_socket l;

	if (!lock_socket(&l)) {
		print_message("skipped: no userfaultfd: %s\n", strerror(errno));
		skip();
	}
	serve_beside(*state, l.sock, false);
	unlock_socket(&l);
}

static void test_stuck_close(void **state)
{
	int peer, fd = lingering_socket(&peer);

	serve_beside(*state, fd, true);
	close(peer);
}

/* The same as a connection that is refused, and one that the porter never accepted. */
static void test_stuck_refusal(void **state)
{
	struct fixture *f = *state;
	struct porter_client client;
	int first, peer, fd, sock;

	f->options.clients = 1;
	assert_int_equal(start(f), 0);
	first = client_connect(porter_path(f->porter));
	client = arrive(f->porter);
	sock = lingering_socket(&peer);
	fd = client_connect(porter_path(f->porter));
	request(fd, SLUICE_CTL_ATTACH, 1, &sock, 1);
	close(sock);
	close(fd);
	/* Its turn came before this one's. */
	assert_refused(porter_path(f->porter));
	close(first);
	close(client.fd);
	assert_idle();
	assert_serves(f->porter, porter_path(f->porter));
	close(peer);
}

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),
		TEST(test_socket_file),
		TEST(test_facts),
		TEST(test_ebpf_filter),
		TEST(test_not_udp),
		TEST(test_answer),
		TEST(test_violations),
		TEST(test_client_death),
		TEST(test_signals_and_fds),
		TEST(test_limit),
		TEST(test_refused_crowd),
		TEST(test_limit_per_user),
		TEST(test_silent_client),
		TEST(test_client_does_not_read),
		TEST(test_stuck_lock),
		TEST(test_stuck_close),
		TEST(test_stuck_refusal),
		TEST(test_stop_in_handshake),
		TEST(test_porter_death),
		TEST(test_daemon_killed),
	};

	return cmocka_run_group_tests_name("porter", tests, NULL, NULL);
}
