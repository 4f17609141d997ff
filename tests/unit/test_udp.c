// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* UDP: lengths, checksums, and which socket Linux would choose. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "../bpf/sip_ref.h"
#include "rig.h"

#define PORT 5000
#define DEV_A 7
#define DEV_B 8

static struct ends ends4(void)
{
	return ends_of("192.0.2.1", 1000, "192.0.2.2", PORT);
}

static struct ends ends6(void)
{
	return ends_of("2001:db8::1", 1000, "2001:db8::2", PORT);
}

static struct frame frame_of(int version)
{
	struct ends e = version == 4 ? ends4() : ends6();

	return frame_udp(&e, "payload", 7);
}

static struct rig *setup_rig(void)
{
	struct rig *rig = rig_open(1);

	rig_sock_any(rig, PORT, true);
	return rig;
}

/* Sets the length of the IP payload, whatever the UDP header says. */
static void set_ip_payload(struct frame *f, unsigned int len)
{
	if (f->version == 6) {
		put16(f->b + f->l3 + 4, len);
		return;
	}
	put16(f->b + f->l3 + 2, 20 + len);
	frame_ip_csum(f);
}

static void test_short(void **state)
{
	struct rig *rig = setup_rig();

	(void)state;
	for (int version = 4; version <= 6; version += 2) {
		for (unsigned int len = 0; len < 8; len++) {
			struct frame f = frame_of(version), g = f;

			f.len = f.l4 + len;
			set_ip_payload(&f, len);
			rig_expect_drop(rig, &f, SLUICE_DROP_UDP_SHORT);

			put16(g.b + g.l4 + 4, len);
			rig_expect_drop(rig, &g, SLUICE_DROP_UDP_SHORT);
		}
	}
	rig_close(rig);
}

static void test_too_long(void **state)
{
	static const unsigned int lens[] = { 16, 17, 1000, 65535 };
	struct rig *rig = setup_rig();

	(void)state;
	for (int version = 4; version <= 6; version += 2) {
		for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
			struct frame f = frame_of(version);

			put16(f.b + f.l4 + 4, lens[i]);
			rig_expect_drop(rig, &f, SLUICE_DROP_UDP_LEN);
		}
	}
	rig_close(rig);
}

/* What follows the datagram in the IP payload is none of it. */
static void test_shorter_than_ip_payload(void **state)
{
	struct rig *rig = setup_rig();

	(void)state;
	for (int version = 4; version <= 6; version += 2) {
		for (unsigned int len = 0; len < 7; len++) {
			struct frame f = frame_of(version);
			struct ends e = version == 4 ? ends4() : ends6();

			put16(f.b + f.l4 + 4, 8 + len);
			frame_udp_csum(&f);
			rig_check_rec(rig_expect_rec(rig, &rig->sock[0], &f), &e, "payload", len);
		}
	}
	rig_close(rig);
}

static void test_checksum_covers_all(void **state)
{
	struct rig *rig = setup_rig();

	(void)state;
	for (int version = 4; version <= 6; version += 2) {
		unsigned int addrs = version == 4 ? 12 : 8, len = version == 4 ? 8 : 32;

		for (unsigned int bit = 0; bit < 15 * 8; bit++) {
			struct frame f = frame_of(version);

			if (bit / 8 == 4 || bit / 8 == 5)
				continue;
			f.b[f.l4 + bit / 8] ^= (uint8_t)(1u << bit % 8);
			rig_expect_drop(rig, &f, SLUICE_DROP_UDP_CSUM);
		}
		for (unsigned int bit = 0; bit < len * 8; bit++) {
			struct frame f = frame_of(version);

			f.b[f.l3 + addrs + bit / 8] ^= (uint8_t)(1u << bit % 8);
			if (version == 4)
				frame_ip_csum(&f);
			rig_expect_drop(rig, &f, SLUICE_DROP_UDP_CSUM);
		}
	}
	rig_close(rig);
}

static void test_no_checksum(void **state)
{
	struct frame f = frame_of(4), g = frame_of(6);
	struct rig *rig = setup_rig();
	struct ends e = ends4();

	(void)state;
	for (int mode = CSUM_VERIFY; mode <= CSUM_PARTIAL_OK; mode++) {
		rig->engine->csum = (enum csum_mode)mode;
		put16(f.b + f.l4 + 6, 0);
		rig_check_rec(rig_expect_rec(rig, &rig->sock[0], &f), &e, "payload", 7);
		put16(g.b + g.l4 + 6, 0);
		rig_expect_drop(rig, &g, SLUICE_DROP_UDP_CSUM);
	}
	assert_int_equal(rig->worker.napi[0].stat.csum_partial, 0);
	rig_close(rig);
}

