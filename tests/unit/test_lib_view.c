// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Views: of lane records, of kernel datagrams, and what a release in part leaves behind. */
#include "test_lib_fake.h"

#include <netinet/udp.h>

#define N 40

static void check_view(const struct sluice_view *v, const char *text)
{
	assert_int_equal(v->len, strlen(text));
	assert_memory_equal(v->data, text, v->len);
}

static void test_lane(void **state)
{
	struct sluice_view v[4];
	struct sluice_rec rec = fake_rec();
	struct sluice_stats st;
	struct rig r;

	(void)state;
	rig_start(&r, AF_INET, 0, 0);
	assert_int_equal(sluice_peek(r.s, v, 4), -EAGAIN);
	assert_int_equal(sluice_peek(r.s, v, 0), -EINVAL);
	assert_int_equal(sluice_release(r.s, 0), 0);
	assert_int_equal(sluice_release(r.s, 1), -EINVAL);
	rec.gso_size = 77;
	assert_true(fake_put(r.lane, &rec, "one", 3));
	fake_send(r.lane, "two");
	fake_send(r.lane, "three");
	assert_int_equal(sluice_peek(r.s, v, 4), 3);
	check_view(&v[0], "one");
	assert_int_equal(v[0].hash, 0x1234);
	assert_int_equal(v[0].tstamp, rec.tstamp);
	assert_int_equal(v[0].ifindex, 1);
	assert_int_equal(v[0].gso_size, 77);
	assert_int_equal(v[0].sport, htons(4321));
	assert_int_equal(v[0].version, 4);
	assert_memory_equal(v[0].saddr, rec.saddr, 16);
	check_view(&v[1], "two");
	check_view(&v[2], "three");
	/* where it lies: nothing was copied */
	assert_ptr_equal((const uint8_t *)v[1].data - (const uint8_t *)v[0].data, (void *)128);
	assert_int_equal(sluice_peek(r.s, v, 4), -EBUSY);
	assert_int_equal(sluice_recvfrom(r.s, NULL, 0, MSG_DONTWAIT, NULL, NULL), -EBUSY);
	assert_int_equal(r.lane->ctl->consumer, 0);
	assert_int_equal(sluice_release(r.s, 4), -EINVAL);
	assert_int_equal(sluice_release(r.s, 1), 0);
	assert_int_equal(r.lane->ctl->consumer, 128);
	assert_int_equal(sluice_release(r.s, 1), -EINVAL);
	assert_string_equal(rig_recv(&r, 0), "two");
	assert_int_equal(sluice_peek(r.s, v, 1), 1);
	check_view(&v[0], "three");
	assert_int_equal(sluice_release(r.s, 1), 0);
	assert_int_equal(sluice_stats(r.s, &st), 0);
	assert_int_equal(st.lane_datagrams, 3);
	rig_stop(&r);
}

static void send_numbers(int tx, int from, int to)
{
	char text[16];

	for (int i = from; i < to; i++) {
		int n = snprintf(text, sizeof(text), "%d", i);

		assert_int_equal(send(tx, text, (size_t)n, 0), n);
	}
}

/* All of them, in order, whether seen by views or received. */
static void test_kernel(void **state)
{
	struct sluice_view v[N];
	struct sluice_stats st;
	struct rig r;
	char text[16];
	int seen = 0;

	(void)state;
	rig_start(&r, AF_INET, 0, 0);
	send_numbers(r.tx, 0, N);
	for (unsigned int keep = 0; seen < N; keep = (keep + 1) % 5) {
		int n = sluice_peek(r.s, v, N);

		assert_true(n > 0);
		for (int i = 0; i < n; i++) {
			snprintf(text, sizeof(text), "%d", seen + i);
			check_view(&v[i], text);
		}
		if (keep > (unsigned int)n)
			keep = (unsigned int)n;
		assert_int_equal(sluice_release(r.s, keep), 0);
		seen += (int)keep;
		if (keep == 3 && seen < N) {
			snprintf(text, sizeof(text), "%d", seen++);
			assert_string_equal(rig_recv(&r, MSG_PEEK), text);
			assert_string_equal(rig_recv(&r, 0), text);
		}
	}
	assert_int_equal(sluice_peek(r.s, v, N), -EAGAIN);
	assert_int_equal(sluice_stats(r.s, &st), 0);
	assert_int_equal(st.kernel_datagrams, N);
	rig_stop(&r);
}

static void set_opt(int fd, int level, int name)
{
	int one = 1;

	assert_int_equal(setsockopt(fd, level, name, &one, sizeof(one)), 0);
}

