// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The link layer: short frames, tags, EtherTypes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig.h"

#define PORT 5000
#define TPID_8021Q 0x8100
#define TPID_8021AD 0x88a8

static const struct ends ends4 = { .version = 4, .saddr = { 192, 0, 2, 1 },
				  .daddr = { 192, 0, 2, 2 },
				   .sport = 1000, .dport = PORT };

static void test_short(void **state)
{
	struct rig *rig = rig_open(1);

	(void)state;
	rig_sock_any(rig, PORT, false);
	for (uint32_t len = 0; len < 14; len++) {
		struct frame f = frame_udp(&ends4, "x", 1);

		f.len = len;
		rig_expect_drop(rig, &f, SLUICE_DROP_ETH_SHORT);
	}
	rig_close(rig);
}

static void test_short_tag(void **state)
{
	struct rig *rig = rig_open(1);

	(void)state;
	rig_sock_any(rig, PORT, false);
	rig->vlan_dev[5] = 55;
	for (uint32_t len = 14; len < 18; len++) {
		struct frame f = frame_udp(&ends4, "x", 1);

		frame_tag(&f, TPID_8021Q, 5);
		f.len = len;
		rig_expect_drop(rig, &f, SLUICE_DROP_ETH_SHORT);
	}
	rig_close(rig);
}

static void test_untagged(void **state)
{
	struct rig *rig = rig_open(1);
	struct rig_sock *s = rig_sock_any(rig, PORT, false);
	struct frame f = frame_udp(&ends4, "x", 1);

	(void)state;
	assert_int_equal(rig_expect_rec(rig, s, &f)->ifindex, RIG_IFINDEX);
	rig_close(rig);
}

/* The VLAN ID alone chooses the device: priority and drop eligibility do not matter. */
static void test_tag(void **state)
{
	static const unsigned int vids[] = { 1, 5, 2048, 4094 };
	struct rig *rig = rig_open(1);
	struct rig_sock *s = rig_sock_any(rig, PORT, false);

	(void)state;
	for (size_t i = 0; i < sizeof(vids) / sizeof(vids[0]); i++) {
		struct frame f = frame_udp(&ends4, "tagged", 6), g = f;
		const struct sluice_rec *rec;

		rig->vlan_dev[vids[i]] = 100 + (uint32_t)i;
		frame_tag(&f, TPID_8021Q, vids[i]);
		frame_tag(&g, TPID_8021Q, vids[i] | 0xf000);
		rec = rig_expect_rec(rig, s, &f);
		assert_int_equal(rec->ifindex, 100 + i);
		rig_check_rec(rec, &ends4, "tagged", 6);
		assert_int_equal(rig_expect_rec(rig, s, &g)->ifindex, 100 + i);
	}
	rig_close(rig);
}

static void test_priority_tag(void **state)
{
	struct rig *rig = rig_open(1);
	struct rig_sock *s = rig_sock_any(rig, PORT, false);
	struct frame f = frame_udp(&ends4, "x", 1);

	(void)state;
	frame_tag(&f, TPID_8021Q, 0xe000);
	assert_int_equal(rig_expect_rec(rig, s, &f)->ifindex, RIG_IFINDEX);
	rig_close(rig);
}

static void test_foreign_vlan(void **state)
{
	struct rig *rig = rig_open(1);
	struct frame f = frame_udp(&ends4, "x", 1);

	(void)state;
	rig_sock_any(rig, PORT, false);
	rig->vlan_dev[5] = 55;
	frame_tag(&f, TPID_8021Q, 6);
	rig_expect_drop(rig, &f, SLUICE_DROP_VLAN);
	rig->vlan_dev[6] = 66;
	rig_push(rig, 0, &f);
	rig_run(rig);
	rig->vlan_dev[6] = 0;
	rig_expect_drop(rig, &f, SLUICE_DROP_VLAN);
	rig->engine->vlan_dev = NULL;
	rig_expect_drop(rig, &f, SLUICE_DROP_VLAN);
	assert_int_equal(rig->worker.napi[0].stat.delivered, 1);
	rig_close(rig);
}

static void test_ethertypes(void **state)
{
	static const unsigned int types[] = { 0x0806, 0x0000, 0x05dc, 0x0801, 0x88cc, 0xffff };
	struct rig *rig = rig_open(1);

	(void)state;
	rig_sock_any(rig, PORT, false);
	rig->vlan_dev[5] = 55;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct frame f = frame_udp(&ends4, "x", 1);

		put16(f.b + 12, types[i]);
		rig_expect_drop(rig, &f, SLUICE_DROP_ETH_PROTO);
		frame_tag(&f, TPID_8021Q, 5);
		rig_expect_drop(rig, &f, SLUICE_DROP_ETH_PROTO);
	}
	rig_close(rig);
}