/* A datagram whose sum is 0 is sent with 0xffff, which is not "none". */
static void test_checksum_ffff(void **state)
{
	struct rig *rig = setup_rig();

	(void)state;
	for (int version = 4; version <= 6; version += 2) {
		struct ends e = version == 4 ? ends4() : ends6();
		struct frame f = frame_of(version);
		unsigned int v = 0;

		do
			put16(f.b + f.l4 + 8, v++);
		while (frame_udp_csum(&f) != 0xffff);
		assert_in_range(v, 1, 65536);
		rig_check_rec(rig_expect_rec(rig, &rig->sock[0], &f), &e, f.b + f.l4 + 8, 7);
	}
	rig_close(rig);
}

static void test_checksum_of_each_length(void **state)
{
	struct rig *rig = setup_rig();
	uint8_t b[FRAME_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(b); i++)
		b[i] = (uint8_t)(i * 251 + i / 256);
	for (int version = 4; version <= 6; version += 2) {
		for (size_t len = 0; len < 1500; len += len < 100 ? 1 : 37) {
			struct ends e = version == 4 ? ends4() : ends6();
			struct frame f = frame_udp(&e, b, len);

			rig_check_rec(rig_expect_rec(rig, &rig->sock[0], &f), &e, b, len);
		}
	}
	rig_close(rig);
}

static void test_partial(void **state)
{
	struct rig *rig = setup_rig();
	const uint64_t *partial = &rig->worker.napi[0].stat.csum_partial;

	(void)state;
	for (int version = 4; version <= 6; version += 2) {
		struct ends e = version == 4 ? ends4() : ends6();
		struct frame right = frame_of(version), f = right;
		uint64_t before = *partial;

		put16(f.b + f.l4 + 6, frame_pseudo(&f));
		rig->engine->csum = CSUM_VERIFY;
		rig_expect_drop(rig, &f, SLUICE_DROP_UDP_CSUM);
		assert_int_equal(*partial, before);

		rig->engine->csum = CSUM_PARTIAL_OK;
		rig_check_rec(rig_expect_rec(rig, &rig->sock[0], &f), &e, "payload", 7);
		assert_int_equal(*partial, before + 1);
		/* Still nothing else: neither another wrong sum, nor is a right one counted. */
		put16(f.b + f.l4 + 6, frame_pseudo(&f) ^ 1);
		rig_expect_drop(rig, &f, SLUICE_DROP_UDP_CSUM);
		put16(f.b + f.l4 + 6, 0xffff - frame_pseudo(&f));
		rig_expect_drop(rig, &f, SLUICE_DROP_UDP_CSUM);
		rig_check_rec(rig_expect_rec(rig, &rig->sock[0], &right), &e, "payload", 7);
		assert_int_equal(*partial, before + 1);
	}
	rig_close(rig);
}

static void test_no_socket(void **state)
{
	struct rig *rig = setup_rig();

	(void)state;
	for (int version = 4; version <= 6; version += 2) {
		for (int diff = -1; diff <= 1; diff += 2) {
			struct ends e = version == 4 ? ends4() : ends6();
			struct frame f;

			e.dport = (uint16_t)(PORT + diff);
			f = frame_udp(&e, "x", 1);
			rig_expect_drop(rig, &f, SLUICE_DROP_NO_SOCKET);
		}
	}
	rig_close(rig);
}

/* Without rx_meta the worker computes what the XDP program would have. */
static void test_hash(void **state)
{
	struct rig *rig = setup_rig();

	(void)state;
	for (int version = 4; version <= 6; version += 2) {
		for (unsigned int sport = 1; sport < 65536; sport += 7919) {
			struct ends e = version == 4 ? ends4() : ends6();
			struct frame f;

			e.sport = (uint16_t)sport;
			f = frame_udp(&e, "x", 1);
			assert_int_equal(rig_expect_rec(rig, &rig->sock[0], &f)->hash,
					 ref_flow_hash(rig->engine->hash_key, version, 17, e.saddr,
						       e.daddr,
						       f.b + f.l4, f.b + f.l4 + 2));
		}
	}
	rig_close(rig);
}