/* Without a daemon, with all a view can tell, and control messages for the one received after. */
static void test_kernel_fields(int family)
{
	struct sockaddr_storage name;
	uint8_t control[256];
	struct iovec iov = { .iov_base = (char[8]){ 0 }, .iov_len = 8 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_name = &name,
			    .msg_namelen = sizeof(name), .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct sluice_view v[4];
	struct sluice_sock *s;
	int tx, fd;

	setenv("SLUICE_RUN_DIR", "/nonexistent", 1);
	fd = fake_udp(family, &tx);
	set_opt(fd, SOL_SOCKET, SO_TIMESTAMPNS);
	set_opt(fd, IPPROTO_UDP, UDP_GRO);
	if (family == AF_INET)
		set_opt(fd, IPPROTO_IP, IP_PKTINFO);
	else
		set_opt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO);
	assert_int_equal(sluice_attach(&s, fd, NULL), 0);
	assert_int_equal(sluice_path(s), SLUICE_PATH_KERNEL);
	assert_int_equal(sluice_peek(s, v, 4), -EAGAIN);
	assert_int_equal(send(tx, "first", 5, 0), 5);
	assert_int_equal(send(tx, "second", 6, 0), 6);
	assert_int_equal(sluice_peek(s, v, 4), 2);
	check_view(&v[0], "first");
	assert_int_equal(v[0].version, family == AF_INET ? 4 : 6);
	assert_int_equal(v[0].ifindex, 1);
	assert_int_equal(v[0].hash, 0);
	assert_true(v[0].tstamp / 1000000000 > 1000000000);
	assert_int_equal(v[0].saddr[family == AF_INET ? 0 : 15], family == AF_INET ? 127 : 1);
	assert_true(v[0].sport);
	assert_int_equal(sluice_release(s, 1), 0);
	assert_int_equal(sluice_recvmsg(s, &m, 0), 6);
	assert_int_equal(m.msg_namelen, family == AF_INET ? sizeof(struct sockaddr_in) :
							    sizeof(struct sockaddr_in6));
	assert_int_equal(m.msg_controllen, CMSG_SPACE(sizeof(struct timespec)) +
			 (family == AF_INET ? CMSG_SPACE(sizeof(struct in_pktinfo)) :
					      CMSG_SPACE(sizeof(struct in6_pktinfo))));
	assert_int_equal(m.msg_flags, 0);
	sluice_detach(s);
	close(fd);
	close(tx);
}

static void test_kernel_only(void **state)
{
	(void)state;
	test_kernel_fields(AF_INET);
	test_kernel_fields(AF_INET6);
}

/* The stash first, then the lane; the kernel socket's turn comes here, too. */
static void test_mixed(void **state)
{
	struct sluice_view v[64];
	struct rig r;
	int i, n;

	(void)state;
	rig_start(&r, AF_INET, 0, 0);
	send_numbers(r.tx, 0, 2);
	assert_int_equal(sluice_peek(r.s, v, 64), 2);
	fake_send(r.lane, "lane");
	assert_int_equal(sluice_release(r.s, 1), 0);
	assert_int_equal(sluice_peek(r.s, v, 64), 1);
	check_view(&v[0], "1");
	assert_int_equal(sluice_release(r.s, 1), 0);
	assert_int_equal(sluice_peek(r.s, v, 64), 1);
	check_view(&v[0], "lane");
	assert_int_equal(sluice_release(r.s, 1), 0);

	for (i = 0; i < 300; i++)
		fake_send(r.lane, "l");
	send_numbers(r.tx, 7, 8);
	for (i = 0; i < 10; i++) {
		n = sluice_peek(r.s, v, 32);
		assert_true(n > 0);
		if (*(const char *)v[0].data == '7')
			break;
		assert_int_equal(sluice_release(r.s, (unsigned int)n), 0);
	}
	assert_true(i <= 2);
	rig_stop(&r);
}

/* Views stay what they are when the daemon dies. */
static void test_death(void **state)
{
	struct sluice_view v[4];
	struct rig r;

	(void)state;
	rig_start(&r, AF_INET, 0, 0);
	fake_send(r.lane, "one");
	fake_send(r.lane, "two");
	assert_int_equal(sluice_peek(r.s, v, 4), 2);
	fake_kill(&r.f);
	assert_int_equal(sluice_path(r.s), SLUICE_PATH_KERNEL);
	check_view(&v[1], "two");
	assert_int_equal(sluice_release(r.s, 1), 0);
	assert_int_equal(sluice_peek(r.s, v, 4), 1);
	check_view(&v[0], "two");
	assert_int_equal(sluice_release(r.s, 1), 0);
	send(r.tx, "k", 1, 0);
	assert_int_equal(sluice_peek(r.s, v, 4), 1);
	rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lane),
		cmocka_unit_test(test_kernel),
		cmocka_unit_test(test_kernel_only),
		cmocka_unit_test(test_mixed),
		cmocka_unit_test(test_death),
	};

	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
