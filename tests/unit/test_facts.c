// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* What a handler finds out about the descriptor of an ATTACH, whatever it is. */
#include <bpf/bpf.h>
#include <linux/filter.h>
#include <netinet/udp.h>
#include "test_porter_fixture.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_facts),
		TEST(test_ebpf_filter),
		TEST(test_not_udp),
	};

	return cmocka_run_group_tests_name("facts", tests, NULL, NULL);
}
