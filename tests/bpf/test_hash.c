// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The flow hash: published SipHash vectors, XDP program against user space, symmetry, spread. */
#include "fixture.h"
#include "sip_ref.h"

#define FLOWS 10000

/*
 * Published outputs for the key 00..0f and the messages "", 00, 00 01, ...:
 * by message length; 2-4 from the paper's authors, 1-3 as in the tests of Rust's
 * standard library.
 */
struct vector {
	size_t len;
	__u64 sip13;
	__u64 sip24;
};

static const struct vector vectors[] = {
	{ 0, 0xabac0158050fc4dcULL, 0x726fdb47dd0e0e31ULL },
	{ 1, 0xc9f49bf37d57ca93ULL, 0x74f839c593dc67fdULL },
	{ 7, 0xd3927d989bb11140ULL, 0xab0200f58b01d137ULL },
	{ 8, 0x369095118d299a8eULL, 0x93f5f5799a932462ULL },
	{ 14, 0x605aa111c0f95d34ULL, 0xf723ca908e7af2eeULL },
	{ 15, 0xd320d86d2a519956ULL, 0xa129ca6149be45e5ULL },
	{ 16, 0xcc4fdd1a7d908b66ULL, 0x3f2acc7f57c29bdbULL },
	{ 37, 0xb6101c2da3c33057ULL, 0x027990f029623981ULL },
	{ 40, 0xc1d2363299e41531ULL, 0x0e3ea96b5304a7d0ULL },
	{ 63, 0x9d199062b7bbb3a8ULL, 0x958a324ceb064572ULL },
};

static void message(__u8 *m, size_t len)
{
	for (size_t i = 0; i < len; i++)
		m[i] = (__u8)i;
}

static void test_reference_vectors(void **state)
{
	__u8 m[64];

	(void)state;
	message(m, sizeof(m));
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		const struct vector *v = &vectors[i];

		assert_int_equal(ref_siphash(1, 3, own_key, m, v->len), v->sip13);
		assert_int_equal(ref_siphash(2, 4, own_key, m, v->len), v->sip24);
	}
}

static void test_vectors(void **state)
{
	__u8 m[64];

	(void)state;
	message(m, sizeof(m));
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		size_t len = vectors[i].len;
		__u8 rest[8] = { 0 };
		struct sip_state s;

		memcpy(rest, m + len / 8 * 8, len % 8);
		sip_start(&s, own_key[0], own_key[1]);
		for (size_t w = 0; w < len / 8; w++)
			sip_word(&s, ref_le64(m + 8 * w));
		assert_int_equal(sip_end(&s, ref_le64(rest), len), vectors[i].sip13);
	}
}

static void random_key(__u64 *rng, struct flow_key *k)
{
	__u64 v[4] = { rnd(rng), rnd(rng), rnd(rng), rnd(rng) };

	memset(k, 0, sizeof(*k));
	k->version = rnd(rng) & 1 ? 4 : 6;
	k->proto = rnd(rng) & 1 ? IPPROTO_UDP : IPPROTO_TCP;
	memcpy(&k->saddr, v, k->version == 4 ? 4 : 16);
	memcpy(&k->daddr, v + 2, k->version == 4 ? 4 : 16);
	/* Equal halves, so that the later parts of the comparison decide. */
	if (rnd_below(rng, 4) == 0)
		k->saddr.d[0] = k->daddr.d[0];
	if (rnd_below(rng, 4) == 0)
		k->saddr.d[1] = k->daddr.d[1];
	k->sport = (__be16)rnd(rng);
	k->dport = rnd_below(rng, 8) ? (__be16)rnd(rng) : k->sport;
}

static __u32 ref_of(const __u64 *key, const struct flow_key *k)
{
	return ref_flow_hash(key, k->version, k->proto, (const __u8 *)&k->saddr,
			     (const __u8 *)&k->daddr, (const __u8 *)&k->sport,
			     (const __u8 *)&k->dport);
}

static void test_against_reference(void **state)
{
	__u64 rng = 1;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		__u64 key[2] = { rnd(&rng), rnd(&rng) };
		struct flow_key k, back;

		random_key(&rng, &k);
		back = k;
		back.saddr = k.daddr;
		back.daddr = k.saddr;
		back.sport = k.dport;
		back.dport = k.sport;
		assert_int_equal(flow_hash(key, &k), ref_of(key, &k));
		assert_int_equal(flow_hash(key, &back), flow_hash(key, &k));
	}
}

