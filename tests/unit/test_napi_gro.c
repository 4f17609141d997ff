// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* GRO in the way of a packet: what lanes get, the books, and the head of the flows. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig.h"

#define PORT 5000
#define LEN 100
#define TARGET 0

static struct rig *open_rig(unsigned int sources)
{
	struct rig *rig = rig_open(sources);

	rig->engine->gro_max_size = GRO_MAX_SIZE;
	return rig;
}

/* On PORT, for key. */
static struct rig_sock *sock_on(struct rig *rig, struct udp_entry *entry, bool gro)
{
	struct rig_sock *s = rig_sock_add(rig, SLUICE_LANE_MIN);

	s->sk.gro = gro;
	entry->sk = &s->sk;
	return s;
}

static struct rig_sock *one_sock(struct rig *rig, bool gro)
{
	struct udp_entry entry = { .key.ipv6 = false };
	struct rig_sock *s = sock_on(rig, &entry, gro);

	rig_table_set(rig, PORT, &entry, 1);
	return s;
}

/* Datagram i of a flow: its number in every byte. */
static struct frame datagram(uint16_t sport, unsigned int i, size_t len)
{
	struct ends e = ends_of("192.0.2.1", sport, "192.0.2.2", PORT);
	uint8_t payload[2000];
	struct frame f;

	memset(payload, (int)i, len);
	f = frame_udp(&e, payload, len);
	put16(f.b + f.l3 + 4, i);
	frame_ip_csum(&f);
	return f;
}

static void send_flow(struct rig *rig, uint16_t sport, unsigned int first, unsigned int n,
		      uint32_t seq)
{
	for (unsigned int i = 0; i < n; i++) {
		struct frame f = datagram(sport, first + i, LEN);

		rig_push_hash(rig, 0, &f, 0x1000u + sport, seq + i);
	}
}

static void check_rec(struct rig_sock *s, unsigned int first, unsigned int n)
{
	const struct sluice_rec *rec = rig_next(s);
	const uint8_t *data = (const uint8_t *)(rec + 1);

	assert_non_null(rec);
	assert_int_equal(rec->len, n * LEN);
	assert_int_equal(rec->gso_size, n > 1 ? LEN : 0);
	for (unsigned int i = 0; i < n * LEN; i++)
		assert_int_equal(data[i], (uint8_t)(first + i / LEN));
}

static void test_one_record(void **state)
{
	struct rig *rig = open_rig(1);
	struct rig_sock *s = one_sock(rig, true);

	(void)state;
	send_flow(rig, 1000, 0, 10, 1);
	rig_run(rig);
	check_rec(s, 0, 10);
	assert_null(rig_next(s));
	/* Counted as what they were. */
	assert_int_equal(rig->worker.napi[0].stat.delivered, 10);
	assert_int_equal(s->head->delivered, 10);
	assert_int_equal(rig->flow_head[TARGET], 10);
	rig_close(rig);
}

static void test_not_asked(void **state)
{
	struct rig *rig = open_rig(1);
	struct rig_sock *s = one_sock(rig, false);

	(void)state;
	send_flow(rig, 1000, 0, 10, 1);
	rig_run(rig);
	for (unsigned int i = 0; i < 10; i++)
		check_rec(s, i, 1);
	rig_close(rig);
}

static void test_off(void **state)
{
	struct rig *rig = open_rig(1);
	struct rig_sock *s = one_sock(rig, true);

	(void)state;
	rig->engine->gro_max_size = 0;
	send_flow(rig, 1000, 0, 2, 1);
	rig_run(rig);
	check_rec(s, 0, 1);
	check_rec(s, 1, 1);
	/* From the next poll on. */
	rig->engine->gro_max_size = GRO_MAX_SIZE;
	send_flow(rig, 1000, 2, 2, 3);
	rig_run(rig);
	check_rec(s, 2, 2);
	rig_close(rig);
}

/* Each poll ends what it has begun: a packet does not wait for the next one. */
static void test_end_of_poll(void **state)
{
	struct rig *rig = open_rig(1);
	struct rig_sock *s = one_sock(rig, true);
	struct napi *napi = &rig->worker.napi[0];

	(void)state;
	send_flow(rig, 1000, 0, 100, 1);
	assert_int_equal(napi_poll(napi, NAPI_WEIGHT), NAPI_WEIGHT);
	assert_int_equal(napi->gro.held, 0);
	rig_run(rig);
	check_rec(s, 0, 64);
	check_rec(s, 64, 36);
	rig_close(rig);
}

/* One batch at this time. */
static void poll_at(struct rig *rig, uint64_t now)
{
	rig->worker.now = now;
	napi_poll(&rig->worker.napi[0], NAPI_WEIGHT);
	sock_flush(&rig->worker, true);
	napi_complete(&rig->worker.napi[0]);
}

