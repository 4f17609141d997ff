// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Links and addresses of a network namespace of the test's own, with a veth pair
 * t0 - t1; what this kernel may not have (VLAN devices) as messages made by hand.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "daemon/netlink.h"

#define ADDRS_MAX 512

/* What the callbacks said. */
struct seen {
	struct sluice_addr addr[ADDRS_MAX];
	unsigned int ifindex[ADDRS_MAX];
	int nr_addrs;
	unsigned int addr_calls, mac_calls, mtu_calls, state_calls, vlan_calls;
	unsigned int vlan[SLUICE_VLAN_IDS];
	uint8_t mac[6];
	unsigned int mtu;
	enum netlink_state state;
};

struct fixture {
	bool netns;
	struct netlink *nl;
	struct seen seen;
};

static int addr_index(const struct seen *s, const struct sluice_addr *addr)
{
	int i;

	for (i = 0; i < s->nr_addrs; i++)
		if (!memcmp(&s->addr[i], addr, sizeof(*addr)))
			return i;
	return -1;
}

static void on_addr_added(void *ctx, const struct sluice_addr *addr, unsigned int ifindex)
{
	struct seen *s = ctx;
	int i = addr_index(s, addr);

	s->addr_calls++;
	if (i < 0) {
		assert_in_range(s->nr_addrs, 0, ADDRS_MAX - 1);
		i = s->nr_addrs++;
		s->addr[i] = *addr;
	}
	s->ifindex[i] = ifindex;
}

static void on_addr_removed(void *ctx, const struct sluice_addr *addr)
{
	struct seen *s = ctx;
	int i = addr_index(s, addr);

	s->addr_calls++;
	assert_true(i >= 0);
	s->nr_addrs--;
	s->addr[i] = s->addr[s->nr_addrs];
	s->ifindex[i] = s->ifindex[s->nr_addrs];
}

static void on_vlan(void *ctx, uint16_t vid, unsigned int ifindex)
{
	struct seen *s = ctx;

	s->vlan_calls++;
	s->vlan[vid] = ifindex;
}

static void on_mac(void *ctx, const uint8_t mac[6])
{
	struct seen *s = ctx;

	s->mac_calls++;
	memcpy(s->mac, mac, 6);
}

static void on_mtu(void *ctx, unsigned int mtu)
{
	struct seen *s = ctx;

	s->mtu_calls++;
	s->mtu = mtu;
}

static void on_state(void *ctx, enum netlink_state state)
{
	struct seen *s = ctx;

	s->state_calls++;
	s->state = state;
}

static const struct netlink_ops ops = {
	.addr_added = on_addr_added, .addr_removed = on_addr_removed, .vlan = on_vlan,
	.mac = on_mac, .mtu = on_mtu, .state = on_state,
};