/* Everything that tells two flows apart enters. */
static void test_sensitivity(void **state)
{
	__u64 rng = 2;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		struct flow_key k, o;
		__u8 bytes[36];
		__u32 h;

		random_key(&rng, &k);
		h = flow_hash(own_key, &k);
		memcpy(bytes, &k, sizeof(bytes));
		for (unsigned int b = 0; b < sizeof(bytes); b++) {
			if (k.version == 4 && b % 16 >= 4 && b < 32)
				continue;
			o = k;
			((__u8 *)&o)[b] ^= (__u8)(1u << rnd_below(&rng, 8));
			assert_int_not_equal(flow_hash(own_key, &o), h);
		}
		o = k;
		o.proto ^= IPPROTO_UDP ^ IPPROTO_TCP;
		assert_int_not_equal(flow_hash(own_key, &o), h);
	}
}

static void test_fold(void **state)
{
	(void)state;
	assert_int_equal(flow_fold(0), 1);
	assert_int_equal(flow_fold(0x1234567812345678ULL), 1);
	assert_int_equal(flow_fold(0x0000000100000000ULL), 1);
	assert_int_equal(flow_fold(0x8000000000000001ULL), 0x80000001);
}

static void prepare(struct fixture *f, const struct host *h, __u32 cpus)
{
	static const struct fixture_opts o = { 0 };
	__u16 list[SLUICE_RPS_MAX];

	fixture_open(f, h, &o);
	for (__u32 i = 0; i < cpus; i++) {
		list[i] = (__u16)i;
		set_worker(f, i, i);
		set_slot(f, i, 1);
	}
	set_rps(f, 0, cpus, list);
}

/* One random datagram of k's flow; every destination is local, every port open. */
static struct result send_flow(struct fixture *f, const struct flow_key *k)
{
	struct spec s = { .version = k->version, .proto = IPPROTO_UDP,
			  .sport = ntohs(k->sport), .dport = ntohs(k->dport) };
	struct frame p;
	struct result r;

	memcpy(s.dmac, own_mac, sizeof(s.dmac));
	memcpy(s.saddr, &k->saddr, sizeof(s.saddr));
	memcpy(s.daddr, &k->daddr, sizeof(s.daddr));
	set_port(f, s.dport, SLUICE_PORT_ANY);
	set_local(f, s.daddr, s.version, 1);
	p = frame_build(&s);
	r = run_on(f, p.b, p.len, 0);
	set_local(f, s.daddr, s.version, 0);
	assert_true(r.has_meta);
	return r;
}

static void test_bpf_is_user_space(void **state)
{
	struct fixture f;
	__u64 rng = 3;

	prepare(&f, *state, 1);
	for (int i = 0; i < FLOWS; i++) {
		struct flow_key k, back;
		struct result r;

		random_key(&rng, &k);
		k.proto = IPPROTO_UDP;
		back = k;
		back.saddr = k.daddr;
		back.daddr = k.saddr;
		back.sport = k.dport;
		back.dport = k.sport;
		r = send_flow(&f, &k);
		assert_int_equal(r.meta.hash, flow_hash(own_key, &k));
		assert_int_equal(r.meta.hash, ref_of(own_key, &k));
		assert_int_equal(send_flow(&f, &back).meta.hash, r.meta.hash);
	}
	fixture_close(&f);
}

/*
 * Flows spread evenly over the CPUs of rps_map. Bounds: chi-square at p = 0.001
 * above and p = 0.999 below (too even is no hash either); the key and the flows
 * are fixed, so that the result is, too.
 */
