// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The whole way: frames in, records out, the books closed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/addr.h"
#include "rig.h"

#define PORT4 5000
#define PORT6 6000
#define PORT_GROUP 7000
#define FLOWS 64
#define MEMBERS 3

static uint32_t next_random(uint32_t *x)
{
	*x = *x * 1664525 + 1013904223;
	return *x >> 8;
}

/* A third of the flows each for an IPv4 socket, an IPv6 one, and a group. */
static struct ends flow_ends(uint32_t flow)
{
	unsigned int sport = 1024 + flow;

	switch (flow % 3) {
	case 0:
		return ends_of("192.0.2.1", sport, "192.0.2.2", PORT4);
	case 1:
		return ends_of("2001:db8::1", sport, "2001:db8::2", PORT6);
	default:
		return ends_of("198.51.100.1", sport, "192.0.2.2", PORT_GROUP);
	}
}

static uint32_t flow_hash_of(uint32_t flow)
{
	return flow * 0x9e3779b1 + 1;
}

/* Its flow, its number in the flow, and bytes that follow from the two. */
static uint32_t fill_payload(uint8_t *b, uint32_t flow, uint32_t seq)
{
	uint32_t len = 8 + (flow * 131 + seq * 17) % 1400;

	memcpy(b, &flow, 4);
	memcpy(b + 4, &seq, 4);
	for (uint32_t i = 8; i < len; i++)
		b[i] = (uint8_t)(flow + seq * 3 + i);
	return len;
}

struct traffic {
	struct rig *rig;
	uint32_t sent[FLOWS];
	uint32_t got[FLOWS];
	const void *from[FLOWS];	/* the socket where the flow arrives */
	uint32_t seed;
};

static void open_sockets(struct rig *rig)
{
	struct udp_entry entry[MEMBERS];

	rig_sock_any(rig, PORT4, false);
	rig_sock_any(rig, PORT6, true);
	for (unsigned int i = 0; i < MEMBERS; i++)
		entry[i] = (struct udp_entry){ .sk = &rig_sock_add(rig, SLUICE_LANE_DEFAULT)->sk,
					      .group = 1 };
	rig_table_set(rig, PORT_GROUP, entry, MEMBERS);
}

static void send_one(struct traffic *t)
{
	uint32_t flow = next_random(&t->seed) % FLOWS;
	uint8_t payload[2048];
	struct ends e = flow_ends(flow);
	struct frame f = frame_udp(&e, payload, fill_payload(payload, flow, t->sent[flow]));

	t->sent[flow]++;
	rig_push_hash(t->rig, flow % t->rig->nr_mem, &f, flow_hash_of(flow), t->rig->mem[0].head);
}

/* Anything but a good frame: cut short, bits flipped, or for a port of nobody. */
static void send_bad(struct traffic *t)
{
	struct ends e = flow_ends(next_random(&t->seed) % FLOWS);
	struct frame f;

	if (next_random(&t->seed) % 4 == 0)
		e.dport++;
	f = frame_udp(&e, "0123456789", 10);
	if (e.dport % 1000 == 0) {
		if (next_random(&t->seed) % 2)
			f.len = next_random(&t->seed) % f.len;
		else
			f.b[f.l4 + 8 + next_random(&t->seed) % 10] ^= 0x40;
	}
	rig_push(t->rig, next_random(&t->seed) % t->rig->nr_mem, &f);
}

static void receive(struct traffic *t, struct rig_sock *s, uint32_t cpu)
{
	const struct sluice_rec *rec;
	uint8_t payload[2048];

	while ((rec = rig_next(s))) {
		struct ends e;
		uint32_t flow, len;

		memcpy(&flow, rec + 1, 4);
		assert_in_range(flow, 0, FLOWS - 1);
		len = fill_payload(payload, flow, t->got[flow]++);
		e = flow_ends(flow);
		rig_check_rec(rec, &e, payload, len);
		assert_int_equal(rec->hash, flow_hash_of(flow));
		assert_int_equal(rec->ttl, 64);
		assert_int_equal(rec->ifindex, RIG_IFINDEX);
		assert_true(rec->tstamp > 1600000000000000000);
		assert_true(!t->from[flow] || t->from[flow] == s);
		t->from[flow] = s;
	}
	rig_consume(s, cpu);
}

static void test_many_flows(void **state)
{
	struct traffic t = { .rig = rig_open(3), .seed = 42 };
	uint64_t good = 0, bad = 0;

	(void)state;
	open_sockets(t.rig);
	for (int burst = 0; burst < 200; burst++) {
		for (uint32_t n = next_random(&t.seed) % 300; n; n--, good++)
			send_one(&t);
		for (uint32_t n = next_random(&t.seed) % 30; n; n--, bad++)
			send_bad(&t);
		rig_run(t.rig);
		for (unsigned int i = 0; i < t.rig->nr_sock; i++)
			receive(&t, &t.rig->sock[i], i);
	}
	for (uint32_t flow = 0; flow < FLOWS; flow++)
		assert_int_equal(t.got[flow], t.sent[flow]);
	assert_int_equal(t.rig->worker.stat.processed, good + bad);
	assert_int_equal(t.rig->worker.stat.dropped, bad);
	rig_check_books(t.rig);

	/* One more datagram to each, and the worker has recorded where all others were consumed. */
	for (uint32_t flow = 0; flow < FLOWS; flow++) {
		struct ends e = flow_ends(flow);
		struct frame f = frame_udp(&e, "x", 1);

		rig_push_hash(t.rig, 0, &f, flow_hash_of(flow), 0);
	}
	rig_run(t.rig);
	for (uint32_t flow = 0; flow < FLOWS; flow++) {
		uint32_t hash = flow_hash_of(flow);
		uint32_t cpu = (uint32_t)((const struct rig_sock *)t.from[flow] - t.rig->sock);

		assert_int_equal(t.rig->sock_flow[hash % RIG_FLOWS],
				 (hash & ~(uint32_t)RIG_CPU_MASK) | cpu);
	}
	rig_close(t.rig);
}

