// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Tables of rps_dev_flow replaced under traffic, by the functions that the daemon uses. One
 * thread sends packets through the program, plays all workers and the clients that
 * move, and checks every packet; another resizes.
 */
#include "engine/steer.h"
#include "scene.h"

#include <pthread.h>
#include <stdatomic.h>

#define FLOWS 64u
#define WORKERS 4u
#define RESIZES 25
#define RING 4096u

struct sent {
	__u32 worker, seq;
	bool any;
};

struct traffic {
	struct fixture f;	/* prog, ifindex and the flow's frames' way through run_on() */
	struct steer s;
	struct frame frame[FLOWS];
	__u32 hash[FLOWS];
	struct sent last[FLOWS];
	__u64 rng, packets, moves, lost, overtaken;
	atomic_bool stop;
};

static __u32 below(struct traffic *t, __u32 n)
{
	return rnd_below(&t->rng, n);
}

/* Workers go on for a while, each as far as it likes. */
static void process(struct traffic *t)
{
	for (__u32 w = 0; w < WORKERS; w++) {
		__u32 behind = t->s.flow_tail[w] - t->s.flow_head[w];
		__u32 head = t->s.flow_head[w] + below(t, behind + 1);

		__atomic_store_n(&t->s.flow_head[w], below(t, 3) ? head : t->s.flow_tail[w],
				 __ATOMIC_RELEASE);
	}
}

static void send_one(struct traffic *t)
{
	__u32 i = below(t, FLOWS);
	struct sent *last = &t->last[i];
	struct result r;

	if (!below(t, 4)) {
		__u32 h = t->hash[i];

		t->s.sock_flow[h & (SOCK_FLOWS - 1)] = (h & ~t->s.cpu_mask) | below(t, 2);
	}
	r = run_on(&t->f, t->frame[i].b, t->frame[i].len, 0);
	t->lost += r.ret != XDP_REDIRECT;
	if (last->any && last->worker != r.meta.target) {
		t->overtaken += (__s32)(t->s.flow_head[last->worker] - last->seq) < 0;
		t->moves++;
	}
	*last = (struct sent){ r.meta.target, r.meta.seq, true };
	t->packets++;
}

static void *send_all(void *arg)
{
	struct traffic *t = arg;

	while (!t->stop) {
		for (__u32 n = 1 + below(t, 8); n; n--)
			send_one(t);
		process(t);
	}
	return NULL;
}

static void traffic_open(struct traffic *t, const struct host *h)
{
	struct steer_config c = { .ifindex = h->ifindex, .nr_queues = 1, .dev_flows = true,
				  .sock_flow_entries = SOCK_FLOWS, .ring = RING,
				  .hash_key = { own_key[0], own_key[1] } };
	struct sluice_rps_map map = { .len = 2, .cpus = { 2, 3 } };
	struct spec s = spec4();
	struct sluice_addr local = mapped(s.daddr, 4);

	memset(t, 0, sizeof(*t));
	assert_int_equal(steer_open(&t->s, &c), 0);
	for (__u32 w = 0; w < WORKERS; w++) {
		assert_int_equal(steer_set_target(&t->s, 0, w, h->xsk), 0);
		assert_int_equal(steer_set_cpu_worker(&t->s, w, w), 0);
	}
	assert_int_equal(steer_set_rps(&t->s, 0, &map), 0);
	assert_int_equal(steer_set_mac(&t->s, own_mac), 0);
	assert_int_equal(steer_local_add(&t->s, &local, h->ifindex), 0);
	t->s.port[TEST_PORT] = (struct sluice_port){ .flags = SLUICE_PORT_ANY,
						      .action = SLUICE_ACT_XSK };
	t->f.prog = bpf_program__fd(bpf_program__autoload(t->s.skel->progs.steer) ?
				    t->s.skel->progs.steer : t->s.skel->progs.steer_plain);
	t->f.ifindex = h->ifindex;
	for (__u32 i = 0; i < FLOWS; i++) {
		struct flow_key k = { .version = 4, .proto = IPPROTO_UDP, .dport = htons(s.dport) };

		s.sport = (__u16)(1000 + i);
		t->frame[i] = frame_build(&s);
		k.sport = htons(s.sport);
		memcpy(k.saddr.w, s.saddr, 4);
		memcpy(k.daddr.w, s.daddr, 4);
		t->hash[i] = flow_hash(own_key, &k);
	}
}