/* In the test's own namespace only: it is entered before anything else. */
static void run(const char *command)
{
	assert_int_equal(system(command), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	if (unshare(CLONE_NEWNET) < 0) {
		print_message("skipped: needs a network namespace of its own (root)\n");
		return 0;
	}
	run("ip link set lo up && ip link add t0 numrxqueues 3 numtxqueues 1 type veth peer name "
	    "t1 numrxqueues 1 numtxqueues 2 && sysctl -qw net.ipv6.conf.t0.accept_dad=0 "
	    "net.ipv6.conf.t0.addr_gen_mode=1 net.ipv6.conf.t1.accept_dad=0 "
	    "net.ipv6.conf.t1.addr_gen_mode=1 && ip link set t0 up && ip link set t1 up");
	f->netns = true;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	netlink_close(f->nl);
	free(f);
	return 0;
}

static struct fixture *ready(void **state)
{
	struct fixture *f = *state;

	if (!f->netns)
		skip();
	return f;
}

static struct fixture *opened(void **state)
{
	struct fixture *f = ready(state);

	assert_int_equal(netlink_open(&f->nl, "t0", &ops, &f->seen), 0);
	return f;
}

/* Until nothing has come for a while. */
static void settle(struct fixture *f)
{
	struct pollfd pfd = { .fd = netlink_fd(f->nl), .events = POLLIN };

	while (poll(&pfd, 1, 50) > 0)
		assert_int_equal(netlink_read(f->nl), 0);
}

static struct sluice_addr parse(const char *text)
{
	struct sluice_addr addr;

	assert_int_equal(inet_pton(AF_INET6, text, &addr), 1);
	return addr;
}

/* The device with which it was reported; 0: it was not. */
static unsigned int device_of(const struct fixture *f, const char *text)
{
	const struct sluice_addr addr = parse(text);
	int i = addr_index(&f->seen, &addr);

	return i < 0 ? 0 : f->seen.ifindex[i];
}

static void test_no_device(void **state)
{
	struct fixture *f = ready(state);

	assert_int_equal(netlink_open(&f->nl, "nosuch", &ops, &f->seen), -ENODEV);
	assert_null(f->nl);
	assert_int_equal(f->seen.addr_calls, 0);
}

static void test_device(void **state)
{
	struct fixture *f = ready(state);
	const struct netlink_device *dev;

	run("ip link set t0 address 02:00:00:00:00:aa mtu 1400");
	opened(state);
	dev = netlink_device(f->nl);
	assert_string_equal(dev->name, "t0");
	assert_int_equal(dev->ifindex, if_nametoindex("t0"));
	assert_string_equal(dev->kind, "veth");
	assert_int_equal(dev->state, NETLINK_UP);
	assert_int_equal(dev->mtu, 1400);
	assert_int_equal(dev->rx_queues, 3);
	assert_memory_equal(dev->mac, "\x02\0\0\0\0\xaa", 6);
	assert_in_range(netlink_rx_queues(f->nl), 1, 3);
	assert_int_equal(f->seen.mac_calls + f->seen.mtu_calls + f->seen.state_calls, 0);

	run("ip link set t0 address 02:00:00:00:00:bb");
	settle(f);
	assert_int_equal(f->seen.mac_calls, 1);
	assert_memory_equal(f->seen.mac, "\x02\0\0\0\0\xbb", 6);
	run("ip link set t0 mtu 1300");
	settle(f);
	assert_int_equal(f->seen.mtu_calls, 1);
	assert_int_equal(f->seen.mtu, 1300);
	run("ip link set t0 down && ip link set t0 name t9");
	settle(f);
	assert_int_equal(f->seen.state, NETLINK_DOWN);
	assert_string_equal(dev->name, "t9");
	run("ip link set t9 up");
	settle(f);
	assert_int_equal(f->seen.state, NETLINK_UP);
	assert_int_equal(f->seen.state_calls, 2);
	/* Nothing of this was the other one's. */
	run("ip link set t1 address 02:00:00:00:00:cc mtu 1200 && ip link set t1 down");
	settle(f);
	assert_int_equal(f->seen.mac_calls + f->seen.mtu_calls + f->seen.state_calls, 4);
	run("ip link del t9");
	settle(f);
	/* The kernel takes it down first. */
	assert_int_equal(f->seen.state, NETLINK_GONE);
	assert_int_equal(f->seen.state_calls, 4);
}

static void test_moved_away(void **state)
{
	struct fixture *f = opened(state);

	run("ip addr add 10.1.0.1/24 dev t0");
	settle(f);
	assert_int_equal(device_of(f, "::ffff:10.1.0.1"), if_nametoindex("t0"));
	/* The namespace ends with the process that made it, and the device with it. */
	run("unshare -n sleep 0.5 & pid=$!; sleep 0.2; ip link set t0 netns $pid; wait");
	settle(f);
	assert_int_equal(f->seen.state, NETLINK_GONE);
	assert_int_equal(f->seen.nr_addrs, 0);
}

static void test_bridge(void **state)
{
	struct fixture *f = opened(state);

	if (system("ip link add b0 type bridge 2>/dev/null")) {
		print_message("skipped: the kernel has no bridge\n");
		skip();
	}
	run("ip link set t0 master b0 && ip link set t0 nomaster");
	settle(f);
	assert_int_equal(f->seen.state_calls, 0);
	assert_int_equal(netlink_device(f->nl)->state, NETLINK_UP);
}

static void test_addresses(void **state)
{
	struct fixture *f = ready(state);

	run("ip addr add 10.1.0.1/24 dev t0 && ip addr add 10.2.0.1 peer 10.2.0.2 dev t1 && "
	    "ip addr add 2001:db8::1/64 dev t0 && ip addr add 10.9.9.9/32 dev lo && "
	    "ip addr add fe80::1/64 dev t0 && ip addr add fe80::2/64 dev t1");
	opened(state);
	assert_int_equal(f->seen.nr_addrs, 5);
	assert_int_equal(device_of(f, "::ffff:10.1.0.1"), if_nametoindex("t0"));
	assert_int_equal(device_of(f, "::ffff:10.2.0.1"), if_nametoindex("t1"));
	assert_int_equal(device_of(f, "2001:db8::1"), if_nametoindex("t0"));
	assert_int_equal(device_of(f, "::ffff:10.9.9.9"), 1);
	assert_int_equal(device_of(f, "fe80::1"), if_nametoindex("t0"));

	run("ip addr del 10.1.0.1/24 dev t0 && ip addr add 10.1.0.5/24 dev t1");
	settle(f);
	assert_int_equal(device_of(f, "::ffff:10.1.0.1"), 0);
	assert_int_equal(device_of(f, "::ffff:10.1.0.5"), if_nametoindex("t1"));
	assert_int_equal(f->seen.nr_addrs, 5);
	/* No message says that the addresses of a device that is down are not local. */
	run("ip link set t1 down");
	settle(f);
	assert_int_equal(device_of(f, "::ffff:10.1.0.5"), 0);
	assert_int_equal(device_of(f, "::ffff:10.2.0.1"), 0);
	run("ip link set t1 up");
	settle(f);
	assert_int_equal(device_of(f, "::ffff:10.1.0.5"), if_nametoindex("t1"));
	assert_int_equal(f->seen.nr_addrs, 5);
}

static void test_shared_address(void **state)
{
	struct fixture *f = opened(state);
	unsigned int calls;

	run("ip addr add 10.1.0.1/24 dev t0");
	settle(f);
	calls = f->seen.addr_calls;
	run("ip addr add 10.1.0.1/24 dev t1");
	settle(f);
	assert_int_equal(f->seen.addr_calls, calls);
	run("ip addr del 10.1.0.1/24 dev t0");
	settle(f);
	assert_int_equal(f->seen.addr_calls, calls + 1);
	assert_int_equal(device_of(f, "::ffff:10.1.0.1"), if_nametoindex("t1"));
	run("ip addr del 10.1.0.1/24 dev t1");
	settle(f);
	assert_int_equal(f->seen.nr_addrs, 0);
}

static void test_tentative(void **state)
{
	struct fixture *f = opened(state);
	int i;

	run("sysctl -qw net.ipv6.conf.t0.accept_dad=1 net.ipv6.conf.t0.dad_transmits=1 && "
	    "ip addr add 2001:db8::7/64 dev t0");
	settle(f);
	assert_int_equal(device_of(f, "2001:db8::7"), 0);
	/* A random delay of up to a second, then one second for an answer. */
	for (i = 0; i < 100 && !device_of(f, "2001:db8::7"); i++)
		settle(f);
	assert_int_equal(device_of(f, "2001:db8::7"), if_nametoindex("t0"));
}

/* So many changes, unread, that the kernel drops messages: in the end everything is known. */
static void test_overrun(void **state)
{
	struct fixture *f = opened(state);
	int size = 2048, i;
	char *command = calloc(1, 64 * 1024);
	size_t at = 0;

	run("ip addr add 10.1.0.1/24 dev t0");
	settle(f);
	assert_int_equal(setsockopt(netlink_fd(f->nl), SOL_SOCKET, SO_RCVBUF, &size,
				    sizeof(size)), 0);
	for (i = 0; i < 200; i++)
		at += (size_t)sprintf(command + at, "addr add 10.3.0.%d/32 dev t1\n", i + 1);
	at += (size_t)sprintf(command + at, "addr del 10.1.0.1/24 dev t0\nlink set t0 mtu 1234\n");
	{
		FILE *ip = popen("ip -batch -", "we");

		assert_non_null(ip);
		assert_int_equal(fwrite(command, 1, at, ip), at);
		assert_int_equal(pclose(ip), 0);
	}
	free(command);
	settle(f);
	assert_int_equal(f->seen.nr_addrs, 200);
	assert_int_equal(device_of(f, "::ffff:10.1.0.1"), 0);
	assert_int_equal(device_of(f, "::ffff:10.3.0.200"), if_nametoindex("t1"));
	assert_int_equal(f->seen.mtu, 1234);
	assert_int_equal(f->seen.state_calls, 0);

	/* The device itself may have gone unseen. */
	for (i = 0; i < 40; i++)
		run("ip addr flush dev t1; ip addr add 10.4.0.1/24 dev t1");
	run("ip link del t0");
	settle(f);
	assert_int_equal(f->seen.nr_addrs, 0);
	assert_int_equal(f->seen.state, NETLINK_GONE);
}

/* VLAN devices, by hand */

struct vlan {
	int ifindex;
	unsigned int lower;
	uint16_t vid;
	uint16_t proto;		/* host order; 0: without the attribute */
	bool up, foreign, no_info;
	const char *kind;
};

static void feed(struct fixture *f, uint16_t type, const struct vlan *v)
{
	_Alignas(struct nlmsghdr) char buf[1024];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(nlh, sizeof(*info));
	struct nlattr *outer, *inner;

	nlh->nlmsg_type = type;
	info->ifi_index = v->ifindex;
	info->ifi_flags = v->up ? IFF_UP : 0;
	if (!v->no_info) {
		mnl_attr_put_u32(nlh, IFLA_LINK, v->lower);
		if (v->foreign)
			mnl_attr_put_u32(nlh, IFLA_LINK_NETNSID, 1);
		outer = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
		mnl_attr_put_strz(nlh, IFLA_INFO_KIND, v->kind ? v->kind : "vlan");
		inner = mnl_attr_nest_start(nlh, IFLA_INFO_DATA);
		mnl_attr_put_u16(nlh, IFLA_VLAN_ID, v->vid);
		if (v->proto)
			mnl_attr_put_u16(nlh, IFLA_VLAN_PROTOCOL, htons(v->proto));
		mnl_attr_nest_end(nlh, inner);
		mnl_attr_nest_end(nlh, outer);
	}
	assert_int_equal(netlink_message(f->nl, nlh), 0);
}

static void test_vlan(void **state)
{
	struct fixture *f = opened(state);
	struct vlan v = {
		.ifindex = 100, .lower = netlink_device(f->nl)->ifindex, .vid = 5,
		.proto = ETH_P_8021Q,
	};
	struct vlan partial = { .ifindex = 100, .up = true, .no_info = true };

	feed(f, RTM_NEWLINK, &v);
	assert_int_equal(f->seen.vlan_calls, 0);
	v.up = true;
	feed(f, RTM_NEWLINK, &v);
	assert_int_equal(f->seen.vlan[5], 100);
	feed(f, RTM_NEWLINK, &v);
	/* A message that says nothing about the kind leaves it as it was. */
	feed(f, RTM_NEWLINK, &partial);
	assert_int_equal(f->seen.vlan_calls, 1);
	v.up = false;
	feed(f, RTM_NEWLINK, &v);
	assert_int_equal(f->seen.vlan[5], 0);
	assert_int_equal(f->seen.vlan_calls, 2);

	/* Another with the same ID appears before the first is known to be gone. */
	v.up = true;
	feed(f, RTM_NEWLINK, &v);
	v.ifindex = 101;
	feed(f, RTM_NEWLINK, &v);
	assert_int_equal(f->seen.vlan[5], 100);
	feed(f, RTM_DELLINK, &partial);
	assert_int_equal(f->seen.vlan[5], 101);
	feed(f, RTM_DELLINK, &v);
	assert_int_equal(f->seen.vlan[5], 0);

	/* No attribute: 802.1Q, as before Linux 3.10. */
	v.proto = 0;
	v.vid = 4094;
	feed(f, RTM_NEWLINK, &v);
	assert_int_equal(f->seen.vlan[4094], 101);
	feed(f, RTM_DELLINK, &v);
	assert_int_equal(f->seen.vlan[4094], 0);
}

static void test_not_our_vlan(void **state)
{
	struct fixture *f = opened(state);
	const unsigned int lower = netlink_device(f->nl)->ifindex;
	const struct vlan others[] = {
		{ .ifindex = 100, .lower = lower, .vid = 6, .proto = ETH_P_8021AD, .up = true },
		{ .ifindex = 101, .lower = lower + 1, .vid = 7, .proto = ETH_P_8021Q, .up = true },
		{ .ifindex = 102, .lower = lower, .vid = 8, .up = true, .foreign = true },
		{ .ifindex = 103, .lower = lower, .vid = 9, .up = true, .kind = "macvlan" },
		{ .ifindex = 104, .lower = lower, .vid = 5000, .up = true },
	};
	size_t i;

	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		feed(f, RTM_NEWLINK, &others[i]);
	assert_int_equal(f->seen.vlan_calls, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_no_device),
		TEST(test_device),
		TEST(test_moved_away),
		TEST(test_bridge),
		TEST(test_addresses),
		TEST(test_shared_address),
		TEST(test_tentative),
		TEST(test_overrun),
		TEST(test_vlan),
		TEST(test_not_our_vlan),
	};

	return cmocka_run_group_tests_name("netlink", tests, NULL, NULL);
}
