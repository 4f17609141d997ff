// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The receive calls against the kernel's: each datagram through the lane and the kernel socket. */
#include "test_lib_fake.h"

#include <limits.h>
#include <netinet/udp.h>
#include <signal.h>
#include <sys/time.h>

#define DATA 100
#define TOS 0x28

struct shape {
	int flags;
	size_t iov[3];
	socklen_t namelen;
	bool no_name, no_control;
	size_t controllen;
};

struct result {
	ssize_t ret;
	struct msghdr m;
	uint8_t name[64], control[256], data[3][128];
};

struct option {
	int level, name;
};

static const struct option options4[] = {
	{ SOL_SOCKET, SO_TIMESTAMPNS }, { SOL_SOCKET, SO_RXQ_OVFL }, { IPPROTO_IP, IP_PKTINFO },
	{ IPPROTO_IP, IP_RECVTTL }, { IPPROTO_IP, IP_RECVTOS }, { IPPROTO_UDP, UDP_GRO },
};

static const struct option options6[] = {
	{ SOL_SOCKET, SO_TIMESTAMP }, { IPPROTO_IPV6, IPV6_RECVPKTINFO },
	{ IPPROTO_IPV6, IPV6_RECVHOPLIMIT }, { IPPROTO_IPV6, IPV6_RECVTCLASS },
	{ IPPROTO_IP, IP_PKTINFO }, { IPPROTO_IP, IP_RECVTTL }, { IPPROTO_IP, IP_RECVTOS },
};

static void set_opt(int fd, int level, int name, int val)
{
	assert_int_equal(setsockopt(fd, level, name, &val, sizeof(val)), 0);
}

/* Times differ, all else must not. */
static void hide_times(struct result *r)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&r->m); h; h = CMSG_NXTHDR(&r->m, h)) {
		if (h->cmsg_level == SOL_SOCKET &&
		    (h->cmsg_type == SCM_TIMESTAMP || h->cmsg_type == SCM_TIMESTAMPNS))
			memset(CMSG_DATA(h), 0, h->cmsg_len - CMSG_LEN(0));
	}
}

static void run_shape(struct sluice_sock *s, const struct shape *sh, struct result *r)
{
	struct iovec iov[3];

	memset(r, 0xaa, sizeof(*r));
	memset(&r->m, 0, sizeof(r->m));
	for (int i = 0; i < 3; i++)
		iov[i] = (struct iovec){ .iov_base = r->data[i], .iov_len = sh->iov[i] };
	r->m = (struct msghdr){
		.msg_iov = iov, .msg_iovlen = 3,
		.msg_name = sh->no_name ? NULL : r->name, .msg_namelen = sh->namelen,
		.msg_control = sh->no_control ? NULL : r->control, .msg_controllen = sh->controllen,
		.msg_flags = 0x5555,
	};
	r->ret = sluice_recvmsg(s, &r->m, sh->flags);
	r->m.msg_iov = NULL;
	hide_times(r);
}

static void check_same(const struct shape *sh, const struct result *a, const struct result *b)
{
	bool same = a->ret == b->ret && a->m.msg_namelen == b->m.msg_namelen &&
		    a->m.msg_controllen == b->m.msg_controllen &&
		    a->m.msg_flags == b->m.msg_flags &&
		    !memcmp(a->name, b->name, sizeof(a->name)) &&
		    !memcmp(a->control, b->control, sizeof(a->control)) &&
		    !memcmp(a->data, b->data, sizeof(a->data));

	if (!same)
		print_error("flags %x iov %zu namelen %u controllen %zu: "
			    "ret %zd/%zd namelen %u/%u controllen %zu/%zu flags %x/%x\n",
			    (unsigned int)sh->flags, sh->iov[0], sh->namelen, sh->controllen,
			    a->ret, b->ret, a->m.msg_namelen, b->m.msg_namelen,
			    a->m.msg_controllen, b->m.msg_controllen,
			    (unsigned int)a->m.msg_flags, (unsigned int)b->m.msg_flags);
	assert_true(same);
}