/* No device owns a tag of the kind that providers use, or one on a VLAN device's packets. */
static void test_nested_tags(void **state)
{
	struct rig *rig = rig_open(1);
	struct frame f = frame_udp(&ends4, "x", 1), g = f;

	(void)state;
	rig_sock_any(rig, PORT, false);
	rig->vlan_dev[5] = 55;
	frame_tag(&f, TPID_8021Q, 5);
	frame_tag(&f, TPID_8021Q, 5);
	rig_expect_drop(rig, &f, SLUICE_DROP_VLAN);
	frame_tag(&g, TPID_8021Q, 5);
	frame_tag(&g, TPID_8021AD, 5);
	rig_expect_drop(rig, &g, SLUICE_DROP_VLAN);
	g = frame_udp(&ends4, "x", 1);
	frame_tag(&g, TPID_8021AD, 5);
	frame_tag(&g, TPID_8021Q, 5);
	rig_expect_drop(rig, &g, SLUICE_DROP_VLAN);
	rig_close(rig);
}

/* The tag stays with the packet, and one without has none of the packet's before. */
static void test_tag_is_kept(void **state)
{
	struct rig *rig = rig_open(1);
	struct rig_sock *s = rig_sock_any(rig, PORT, false);
	struct frame f = frame_udp(&ends4, "x", 1), tagged = f;
	const struct pkt *pkt;

	(void)state;
	rig->vlan_dev[5] = 55;
	frame_tag(&tagged, TPID_8021Q, 0x6005);
	rig_push(rig, 0, &tagged);
	rig_push(rig, 0, &f);
	lane_lock(&s->sk.lane);
	worker_round(&rig->worker);
	pkt = s->sk.pend[0].head;
	assert_int_equal(pkt->vlan_proto, TPID_8021Q);
	assert_int_equal(pkt->vlan_tci, 0x6005);
	assert_int_equal(pkt->next->vlan_proto, 0);
	lane_unlock(&s->sk.lane);
	rig_run(rig);
	rig_push(rig, 0, &f);
	lane_lock(&s->sk.lane);
	worker_round(&rig->worker);
	assert_int_equal(s->sk.pend[0].head->vlan_proto, 0);
	lane_unlock(&s->sk.lane);
	rig_run(rig);
	rig_close(rig);
}

/*
 * In role mirror: of either kind, whatever devices there are; also more than the XDP program
 * looks into (two), which then have no flow hash.
 */
static void test_mirror_tags(void **state)
{
	static const uint16_t tpid[] = { TPID_8021Q, TPID_8021AD };
	struct rig *rig = rig_open(1);
	struct rig_sock *s = rig_sock_any(rig, PORT, false);

	(void)state;
	rig->engine->mirror = true;
	rig->vlan_dev[5] = 55;
	for (unsigned int i = 0; i < 4; i++) {
		struct frame f = frame_udp(&ends4, "mirror", 6);

		assert_int_equal(rig_expect_rec(rig, s, &f)->ifindex, RIG_IFINDEX);
		frame_tag(&f, tpid[i & 1], 5);
		assert_int_equal(rig_expect_rec(rig, s, &f)->ifindex, RIG_IFINDEX);
		frame_tag(&f, tpid[i >> 1], 77);
		rig_check_rec(rig_expect_rec(rig, s, &f), &ends4, "mirror", 6);
		frame_tag(&f, TPID_8021Q, 5);
		rig_check_rec(rig_expect_rec(rig, s, &f), &ends4, "mirror", 6);
		f.len = 20;
		rig_expect_drop(rig, &f, SLUICE_DROP_ETH_SHORT);
	}
	rig_close(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_short),
		cmocka_unit_test(test_short_tag),
		cmocka_unit_test(test_untagged),
		cmocka_unit_test(test_tag),
		cmocka_unit_test(test_priority_tag),
		cmocka_unit_test(test_foreign_vlan),
		cmocka_unit_test(test_ethertypes),
		cmocka_unit_test(test_nested_tags),
		cmocka_unit_test(test_tag_is_kept),
		cmocka_unit_test(test_mirror_tags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