/*
 * Every reason once; but for DESC, which needs a broken descriptor (test_napi.c), SNAPLEN, which
 * needs a source that has only a part of the packet (test_mem.c), and those of test_netif.c
 * and test_backlog.c.
 */
static void test_every_drop(void **state)
{
	static const enum sluice_drop other[] = { SLUICE_DROP_DESC, SLUICE_DROP_LANE_FULL,
						  SLUICE_DROP_CLIENT_GONE, SLUICE_DROP_HOOK,
						  SLUICE_DROP_ROUNDS, SLUICE_DROP_BACKLOG,
						  SLUICE_DROP_FLOW_LIMIT, SLUICE_DROP_SNAPLEN };
	const struct sluice_addr home[] = { { { 0, 0, htonl(0xffff), htonl(0xc0000203) } },
					    { { 0, 0, htonl(0xffff), htonl(0xc0000202) } } };
	const struct addr_list local = { .nr = 2, .addr = home };
	struct rig *rig = rig_open(1);
	struct ends e = ends_of("192.0.2.1", 1000, "192.0.2.2", PORT4);
	const struct frame good = frame_udp(&e, "x", 1);
	struct frame f;
	uint64_t left = (1u << SLUICE_DROPS) - 1;

	(void)state;
	open_sockets(rig);
#define EXPECT(reason, ...)                                        \
	do {                                                       \
		f = good;                                          \
		__VA_ARGS__;                                       \
		rig_expect_drop(rig, &f, SLUICE_DROP_##reason);    \
		left &= ~(1ull << SLUICE_DROP_##reason);           \
	} while (0)
	EXPECT(ETH_SHORT, f.len = 13);
	EXPECT(ETH_PROTO, put16(f.b + 12, 0x0806));
	EXPECT(VLAN, frame_tag(&f, 0x8100, 9));
	EXPECT(IP_HEADER, f.b[f.l3] = 0x44);
	EXPECT(IP_TRUNCATED, f.len--);
	EXPECT(IP_CSUM, f.b[f.l3 + 8]--);
	EXPECT(IP_OPTIONS, f.b[f.l3] = 0x46);
	EXPECT(IP_FRAG, put16(f.b + f.l3 + 6, 0x2000); frame_ip_csum(&f));
	EXPECT(IP_PROTO, f.b[f.l3 + 9] = 6; frame_ip_csum(&f));
	EXPECT(UDP_SHORT, put16(f.b + f.l4 + 4, 7));
	EXPECT(UDP_LEN, put16(f.b + f.l4 + 4, 10));
	EXPECT(UDP_CSUM, f.b[f.l4 + 8]++);
	rig->engine->local = &local;
	EXPECT(NOT_LOCAL, f.b[f.l3 + 19] = 4; frame_ip_csum(&f));
	EXPECT(NOT_LOCAL, f.b[f.l3 + 9] = 6; f.b[f.l3 + 19] = 4; frame_ip_csum(&f));
	EXPECT(IP_PROTO, f.b[f.l3 + 9] = 6; frame_ip_csum(&f));
	rig->engine->local = NULL;
	EXPECT(NO_SOCKET, put16(f.b + f.l4 + 2, 1); frame_udp_csum(&f));
#undef EXPECT
	while (rig_drops(rig, SLUICE_DROP_LANE_FULL) == 0) {
		rig_push(rig, 0, &good);
		rig_run(rig);
	}
	rig->sock[0].ctl->consumer = 1;
	rig_push(rig, 0, &good);
	rig_run(rig);
	rig_expect_drop(rig, &good, SLUICE_DROP_CLIENT_GONE);
	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
		left &= ~(1ull << other[i]);
	/* A reason was added without a test. */
	assert_int_equal(left, 0);
	rig_close(rig);
}

/* Two engines, the same frames: the same result. */
static void test_deterministic(void **state)
{
	struct traffic t[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		t[i] = (struct traffic){ .rig = rig_open(2), .seed = 7 };
		open_sockets(t[i].rig);
		for (int n = 0; n < 2000; n++)
			next_random(&t[i].seed) % 8 ? send_one(&t[i]) : send_bad(&t[i]);
		rig_run(t[i].rig);
	}
	for (unsigned int i = 0; i < t[0].rig->nr_mem; i++)
		assert_memory_equal(&t[0].rig->worker.napi[i].stat, &t[1].rig->worker.napi[i].stat,
				    sizeof(struct napi_stat));
	for (unsigned int i = 0; i < t[0].rig->nr_sock; i++)
		assert_int_equal(t[0].rig->sock[i].head->producer,
				 t[1].rig->sock[i].head->producer);
	for (int i = 0; i < 2; i++)
		rig_close(t[i].rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_flows),
		cmocka_unit_test(test_every_drop),
		cmocka_unit_test(test_deterministic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