/* With gro_flush_timeout a packet grows over several polls, until its first part is that old. */
static void test_flush_timeout(void **state)
{
	struct rig *rig = open_rig(1);
	struct rig_sock *s = one_sock(rig, true);

	(void)state;
	rig->engine->gro_flush_timeout = 1000;
	send_flow(rig, 1000, 0, 3, 1);
	poll_at(rig, 5000);
	assert_int_equal(rig->worker.napi[0].held, 3);
	assert_int_equal(rig->flow_head[TARGET], 0);
	send_flow(rig, 1000, 3, 2, 4);
	poll_at(rig, 5999);
	assert_null(rig_next(s));
	poll_at(rig, 6000);
	check_rec(s, 0, 5);
	assert_int_equal(rig->flow_head[TARGET], 5);
	/* Switched off, and the clock set back: nothing stays behind. */
	send_flow(rig, 1000, 5, 2, 6);
	poll_at(rig, 7000);
	rig->engine->gro_flush_timeout = 0;
	poll_at(rig, 7001);
	check_rec(s, 5, 2);
	rig->engine->gro_flush_timeout = 1000;
	send_flow(rig, 1000, 7, 2, 8);
	poll_at(rig, 7002);
	poll_at(rig, 3000);
	check_rec(s, 7, 2);
	rig_close(rig);
}

/* A worker does not go to sleep on what it holds. */
static void test_worker_waits(void **state)
{
	struct rig *rig = open_rig(2);
	struct rig_sock *s = one_sock(rig, true);

	(void)state;
	rig->engine->gro_flush_timeout = 5000000;
	send_flow(rig, 1000, 0, 2, 1);
	assert_true(worker_round(&rig->worker));
	assert_null(rig_next(s));
	send_flow(rig, 1000, 2, 2, 3);
	rig_run(rig);
	check_rec(s, 0, 4);
	rig_close(rig);
}

/* Stopped, it hands over what it holds. */
static void test_worker_stops(void **state)
{
	struct rig *rig = open_rig(1);
	struct rig_sock *s = one_sock(rig, true);

	(void)state;
	rig->engine->gro_flush_timeout = 3600000000000ull;
	send_flow(rig, 1000, 0, 3, 1);
	assert_int_equal(worker_start(&rig->worker), 0);
	for (int ms = 0; ms < 5000 && stat_read(&rig->worker.stat.processed) < 3; ms++)
		usleep(1000);
	worker_stop(&rig->worker);
	check_rec(s, 0, 3);
	rig_close(rig);
}

/* Held still, it has nothing in hand either. */
static void test_worker_is_held(void **state)
{
	struct rig *rig = open_rig(1);
	struct rig_sock *s = one_sock(rig, true);

	(void)state;
	rig->engine->gro_flush_timeout = 3600000000000ull;
	send_flow(rig, 1000, 0, 3, 1);
	assert_int_equal(worker_start(&rig->worker), 0);
	for (int ms = 0; ms < 5000 && stat_read(&rig->worker.stat.processed) < 3; ms++)
		usleep(1000);
	worker_hold(&rig->worker);
	for (int ms = 0; ms < 5000 && !worker_held(&rig->worker); ms++)
		usleep(1000);
	assert_true(worker_held(&rig->worker));
	check_rec(s, 0, 3);
	assert_int_equal(rig->flow_head[TARGET], 3);
	worker_release(&rig->worker);
	worker_stop(&rig->worker);
	rig_close(rig);
}

/* Flows that come interleaved are put in order by flow, and each in its own. */
static void test_interleaved(void **state)
{
	struct rig *rig = open_rig(1);
	struct rig_sock *s = one_sock(rig, true);

	(void)state;
	for (unsigned int i = 0; i < 8; i++) {
		send_flow(rig, 1000, i, 1, 2 * i + 1);
		send_flow(rig, 1001, 50 + i, 1, 2 * i + 2);
	}
	rig_run(rig);
	check_rec(s, 0, 8);
	check_rec(s, 50, 8);
	assert_int_equal(rig->flow_head[TARGET], 16);
	rig_close(rig);
}

/*
 * What GRO took for the datagrams of a socket that asked turns out, behind the tag, to be
 * another's that did not: it gets them as they came.
 */
