// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Between the link layer and the protocols: nested tags, receive hooks, packet types. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "rig.h"

#define PORT 5000
#define TPID_8021Q 0x8100
#define TPID_8021AD 0x88a8
#define TYPE_ARP 0x0806
#define HOOK_IFINDEX 4321

static struct frame frame4(void)
{
	struct ends e = ends_of("192.0.2.1", 1000, "192.0.2.2", PORT);

	return frame_udp(&e, "x", 1);
}

static struct frame frame_type(unsigned int type)
{
	struct frame f = frame4();

	put16(f.b + 12, type);
	return f;
}

static void run_one(struct rig *rig, const struct frame *f)
{
	rig_push(rig, 0, f);
	rig_run(rig);
}

/* A priority tag changes no device: what stands behind it is as on the device itself. */
static void test_priority_outside(void **state)
{
	struct rig *rig = rig_open(1);
	struct rig_sock *s = rig_sock_any(rig, PORT, false);

	(void)state;
	rig->vlan_dev[5] = 55;
	for (unsigned int outer = 0; outer < 2; outer++) {
		struct frame f = frame4(), g = frame4();

		frame_tag(&f, TPID_8021Q, 5);
		frame_tag(&f, outer ? TPID_8021AD : TPID_8021Q, 0xe000);
		assert_int_equal(rig_expect_rec(rig, s, &f)->ifindex, 55);
		/* Inside, on the VLAN device's packet. */
		frame_tag(&g, outer ? TPID_8021AD : TPID_8021Q, 0xe000);
		frame_tag(&g, TPID_8021Q, 5);
		assert_int_equal(rig_expect_rec(rig, s, &g)->ifindex, 55);
	}
	rig_close(rig);
}

/* Role mirror: no tag is foreign, and none changes the device. */
static void test_mirror(void **state)
{
	struct rig *rig = rig_open(1);
	struct rig_sock *s = rig_sock_any(rig, PORT, false);
	struct frame f = frame4();

	(void)state;
	rig->engine->mirror = true;
	rig->vlan_dev[5] = 55;
	for (int tags = 0; tags < NETIF_ROUNDS; tags++) {
		assert_int_equal(rig_expect_rec(rig, s, &f)->ifindex, RIG_IFINDEX);
		frame_tag(&f, tags % 2 ? TPID_8021Q : TPID_8021AD, 5 + (unsigned int)tags);
	}
	rig_expect_drop(rig, &f, SLUICE_DROP_ROUNDS);
	f.len = FRAME_L3 + 2;
	rig_expect_drop(rig, &f, SLUICE_DROP_ETH_SHORT);
	rig_close(rig);
}

struct type_count {
	struct packet_type pt;
	unsigned int calls;
	uint32_t len;
};

static void count_type(struct worker *worker, struct pkt *pkt, const struct packet_type *pt)
{
	struct type_count *t = (void *)(uintptr_t)pt;

	(void)worker;
	t->calls++;
	t->len = pkt_len(pkt);
	pkt_delivered(pkt);
}

/* The books of a rig know lanes only. */
static void forget_delivered(struct rig *rig)
{
	struct napi_stat *stat = &rig->worker.napi[0].stat;

	stat->received -= stat->delivered;
	rig->worker.stat.processed -= stat->delivered;
	stat->delivered = 0;
}

static void test_types(void **state)
{
	struct rig *rig = rig_open(1);
	struct netif *netif = &rig->engine->netif;
	/* The last two share a bucket. */
	struct type_count arp = { .pt = { .type = TYPE_ARP, .func = count_type } };
	struct type_count llc = { .pt = { .type = NETIF_TYPE_8022, .func = count_type } };
	struct type_count other = { .pt = { .type = TYPE_ARP + 0x10, .func = count_type } };
	struct type_count again = arp, ip = { .pt = { .type = 0x0800, .func = count_type } };
	struct frame f_arp = frame_type(TYPE_ARP), f_llc = frame_type(0x05dc);
	struct frame f_other = frame_type(TYPE_ARP + 0x10), f_min = frame_type(0x0600);

	(void)state;
	rig_expect_drop(rig, &f_arp, SLUICE_DROP_ETH_PROTO);
	assert_int_equal(netif_type_add(netif, &arp.pt), 0);
	assert_int_equal(netif_type_add(netif, &llc.pt), 0);
	assert_int_equal(netif_type_add(netif, &other.pt), 0);
	assert_int_equal(netif_type_add(netif, &again.pt), -EEXIST);
	assert_int_equal(netif_type_add(netif, &ip.pt), -EEXIST);
	ip.pt.type = 0x86dd;
	assert_int_equal(netif_type_add(netif, &ip.pt), -EEXIST);
	assert_int_equal(netif_type_del(netif, &again.pt), -ENOENT);
	run_one(rig, &f_arp);
	run_one(rig, &f_arp);
	run_one(rig, &f_llc);
	run_one(rig, &f_other);
	rig_expect_drop(rig, &f_min, SLUICE_DROP_ETH_PROTO);
	assert_int_equal(arp.calls, 2);
	assert_int_equal(arp.len, f_arp.len - 14);
	assert_int_equal(llc.calls, 1);
	assert_int_equal(other.calls, 1);
	assert_int_equal(netif_type_del(netif, &arp.pt), 0);
	rig_expect_drop(rig, &f_arp, SLUICE_DROP_ETH_PROTO);
	run_one(rig, &f_other);
	assert_int_equal(other.calls, 2);
	assert_int_equal(netif_type_del(netif, &other.pt), 0);
	assert_int_equal(netif_type_del(netif, &llc.pt), 0);
	forget_delivered(rig);
	rig_close(rig);
}