/* As the daemon does, from time to time. */
static void settle(struct traffic *t)
{
	int looks = 0, err;

	while ((err = steer_settle_dev_flows(&t->s)) == -EBUSY)
		assert_true(++looks < 500);
	assert_int_equal(err, 0);
}

static void test_resize(void **state)
{
	static const __u32 sizes[] = { 16, 1, 4096, 8, 64, 4, 512, 2 };
	struct traffic *t = malloc(sizeof(*t));
	pthread_t thread;

	assert_non_null(t);
	traffic_open(t, *state);
	assert_int_equal(steer_resize_dev_flow(&t->s, 0, 256), 0);
	pthread_create(&thread, NULL, send_all, t);
	for (int i = 0; i < RESIZES; i++) {
		assert_int_equal(steer_resize_dev_flow(&t->s, 0, sizes[i % 8]), 0);
		assert_int_equal(steer_dev_flow_entries(&t->s, 0), sizes[i % 8]);
		settle(t);
	}
	t->stop = true;
	pthread_join(thread, NULL);
	print_message("%d resizes, %llu packets, %llu times another worker\n", RESIZES,
		      (unsigned long long)t->packets, (unsigned long long)t->moves);
	assert_int_equal(t->lost, 0);
	assert_int_equal(t->overtaken, 0);
	assert_true(t->moves > 20);
	steer_close(&t->s);
	free(t);
}

static void test_errors(void **state)
{
	struct traffic *t = malloc(sizeof(*t));

	assert_non_null(t);
	traffic_open(t, *state);
	assert_int_equal(steer_resize_dev_flow(&t->s, 0, 100), 0);
	assert_int_equal(steer_dev_flow_entries(&t->s, 0), 128);
	assert_int_equal(steer_resize_dev_flow(&t->s, 1, 100), -EINVAL);
	assert_int_equal(steer_resize_dev_flow(&t->s, 0, SLUICE_DEV_FLOW_MAX + 1), -EINVAL);
	assert_int_equal(steer_dev_flow_entries(&t->s, 0), 128);
	/* A packet that is never processed: in force at once, but the next resize has to wait. */
	t->rng = 1;
	send_one(t);
	assert_int_equal(steer_resize_dev_flow(&t->s, 0, 16), 0);
	assert_int_equal(steer_dev_flow_entries(&t->s, 0), 16);
	for (int i = 0; i < 3; i++)
		assert_int_equal(steer_settle_dev_flows(&t->s), -EBUSY);
	assert_int_equal(steer_resize_dev_flow(&t->s, 0, 32), -EBUSY);
	assert_int_equal(steer_dev_flow_entries(&t->s, 0), 16);
	assert_true(steer_target_busy(&t->s, 0, 2) || steer_target_busy(&t->s, 0, 3));
	memcpy(t->s.flow_head, t->s.flow_tail, WORKERS * sizeof(__u32));
	assert_false(steer_target_busy(&t->s, 0, 2) || steer_target_busy(&t->s, 0, 3));
	/* One look is not enough. */
	assert_int_equal(steer_settle_dev_flows(&t->s), -EBUSY);
	assert_int_equal(steer_settle_dev_flows(&t->s), 0);
	assert_int_equal(steer_settle_dev_flows(&t->s), 0);
	assert_int_equal(steer_resize_dev_flow(&t->s, 0, 0), 0);
	assert_int_equal(steer_dev_flow_entries(&t->s, 0), 0);
	assert_int_equal(steer_set_flow_limit(&t->s, 0, true), -EOPNOTSUPP);
	steer_close(&t->s);
	free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resize),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
