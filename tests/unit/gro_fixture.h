/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * gro_fixture.h - for the tests of GRO: packets said field by field, pushed one after the
 * other, and what came out of them. Every test ends with nothing held and all packets back.
 */
#ifndef TEST_GRO_FIXTURE_H
#define TEST_GRO_FIXTURE_H

#include "gro_engine.h"
#include "gro_segment.h"

#define IN_FIXTURE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

struct fixture {
	struct gro_engine g;
	struct gro_stream st;	/* what was pushed since restart() */
	struct gro_outs outs;	/* what came out since */
};

static inline int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_true(gro_engine_init(&f->g));
	assert_true(gro_outs_init(&f->outs));
	*state = f;
	return 0;
}

static inline int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(f->g.gro.held, 0);
	assert_int_equal(f->g.pool.nr_free, f->g.pool.size);
	gro_engine_destroy(&f->g);
	gro_outs_free(&f->outs);
	free(f);
	return 0;
}

static inline void flush(struct fixture *f)
{
	gro_flush_all(&f->g.gro);
	assert_int_equal(f->g.gro.held, 0);
	assert_false(f->g.overflow);
}

static inline void restart(struct fixture *f)
{
	flush(f);
	f->st.nr = 0;
	f->outs.nr = 0;
}

static inline void push_frame(struct fixture *f, const struct frame *frame)
{
	if (f->st.nr < GRO_STREAM_MAX)
		f->st.frame[f->st.nr++] = *frame;
	assert_true(gro_engine_push(&f->g, frame, &f->outs));
}

static inline void push(struct fixture *f, const struct gro_spec *s)
{
	struct frame frame;

	gro_build(s, &frame);
	push_frame(f, &frame);
}

static inline void check_gives_back(const struct fixture *f)
{
	assert_true(gro_gives_back(&f->st, &f->outs));
}

/* The first packet of a flow with payloads of len bytes. */
static inline struct gro_spec spec_tcp(unsigned int len)
{
	return (struct gro_spec){
		.mac = 1, .saddr = { 10, 99, 0, 2 }, .daddr = { 10, 99, 0, 1 },
		.sport = 40000, .dport = GRO_PORT_ASKED, .ttl = 64, .id = 100, .frag = 0x4000,
		.seq = 1000, .ack = 2000, .flags = GRO_ACK, .window = 3000, .len = (uint16_t)len,
	};
}

static inline struct gro_spec spec_udp(unsigned int len)
{
	struct gro_spec s = spec_tcp(len);

	s.udp = true;
	return s;
}

static inline struct gro_spec spec_v6(struct gro_spec s)
{
	s.v6 = true;
	s.label = 0x12345;
	return s;
}

/* A change of one field of the second packet: are the two still merged? */
struct gro_case {
	const char *what;
	size_t at, size;	/* of the field; FIELD(name) */
	char op;		/* = + ^ | */
	int64_t value;
	bool merged;
};

#define FIELD(name) offsetof(struct gro_spec, name), sizeof(((struct gro_spec *)0)->name)

static inline int64_t gro_case_value(const struct gro_case *c, int64_t is)
{
	switch (c->op) {
	case '+': return is + c->value;
	case '^': return is ^ c->value;
	case '|': return is | c->value;
	default: return c->value;
	}
}

static inline void gro_case_apply(const struct gro_case *c, struct gro_spec *s)
{
	void *field = (uint8_t *)s + c->at;

	switch (c->size) {
	case 1:
		*(uint8_t *)field = (uint8_t)gro_case_value(c, *(uint8_t *)field);
		break;
	case 2:
		*(uint16_t *)field = (uint16_t)gro_case_value(c, *(uint16_t *)field);
		break;
	default:
		*(uint32_t *)field = (uint32_t)gro_case_value(c, *(uint32_t *)field);
	}
}

static inline void push_two(struct fixture *f, const struct gro_spec *first,
			    const struct gro_spec *second)
{
	restart(f);
	push(f, first);
	push(f, second);
	flush(f);
	check_gives_back(f);
}

/* Now it is the packet after. */
static inline void follow(struct gro_spec *s)
{
	s->seq += s->len;
	s->id++;
}

/* Five of each, in turns. */
static inline void push_in_turns(struct fixture *f, struct gro_spec a, struct gro_spec b)
{
	for (int n = 0; n < 5; n++) {
		push(f, &a);
		push(f, &b);
		follow(&a);
		follow(&b);
	}
	flush(f);
	check_gives_back(f);
}

static inline void check_cases(struct fixture *f, const struct gro_spec *first,
			       const struct gro_case *cases, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct gro_spec second = *first;

		follow(&second);
		gro_case_apply(&cases[i], &second);
		push_two(f, first, &second);
		if (f->outs.nr != (cases[i].merged ? 1 : 2))
			fail_msg("%s: %u packets", cases[i].what, f->outs.nr);
	}
}

#define CHECK_CASES(f, first, cases) check_cases(f, first, cases, sizeof(cases) / sizeof(cases[0]))
#endif