struct hook_count {
	struct netif_hook hook;
	enum netif_verdict verdict;
	unsigned int calls, first;	/* when it was first called */
	unsigned int *clock;
};

static enum netif_verdict count_hook(struct worker *worker, struct pkt *pkt,
				     const struct netif_hook *hook)
{
	struct hook_count *h = (void *)(uintptr_t)hook;

	(void)worker;
	h->calls++;
	if (!h->first)
		h->first = ++*h->clock;
	if (h->verdict == NETIF_CONSUMED)
		pkt_delivered(pkt);
	return h->verdict;
}

static void test_hook_order(void **state)
{
	struct rig *rig = rig_open(1);
	struct rig_sock *s = rig_sock_any(rig, PORT, false);
	struct netif *netif = &rig->engine->netif;
	static const int priority[] = { 5, -1, 5, 0 };
	static const unsigned int place[] = { 3, 1, 4, 2 };
	struct hook_count h[4];
	struct frame f = frame4();
	unsigned int clock = 0;

	(void)state;
	for (int i = 0; i < 4; i++) {
		h[i] = (struct hook_count){ .hook = { .priority = priority[i],
						      .func = count_hook }, .clock = &clock };
		assert_int_equal(netif_hook_add(netif, &h[i].hook), 0);
		assert_int_equal(netif_hook_add(netif, &h[i].hook), -EEXIST);
	}
	assert_non_null(rig_expect_rec(rig, s, &f));
	for (int i = 0; i < 4; i++)
		assert_int_equal(h[i].first, place[i]);

	/* Who comes after one that did not accept is not asked. */
	h[3].verdict = NETIF_DROP;
	rig_expect_drop(rig, &f, SLUICE_DROP_HOOK);
	assert_int_equal(h[1].calls, 2);
	assert_int_equal(h[3].calls, 2);
	assert_int_equal(h[0].calls, 1);
	h[3].verdict = NETIF_CONSUMED;
	run_one(rig, &f);
	assert_int_equal(h[0].calls, 1);
	assert_int_equal(rig->worker.napi[0].stat.delivered, 2);

	for (int i = 0; i < 4; i++) {
		assert_int_equal(netif_hook_del(netif, &h[i].hook), 0);
		assert_int_equal(netif_hook_del(netif, &h[i].hook), -ENOENT);
	}
	assert_non_null(rig_expect_rec(rig, s, &f));
	assert_int_equal(h[1].calls, 3);
	rig->worker.napi[0].stat.received--;
	rig->worker.napi[0].stat.delivered--;
	rig->worker.stat.processed--;
	rig_close(rig);
}

/* A header of 4 bytes of our own before the packet, with a device and the type to go on with. */
static enum netif_verdict decapsulate(struct worker *worker, struct pkt *pkt,
				      const struct netif_hook *hook)
{
	(void)worker;
	(void)hook;
	if (pkt->protocol != 0x88b5 || !pkt_may_pull(pkt, 4))
		return NETIF_ACCEPT;
	pkt->ifindex = HOOK_IFINDEX;
	pkt->protocol = (uint16_t)get16(pkt->data + 2);
	return pkt_pull(pkt, 4) ? NETIF_ANOTHER : NETIF_DROP;
}

static enum netif_verdict for_ever(struct worker *worker, struct pkt *pkt,
				   const struct netif_hook *hook)
{
	(void)worker;
	(void)pkt;
	(void)hook;
	return NETIF_ANOTHER;
}

static void test_another_round(void **state)
{
	struct rig *rig = rig_open(1);
	struct rig_sock *s = rig_sock_any(rig, PORT, false);
	struct netif_hook hook = { .func = decapsulate }, loop = { .func = for_ever };
	struct frame f = frame4(), g = frame4();

	(void)state;
	rig->vlan_dev[5] = 55;
	frame_tag(&f, 0x88b5, 0);
	rig_expect_drop(rig, &f, SLUICE_DROP_ETH_PROTO);
	assert_int_equal(netif_hook_add(&rig->engine->netif, &hook), 0);
	assert_int_equal(rig_expect_rec(rig, s, &f)->ifindex, HOOK_IFINDEX);
	/* A tag inside is looked at in the next round; on another device nobody owns it. */
	frame_tag(&g, TPID_8021Q, 0);
	frame_tag(&g, 0x88b5, 0);
	assert_int_equal(rig_expect_rec(rig, s, &g)->ifindex, HOOK_IFINDEX);
	put16(g.b + 18, 5);
	rig_expect_drop(rig, &g, SLUICE_DROP_VLAN);
	/* Outside, it is stripped before the hook is asked. */
	g = f;
	frame_tag(&g, TPID_8021Q, 5);
	assert_int_equal(rig_expect_rec(rig, s, &g)->ifindex, HOOK_IFINDEX);
	assert_int_equal(netif_hook_add(&rig->engine->netif, &loop), 0);
	rig_expect_drop(rig, &f, SLUICE_DROP_ROUNDS);
	assert_int_equal(netif_hook_del(&rig->engine->netif, &loop), 0);
	assert_int_equal(netif_hook_del(&rig->engine->netif, &hook), 0);
	rig_close(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_priority_outside),
		cmocka_unit_test(test_mirror),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_hook_order),
		cmocka_unit_test(test_another_round),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