static void test_split(void **state)
{
	struct rig *rig = open_rig(1);
	struct udp_entry entry[2] = { { .key.ifindex = 55 }, { .key.ifindex = 0 } };
	struct rig_sock *vlan = sock_on(rig, &entry[0], false);
	struct rig_sock *any = sock_on(rig, &entry[1], true);

	(void)state;
	rig->vlan_dev[5] = 55;
	rig_table_set(rig, PORT, entry, 2);
	for (unsigned int i = 0; i < 6; i++) {
		struct frame f = datagram(1000, i, LEN);

		frame_tag(&f, 0x8100, 5);
		rig_push_hash(rig, 0, &f, 7, i + 1);
	}
	rig_run(rig);
	for (unsigned int i = 0; i < 6; i++) {
		check_rec(vlan, i, 1);
		assert_int_equal(vlan->read, i + 1);
	}
	assert_null(rig_next(any));
	rig_close(rig);
}

/* Of several sockets on a port, the one that the datagram is for decides. */
static void test_who_asked(void **state)
{
	struct rig *rig = open_rig(1);
	struct udp_entry entry[3] = {
		{ .group = 1 }, { .group = 1 },
		{ .key = { .peer_port = htons(77), .peer = { { 0, 0, htonl(0xffff), 1 } } } },
	};
	struct pkt pkt = {
		.version = 4, .dport = htons(PORT),
		.saddr = { { 0, 0, htonl(0xffff), 1 } }, .daddr = { { 0, 0, htonl(0xffff), 2 } },
	};

	(void)state;
	sock_on(rig, &entry[0], true);
	sock_on(rig, &entry[1], false);
	sock_on(rig, &entry[2], false);
	rig_table_set(rig, PORT, entry, 3);
	assert_true(udp_port_asked(&rig->engine->udp, htons(PORT)));
	pkt.sport = htons(77);
	assert_false(udp_gro_asked(rig->engine, &pkt));
	/* In the group, the hash decides. */
	pkt.sport = htons(78);
	pkt.hash = 0x7fffffff;
	assert_true(udp_gro_asked(rig->engine, &pkt));
	pkt.hash = 0x80000000;
	assert_false(udp_gro_asked(rig->engine, &pkt));
	pkt.dport = htons(PORT + 1);
	assert_false(udp_gro_asked(rig->engine, &pkt));
	rig_close(rig);
}

/* Segment i of a flow of TCP. */
static struct frame segment(unsigned int i)
{
	uint8_t tail[4] = { 0, 6, 0, 30 }, *th;
	struct frame f = datagram(1000, i, 22);
	uint32_t sum;

	f.b[f.l3 + 9] = 6;
	frame_ip_csum(&f);
	th = f.b + f.l4;
	memset(th + 4, 0, 16);
	put16(th + 6, i * 10);
	put16(th + 12, 0x5010);
	sum = ref_sum(ref_sum(0, f.b + f.l3 + 12, 8), tail, 4);
	put16(th + 16, 0xffff - ref_sum(sum, th, 30));
	return f;
}

/* No lane takes TCP yet: each segment of what was merged has its reason. */
static void test_drop_counts_segments(void **state)
{
	struct rig *rig = open_rig(1);

	(void)state;
	for (unsigned int i = 0; i < 10; i++) {
		struct frame f = segment(i);

		rig_push_hash(rig, 0, &f, 9, i + 1);
	}
	rig->engine->gro_flush_timeout = 1000;
	poll_at(rig, 5000);
	assert_int_equal(rig->worker.napi[0].gro.held, 1);
	poll_at(rig, 6000);
	assert_int_equal(rig_drops(rig, SLUICE_DROP_IP_PROTO), 10);
	assert_int_equal(rig->flow_head[TARGET], 10);
	rig_close(rig);
}

/* However long it may hold packets: when there are no others left, it lets go of them. */
static void test_all_held(void **state)
{
	struct rig *rig = open_rig(1);
	struct napi *napi = &rig->worker.napi[0];

	(void)state;
	rig->engine->gro_flush_timeout = 3600000000000ull;
	for (unsigned int i = 0; i < WORKER_PKTS + 100; i++) {
		struct frame f = segment(i);

		rig_push_hash(rig, 0, &f, 9, i + 1);
	}
	for (int polls = 0; polls < 100 && napi->stat.received < WORKER_PKTS + 100; polls++)
		poll_at(rig, 1ull << 62);
	assert_int_equal(napi->stat.received, WORKER_PKTS + 100);
	assert_true(rig_drops(rig, SLUICE_DROP_IP_PROTO) >= WORKER_PKTS);
	rig->engine->gro_flush_timeout = 0;
	rig_run(rig);
	rig_close(rig);
}

/* A full lane takes all of a merged packet or nothing. */
static void test_lane_full(void **state)
{
	struct rig *rig = open_rig(1);
	struct rig_sock *s = one_sock(rig, true);
	const struct sluice_rec *rec;
	uint64_t sent = 0;

	(void)state;
	for (uint32_t burst = 0; burst < 70; burst++, sent += 50) {
		send_flow(rig, 1000, 0, 50, burst * 50 + 1);
		rig_run(rig);
	}
	assert_true(s->head->drops > 0);
	assert_int_equal(s->head->drops % 50, 0);
	assert_int_equal(s->head->delivered + s->head->drops, sent);
	assert_int_equal(rig_drops(rig, SLUICE_DROP_LANE_FULL), s->head->drops);
	while ((rec = rig_next(s)))
		assert_int_equal(rec->len, 50 * LEN);
	rig_close(rig);
}