/* The lookup by itself. */

static struct sluice_addr addr_of(const char *text)
{
	struct sluice_addr a = { { 0, 0, htonl(0xffff), 0 } };

	if (!text)
		return (struct sluice_addr){ { 0 } };
	if (inet_pton(AF_INET, text, &a.w[3]) != 1)
		assert_int_equal(inet_pton(AF_INET6, text, &a), 1);
	return a;
}

/* local and peer may be NULL: any. */
static struct udp_key key_of(bool ipv6, const char *local, const char *peer, unsigned int peer_port)
{
	return (struct udp_key){
		.local = addr_of(local),
		.peer = addr_of(peer),
		.peer_port = htons((uint16_t)peer_port),
		.ipv6 = ipv6,
	};
}

static struct pkt pkt_of(const char *saddr, unsigned int sport, const char *daddr, uint32_t ifindex)
{
	return (struct pkt){
		.version = strchr(saddr, ':') ? 6 : 4,
		.saddr = addr_of(saddr),
		.daddr = addr_of(daddr),
		.sport = htons((uint16_t)sport),
		.dport = htons(PORT),
		.ifindex = ifindex,
	};
}

#define SOCKS 8

struct lookup {
	struct udp_table *table;
	struct sock sock[SOCKS];
	struct udp_entry entry[SOCKS];
	unsigned int nr;
};

static void lookup_open(struct lookup *l)
{
	memset(l, 0, sizeof(*l));
	l->table = calloc(1, sizeof(*l->table));
}

static void lookup_close(struct lookup *l)
{
	udp_table_destroy(l->table);
	free(l->table);
}

static void lookup_add(struct lookup *l, struct udp_key key, uint32_t group)
{
	l->entry[l->nr] = (struct udp_entry){ .key = key, .sk = &l->sock[l->nr], .group = group };
	l->nr++;
	assert_int_equal(udp_table_set(l->table, PORT, l->entry, l->nr), 0);
}

/* The index of the chosen socket, or -1; in every order of the entries the same. */
static int lookup_any_order(struct lookup *l, const struct pkt *pkt)
{
	int first = -2;

	for (unsigned int turn = 0; turn < l->nr; turn++) {
		struct udp_entry e = l->entry[0];
		struct sock *sk;
		int found;

		memmove(&l->entry[0], &l->entry[1], (l->nr - 1) * sizeof(e));
		l->entry[l->nr - 1] = e;
		assert_int_equal(udp_table_set(l->table, PORT, l->entry, l->nr), 0);
		sk = udp_lookup(l->table, pkt);
		found = sk ? (int)(sk - l->sock) : -1;
		assert_true(first == -2 || first == found);
		first = found;
	}
	return first;
}

static void test_lookup_specific_first(void **state)
{
	enum { ANY, BOUND, CONNECTED };
	struct lookup l;
	struct pkt pkt;

	(void)state;
	lookup_open(&l);
	lookup_add(&l, key_of(false, NULL, NULL, 0), 0);
	lookup_add(&l, key_of(false, "192.0.2.2", NULL, 0), 0);
	lookup_add(&l, key_of(false, "192.0.2.2", "192.0.2.1", 1000), 0);

	pkt = pkt_of("192.0.2.1", 1000, "192.0.2.2", DEV_A);
	assert_int_equal(lookup_any_order(&l, &pkt), CONNECTED);
	pkt = pkt_of("192.0.2.1", 1001, "192.0.2.2", DEV_A);
	assert_int_equal(lookup_any_order(&l, &pkt), BOUND);
	pkt = pkt_of("192.0.2.3", 1000, "192.0.2.2", DEV_A);
	assert_int_equal(lookup_any_order(&l, &pkt), BOUND);
	pkt = pkt_of("192.0.2.1", 1000, "192.0.2.4", DEV_A);
	assert_int_equal(lookup_any_order(&l, &pkt), ANY);
	pkt = pkt_of("2001:db8::1", 1000, "2001:db8::2", DEV_A);
	assert_int_equal(lookup_any_order(&l, &pkt), -1);
	lookup_close(&l);
}