static void check_spread(const struct host *h, __u32 cpus, double low, double high)
{
	double mean = (double)FLOWS / cpus, chi2 = 0;
	__u32 count[SLUICE_MAX_WORKERS] = { 0 };
	struct fixture f;
	__u64 rng = 4;

	prepare(&f, h, cpus);
	for (int i = 0; i < FLOWS; i++) {
		struct flow_key k = { .version = 4, .proto = IPPROTO_UDP, .dport = htons(53) };
		struct result r;

		/* What a server sees: one address of its own, clients near each other. */
		k.daddr.w[0] = htonl(0x0a000001);
		k.saddr.w[0] = htonl(0x0a000100 + rnd_below(&rng, 65536));
		k.sport = htons((__u16)(1024 + rnd_below(&rng, 60000)));
		r = send_flow(&f, &k);
		assert_int_equal(r.meta.target, (__u64)r.meta.hash * cpus >> 32);
		count[r.meta.target]++;
	}
	for (__u32 i = 0; i < cpus; i++)
		chi2 += (count[i] - mean) * (count[i] - mean) / mean;
	print_message("%u CPUs: chi-square %.2f, allowed [%.2f, %.2f]\n", cpus, chi2, low, high);
	assert_true(chi2 > low && chi2 < high);
	fixture_close(&f);
}

static void test_spread(void **state)
{
	check_spread(*state, 3, 0.002, 13.82);
	check_spread(*state, 16, 3.48, 37.70);
	check_spread(*state, 64, 33.9, 103.44);
}

#define CHOSEN 1000
#define TARGETS 64u
#define ENTRIES 256u
#define KEYS 50

static __u32 target_of(__u32 hash)
{
	return (__u32)((__u64)hash * TARGETS >> 32);
}

/* What somebody outside can choose: source address and port. */
static struct flow_key flow_number(__u64 n)
{
	struct flow_key k = { .version = 4, .proto = IPPROTO_UDP, .dport = htons(53) };

	k.daddr.w[0] = htonl(0x0a000001);
	k.saddr.w[0] = htonl(0x0b000000 + (__u32)(n >> 15));
	k.sport = htons((__u16)(0x8000 + (n & 0x7fff)));
	return k;
}

/* Flows that one who knows the key sends: all to one target, and to one entry of rps_sock_flow. */
static void choose(struct flow_key *chosen, const __u64 *key)
{
	int n = 0;

	for (__u64 i = 0; n < CHOSEN; i++) {
		struct flow_key k = flow_number(i);
		__u32 hash = flow_hash(key, &k);

		if (target_of(hash) == 7 && hash % ENTRIES == 99)
			chosen[n++] = k;
	}
}

static double pairs(const __u32 *count, __u32 n)
{
	double sum = 0;

	for (__u32 i = 0; i < n; i++)
		sum += (double)count[i] * (count[i] - 1.0) / 2;
	return sum;
}

/*
 * Under another key they are as any 1,000 flows: the pairs that meet in one of n places are
 * binomial with p = 1/n, to within 5 standard deviations. Keys are seeded, so the result is fixed.
 */
static void check_pairs(const char *what, const __u32 *count, __u32 n, double *worst)
{
	double all = CHOSEN * (CHOSEN - 1.0) / 2, mean = all / n;
	double off = (pairs(count, n) - mean) * (pairs(count, n) - mean) / (mean * (1 - 1.0 / n));

	if (off > 25)
		fail_msg("%s: %.0f pairs meet, %.0f expected", what, pairs(count, n), mean);
	*worst = off > *worst ? off : *worst;
}

static void test_chosen_collisions(void **state)
{
	struct flow_key *chosen = calloc(CHOSEN, sizeof(*chosen));
	double worst = 0;
	__u64 rng = 7;

	(void)state;
	assert_non_null(chosen);
	choose(chosen, own_key);
	for (int n = 0; n < KEYS; n++) {
		__u64 key[2] = { rnd(&rng), rnd(&rng) };
		__u32 target[TARGETS] = { 0 }, entry[ENTRIES] = { 0 };

		for (int i = 0; i < CHOSEN; i++) {
			__u32 hash = flow_hash(key, &chosen[i]);

			target[target_of(hash)]++;
			entry[hash % ENTRIES]++;
		}
		check_pairs("targets", target, TARGETS, &worst);
		check_pairs("entries", entry, ENTRIES, &worst);
	}
	print_message("%d flows of one target and entry, %d other keys: at most %.2f variances "
		      "off\n", CHOSEN, KEYS, worst);
	free(chosen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reference_vectors),
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_against_reference),
		cmocka_unit_test(test_sensitivity),
		cmocka_unit_test(test_fold),
		cmocka_unit_test(test_bpf_is_user_space),
		cmocka_unit_test(test_spread),
		cmocka_unit_test(test_chosen_collisions),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
