// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* What `sluice flow show` makes of its conditions, and the order of what it shows. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/flow_cond.h"

/* Words separated by blanks. */
static int parse(const char *line, struct flow_cond *cond)
{
	static char buf[256];
	struct opt_words words = { 0 };
	char *save = NULL;

	snprintf(buf, sizeof(buf), "%s", line);
	for (char *w = strtok_r(buf, " ", &save); w; w = strtok_r(NULL, " ", &save))
		words.v[words.n++] = w;
	return flow_cond_parse("flow", &words, cond);
}

static void test_conditions(void **state)
{
	struct flow_cond c;

	(void)state;
	assert_int_equal(parse("", &c), 0);
	assert_int_equal(c.ask.cond, 0);
	assert_false(c.by_queue);
	assert_int_equal(parse("show", &c), 0);
	assert_int_equal(parse("show proto tcp src 10.0.0.0/8 dst 2001:db8::/32 addr 10.1.2.3 "
			       "sport 1 dport 65535 port 0 hash 0xffffffff queue 255", &c), 0);
	assert_int_equal(c.ask.cond, SLUICE_FLOWS_PROTO | SLUICE_FLOWS_SRC | SLUICE_FLOWS_DST |
			 SLUICE_FLOWS_ADDR | SLUICE_FLOWS_SPORT | SLUICE_FLOWS_DPORT |
			 SLUICE_FLOWS_PORT | SLUICE_FLOWS_HASH);
	assert_int_equal(c.ask.proto, IPPROTO_TCP);
	assert_int_equal(c.ask.src.w[2], htonl(0xffff));
	assert_int_equal(c.ask.src.w[3], htonl(0x0a000000));
	assert_int_equal(c.ask.src_len, 104);
	assert_int_equal(c.ask.dst.w[0], htonl(0x20010db8));
	assert_int_equal(c.ask.dst_len, 32);
	assert_int_equal(c.ask.addr.w[3], htonl(0x0a010203));
	assert_int_equal(c.ask.sport, htons(1));
	assert_int_equal(c.ask.dport, 0xffff);
	assert_int_equal(c.ask.port, 0);
	assert_int_equal(c.ask.hash, 0xffffffff);
	assert_true(c.by_queue);
	assert_int_equal(c.queue, 255);
	assert_int_equal(parse("proto 255", &c), 0);
	assert_int_equal(c.ask.proto, 255);
	assert_int_equal(parse("src 0.0.0.0/0", &c), 0);
	assert_int_equal(c.ask.src_len, 96);
	assert_int_equal(parse("src ::/0", &c), 0);
	assert_int_equal(c.ask.src_len, 0);
}

static void test_refused(void **state)
{
	static const char *const lines[] = {
		"show show", "src", "src 10.0.0.0/8 dst", "src 10.0.0.1/8", "src 10.0.0.0/33",
		"src 10.0.0", "addr 10.0.0.0/8", "addr ::/64", "sport 65536", "sport -1", "sport 1x",
		"hash 0x100000000", "hash x", "queue 256", "proto 256", "proto nonsense",
		"sport 1 sport 1", "queue 1 queue 1", "port 1 sport", "color red",
	};
	struct flow_cond c;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (parse(lines[i], &c) != 2)
			fail_msg("'%s' was taken", lines[i]);
	}
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(proto_name(IPPROTO_UDP), "udp");
	assert_string_equal(proto_name(IPPROTO_ICMPV6), "icmpv6");
	assert_string_equal(proto_name(99), "99");
}

/* Addresses by number, not by letter; the unknown last. */
static void test_order(void **state)
{
	static const char *const sorted[] = {
		"{\"proto\":6,\"src\":\"9.0.0.1\",\"sport\":9,\"dst\":\"1.1.1.1\",\"dport\":1}",
		"{\"proto\":17,\"src\":\"9.0.0.1\",\"sport\":9,\"dst\":\"1.1.1.1\",\"dport\":1,"
		"\"hash\":\"0x1\",\"queue\":2}",
		"{\"proto\":17,\"src\":\"9.0.0.1\",\"sport\":9,\"dst\":\"1.1.1.1\",\"dport\":1,"
		"\"hash\":\"0x1\",\"queue\":10}",
		"{\"proto\":17,\"src\":\"9.0.0.1\",\"sport\":10,\"dst\":\"1.1.1.1\",\"dport\":1}",
		"{\"proto\":17,\"src\":\"10.0.0.1\",\"sport\":1,\"dst\":\"9.1.1.1\",\"dport\":1}",
		"{\"proto\":17,\"src\":\"10.0.0.1\",\"sport\":1,\"dst\":\"10.1.1.1\",\"dport\":1}",
		"{\"proto\":17,\"src\":\"fd77::1\",\"sport\":1,\"dst\":\"::1\",\"dport\":1}",
		"{\"hash\":\"0x00000001\",\"queue\":9}",
		"{\"hash\":\"0x00000002\",\"queue\":1}",
	};
	const size_t n = sizeof(sorted) / sizeof(sorted[0]);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < n; j++) {
			struct json_object *a = json_tokener_parse(sorted[i]);
			struct json_object *b = json_tokener_parse(sorted[j]);
			int d = flow_compare(&a, &b);

			assert_int_equal((d > 0) - (d < 0), (i > j) - (i < j));
			json_object_put(a);
			json_object_put(b);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conditions), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_names), cmocka_unit_test(test_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