/* A bound address outweighs everything else: Linux looks at those sockets first. */
static void test_lookup_address_before_device(void **state)
{
	enum { ANY_ON_DEVICE, BOUND };
	struct pkt pkt = pkt_of("192.0.2.1", 1000, "192.0.2.2", DEV_A);
	struct udp_key key = key_of(false, NULL, NULL, 0);
	struct lookup l;

	(void)state;
	lookup_open(&l);
	key.ifindex = DEV_A;
	lookup_add(&l, key, 0);
	lookup_add(&l, key_of(false, "192.0.2.2", NULL, 0), 0);
	assert_int_equal(lookup_any_order(&l, &pkt), BOUND);
	lookup_close(&l);
}

static void test_lookup_device(void **state)
{
	enum { ANYWHERE, ON_A, BOUND_ON_A, BOUND };
	struct udp_key on_a = key_of(false, NULL, NULL, 0), bound_on_a = key_of(false, "192.0.2.2",
										NULL, 0);
	struct lookup l;
	struct pkt pkt;

	(void)state;
	on_a.ifindex = bound_on_a.ifindex = DEV_A;
	lookup_open(&l);
	lookup_add(&l, key_of(false, NULL, NULL, 0), 0);
	lookup_add(&l, on_a, 0);
	pkt = pkt_of("192.0.2.1", 1000, "192.0.2.2", DEV_A);
	assert_int_equal(lookup_any_order(&l, &pkt), ON_A);
	pkt.ifindex = DEV_B;
	assert_int_equal(lookup_any_order(&l, &pkt), ANYWHERE);
	lookup_close(&l);

	lookup_open(&l);
	lookup_add(&l, on_a, 0);
	assert_int_equal(lookup_any_order(&l, &pkt), -1);
	lookup_close(&l);

	lookup_open(&l);
	lookup_add(&l, key_of(false, NULL, NULL, 0), 0);
	lookup_add(&l, on_a, 0);
	lookup_add(&l, bound_on_a, 0);
	lookup_add(&l, key_of(false, "192.0.2.2", NULL, 0), 0);
	pkt.ifindex = DEV_A;
	assert_int_equal(lookup_any_order(&l, &pkt), BOUND_ON_A);
	pkt.ifindex = DEV_B;
	assert_int_equal(lookup_any_order(&l, &pkt), BOUND);
	lookup_close(&l);
}

static void test_lookup_dual_stack(void **state)
{
	enum { V6, V4 };
	struct pkt pkt4 = pkt_of("192.0.2.1", 1000, "192.0.2.2", DEV_A);
	struct pkt pkt6 = pkt_of("2001:db8::1", 1000, "2001:db8::2", DEV_A);
	struct udp_key v6only = key_of(true, NULL, NULL, 0);
	struct lookup l;

	(void)state;
	lookup_open(&l);
	lookup_add(&l, key_of(true, NULL, NULL, 0), 0);
	assert_int_equal(lookup_any_order(&l, &pkt4), V6);
	assert_int_equal(lookup_any_order(&l, &pkt6), V6);
	/* Of two wildcards the one of the packet's own family. */
	lookup_add(&l, key_of(false, NULL, NULL, 0), 0);
	assert_int_equal(lookup_any_order(&l, &pkt4), V4);
	assert_int_equal(lookup_any_order(&l, &pkt6), V6);
	lookup_close(&l);

	v6only.v6only = true;
	lookup_open(&l);
	lookup_add(&l, v6only, 0);
	assert_int_equal(lookup_any_order(&l, &pkt4), -1);
	assert_int_equal(lookup_any_order(&l, &pkt6), V6);
	lookup_close(&l);
}

/* An IPv6 socket with an IPv4 address. */
static void test_lookup_mapped(void **state)
{
	enum { MAPPED, OTHER };
	struct pkt pkt4 = pkt_of("192.0.2.1", 1000, "192.0.2.2", DEV_A);
	struct pkt pkt6 = pkt_of("2001:db8::1", 1000, "2001:db8::2", DEV_A);
	struct lookup l;

	(void)state;
	lookup_open(&l);
	lookup_add(&l, key_of(true, "::ffff:192.0.2.2", NULL, 0), 0);
	assert_int_equal(lookup_any_order(&l, &pkt4), MAPPED);
	assert_int_equal(lookup_any_order(&l, &pkt6), -1);
	lookup_add(&l, key_of(false, "192.0.2.2", NULL, 0), 0);
	assert_int_equal(lookup_any_order(&l, &pkt4), OTHER);
	lookup_close(&l);

	lookup_open(&l);
	lookup_add(&l, key_of(true, "::ffff:192.0.2.2", "::ffff:192.0.2.1", 1000), 0);
	lookup_add(&l, key_of(false, "192.0.2.2", NULL, 0), 0);
	assert_int_equal(lookup_any_order(&l, &pkt4), MAPPED);
	pkt4.sport = htons(1001);
	assert_int_equal(lookup_any_order(&l, &pkt4), OTHER);
	lookup_close(&l);
}

