/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/* scene.h - the state that single-rule tests start from, and valid datagrams for it. */
#ifndef TEST_SCENE_H
#define TEST_SCENE_H

#include "fixture.h"

#define V(name) SLUICE_XDP_##name

/* Two ends, a rule for any address on TEST_PORT, worker w on CPU w, every slot filled. */
static inline void open_with(struct fixture *f, const struct host *h,
			     const struct fixture_opts *o)
{
	static const __u16 cpus[] = { 2 };
	__u8 a[16];

	fixture_open(f, h, o);
	set_v4(a, "10.0.0.1");
	set_local(f, a, 4, 1);
	set_v6(a, "2001:db8::1");
	set_local(f, a, 6, 1);
	set_port(f, TEST_PORT, SLUICE_PORT_ANY);
	for (__u32 i = 0; i < 8; i++)
		set_worker(f, i, i);
	for (__u32 q = 0; q < QUEUES; q++)
		set_rps(f, q, 1, cpus);
	for (__u32 slot = 0; slot < SLOTS; slot++)
		set_slot(f, slot, 1);
}

static inline int setup(void **state)
{
	static const struct fixture_opts o = { .sock_flow_mask = SOCK_FLOWS - 1, .cpu_mask = 7,
					       .dev_flows = 1 };
	struct fixture *f = malloc(sizeof(*f));

	open_with(f, *state, &o);
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	fixture_close(*state);
	free(*state);
	return 0;
}

static inline struct spec spec4(void)
{
	struct spec s = { .version = 4, .proto = IPPROTO_UDP, .sport = 1234, .dport = TEST_PORT,
			  .payload = 20 };

	memcpy(s.dmac, own_mac, sizeof(s.dmac));
	set_v4(s.saddr, "10.0.0.2");
	set_v4(s.daddr, "10.0.0.1");
	return s;
}

static inline struct spec spec6(void)
{
	struct spec s = spec4();

	s.version = 6;
	set_v6(s.saddr, "2001:db8::2");
	set_v6(s.daddr, "2001:db8::1");
	return s;
}

static inline struct spec spec_of(int version)
{
	return version == 6 ? spec6() : spec4();
}

static inline enum sluice_verdict verdict(const struct fixture *f, const struct spec *s)
{
	struct frame p = frame_build(s);

	return verdict_of(f, p.b, p.len, 0);
}

/* The verdict for the valid frame with one byte replaced. */
static inline enum sluice_verdict patched(const struct fixture *f, const struct spec *s,
					  __u32 l3_offset, __u8 value)
{
	struct frame p = frame_build(s);

	p.b[p.l3 + l3_offset] = value;
	return verdict_of(f, p.b, p.len, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

#endif
