// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Frames through the engine, and the records made packets again: the same bytes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "cli/datagram.h"
#include "rig.h"

#define PORT 5000

static void check_back(struct rig *rig, struct rig_sock *s, const struct frame *f)
{
	uint8_t *packet = malloc(DATAGRAM_MAX);
	const struct sluice_rec *rec = rig_expect_rec(rig, s, f);

	assert_int_equal(datagram_build(packet, rec), f->len - f->l3);
	assert_memory_equal(packet, f->b + f->l3, f->len - f->l3);
	free(packet);
}

static void set_tos_and_ttl(struct frame *f, uint8_t tos, uint8_t ttl)
{
	uint8_t *ip = f->b + f->l3;

	if (f->version == 4) {
		ip[1] = tos;
		ip[8] = ttl;
		frame_ip_csum(f);
	} else {
		ip[0] = (uint8_t)(0x60 | tos >> 4);
		ip[1] = (uint8_t)(tos << 4);
		ip[7] = ttl;
	}
}

static void test_round_trip(void **state)
{
	const struct ends ends[] = {
		ends_of("192.0.2.1", 1000, "192.0.2.2", PORT),
		ends_of("2001:db8::1", 65535, "2001:db8::2", PORT),
	};
	struct rig *rig = rig_open(1);
	struct rig_sock *s = rig_sock_any(rig, PORT, true);
	uint8_t payload[1500];

	(void)state;
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7);
	for (uint32_t len = 0; len <= sizeof(payload); len += 1 + len / 9) {
		for (int v = 0; v < 2; v++) {
			struct frame f = frame_udp(&ends[v], payload, len);

			set_tos_and_ttl(&f, (uint8_t)len, (uint8_t)(len + 1));
			check_back(rig, s, &f);
		}
	}
	rig_close(rig);
}

/* A sum of 0 is written as 0xffff: of all payloads of two bytes, one has it. */
static void test_zero_sum(void **state)
{
	struct ends e = ends_of("192.0.2.1", 1000, "192.0.2.2", PORT);
	struct rig *rig = rig_open(1);
	struct rig_sock *s = rig_sock_any(rig, PORT, true);
	struct frame f;
	uint8_t payload[2] = { 0 };
	unsigned int sum;

	(void)state;
	f = frame_udp(&e, payload, 2);
	sum = get16(f.b + f.l4 + 6);
	put16(payload, sum);
	f = frame_udp(&e, payload, 2);
	assert_int_equal(get16(f.b + f.l4 + 6), 0xffff);
	check_back(rig, s, &f);
	rig_close(rig);
}

static void test_longest(void **state)
{
	struct sluice_rec *rec = calloc(1, sizeof(*rec) + 65536);
	uint8_t *packet = malloc(DATAGRAM_MAX);

	(void)state;
	rec->version = 4;
	rec->len = 65507;
	assert_int_equal(datagram_build(packet, rec), 65535);
	rec->len++;
	assert_int_equal(datagram_build(packet, rec), 0);
	rec->version = 6;
	rec->len = 65527;
	assert_int_equal(datagram_build(packet, rec), 40 + 65535);
	assert_int_equal(get16(packet + 4), 65535);
	rec->len++;
	assert_int_equal(datagram_build(packet, rec), 0);
	free(packet);
	free(rec);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_zero_sum),
		cmocka_unit_test(test_longest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