static void test_lookup_ipv6(void **state)
{
	enum { ANY, BOUND, CONNECTED };
	struct lookup l;
	struct pkt pkt;

	(void)state;
	lookup_open(&l);
	lookup_add(&l, key_of(true, NULL, NULL, 0), 0);
	lookup_add(&l, key_of(true, "2001:db8::2", NULL, 0), 0);
	lookup_add(&l, key_of(true, "2001:db8::2", "2001:db8::1", 1000), 0);
	pkt = pkt_of("2001:db8::1", 1000, "2001:db8::2", DEV_A);
	assert_int_equal(lookup_any_order(&l, &pkt), CONNECTED);
	pkt = pkt_of("2001:db8::3", 1000, "2001:db8::2", DEV_A);
	assert_int_equal(lookup_any_order(&l, &pkt), BOUND);
	pkt = pkt_of("2001:db8::1", 1001, "2001:db8::2", DEV_A);
	assert_int_equal(lookup_any_order(&l, &pkt), BOUND);
	pkt = pkt_of("2001:db8::1", 1000, "2001:db8::4", DEV_A);
	assert_int_equal(lookup_any_order(&l, &pkt), ANY);
	lookup_close(&l);
}

static void test_lookup_first_of_equals(void **state)
{
	struct pkt pkt = pkt_of("192.0.2.1", 1000, "192.0.2.2", DEV_A);
	struct lookup l;

	(void)state;
	lookup_open(&l);
	for (int i = 0; i < SOCKS; i++)
		lookup_add(&l, key_of(false, i % 2 ? NULL : "192.0.2.2", NULL, 0), 0);
	assert_ptr_equal(udp_lookup(l.table, &pkt), &l.sock[0]);
	pkt.daddr = addr_of("192.0.2.9");
	assert_ptr_equal(udp_lookup(l.table, &pkt), &l.sock[1]);
	lookup_close(&l);
}

static void test_table_replaced(void **state)
{
	struct pkt pkt = pkt_of("192.0.2.1", 1000, "192.0.2.2", DEV_A);
	struct lookup l;

	(void)state;
	lookup_open(&l);
	assert_null(udp_lookup(l.table, &pkt));
	lookup_add(&l, key_of(false, NULL, NULL, 0), 0);
	assert_ptr_equal(udp_lookup(l.table, &pkt), &l.sock[0]);
	l.entry[0].sk = &l.sock[5];
	assert_ptr_equal(udp_lookup(l.table, &pkt), &l.sock[0]);
	assert_int_equal(udp_table_set(l.table, PORT, l.entry, 1), 0);
	assert_ptr_equal(udp_lookup(l.table, &pkt), &l.sock[5]);
	assert_int_equal(udp_table_set(l.table, PORT, NULL, 0), 0);
	assert_null(udp_lookup(l.table, &pkt));
	assert_int_equal(udp_table_set(l.table, 0, l.entry, 1), 0);
	assert_int_equal(udp_table_set(l.table, 65535, l.entry, 1), 0);
	pkt.dport = 0xffff;
	assert_ptr_equal(udp_lookup(l.table, &pkt), &l.sock[5]);
	lookup_close(&l);
}

/* A table with two groups and sockets of none between their members. */
/* A socket of all ports takes what no port's own entries are asked for. */
static void test_table_rest(void **state)
{
	struct pkt pkt = pkt_of("192.0.2.1", 1000, "192.0.2.2", DEV_A);
	struct udp_entry any = { .key.ipv6 = true }, exact;
	struct udp_table *table = calloc(1, sizeof(*table));
	struct sock sock[2] = { 0 };

	(void)state;
	any.sk = &sock[0];
	exact = (struct udp_entry){ .key = key_of(false, "192.0.2.7", NULL, 0), .sk = &sock[1] };
	assert_null(udp_lookup(table, &pkt));
	assert_int_equal(udp_table_set_rest(table, &any, 1), 0);
	assert_ptr_equal(udp_lookup(table, &pkt), &sock[0]);
	assert_int_equal(udp_table_set(table, ntohs(pkt.dport), &exact, 1), 0);
	assert_null(udp_lookup(table, &pkt));
	pkt.dport ^= htons(1);
	assert_ptr_equal(udp_lookup(table, &pkt), &sock[0]);
	assert_int_equal(udp_table_set_rest(table, NULL, 0), 0);
	assert_null(udp_lookup(table, &pkt));
	udp_table_set_rest(table, &any, 1);
	udp_table_destroy(table);
	assert_null(udp_lookup(table, &pkt));
	free(table);
}