/* Puts one datagram into both. */
static void send_both(struct rig *r, const struct sluice_rec *rec, size_t len)
{
	uint8_t data[DATA];

	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i + 1);
	assert_int_equal(send(r->tx, data, len, 0), len);
	assert_true(fake_put(r->lane, rec, data, (uint32_t)len));
	fake_commit(r->lane);
}

static void compare(struct rig *r, const struct sluice_rec *rec, const struct shape *sh, size_t len)
{
	struct sluice_stats before, after;
	struct result a, b;

	sluice_stats(r->s, &before);
	send_both(r, rec, len);
	run_shape(r->s, sh, &a);
	run_shape(r->s, sh, &b);
	sluice_stats(r->s, &after);
	assert_int_equal(after.lane_datagrams, before.lane_datagrams + 1);
	assert_int_equal(after.kernel_datagrams, before.kernel_datagrams + 1);
	check_same(sh, &a, &b);
}

static void compare_shapes(struct rig *r, const struct sluice_rec *rec)
{
	static const int flags[] = { 0, MSG_TRUNC, MSG_DONTWAIT, MSG_CMSG_CLOEXEC, MSG_WAITFORONE };
	static const size_t iovs[][3] = {
		{ 128 }, { 40, 0, 128 }, { 40, 30, 20 }, { 0, 0, 100 }, { 0 },
	};
	struct shape sh;

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		for (size_t k = 0; k < sizeof(iovs) / sizeof(iovs[0]); k++) {
			sh = (struct shape){ .flags = flags[i], .namelen = 64, .controllen = 256 };
			memcpy(sh.iov, iovs[k], sizeof(sh.iov));
			compare(r, rec, &sh, DATA);
			compare(r, rec, &sh, 0);
			sh.no_name = sh.no_control = true;
			compare(r, rec, &sh, DATA);
			sh.controllen = 0;
			compare(r, rec, &sh, 1);
		}
	}
	sh = (struct shape){ .iov = { 128 } };
	for (sh.namelen = 0; sh.namelen < 40; sh.namelen++)
		compare(r, rec, &sh, DATA);
	for (sh.controllen = 0; sh.controllen < 256; sh.controllen++)
		compare(r, rec, &sh, DATA);
}

static struct sluice_rec rec_of(struct rig *r, int family)
{
	struct sluice_rec rec = fake_rec();
	struct sockaddr_in6 a;
	socklen_t len = sizeof(a);

	getsockname(r->tx, (struct sockaddr *)&a, &len);
	rec.sport = a.sin6_port;
	rec.tos = TOS;
	if (family == AF_INET6) {
		rec.version = 6;
		memset(rec.saddr, 0, sizeof(rec.saddr));
		memset(rec.daddr, 0, sizeof(rec.daddr));
		rec.saddr[15] = rec.daddr[15] = 1;
	}
	return rec;
}

