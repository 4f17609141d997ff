// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * test_gen.c - the generator's frames against checksums computed from scratch,
 * how frames are shared out, and the receiver's per-flow bookkeeping.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "cli/frame.h"
#include "cli/payload.h"
#include "cli/track.h"

#define ETH 14u
#define UDP 8u

static struct frame_spec spec_of(int family, uint32_t size)
{
	struct frame_spec s = {
		.family = family,
		.smac = { 2, 0, 0, 0, 0, 1 },
		.dmac = { 2, 0, 0, 0, 0, 2 },
		.run = 0xfeedf00d,
		.size = size,
	};

	assert_int_equal(1, inet_pton(family, family == AF_INET ? "192.0.2.1" : "2001:db8::ff01",
				      s.saddr));
	assert_int_equal(1, inet_pton(family, family == AF_INET ? "198.51.100.200" : "2001:db8::2",
				      s.daddr));
	return s;
}

/* RFC 1071 byte by byte, in network order: nothing shared with the code under test. */
static uint32_t sum_bytes(const uint8_t *p, uint32_t len, uint32_t sum)
{
	for (uint32_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* The sum of pseudo header and datagram; 0xffff if the checksum in it is right. */
static uint32_t udp_sum(const struct frame *f, int family)
{
	uint32_t at = f->payload_at - UDP, len = f->len - at;
	uint32_t sum = 17 + (uint32_t)(f->data[at + 4] << 8 | f->data[at + 5]);

	if (family == AF_INET)
		sum = sum_bytes(f->data + ETH + 12, 8, sum);
	else
		sum = sum_bytes(f->data + ETH + 8, 32, sum);
	return sum_bytes(f->data + at, len, sum);
}

/* What gen.bpf.c does to each frame. */
static void finish(struct frame *f, uint16_t sport, uint16_t dport, uint32_t flow, uint32_t seq)
{
	struct payload_head head;
	uint16_t udp[4];
	uint8_t *at = f->data + f->payload_at;

	memcpy(&head, at, sizeof(head));
	memcpy(udp, at - UDP, sizeof(udp));
	head.flow = htonl(flow);
	head.seq = htonl(seq);
	udp[0] = htons(sport);
	udp[1] = htons(dport);
	udp[3] = payload_csum(f->csum, udp[0], udp[1], head.flow, head.seq);
	memcpy(at, &head, sizeof(head));
	memcpy(at - UDP, udp, sizeof(udp));
}

static void check_csum(int family, uint32_t size)
{
	struct frame_spec s = spec_of(family, size);
	struct frame f, g;

	assert_int_equal(0, frame_build(&f, &s));
	assert_int_equal(size - 4, f.len);
	for (uint32_t i = 0; i < 70000; i += 7) {
		g = f;
		finish(&g, (uint16_t)(1024 + i), (uint16_t)(i * 13), i, i * 2654435761u);
		assert_int_equal(0xffff, udp_sum(&g, family));
		/* 0 would mean that there is no checksum */
		assert_true(g.data[g.payload_at - 2] || g.data[g.payload_at - 1]);
	}
}

static void test_checksum_is_right(void **state)
{
	static const uint32_t sizes[] = { 82, 83, 200, 1499, 1517, 1518 };

	(void)state;
	check_csum(AF_INET, 64);
	check_csum(AF_INET, 65);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		check_csum(AF_INET, sizes[i]);
		check_csum(AF_INET6, sizes[i]);
	}
}

static void test_checksum_zero_is_sent_as_ones(void **state)
{
	(void)state;
	assert_int_equal(0xffff, payload_csum(0xffff, 0, 0, 0, 0));
	assert_int_equal(0xffff, payload_csum(0xfff0, 0xf, 0, 0, 0));
	assert_int_equal(0xfffe, payload_csum(1, 0, 0, 0, 0));
	/* the largest sum still folds in two steps */
	assert_int_equal(0xffff, payload_csum(0xffff, 0xffff, 0xffff, 0xffffffff, 0xffffffff));
}

static void test_ip4_header(void **state)
{
	struct frame_spec s = spec_of(AF_INET, 64);
	struct frame f;

	(void)state;
	assert_int_equal(0, frame_build(&f, &s));
	assert_int_equal(42, f.payload_at);
	assert_int_equal(60, f.len);
	assert_memory_equal(s.dmac, f.data, 6);
	assert_memory_equal(s.smac, f.data + 6, 6);
	assert_int_equal(0x0800, f.data[12] << 8 | f.data[13]);
	assert_int_equal(0x45, f.data[ETH]);
	assert_int_equal(46, f.data[ETH + 2] << 8 | f.data[ETH + 3]);
	assert_int_equal(0xffff, sum_bytes(f.data + ETH, 20, 0));
	assert_int_equal(26, f.data[38] << 8 | f.data[39]);
}

static void test_ip6_header(void **state)
{
	struct frame_spec s = spec_of(AF_INET6, 100);
	struct frame f;

	(void)state;
	assert_int_equal(0, frame_build(&f, &s));
	assert_int_equal(62, f.payload_at);
	assert_int_equal(0x86dd, f.data[12] << 8 | f.data[13]);
	assert_int_equal(0x60, f.data[ETH]);
	assert_int_equal(96 - ETH - 40, f.data[ETH + 4] << 8 | f.data[ETH + 5]);
	assert_int_equal(17, f.data[ETH + 6]);
	assert_memory_equal(s.saddr, f.data + ETH + 8, 16);
	assert_memory_equal(s.daddr, f.data + ETH + 24, 16);
}

static void test_payload(void **state)
{
	struct frame_spec s = spec_of(AF_INET, 600);
	struct payload_head head;
	struct frame f;

	(void)state;
	assert_int_equal(0, frame_build(&f, &s));
	memcpy(&head, f.data + f.payload_at, sizeof(head));
	assert_int_equal(PAYLOAD_MAGIC, ntohl(head.magic));
	assert_int_equal(0xfeedf00d, ntohl(head.run));
	for (uint32_t i = sizeof(head); i < f.len - f.payload_at; i++)
		assert_int_equal((i * 31 + 7) & 0xff, f.data[f.payload_at + i]);
}

static void test_sizes(void **state)
{
	struct frame_spec s = spec_of(AF_INET, 63);
	struct frame f = { .len = 77 };

	(void)state;
	assert_int_equal(64, frame_min_size(AF_INET));
	assert_int_equal(14 + 40 + 8 + 16 + 4, frame_min_size(AF_INET6));
	assert_int_equal(-EINVAL, frame_build(&f, &s));
	s.size = 1519;
	assert_int_equal(-EINVAL, frame_build(&f, &s));
	s = spec_of(AF_INET6, 81);
	assert_int_equal(-EINVAL, frame_build(&f, &s));
	assert_int_equal(77, f.len);
}

static void test_share(void **state)
{
	(void)state;
	for (uint32_t flows = 1; flows < 12; flows++) {
		for (uint64_t total = 0; total < 40; total++) {
			uint64_t dealt[12] = { 0 }, sum = 0;

			for (uint64_t i = 0; i < total; i++)
				dealt[i % flows]++;
			for (uint32_t end = 0; end <= flows; end++) {
				assert_int_equal(sum, frame_share(total, flows, 0, end));
				if (end < flows)
					assert_int_equal(dealt[end],
							 frame_share(total, flows, end, end + 1));
				sum += end < flows ? dealt[end] : 0;
			}
		}
	}
}

static int track_setup(void **state)
{
	static struct track t;

	*state = &t;
	return track_init(&t);
}

static int track_teardown(void **state)
{
	track_free(*state);
	return 0;
}

static void expect(const struct track *t, uint64_t lost, uint64_t reordered, uint64_t duplicates)
{
	assert_int_equal(lost, track_lost(t));
	assert_int_equal(reordered, t->reordered);
	assert_int_equal(duplicates, t->duplicates);
}

static void test_track_in_order(void **state)
{
	struct track *t = *state;

	for (uint32_t i = 0; i < 1000; i++)
		track_add(t, 1, 0, 9, i);
	expect(t, 0, 0, 0);
	assert_int_equal(1, t->flows);
}

static void test_track_loss(void **state)
{
	struct track *t = *state;

	track_add(t, 1, 0, 9, 3);	/* 0 to 2 never came */
	track_add(t, 1, 0, 9, 5);
	expect(t, 4, 0, 0);
	track_add(t, 1, 0, 9, 5 + 10 * TRACK_WINDOW);
	expect(t, 4 + 10 * TRACK_WINDOW - 1, 0, 0);
}

static void test_track_reorder_and_duplicate(void **state)
{
	struct track *t = *state;

	track_add(t, 1, 0, 9, 0);
	track_add(t, 1, 0, 9, 2);
	track_add(t, 1, 0, 9, 1);
	expect(t, 0, 1, 0);
	track_add(t, 1, 0, 9, 1);
	track_add(t, 1, 0, 9, 2);
	expect(t, 0, 1, 2);
}

/* A bit of the window is used again every TRACK_WINDOW: it must have been cleared. */
static void test_track_window_wraps(void **state)
{
	struct track *t = *state;

	for (uint32_t i = 0; i < 2 * TRACK_WINDOW; i++)
		if (i != TRACK_WINDOW + 5)
			track_add(t, 1, 0, 9, i);
	expect(t, 1, 0, 0);
	track_add(t, 1, 0, 9, TRACK_WINDOW + 5);
	expect(t, 0, 1, 0);
	track_add(t, 1, 0, 9, TRACK_WINDOW + 5);
	expect(t, 0, 1, 1);
	track_add(t, 1, 0, 9, TRACK_WINDOW);
	expect(t, 0, 1, 2);
}

static void test_track_sequence_wraps(void **state)
{
	struct track *t = *state;

	track_add(t, 1, 0, 9, 0xfffffffe);
	expect(t, 0xfffffffe, 0, 0);
	track_add(t, 1, 0, 9, 0xffffffff);
	track_add(t, 1, 0, 9, 1);
	expect(t, 0xfffffffeull + 1, 0, 0);
	track_add(t, 1, 0, 9, 0);
	expect(t, 0xfffffffe, 1, 0);
}

static void test_track_impossible_sequence(void **state)
{
	struct track *t = *state;

	track_add(t, 1, 0, 9, 0);
	track_add(t, 1, 0, 9, 0xffffffff);
	expect(t, 0, 0, 0);
	assert_int_equal(1, t->untracked);
}

static void test_track_keeps_runs_flows_and_ports_apart(void **state)
{
	struct track *t = *state;

	for (uint32_t seq = 0; seq < 3; seq++)
		for (uint32_t run = 1; run < 4; run++)
			for (uint32_t flow = 0; flow < 5000; flow++)
				for (uint16_t port = 9; port < 11; port++)
					track_add(t, run, flow, port, seq);
	expect(t, 0, 0, 0);
	assert_int_equal(3 * 5000 * 2, t->flows);
}

static void test_track_is_bounded(void **state)
{
	struct track *t = *state;

	for (uint32_t flow = 0; flow < TRACK_FLOWS + 10; flow++)
		track_add(t, 1, flow, 9, 0);
	assert_int_equal(TRACK_FLOWS, t->flows);
	assert_int_equal(10, t->untracked);
	expect(t, 0, 0, 0);
}

int main(void)
{
#define TRACK_TEST(f) cmocka_unit_test_setup_teardown(f, track_setup, track_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_checksum_is_right),
		cmocka_unit_test(test_checksum_zero_is_sent_as_ones),
		cmocka_unit_test(test_ip4_header),
		cmocka_unit_test(test_ip6_header),
		cmocka_unit_test(test_payload),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_share),
		TRACK_TEST(test_track_in_order),
		TRACK_TEST(test_track_loss),
		TRACK_TEST(test_track_reorder_and_duplicate),
		TRACK_TEST(test_track_window_wraps),
		TRACK_TEST(test_track_sequence_wraps),
		TRACK_TEST(test_track_impossible_sequence),
		TRACK_TEST(test_track_keeps_runs_flows_and_ports_apart),
		TRACK_TEST(test_track_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