static void open_groups(struct lookup *l)
{
	lookup_open(l);
	lookup_add(l, key_of(false, "192.0.2.2", NULL, 0), 1);
	lookup_add(l, key_of(false, NULL, NULL, 0), 2);
	lookup_add(l, key_of(false, "192.0.2.2", NULL, 0), 1);
	lookup_add(l, key_of(false, "192.0.2.2", "192.0.2.9", 1000), 0);
	lookup_add(l, key_of(false, NULL, NULL, 0), 2);
	lookup_add(l, key_of(false, "192.0.2.2", NULL, 0), 1);
}

static void test_group_distribution(void **state)
{
	struct pkt pkt = pkt_of("192.0.2.1", 1000, "192.0.2.2", DEV_A);
	unsigned int hits[SOCKS] = { 0 }, n = 30000;
	struct lookup l;
	__u64 x = 1;

	(void)state;
	open_groups(&l);
	for (unsigned int i = 0; i < n; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		pkt.hash = (uint32_t)(x >> 32);
		hits[udp_lookup(l.table, &pkt) - l.sock]++;
	}
	assert_int_equal(hits[0] + hits[2] + hits[5], n);
	assert_in_range(hits[0], n / 3 - n / 50, n / 3 + n / 50);
	assert_in_range(hits[2], n / 3 - n / 50, n / 3 + n / 50);
	lookup_close(&l);
}

static void test_group_stability(void **state)
{
	struct pkt pkt = pkt_of("192.0.2.1", 1000, "192.0.2.2", DEV_A);
	struct lookup l;

	(void)state;
	open_groups(&l);
	/* reciprocal_scale(): the thirds of the hash space, in the order of the members. */
	for (uint64_t third = 0; third < 3; third++) {
		static const int member[] = { 0, 2, 5 };

		pkt.hash = (uint32_t)((third * 0x100000000 + 2) / 3);
		assert_ptr_equal(udp_lookup(l.table, &pkt), &l.sock[member[third]]);
		pkt.hash = (uint32_t)(((third + 1) * 0x100000000 + 2) / 3 - 1);
		assert_ptr_equal(udp_lookup(l.table, &pkt), &l.sock[member[third]]);
	}
	/* The other group, and the socket that is connected, keep to theirs. */
	pkt.hash = 0xffffffff;
	pkt.daddr = addr_of("192.0.2.7");
	assert_ptr_equal(udp_lookup(l.table, &pkt), &l.sock[4]);
	pkt = pkt_of("192.0.2.9", 1000, "192.0.2.2", DEV_A);
	for (uint32_t hash = 0; hash < 0xf0000000; hash += 0x01234567) {
		pkt.hash = hash;
		assert_ptr_equal(udp_lookup(l.table, &pkt), &l.sock[3]);
	}
	lookup_close(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_short),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_shorter_than_ip_payload),
		cmocka_unit_test(test_checksum_covers_all),
		cmocka_unit_test(test_no_checksum),
		cmocka_unit_test(test_checksum_ffff),
		cmocka_unit_test(test_checksum_of_each_length),
		cmocka_unit_test(test_partial),
		cmocka_unit_test(test_no_socket),
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_lookup_specific_first),
		cmocka_unit_test(test_lookup_address_before_device),
		cmocka_unit_test(test_lookup_device),
		cmocka_unit_test(test_lookup_dual_stack),
		cmocka_unit_test(test_lookup_mapped),
		cmocka_unit_test(test_lookup_ipv6),
		cmocka_unit_test(test_lookup_first_of_equals),
		cmocka_unit_test(test_table_replaced),
		cmocka_unit_test(test_table_rest),
		cmocka_unit_test(test_group_distribution),
		cmocka_unit_test(test_group_stability),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