/* sender: the family of the datagrams; receiver: that of the socket. */
static void compare_family(int sender, int receiver, bool options)
{
	const struct option *opts = receiver == AF_INET ? options4 : options6;
	size_t n = receiver == AF_INET ? sizeof(options4) / sizeof(options4[0]) :
					 sizeof(options6) / sizeof(options6[0]);
	struct sluice_rec rec;
	struct rig r = { 0 };

	fake_start(&r.f, FAKE_OK);
	r.fd = fake_udp(receiver, &r.tx);
	if (sender != receiver) {
		struct sockaddr_in a = { .sin_family = AF_INET,
					 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		struct sockaddr_in6 any = { .sin6_family = AF_INET6 };
		socklen_t len = sizeof(any);

		close(r.fd);
		close(r.tx);
		r.fd = socket(AF_INET6, SOCK_DGRAM, 0);
		assert_int_equal(bind(r.fd, (struct sockaddr *)&any, sizeof(any)), 0);
		getsockname(r.fd, (struct sockaddr *)&any, &len);
		a.sin_port = any.sin6_port;
		r.tx = socket(AF_INET, SOCK_DGRAM, 0);
		assert_int_equal(connect(r.tx, (struct sockaddr *)&a, sizeof(a)), 0);
	}
	for (size_t i = 0; options && i < n; i++)
		set_opt(r.fd, opts[i].level, opts[i].name, 1);
	if (sender == AF_INET)
		set_opt(r.tx, IPPROTO_IP, IP_TOS, TOS);
	else
		set_opt(r.tx, IPPROTO_IPV6, IPV6_TCLASS, TOS);
	rig_attach(&r, SLUICE_LANE_MIN);
	rec = rec_of(&r, sender);
	compare_shapes(&r, &rec);
	rig_stop(&r);
}

static void test_as_kernel(void **state)
{
	(void)state;
	compare_family(AF_INET, AF_INET, false);
	compare_family(AF_INET, AF_INET, true);
	compare_family(AF_INET6, AF_INET6, false);
	compare_family(AF_INET6, AF_INET6, true);
	compare_family(AF_INET, AF_INET6, false);
	compare_family(AF_INET, AF_INET6, true);
}

/* A merged datagram, and one that comes after losses. */
static void test_gro_and_losses(void **state)
{
	struct shape sh = { .iov = { 128 }, .namelen = 64, .controllen = 256 };
	struct result a, b;
	struct sluice_rec rec;
	struct rig r = { 0 };
	uint8_t big[1200] = { 0 };
	int dropped = 0;

	(void)state;
	fake_start(&r.f, FAKE_OK);
	r.fd = fake_udp(AF_INET, &r.tx);
	set_opt(r.fd, IPPROTO_UDP, UDP_GRO, 1);
	set_opt(r.fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
	set_opt(r.fd, SOL_SOCKET, SO_RCVBUF, 1);
	rig_attach(&r, 0);
	rec = rec_of(&r, AF_INET);
	/* as many as fit, then some that do not */
	for (int i = 0; i < 50; i++)
		send(r.tx, big, sizeof(big), 0);
	while (recv(r.fd, big, sizeof(big), MSG_DONTWAIT) > 0)
		dropped++;
	dropped = 50 - dropped;
	assert_true(dropped > 10);
	set_opt(r.tx, IPPROTO_UDP, UDP_SEGMENT, 40);
	rec.gso_size = 40;
	r.lane->head->drops = (uint32_t)dropped;
	send_both(&r, &rec, 80);
	run_shape(r.s, &sh, &a);
	run_shape(r.s, &sh, &b);
	assert_int_equal(a.m.msg_controllen, CMSG_SPACE(4) * 2);
	check_same(&sh, &a, &b);
	rig_stop(&r);
}

static void test_link_local(void **state)
{
	struct sluice_rec rec = fake_rec();
	struct sockaddr_in6 a;
	socklen_t len = sizeof(a);
	struct rig r;
	char buf[8];

	(void)state;
	rig_start(&r, AF_INET6, 0, 0);
	rec.version = 6;
	rec.ifindex = 7;
	memset(rec.saddr, 0, sizeof(rec.saddr));
	rec.saddr[0] = 0xfe;
	rec.saddr[1] = 0x80;
	rec.saddr[15] = 9;
	assert_true(fake_put(r.lane, &rec, "x", 1));
	fake_commit(r.lane);
	assert_int_equal(sluice_recvfrom(r.s, buf, sizeof(buf), 0, (struct sockaddr *)&a, &len), 1);
	assert_int_equal(len, sizeof(a));
	assert_int_equal(a.sin6_scope_id, 7);
	assert_memory_equal(&a.sin6_addr, rec.saddr, 16);
	rig_stop(&r);
}

static void test_bad_calls(void **state)
{
	struct msghdr m = { .msg_iovlen = IOV_MAX + 1 };
	struct timespec bad = { .tv_nsec = -1 };
	struct mmsghdr v = { 0 };
	struct sockaddr_in a;
	struct rig r;
	char buf[8];

	(void)state;
	rig_start(&r, AF_INET, 0, 0);
	fake_send(r.lane, "x");
	assert_int_equal(sluice_recvmsg(r.s, &m, 0), -EMSGSIZE);
	m = (struct msghdr){ .msg_name = &a, .msg_namelen = (socklen_t)-1 };
	assert_int_equal(sluice_recvmsg(r.s, &m, 0), -EINVAL);
	assert_int_equal(sluice_recvfrom(r.s, buf, 8, 0, (struct sockaddr *)&a, NULL), -EFAULT);
	assert_int_equal(sluice_recvfrom(r.s, buf, 8, MSG_OOB, NULL, NULL), -EOPNOTSUPP);
	assert_int_equal(sluice_recvfrom(r.s, buf, 8, MSG_ERRQUEUE, NULL, NULL), -EAGAIN);
	assert_int_equal(sluice_recvmmsg(r.s, &v, 1, 0, &bad), -EINVAL);
	assert_int_equal(sluice_recvmmsg(r.s, &v, 0, 0, NULL), 0);
	/* none of them took the datagram */
	assert_string_equal(rig_recv(&r, MSG_DONTWAIT), "x");
	rig_stop(&r);
}

static void vec_init(struct mmsghdr *v, struct iovec *iov, char (*buf)[8], unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		iov[i] = (struct iovec){ .iov_base = buf[i], .iov_len = 8 };
		v[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &iov[i], .msg_iovlen = 1 } };
	}
}