/* Merged packets that wait for a lane bound the head by the first of them. */
static void test_head(void **state)
{
	struct rig *rig = open_rig(1);
	struct rig_sock *s = one_sock(rig, true);
	struct ends other = ends_of("192.0.2.1", 1, "192.0.2.2", PORT + 1);
	struct frame f = frame_udp(&other, "x", 1);

	(void)state;
	rig_sock_any(rig, PORT + 1, false);
	lane_lock(&s->sk.lane);
	rig_push_hash(rig, 0, &f, 1, 1);
	rig_push_hash(rig, 0, &f, 1, 2);
	send_flow(rig, 1001, 0, 10, 3);
	rig_push_hash(rig, 0, &f, 1, 13);
	assert_true(worker_round(&rig->worker));
	assert_int_equal(rig->worker.napi[0].held, 10);
	assert_int_equal(rig->flow_head[TARGET], 2);
	/* Packets, not records, are what a worker may hold back. */
	assert_int_equal(s->sk.pend[0].count, 10);
	lane_unlock(&s->sk.lane);
	rig_run(rig);
	assert_int_equal(rig->flow_head[TARGET], 13);
	rig_close(rig);
}

static void no_frame(struct pkt *pkt)
{
	(void)pkt;
}

/* What GRO itself still holds bounds the head as well, be it the older or the younger. */
static void test_head_held(void **state)
{
	struct rig *rig = open_rig(1);
	struct napi *napi = &rig->worker.napi[0];
	struct rig_sock *s = one_sock(rig, true);
	struct frame f = datagram(1000, 7, LEN);
	struct pkt *pkt;

	(void)state;
	lane_lock(&s->sk.lane);
	for (uint32_t seq = 30; seq >= 10; seq -= 10) {
		/* At first it is the only one. */
		if (seq < 30) {
			send_flow(rig, 1001, seq, 1, 15);
			assert_true(worker_round(&rig->worker));
		}
		/* Held across polls, as nothing in napi does it: behind its back. */
		pkt = pkt_alloc(&rig->worker.pool);
		pkt->napi = napi;
		pkt->head = pkt->data = f.b;
		pkt->tail = pkt->end = f.b + f.len;
		pkt->hash = 1;
		pkt->seq = seq;
		napi->held++;
		gro_receive(&napi->gro, pkt);
		assert_int_equal(napi->gro.held, 1);
		rig->flow_head[TARGET] = 5;
		napi_complete(napi);
		assert_int_equal(rig->flow_head[TARGET], seq == 30 ? 29 : seq == 20 ? 14 : 9);
		/* It has no frame of the source. */
		napi->gro.held = 0;
		napi->gro.list[1].count = 0;
		napi->held--;
		pkt_free(&rig->worker.pool, pkt, no_frame);
	}
	lane_unlock(&s->sk.lane);
	rig_run(rig);
	rig_close(rig);
}

/* With the bare pseudo-header sum of a sender on the same machine. */
static void test_partial(void **state)
{
	struct rig *rig = open_rig(1);
	struct rig_sock *s = one_sock(rig, true);

	(void)state;
	for (int ok = 1; ok >= 0; ok--) {
		rig->engine->csum = ok ? CSUM_PARTIAL_OK : CSUM_VERIFY;
		for (unsigned int i = 0; i < 4; i++) {
			struct frame f = datagram(1000, i, LEN);

			put16(f.b + f.l4 + 6, frame_pseudo(&f));
			rig_push(rig, 0, &f);
		}
		rig_run(rig);
		if (ok)
			check_rec(s, 0, 4);
	}
	assert_int_equal(rig_drops(rig, SLUICE_DROP_UDP_CSUM), 4);
	rig_close(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_record),
		cmocka_unit_test(test_not_asked),
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_end_of_poll),
		cmocka_unit_test(test_flush_timeout),
		cmocka_unit_test(test_worker_waits),
		cmocka_unit_test(test_worker_stops),
		cmocka_unit_test(test_worker_is_held),
		cmocka_unit_test(test_interleaved),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_who_asked),
		cmocka_unit_test(test_drop_counts_segments),
		cmocka_unit_test(test_all_held),
		cmocka_unit_test(test_lane_full),
		cmocka_unit_test(test_head),
		cmocka_unit_test(test_head_held),
		cmocka_unit_test(test_partial),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
