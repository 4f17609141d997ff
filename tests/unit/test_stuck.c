// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Descriptors on which system calls hang: the client that passed them waits, nobody else. */
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include "test_porter_fixture.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_stuck_lock),
		TEST(test_stuck_close),
		TEST(test_stuck_refusal),
	};

	return cmocka_run_group_tests_name("stuck", tests, NULL, NULL);
}