/* MSG_PEEK shows what the next call returns, wherever it came from and whatever came in between. */
static void test_peek_flag(void **state)
{
	struct mmsghdr v[3];
	struct iovec iov[3];
	char buf[3][8];
	struct rig r;

	(void)state;
	rig_start(&r, AF_INET, 0, 0);
	send(r.tx, "kernel", 6, 0);
	assert_string_equal(rig_recv(&r, MSG_PEEK), "kernel");
	fake_send(r.lane, "lane");
	assert_string_equal(rig_recv(&r, MSG_PEEK), "kernel");
	assert_string_equal(rig_recv(&r, 0), "kernel");
	assert_string_equal(rig_recv(&r, MSG_PEEK), "lane");
	send(r.tx, "kernel2", 7, 0);
	usleep(2000);
	assert_string_equal(rig_recv(&r, MSG_PEEK), "lane");
	/* as in Linux, every entry gets the first one */
	vec_init(v, iov, buf, 3);
	assert_int_equal(sluice_recvmmsg(r.s, v, 3, MSG_PEEK, NULL), 3);
	assert_memory_equal(buf[2], "lane", 4);
	assert_int_equal(r.lane->ctl->consumer, 0);
	assert_string_equal(rig_recv(&r, 0), "lane");
	assert_string_equal(rig_recv(&r, 0), "kernel2");
	assert_string_equal(rig_recv(&r, MSG_DONTWAIT | MSG_PEEK), "");
	rig_stop(&r);
}

/* The kernel socket's turn: after 64 records or 1 ms, and when a call empties the lane. */
static void test_kernel_turn(void **state)
{
	struct mmsghdr v[8];
	struct iovec iov[8];
	char buf[8][8];
	struct rig r;
	int i;

	(void)state;
	rig_start(&r, AF_INET, 0, 0);
	for (i = 0; i < 300; i++)
		fake_send(r.lane, "l");
	send(r.tx, "k", 1, 0);
	for (i = 0; i < 300 && rig_recv(&r, 0)[0] != 'k'; i++)
		;
	assert_true(i <= 64);
	send(r.tx, "k", 1, 0);
	rig_recv(&r, 0);
	usleep(1500);
	for (i = 0; i < 300 && rig_recv(&r, 0)[0] != 'k'; i++)
		;
	assert_true(i <= 1);
	while (rig_recv(&r, MSG_DONTWAIT)[0])
		;
	fake_send(r.lane, "l1");
	fake_send(r.lane, "l2");
	send(r.tx, "k1", 2, 0);
	send(r.tx, "k2", 2, 0);
	vec_init(v, iov, buf, 8);
	assert_int_equal(sluice_recvmmsg(r.s, v, 8, MSG_DONTWAIT, NULL), 4);
	rig_stop(&r);
}

/* An ICMP error on a connected socket is reported once, and not instead of data. */
static void test_kernel_error(void **state)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	struct mmsghdr v[2];
	struct iovec iov[2];
	char buf[2][8];
	struct rig r;

	(void)state;
	rig_start(&r, AF_INET, 0, 0);
	getsockname(r.tx, (struct sockaddr *)&a, &len);
	assert_int_equal(connect(r.fd, (struct sockaddr *)&a, sizeof(a)), 0);
	close(r.tx);
	r.tx = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(send(r.fd, "x", 1, 0), 1);
	fake_send(r.lane, "lane");
	vec_init(v, iov, buf, 2);
	assert_int_equal(sluice_recvmmsg(r.s, v, 2, 0, NULL), 1);
	assert_int_equal(sluice_recvmmsg(r.s, v, 2, MSG_DONTWAIT, NULL), -ECONNREFUSED);
	assert_int_equal(sluice_recvmmsg(r.s, v, 2, MSG_DONTWAIT, NULL), -EAGAIN);
	rig_stop(&r);
}

