// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Addresses with ports, and prefixes, as people write them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "cli/endpoint.h"

static void test_endpoint(void **state)
{
	static const char *const bad[] = {
		"", "10.0.0.1", "10.0.0.1:", "10.0.0.1:65536", "10.0.0.1:-1", "10.0.0.1:1x",
		"10.0.0:1",
		"::1:53", "[::1]", "[::1]:", "[::1:53", "[::1]x:53", "[10.0.0.1]:53", "[]:53",
		":53", "[::1]53",
		"[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd:eeee]:53",
	};
	struct sluice_addr addr, old;
	__be16 port = 7;

	(void)state;
	assert_int_equal(endpoint_parse("10.0.0.1:53", &addr, &port), 4);
	assert_int_equal(port, htons(53));
	assert_int_equal(addr.w[0] | addr.w[1], 0);
	assert_int_equal(addr.w[2], htonl(0xffff));
	assert_int_equal(addr.w[3], htonl(0x0a000001));
	assert_int_equal(endpoint_parse("[2001:db8::1]:0", &addr, &port), 6);
	assert_int_equal(port, 0);
	assert_int_equal(addr.w[0], htonl(0x20010db8));
	assert_int_equal(addr.w[3], htonl(1));
	old = addr;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(endpoint_parse(bad[i], &addr, &port), -EINVAL);
		assert_memory_equal(&addr, &old, sizeof(addr));
	}
}

static void check_prefix(const char *text, int err, int family, unsigned int len, const char *want)
{
	char got[INET6_ADDRSTRLEN];
	__u32 addr[4];
	int f = 0;
	__u8 n;

	assert_int_equal(prefix_parse(text, addr, &n, &f), err);
	assert_int_equal(f, family);
	assert_int_equal(n, len);
	inet_ntop(f == 6 ? AF_INET6 : AF_INET, addr, got, sizeof(got));
	assert_string_equal(got, want);
}

static void test_prefix(void **state)
{
	static const char *const bad[] = {
		"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8/8", "10/8",
		"::/129", "x",
	};
	__u32 addr[4];
	int family = 9;
	__u8 len = 9;

	(void)state;
	check_prefix("10.0.0.0/8", 0, 4, 8, "10.0.0.0");
	check_prefix("10.0.0.1", 0, 4, 32, "10.0.0.1");
	check_prefix("0.0.0.0/0", 0, 4, 0, "0.0.0.0");
	check_prefix("10.128.0.0/9", 0, 4, 9, "10.128.0.0");
	check_prefix("10.128.0.0/8", -ERANGE, 4, 8, "10.0.0.0");
	check_prefix("10.0.0.1/31", -ERANGE, 4, 31, "10.0.0.0");
	check_prefix("2001:db8::/32", 0, 6, 32, "2001:db8::");
	check_prefix("2001:db8::1/64", -ERANGE, 6, 64, "2001:db8::");
	check_prefix("::1", 0, 6, 128, "::1");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(prefix_parse(bad[i], addr, &len, &family), -EINVAL);
		assert_int_equal(family, 9);
		assert_int_equal(len, 9);
	}
}

static void test_protocol(void **state)
{
	static const char *const none[] = { "", "icmp", "UDP", "udp ", "17", "gre" };

	(void)state;
	assert_int_equal(protocol_parse("udp"), IPPROTO_UDP);
	assert_int_equal(protocol_parse("tcp"), IPPROTO_TCP);
	assert_int_equal(protocol_parse("sctp"), IPPROTO_SCTP);
	assert_int_equal(protocol_parse("dccp"), IPPROTO_DCCP);
	assert_int_equal(protocol_parse("udplite"), IPPROTO_UDPLITE);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_int_equal(protocol_parse(none[i]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_endpoint),
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_protocol),
	};

	return cmocka_run_group_tests_name("endpoint", tests, NULL, NULL);
}