static void test_timeouts(void **state)
{
	struct timeval tv = { .tv_usec = 50000 };
	struct timespec ts = { 0 };
	struct mmsghdr v[4];
	struct iovec iov[4];
	char buf[4][8];
	struct rig r;
	int64_t t;

	(void)state;
	vec_init(v, iov, buf, 4);
	fake_start(&r.f, FAKE_OK);
	r.fd = fake_udp(AF_INET, &r.tx);
	setsockopt(r.fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	rig_attach(&r, 0);
	t = fake_now();
	assert_int_equal(sluice_recvmmsg(r.s, v, 4, 0, NULL), -EAGAIN);
	t = fake_now() - t;
	assert_in_range(t, 45000000, 400000000);
	/* not all of them came: what did, when the time for the next one is over */
	fake_send(r.lane, "a");
	send(r.tx, "b", 1, 0);
	assert_int_equal(sluice_recvmmsg(r.s, v, 4, 0, NULL), 2);
	fake_send(r.lane, "a");
	t = fake_now();
	assert_int_equal(sluice_recvmmsg(r.s, v, 4, MSG_WAITFORONE, NULL), 1);
	assert_true(fake_now() - t < 40000000);
	/* the argument of recvmmsg is looked at after each datagram only */
	fake_send(r.lane, "a");
	fake_send(r.lane, "b");
	assert_int_equal(sluice_recvmmsg(r.s, v, 4, 0, &ts), 1);
	assert_int_equal(sluice_recvmmsg(r.s, v, 4, 0, &ts), 1);
	send(r.tx, "a", 1, 0);
	send(r.tx, "b", 1, 0);
	assert_int_equal(sluice_recvmmsg(r.s, v, 4, 0, &ts), 1);
	ts = (struct timespec){ .tv_sec = 5 };
	fake_send(r.lane, "a");
	assert_int_equal(sluice_recvmmsg(r.s, v, 2, 0, &ts), 2);
	assert_true(ts.tv_sec == 4 && ts.tv_nsec > 0);
	fcntl(r.fd, F_SETFL, O_NONBLOCK);	/* as it was at the attach: not noticed */
	assert_int_equal(sluice_recvmmsg(r.s, v, 4, 0, NULL), -EAGAIN);
	rig_stop(&r);
}

static void test_nonblock(void **state)
{
	struct rig r;

	(void)state;
	fake_start(&r.f, FAKE_OK);
	r.fd = fake_udp(AF_INET, &r.tx);
	fcntl(r.fd, F_SETFL, O_NONBLOCK);
	rig_attach(&r, 0);
	assert_string_equal(rig_recv(&r, 0), "");
	fake_send(r.lane, "x");
	assert_string_equal(rig_recv(&r, 0), "x");
	rig_stop(&r);
}

static void on_signal(int sig)
{
	(void)sig;
}

static void test_signal(void **state)
{
	struct sigaction sa = { .sa_handler = on_signal }, old;
	struct itimerval it = { .it_value = { .tv_usec = 30000 } }, off = { 0 };
	struct rig r;
	char c;

	(void)state;
	rig_start(&r, AF_INET, 0, 0);
	sigaction(SIGALRM, &sa, &old);
	setitimer(ITIMER_REAL, &it, NULL);
	assert_int_equal(sluice_recvfrom(r.s, &c, 1, 0, NULL, NULL), -EINTR);
	setitimer(ITIMER_REAL, &off, NULL);
	sigaction(SIGALRM, &old, NULL);
	alarm(120);
	fake_send(r.lane, "x");
	assert_string_equal(rig_recv(&r, 0), "x");
	rig_stop(&r);
}

static void child_checks(struct rig *r)
{
	struct sluice_view v;
	struct sluice_sock *s2;
	struct sluice_stats st;

	alarm(20);
	assert_int_equal(sluice_path(r->s), SLUICE_PATH_KERNEL);
	assert_non_null(strstr(sluice_reason(r->s), "forked"));
	assert_string_equal(rig_recv(r, MSG_DONTWAIT), "");
	assert_int_equal(sluice_peek(r->s, &v, 1), -EAGAIN);
	send(r->tx, "child", 5, 0);
	assert_string_equal(rig_recv(r, 0), "child");
	send(r->tx, "view", 4, 0);
	assert_int_equal(sluice_peek(r->s, &v, 1), 1);
	assert_memory_equal(v.data, "view", 4);
	assert_int_equal(sluice_release(r->s, 1), 0);
	assert_true(sluice_fd(r->s) >= 0);
	assert_int_equal(sluice_stats(r->s, &st), 0);
	assert_int_equal(st.kernel_datagrams, 2);
	assert_int_equal(sluice_stop(r->s), 0);
	assert_int_equal(sluice_attach(&s2, r->fd, NULL), 0);
	sluice_detach(s2);
	sluice_detach(r->s);
}

/* With views held, a stash, and data in the lane: all of it stays the parent's. */
static void test_fork(void **state)
{
	struct sluice_view v;
	struct rig r;
	int status;
	pid_t pid;

	(void)state;
	rig_start(&r, AF_INET, 0, 0);
	assert_true(sluice_fd(r.s) >= 0);
	send(r.tx, "stash", 5, 0);
	assert_int_equal(sluice_peek(r.s, &v, 1), 1);
	fake_send(r.lane, "mine");
	pid = fork();
	if (!pid) {
		child_checks(&r);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(sluice_release(r.s, 0), 0);
	assert_string_equal(rig_recv(&r, 0), "stash");
	assert_string_equal(rig_recv(&r, 0), "mine");
	assert_int_equal(sluice_path(r.s), SLUICE_PATH_LANE);
	rig_stop(&r);
}

static void *receive_always(void *arg)
{
	struct rig *r = arg;
	char c;

	while (sluice_recvfrom(r->s, &c, 1, MSG_DONTWAIT, NULL, NULL) != 0)
		;
	return NULL;
}

/* Forked while another thread is inside a call: its lock is free in the child. */
static void test_fork_locked(void **state)
{
	struct rig r;
	pthread_t t;
	int status;

	(void)state;
	rig_start(&r, AF_INET, 0, 0);
	pthread_create(&t, NULL, receive_always, &r);
	for (int i = 0; i < 100; i++) {
		pid_t pid = fork();

		if (!pid) {
			alarm(10);
			_exit(sluice_path(r.s) != SLUICE_PATH_KERNEL ||
			      *rig_recv(&r, MSG_DONTWAIT) != '\0');
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
	fake_send(r.lane, "");
	pthread_join(t, NULL);
	rig_stop(&r);
}

/* The daemon dies with data in the lane. */
static void test_death(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r, AF_INET, 0, 0);
	fake_send(r.lane, "left1");
	fake_send(r.lane, "left2");
	fake_kill(&r.f);
	assert_int_equal(sluice_path(r.s), SLUICE_PATH_KERNEL);
	assert_non_null(strstr(sluice_reason(r.s), "gone"));
	send(r.tx, "kernel", 6, 0);
	assert_string_equal(rig_recv(&r, 0), "left1");
	assert_string_equal(rig_recv(&r, 0), "left2");
	assert_string_equal(rig_recv(&r, 0), "kernel");
	assert_string_equal(rig_recv(&r, MSG_DONTWAIT), "");
	assert_int_equal(sluice_stop(r.s), 0);
	rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_kernel),
		cmocka_unit_test(test_gro_and_losses),
		cmocka_unit_test(test_link_local),
		cmocka_unit_test(test_bad_calls),
		cmocka_unit_test(test_peek_flag),
		cmocka_unit_test(test_kernel_turn),
		cmocka_unit_test(test_kernel_error),
		cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_nonblock),
		cmocka_unit_test(test_signal),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_fork_locked),
		cmocka_unit_test(test_death),
	};

	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
